//! Takes typed fields out of a YAML map by name, and collects every fault instead of stopping at the first. Knows
//! nothing of what the fields mean.

use std::str::FromStr;

use crate::core::fault::Fault;
use crate::core::load::tree::{Key, Map, Node, items};
use crate::core::nearest::nearest;
use crate::core::scalars::flag;

/// The fields of one map. A null value counts as an absent one.
pub struct Fields<'n, 'f> {
    map: Map<'n>,
    pub faults: &'f mut Vec<Fault>,
}

impl<'n, 'f> Fields<'n, 'f> {
    /// Every key that is not one of `known` is a fault.
    pub fn new(map: Map<'n>, known: &[&str], faults: &'f mut Vec<Fault>) -> Self {
        for (name, (key, _)) in &map {
            if !known.contains(name) {
                faults.push(unknown(key, known));
            }
        }
        Fields { map, faults }
    }

    pub fn node(&self, name: &str) -> Option<&'n Node> {
        let (_, node) = self.map.get(name)?;
        (!node.is_null()).then_some(*node)
    }

    /// A word whose type knows how to parse it.
    pub fn get<T: FromStr<Err = String>>(&mut self, name: &str) -> Option<T> {
        self.parse(name, str::parse)
    }

    /// A word that is parsed by a function.
    pub fn parse<T>(&mut self, name: &str, parser: fn(&str) -> Result<T, String>) -> Option<T> {
        self.node(name)?.parse(parser, self.faults)
    }

    pub fn flag(&mut self, name: &str) -> bool {
        self.parse(name, flag).unwrap_or_default()
    }

    pub fn list<T>(&mut self, name: &str, parser: fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut list = Vec::new();
        for item in items(&self.map, name) {
            list.extend(item.parse(parser, self.faults));
        }
        list
    }
}

/// What `read` gives, unless it found a fault: then it may have filled a part with anything.
pub fn sound<T>(
    faults: &mut Vec<Fault>,
    read: impl FnOnce(&mut Vec<Fault>) -> Option<T>,
) -> Option<T> {
    let before = faults.len();
    read(faults).filter(|_| faults.len() == before)
}

/// Says that the key is not one of `known`, and which of them it may have meant.
pub fn unknown(key: &Key, known: &[&str]) -> Fault {
    let name = &key.text;
    let advice = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the keys here are {}", known.join(", ")),
    };
    key.at.fault(format!("unknown key `{name}`; {advice}"))
}
