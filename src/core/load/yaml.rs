//! YAML text to a tree. Refuses text that means something else than a person sees. Knows nothing of what the keys mean.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_yaml::{Location, Options, Spanned};

use crate::core::fault::{At, Fault, Source};
use crate::core::load::tree::{Key, Node, Value};

/// The tree of one source. An empty file is Null.
///
/// # Errors
/// The text is no YAML, or cannot be trusted to mean what it seems to mean.
pub fn parse(sources: &[Source], file: usize) -> Result<Node, Fault> {
    let text = &sources[file].text;
    if let Some((offset, message)) = misleading(text) {
        return Err(position(file, text, offset).fault(message));
    }
    let read = |merge_keys| -> Result<Spanned<Raw>, Fault> {
        serde_yaml::from_str_with_options(text, options(text.len(), merge_keys))
            .map_err(|error| refused(file, &error))
    };
    let located = Located { file, text };
    if text.contains("<<") {
        located.merges_once(&read(MergeKeyPolicy::AsOrdinary)?)?;
    }
    located.node(read(MergeKeyPolicy::Merge)?)
}

/// What the parser says, without the position that it repeats in its text, and with advice.
fn refused(file: usize, error: &serde_yaml::Error) -> Fault {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let line = location.line().max(1);
    let column = location.column().max(1);
    let text = error.to_string();
    let said = text.lines().next().unwrap_or_default();
    let (said, _) = said.split_once(" at line ").unwrap_or((said, ""));
    let said = said.trim_start_matches("error: ");
    let position = format!("line {line} column {column}: ");
    let said = said.strip_prefix(&position).unwrap_or(said);
    At { file, line, column }.fault(format!("this is not valid YAML: {}", advise(said)))
}

/// The offset of bytes that make the text mean something else than a person sees, and what to do about them.
fn misleading(text: &str) -> Option<(usize, &'static str)> {
    // The reader of the files puts this sign where the bytes are not UTF-8.
    if let Some(offset) = text.find('\u{fffd}') {
        let message =
            "this is not UTF-8: write the file in that encoding, in which ASCII is the same";
        return Some((offset, message));
    }
    // The parser would begin a line there, and an editor would not: a comment would end where nobody sees it.
    if let Some(offset) = text.find(['\u{2028}', '\u{2029}', '\u{85}']) {
        let message = "this separates lines for some editors and not for YAML: write the file with plain line ends";
        return Some((offset, message));
    }
    let mut returns = text.match_indices('\r').map(|(offset, _)| offset);
    let lone = returns.find(|offset| !text[offset + 1..].starts_with('\n'))?;
    let message = "a carriage return stands here without a line feed: write the file with one kind of line ends";
    Some((lone, message))
}

fn position(file: usize, text: &str, offset: usize) -> At {
    let before = &text[..offset];
    let line = before.rsplit('\n').next().unwrap_or_default();
    At {
        file,
        line: before.matches('\n').count() as u64 + 1,
        column: line.chars().count() as u64 + 1,
    }
}

/// The parser's limits grow with the text. A configuration may use one anchor in thousands of entries; one that grows
/// without bounds when its aliases are put in is refused.
fn options(size: usize, merge_keys: MergeKeyPolicy) -> Options {
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
        merge_keys: merge_keys,
        with_snippet: false,
    }
}

/// Parts of the parser's messages, each with an advice.
const ADVICE: [(&str, &str); 12] = [
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
];

/// The parser's message with advice, since the parser speaks to programmers and gives none.
fn advise(said: &str) -> String {
    if said.contains("multiple YAML documents") {
        return "a second document begins here; leave the line --- before it out, or put it into zam.d as a file".into();
    }
    match ADVICE.iter().find(|(part, _)| said.contains(part)) {
        Some((_, advice)) => format!("{said} ({advice})"),
        None => said.into(),
    }
}

/// What the parser gives. It resolves plain scalars (`0755`, `yes`); their text is fetched from the source again.
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
    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Raw, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(Raw::List)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(pair) = pairs.next_entry()? {
            map.push(pair);
        }
        Ok(Raw::Map(map))
    }
}

/// Turns the parser's tree into ours.
struct Located<'a> {
    file: usize,
    text: &'a str,
}

impl Located<'_> {
    fn at(&self, location: Location) -> At {
        At {
            file: self.file,
            line: location.line(),
            column: location.column(),
        }
    }

    /// The parser lets the first of two merges win, and says nothing, where later settings win elsewhere.
    fn merges_once(&self, raw: &Spanned<Raw>) -> Result<(), Fault> {
        match &raw.value {
            Raw::List(items) => items.iter().try_for_each(|item| self.merges_once(item)),
            Raw::Map(pairs) => {
                let mut merges = pairs.iter().filter(|(key, _)| key.value == "<<");
                if let Some((second, _)) = merges.nth(1) {
                    let message = "`<<` stands here a second time; write one, with a list: <<: [*A, *B] (A wins)";
                    return Err(self.at(second.defined).fault(message));
                }
                let mut values = pairs.iter().map(|(_, value)| value);
                values.try_for_each(|value| self.merges_once(value))
            }
            _ => Ok(()),
        }
    }

    /// An aliased value stands where it is written and not where its alias stands, because there it must be mended.
    fn node(&self, raw: Spanned<Raw>) -> Result<Node, Fault> {
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Plain => Value::Scalar(self.written(raw.defined)?),
            Raw::Text(text) => Value::Scalar(text),
            Raw::List(items) => {
                let items = items.into_iter().map(|item| self.node(item));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            Raw::Map(pairs) => {
                let pairs = pairs.into_iter().map(|pair| self.pair(pair));
                Value::Map(pairs.collect::<Result<_, _>>()?)
            }
        };
        let at = self.at(raw.defined);
        Ok(Node { at, value })
    }

    fn pair(&self, (key, value): (Spanned<String>, Spanned<Raw>)) -> Result<(Key, Node), Fault> {
        let at = self.at(key.defined);
        let text = key.value;
        Ok((Key { at, text }, self.node(value)?))
    }

    /// The text of a plain scalar. Found by bytes, because lines can be counted in more than one way.
    fn written(&self, location: Location) -> Result<String, Fault> {
        match self.slice(location) {
            Some(text) if !text.is_empty() => Ok(text.into()),
            _ => {
                let message = "the parser does not say where this value stands: put it into quotes";
                Err(self.at(location).fault(message))
            }
        }
    }

    fn slice(&self, location: Location) -> Option<&str> {
        let span = location.span();
        let begin = span.byte_offset()?;
        let end = begin + span.byte_len()?;
        self.text.get(begin as usize..end as usize)
    }
}
