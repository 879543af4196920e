//! Takes typed fields out of a YAML tree by name, and collects every fault instead of stopping at the first. Knows
//! nothing of what the fields mean.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::core::nearest::nearest;

use crate::core::fault::Fault;
use crate::core::load::yaml::{Key, Node, Value};

/// A value that YAML 1.1 and 1.2 call true or false.
#[derive(Clone, Copy)]
pub struct Flag(pub bool);

impl FromStr for Flag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(Flag(true)),
            "false" | "no" | "off" => Ok(Flag(false)),
            _ => Err(format!(
                "`{text}` is neither true nor false; write one of them"
            )),
        }
    }
}

/// Any text.
pub struct Text(pub String);

impl FromStr for Text {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("a text is wanted here, not nothing".into()),
            _ if text.contains('\0') => Err("a text with a NUL in it reaches no program".into()),
            _ => Ok(Text(text.into())),
        }
    }
}

/// Takes fields out of a map by name; what nobody took is an unknown key. A null value is an absent one.
pub struct Fields<'n, 'f> {
    map: BTreeMap<&'n str, (&'n Key, &'n Node)>,
    known: Vec<&'static str>,
    pub faults: &'f mut Vec<Fault>,
}

impl<'n, 'f> Fields<'n, 'f> {
    pub fn new(map: BTreeMap<&'n str, (&'n Key, &'n Node)>, faults: &'f mut Vec<Fault>) -> Self {
        Fields {
            map,
            known: Vec::new(),
            faults,
        }
    }

    pub fn node(&mut self, name: &'static str) -> Option<&'n Node> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        self.map
            .get(name)
            .map(|(_, node)| *node)
            .filter(|node| !matches!(node.value, Value::Null))
    }

    pub fn get<T: FromStr<Err = String>>(&mut self, name: &'static str) -> Option<T> {
        self.node(name)?.scalar(self.faults)
    }

    pub fn flag(&mut self, name: &'static str) -> bool {
        self.get(name).is_some_and(|Flag(flag)| flag)
    }

    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.get(name).map(|Text(text)| text)
    }

    pub fn texts(&mut self, name: &'static str) -> Vec<String> {
        self.list(name).into_iter().map(|Text(text)| text).collect()
    }

    /// Keys that belong here and are read elsewhere.
    pub fn also(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    pub fn list<T: FromStr<Err = String>>(&mut self, name: &'static str) -> Vec<T> {
        let Some(node) = self.node(name) else {
            return Vec::new();
        };
        node.items()
            .iter()
            .filter_map(|item| item.scalar(self.faults))
            .collect()
    }

    /// Every key that no field took is a fault.
    pub fn finish(self) {
        for (name, (key, _)) in &self.map {
            if !self.known.contains(name) {
                self.faults.push(unknown(key, &self.known));
            }
        }
    }
}

/// That no such key is known, with the nearest one that is.
pub fn unknown(key: &Key, known: &[&str]) -> Fault {
    let name = &key.text;
    key.fault(match nearest(name, known.iter().copied()) {
        Some(near) => format!("unknown key `{name}`; did you mean `{near}`?"),
        None => format!(
            "unknown key `{name}`; the keys here are {}",
            known.join(", ")
        ),
    })
}
