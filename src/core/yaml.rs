//! YAML text to a tree in which every key and value knows where it stands, and faults that show their place. Knows
//! nothing of what the keys mean.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::DuplicateKeyPolicy;
use serde_yaml::{Location, Spanned};

/// A file of the configuration, as text.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub path: String,
    pub text: String,
}

/// A place in a [`Source`]: its index, and the line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub file: usize,
    pub line: u64,
    pub column: u64,
}

/// What is wrong with a configuration, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub at: At,
    pub message: String,
}

impl Fault {
    /// `zam.yaml:4:11: message`, the line, and a caret below the place.
    pub fn render(&self, sources: &[Source]) -> String {
        let At { file, line, column } = self.at;
        let Some(source) = sources.get(file) else { return self.message.clone() };
        let text = source.text.lines().nth(line as usize - 1).unwrap_or_default();
        let indent: String = text.chars().take(column as usize - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let (margin, message) = (line.to_string(), &self.message);
        format!("{}:{line}:{column}: {message}\n {margin} | {text}\n {} | {indent}^", source.path, " ".repeat(margin.len()))
    }
}

#[derive(Clone, Debug)]
pub struct Node {
    pub at: At,
    pub value: Value,
}

/// A scalar is kept as it was written: what `1.10` or `yes` means is for its field to say.
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

/// The tree of one source. An empty file is Null; text that is no YAML is a fault.
pub fn parse(sources: &[Source], file: usize) -> Result<Node, Fault> {
    let options = serde_yaml::options! { duplicate_keys: DuplicateKeyPolicy::PassThrough, with_snippet: false };
    let text = &sources[file].text;
    let fault = |e: serde_yaml::Error| {
        let (line, column) = e.location().map_or((1, 1), |l| (l.line().max(1), l.column().max(1)));
        let message = e.to_string().lines().next().unwrap_or_default().to_owned();
        let message = message.split(" at line ").next().unwrap_or(&message).trim_start_matches("error: ");
        let message = message.strip_prefix(&format!("line {line} column {column}: ")).unwrap_or(message);
        Fault { at: At { file, line, column }, message: format!("this is not valid YAML: {}", advise(message)) }
    };
    // What reads the files puts this sign where the bytes are no UTF-8.
    if let Some((line, before)) = text.lines().zip(1..).find_map(|(line, n)| Some((n, line.split_once('\u{fffd}')?.0))) {
        let at = At { file, line, column: before.chars().count() as u64 + 1 };
        return Err(Fault {
            at,
            message: "this is not UTF-8: write the file in that encoding, in which ASCII is the same".into(),
        });
    }
    let raw: Spanned<Raw> = serde_yaml::from_str_with_options(text, options).map_err(fault)?;
    let lines: Vec<&str> = text.lines().collect();
    Ok(Located { file, lines: &lines }.node(raw))
}

/// What the parser says, and what to do about it: it speaks to programmers, and gives no advice.
fn advise(message: &str) -> String {
    const ADVICE: [(&str, &str); 13] = [
        ("unknown anchor", "define it before as &NAME; a text that begins with * needs quotes"),
        ("unexpected character", "a text that begins with it needs quotes"),
        ("unknown escape character", "put the text into single quotes, where \\ is an ordinary character"),
        ("unclosed quote", "close it"),
        ("bracket", "close each [ with ] and each { with }"),
        ("parsing a flow", "close each [ with ] and each { with }, and put a comma between items"),
        ("expected key", "the keys of one map must begin in the same column"),
        (
            "mapping values are not allowed",
            "a map must begin on a line of its own with more indentation, or in {}; a text with `: ` needs quotes",
        ),
        ("tabs", "indent with spaces"),
        ("merge value", "write <<: *NAME, with &NAME at a map before"),
        ("recursive", "a map cannot hold itself: leave the alias out"),
        ("string", "a key must be a text"),
        ("multiple YAML documents", ""),
    ];
    match ADVICE.iter().find(|(said, _)| message.contains(said)) {
        Some((_, "")) => "a second document begins here; leave the line --- before it out, or put it into zam.d as a file".into(),
        Some((_, advice)) => format!("{message} ({advice})"),
        None => message.into(),
    }
}

/// What the parser gives. It resolves plain scalars (`0755`, `yes`), whose text is then fetched from the source again.
enum Raw {
    Null,
    Plain,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }
    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

struct Located<'a> {
    file: usize,
    lines: &'a [&'a str],
}

impl Located<'_> {
    fn at(&self, place: Location) -> At {
        At { file: self.file, line: place.line(), column: place.column() }
    }

    /// The place of an aliased value is where it is written, not where the alias stands: there it must be mended.
    fn node(&self, raw: Spanned<Raw>) -> Node {
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Plain => Value::Scalar(self.written(raw.defined)),
            Raw::Text(text) => Value::Scalar(text),
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(entries) => Value::Map(entries.into_iter().map(|(key, value)| (self.key(key), self.node(value))).collect()),
        };
        Node { at: self.at(raw.defined), value }
    }

    fn key(&self, key: Spanned<String>) -> Key {
        Key { at: self.at(key.defined), text: key.value }
    }

    fn written(&self, place: Location) -> String {
        let line = self.lines.get(place.line() as usize - 1).unwrap_or(&"");
        line.chars().skip(place.column() as usize - 1).take(place.span().len() as usize).collect()
    }
}

impl Key {
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { at: self.at, message: message.into() }
    }

    /// That the key stands at this place after `first`.
    pub fn second(&self, first: &Key) -> String {
        let file = if first.at.file == self.at.file { "" } else { " of another file" };
        format!("`{}` stands here a second time; the first is in line {}{file}", self.text, first.at.line)
    }

    pub fn parse<T: FromStr<Err = String>>(&self, faults: &mut Vec<Fault>) -> Option<T> {
        self.text.parse().map_err(|message: String| faults.push(self.fault(message))).ok()
    }
}

impl Node {
    pub fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    pub fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { at: self.at, message: message.into() }
    }

    /// A single value, parsed by its type, whose error becomes the fault.
    pub fn scalar<T: FromStr<Err = String>>(&self, faults: &mut Vec<Fault>) -> Option<T> {
        let parsed = match &self.value {
            Value::Scalar(text) => text.parse().map_err(|message| self.fault(message)),
            _ => Err(self.fault(format!("a single value is wanted here, not {}", self.kind()))),
        };
        parsed.map_err(|fault| faults.push(fault)).ok()
    }

    /// The items of a list; a single value is a list of one.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// The pairs of a map as they stand. Null is an empty map.
    pub fn pairs(&self, faults: &mut Vec<Fault>) -> Vec<(&Key, &Node)> {
        match &self.value {
            Value::Null => Vec::new(),
            Value::Map(entries) => entries.iter().map(|(key, node)| (key, node)).collect(),
            _ => {
                let message = format!("a map is wanted here (`key: value`, a space after the colon), not {}", self.kind());
                faults.push(self.fault(message));
                Vec::new()
            }
        }
    }

    /// The entries of a map, each key once (a second one is a fault).
    pub fn entries(&self, faults: &mut Vec<Fault>) -> BTreeMap<&str, (&Key, &Node)> {
        let mut map: BTreeMap<&str, (&Key, &Node)> = BTreeMap::new();
        for (key, node) in self.pairs(faults) {
            if let Some((first, _)) = map.insert(&key.text, (key, node)) {
                faults.push(key.fault(format!("{}; remove one", key.second(first))));
            }
        }
        map
    }

    /// The entries, if it is a map at all: a reader that misses keys has nothing to add otherwise.
    pub fn map(&self, faults: &mut Vec<Fault>) -> Option<BTreeMap<&str, (&Key, &Node)>> {
        let entries = self.entries(faults);
        matches!(self.value, Value::Map(_) | Value::Null).then_some(entries)
    }
}

/// As YAML in one line, for showing where a setting came from.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let join = |items: Vec<String>| items.join(", ");
        match &self.value {
            Value::Null => f.write_str("~"),
            Value::Scalar(text) => f.write_str(text),
            Value::List(items) => write!(f, "[{}]", join(items.iter().map(Node::to_string).collect())),
            Value::Map(entries) => {
                write!(f, "{{{}}}", join(entries.iter().map(|(key, node)| format!("{}: {node}", key.text)).collect()))
            }
        }
    }
}
