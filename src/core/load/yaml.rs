//! YAML text to a tree in which every key and value knows where it stands, and faults that show their place. Knows
//! nothing of what the keys mean.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::core::fault::{At, Fault, Source};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Options;
use serde_yaml::options::DuplicateKeyPolicy;
use serde_yaml::{Location, Spanned};

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
    let text = &sources[file].text;
    if let Some((offset, message)) = unreadable(text) {
        return Err(Fault {
            at: place(file, text, offset),
            message: message.into(),
        });
    }
    let fault = |e: serde_yaml::Error| {
        let (line, column) = e
            .location()
            .map_or((1, 1), |l| (l.line().max(1), l.column().max(1)));
        let message = e.to_string().lines().next().unwrap_or_default().to_owned();
        let message = message
            .split(" at line ")
            .next()
            .unwrap_or(&message)
            .trim_start_matches("error: ");
        let message = message
            .strip_prefix(&format!("line {line} column {column}: "))
            .unwrap_or(message);
        Fault {
            at: At { file, line, column },
            message: format!("this is not valid YAML: {}", advise(message)),
        }
    };
    let raw: Spanned<Raw> =
        serde_yaml::from_str_with_options(text, options(text.len())).map_err(fault)?;
    Located { file, text }.node(raw)
}

/// Bytes that make a text mean something else than a person sees, by their offset.
fn unreadable(text: &str) -> Option<(usize, &'static str)> {
    // What reads the files puts this sign where the bytes are no UTF-8.
    if let Some(offset) = text.find('\u{fffd}') {
        return Some((
            offset,
            "this is not UTF-8: write the file in that encoding, in which ASCII is the same",
        ));
    }
    // The parser would begin a line there, and an editor would not: a comment would end where nobody sees it.
    if let Some(offset) = text.find(['\u{2028}', '\u{2029}', '\u{85}']) {
        return Some((
            offset,
            "this separates lines for some editors and not for YAML: write the file with plain line ends",
        ));
    }
    let mut returns = text.match_indices('\r').map(|(offset, _)| offset);
    let lone = returns.find(|offset| !text[offset + 1..].starts_with('\n'))?;
    Some((
        lone,
        "a carriage return stands here without a line feed: write the file with one kind of line ends",
    ))
}

fn place(file: usize, text: &str, offset: usize) -> At {
    let before = &text[..offset];
    let line = before.rsplit('\n').next().unwrap_or_default();
    At {
        file,
        line: before.matches('\n').count() as u64 + 1,
        column: line.chars().count() as u64 + 1,
    }
}

/// The parser's limits, by the size of the text: a configuration may use one anchor in thousands of entries, but one that
/// grows without bounds when its aliases are put in is refused.
fn options(size: usize) -> Options {
    let events = 1_000_000 + 20 * size;
    let budget = serde_yaml::budget! {
        max_events: events,
        max_nodes: events,
        max_aliases: events,
        max_anchors: events,
        max_merge_keys: events,
        max_recorded_anchor_events: events,
        enforce_alias_anchor_ratio: false,
    };
    let aliases = serde_yaml::alias_limits! { max_total_replayed_events: events };
    serde_yaml::options! {
        budget: budget,
        alias_limits: aliases,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
    }
}

/// What the parser says, and what to do about it: it speaks to programmers, and gives no advice.
fn advise(message: &str) -> String {
    const ADVICE: [(&str, &str); 13] = [
        (
            "unknown anchor",
            "define it before as &NAME; a text that begins with * needs quotes",
        ),
        (
            "unexpected character",
            "a text that begins with it needs quotes",
        ),
        (
            "unknown escape character",
            "put the text into single quotes, where \\ is an ordinary character",
        ),
        ("unclosed quote", "close it"),
        ("bracket", "close each [ with ] and each { with }"),
        (
            "parsing a flow",
            "close each [ with ] and each { with }, and put a comma between items",
        ),
        (
            "expected key",
            "the keys of one map must begin in the same column",
        ),
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
    text: &'a str,
}

impl Located<'_> {
    fn at(&self, place: Location) -> At {
        At {
            file: self.file,
            line: place.line(),
            column: place.column(),
        }
    }

    /// The place of an aliased value is where it is written, not where the alias stands: there it must be mended.
    fn node(&self, raw: Spanned<Raw>) -> Result<Node, Fault> {
        let at = self.at(raw.defined);
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Plain => Value::Scalar(self.written(raw.defined)?),
            Raw::Text(text) => Value::Scalar(text),
            Raw::List(items) => Value::List(
                items
                    .into_iter()
                    .map(|item| self.node(item))
                    .collect::<Result<_, _>>()?,
            ),
            Raw::Map(entries) => {
                let pair = |(key, value)| Ok((self.key(key), self.node(value)?));
                Value::Map(
                    entries
                        .into_iter()
                        .map(pair)
                        .collect::<Result<_, Fault>>()?,
                )
            }
        };
        Ok(Node { at, value })
    }

    fn key(&self, key: Spanned<String>) -> Key {
        Key {
            at: self.at(key.defined),
            text: key.value,
        }
    }

    /// By bytes: lines can be counted in more than one way.
    fn written(&self, place: Location) -> Result<String, Fault> {
        let span = place.span();
        let bytes = span
            .byte_offset()
            .zip(span.byte_len())
            .map(|(begin, length)| begin as usize..(begin + length) as usize);
        let text = bytes
            .and_then(|bytes| self.text.get(bytes))
            .filter(|text| !text.is_empty());
        let message = "the parser does not say where this value stands: put it into quotes";
        text.map(Into::into).ok_or_else(|| Fault {
            at: self.at(place),
            message: message.into(),
        })
    }
}

impl Key {
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        Fault {
            at: self.at,
            message: message.into(),
        }
    }

    /// That the key stands at this place after `first`.
    pub fn second(&self, first: &Key) -> String {
        let file = if first.at.file == self.at.file {
            ""
        } else {
            " of another file"
        };
        format!(
            "`{}` stands here a second time; the first is in line {}{file}",
            self.text, first.at.line
        )
    }

    pub fn parse<T: FromStr<Err = String>>(&self, faults: &mut Vec<Fault>) -> Option<T> {
        self.text
            .parse()
            .map_err(|message: String| faults.push(self.fault(message)))
            .ok()
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
        Fault {
            at: self.at,
            message: message.into(),
        }
    }

    /// A single value, parsed by its type, whose error becomes the fault.
    pub fn scalar<T: FromStr<Err = String>>(&self, faults: &mut Vec<Fault>) -> Option<T> {
        let parsed = match &self.value {
            Value::Scalar(text) => text.parse().map_err(|message| self.fault(message)),
            _ => Err(self.fault(format!(
                "a single value is wanted here, not {}",
                self.kind()
            ))),
        };
        parsed.map_err(|fault| faults.push(fault)).ok()
    }

    /// The text of a single value.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
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
                let message = format!(
                    "a map is wanted here (`key: value`, a space after the colon), not {}",
                    self.kind()
                );
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
            Value::List(items) => {
                write!(f, "[{}]", join(items.iter().map(Node::to_string).collect()))
            }
            Value::Map(entries) => {
                write!(
                    f,
                    "{{{}}}",
                    join(
                        entries
                            .iter()
                            .map(|(key, node)| format!("{}: {node}", key.text))
                            .collect()
                    )
                )
            }
        }
    }
}
