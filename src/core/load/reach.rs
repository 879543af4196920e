//! How far a fault reaches: whether it could have meant only the entry that it stands in. If not, all pruning waits
//! (invariant 10), since what is wrong may be what another dataset is to be kept by. Judges the shape of an entry, and
//! of its values only whether they name datasets elsewhere.

use std::collections::BTreeSet;

use crate::core::load::sections::{SETTINGS, TOP};
use crate::core::load::yaml::{Key, Node, Value};
use crate::core::name::Dataset;
use crate::core::nearest::nearest;
use crate::core::pattern::Pattern;

/// The keys below the settings of an entry.
const BELOW: [&str; 24] = [
    "to",
    "host",
    "root",
    "replication-period",
    "prune-period",
    "windows",
    "alert-after",
    "idle",
    "decrypt",
    "rate-limit",
    "compress",
    "stall-timeout",
    "parallel",
    "hooks",
    "max-age",
    "period",
    "before",
    "after",
    "on-ac-power",
    "user-idle",
    "unmetered",
    "pool",
    "otherwise",
    "replica",
];

/// Their values may name anything: a place on a destination, a command, bytes a second.
const FREE: [&str; 5] = ["root", "replica", "before", "after", "rate-limit"];

/// Whether a fault in this entry is its own affair. `name` is the dataset's, without its host.
pub fn is_contained(name: &str, node: &Node) -> bool {
    let Ok(dataset) = name.parse::<Dataset>() else {
        return false;
    };
    // A setting of the entry before, or of all, with too little indentation, has no / in its name, and is often no map.
    let may_be_setting = SETTINGS.contains(&name)
        || TOP.contains(&name)
        || (!name.contains('/') && !is_settings(node));
    !dataset.pool().contains(':') && !may_be_setting && !holds_another(&dataset, node)
}

/// A setting where a dataset is wanted: a pool may be called so, but has settings then. Those of `defaults` would be.
pub fn is_setting(name: &str, node: &Node) -> bool {
    let has_setting = |(key, _): &(Key, Node)| SETTINGS.contains(&key.text.as_str());
    let is_entry = matches!(&node.value, Value::Map(entries) if entries.iter().any(has_setting));
    name == "defaults" || (SETTINGS.contains(&name) && !is_entry)
}

fn is_settings(node: &Node) -> bool {
    matches!(node.value, Value::Map(_) | Value::Null)
}

/// Whether something in there may be another's: an entry or a section that slipped in by its indentation, the settings of
/// one whose first line is gone, or what another entry excludes.
fn holds_another(dataset: &Dataset, node: &Node) -> bool {
    let is_anothers = |(key, node): &(Key, Node)| {
        is_stray(key, node) || (!FREE.contains(&key.text.as_str()) && holds_another(dataset, node))
    };
    match &node.value {
        Value::Map(entries) => is_doubled(entries) || entries.iter().any(is_anothers),
        Value::List(items) => items.iter().any(|item| holds_another(dataset, item)),
        Value::Scalar(text) => names_another(dataset, text),
        Value::Null => false,
    }
}

fn is_doubled(entries: &[(Key, Node)]) -> bool {
    let mut names = BTreeSet::new();
    entries.iter().any(|(key, _)| !names.insert(&key.text))
}

/// Whether it may name a dataset that is not below this one. The name of a pool begins with a letter (zpool-create(8)).
fn names_another(dataset: &Dataset, text: &str) -> bool {
    let is_below = |word: &str| {
        word.parse()
            .is_ok_and(|pattern: Pattern| pattern.can_match_below(dataset))
    };
    let mut names = text
        .split([' ', ','])
        .filter(|word| word.contains('/') && !word.starts_with(|c: char| c.is_ascii_digit()));
    names.any(|name| name.starts_with('/') || !is_below(name))
}

fn is_stray(key: &Key, node: &Node) -> bool {
    let name = key.text.as_str();
    let is_known = SETTINGS.contains(&name) || BELOW.contains(&name);
    let is_value = matches!(node.value, Value::Scalar(_) | Value::List(_));
    !is_known && (name.contains('/') || !is_value || nearest(name, TOP.into_iter()).is_some())
}
