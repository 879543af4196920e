//! A YAML text as a tree in which every key and value knows its position, so that its faults can show it. Knows nothing
//! of what the keys mean.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::core::fault::{At, Fault};

#[derive(Clone, Debug)]
pub struct Node {
    pub at: At,
    pub value: Value,
}

/// A scalar is kept as it was written, because only its field can say what `1.10` or `yes` means.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub struct Key {
    pub at: At,
    pub text: String,
}

/// A map in which each key stands once.
pub type Map<'n> = BTreeMap<&'n str, (&'n Key, &'n Node)>;

/// The items of the list with this name; none when it is absent.
pub fn items<'n>(map: &Map<'n>, name: &str) -> &'n [Node] {
    map.get(name).map_or(&[], |(_, node)| node.items())
}

impl Key {
    /// Says that the key repeats `first`.
    pub fn repeats(&self, first: &Key) -> String {
        let is_same_file = first.at.file == self.at.file;
        let of_file = if is_same_file { "" } else { " of another file" };
        let line = first.at.line;
        format!(
            "`{}` stands here a second time; the first is in line {line}{of_file}",
            self.text
        )
    }

    /// A key without a value is a fault.
    pub fn check_value(&self, node: &Node, faults: &mut Vec<Fault>) {
        if node.is_null() {
            let name = &self.text;
            let message = format!("`{name}` has no value: write one, or remove the line");
            faults.push(self.at.fault(message));
        }
    }

    pub fn parse<T: FromStr<Err = String>>(&self, faults: &mut Vec<Fault>) -> Option<T> {
        self.at.accept(self.text.parse(), faults)
    }
}

impl Node {
    pub fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// A single value, given to `parser`.
    pub fn parse<T>(
        &self,
        parser: fn(&str) -> Result<T, String>,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        let parsed = match self.text() {
            Some(text) => parser(text),
            None => Err(format!(
                "a single value is wanted here, not {}",
                self.kind()
            )),
        };
        self.at.accept(parsed, faults)
    }

    /// The text of a single value.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list. A single value is a list of one, and null an empty one.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// The pairs of a map in their order. Null is an empty map. None, and a fault, when it is no map.
    pub fn pairs(&self, faults: &mut Vec<Fault>) -> Option<&[(Key, Node)]> {
        match &self.value {
            Value::Null => Some(&[]),
            Value::Map(pairs) => Some(pairs),
            _ => {
                faults.push(self.at.fault(format!(
                    "a map is wanted here (`key: value`, a space after the colon), not {}",
                    self.kind()
                )));
                None
            }
        }
    }

    /// The pairs by key. A key that stands twice is a fault.
    pub fn map(&self, faults: &mut Vec<Fault>) -> Option<Map<'_>> {
        let mut map = Map::new();
        for (key, node) in self.pairs(faults)? {
            if let Some((first, _)) = map.insert(&key.text, (key, node)) {
                faults.push(key.at.fault(format!("{}; remove one", key.repeats(first))));
            }
        }
        Some(map)
    }
}

/// YAML in one line, for showing where a setting came from.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.value {
            Value::Null => f.write_str("~"),
            Value::Scalar(text) => f.write_str(text),
            Value::List(items) => {
                let items = Vec::from_iter(items.iter().map(Node::to_string));
                write!(f, "[{}]", items.join(", "))
            }
            Value::Map(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(key, node)| format!("{}: {node}", key.text));
                write!(f, "{{{}}}", Vec::from_iter(pairs).join(", "))
            }
        }
    }
}
