//! How far a fault reaches: whether it can only have meant the entry that it stands in. If not, all pruning waits
//! (invariant 10), because what is wrong may say how another dataset is to be kept. Judges the shape of an entry; of its
//! values it only asks whether they name datasets elsewhere.

use std::collections::BTreeSet;

use crate::core::fault::Fault;
use crate::core::load::keys::{DESTINATION, HOOKS, IDLE, SETTINGS, TOP, WINDOW};
use crate::core::load::tree::{Key, Node, Value};
use crate::core::name::Dataset;
use crate::core::nearest::nearest;
use crate::core::pattern::Pattern;

#[derive(Default)]
pub struct Faults {
    /// Each concerns its own entry alone.
    pub contained: Vec<Fault>,
    /// Each may have meant another policy for any dataset.
    pub wide: Vec<Fault>,
}

impl Faults {
    /// All faults by position, each once.
    pub fn all(self) -> Vec<Fault> {
        let all: BTreeSet<Fault> = self.contained.into_iter().chain(self.wide).collect();
        all.into_iter().collect()
    }
}

/// Keys whose values may name anything: a dataset at a destination, a command, bytes a second.
const FREE: [&str; 5] = ["root", "replica", "before", "after", "rate-limit"];

/// Whether a fault in this entry concerns it alone. `name` is the dataset's, without its host.
pub fn is_contained(name: &str, node: &Node) -> bool {
    let Ok(dataset) = name.parse::<Dataset>() else {
        return false;
    };
    // A setting of the entry before, or of all, that has too little indentation: its name has no /, and it is often no map.
    let may_be_setting = SETTINGS.contains(&name)
        || TOP.contains(&name)
        || (!name.contains('/') && !node.is_map() && !node.is_null());
    // A colon in a name may be the one behind it, without its space: `tank/vm:recursive: true`.
    !name.contains(':') && !may_be_setting && !holds_another(&dataset, node)
}

/// Whether a setting stands in place of a dataset. A pool may have the name of a setting, but it has settings itself; those of
/// `defaults` would have them too.
pub fn is_setting(name: &str, node: &Node) -> bool {
    let has_settings = match &node.value {
        Value::Map(pairs) => pairs
            .iter()
            .any(|(key, _)| SETTINGS.contains(&key.text.as_str())),
        _ => false,
    };
    name == "defaults" || (SETTINGS.contains(&name) && !has_settings)
}

/// Whether something in the node may belong to another dataset: an entry or a section that slipped in by its indentation, the
/// settings of an entry whose first line is gone, or what another entry excludes.
fn holds_another(dataset: &Dataset, node: &Node) -> bool {
    match &node.value {
        Value::Map(pairs) => {
            let mut names = BTreeSet::new();
            pairs.iter().any(|(key, node)| {
                let is_free = FREE.contains(&key.text.as_str());
                let is_doubled = !names.insert(&key.text);
                is_doubled || is_stray(key, node) || (!is_free && holds_another(dataset, node))
            })
        }
        Value::List(items) => items.iter().any(|item| holds_another(dataset, item)),
        Value::Scalar(text) => text
            .split([' ', ','])
            .any(|word| names_another(dataset, word)),
        Value::Null => false,
    }
}

/// Whether the word may name a dataset that is not below this one. The name of a pool begins with a letter
/// (zpool-create(8)).
fn names_another(dataset: &Dataset, word: &str) -> bool {
    if !word.contains('/') || word.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let pattern = word.parse();
    let is_below = pattern.is_ok_and(|pattern: Pattern| pattern.can_match_below(dataset));
    word.starts_with('/') || !is_below
}

/// Whether the key belongs into no entry.
fn is_stray(key: &Key, node: &Node) -> bool {
    let name = key.text.as_str();
    let is_value = matches!(node.value, Value::Scalar(_) | Value::List(_));
    let is_near_section = || nearest(name, TOP.into_iter()).is_some();
    !is_known(name) && (name.contains('/') || !is_value || is_near_section())
}

/// Whether an entry, or what is below its settings, has such a key. `replica` is a key to come.
fn is_known(name: &str) -> bool {
    let levels: [&[&str]; 5] = [&SETTINGS, &DESTINATION, &WINDOW, &HOOKS, &IDLE];
    ["to", "replica"].contains(&name) || levels.iter().any(|keys| keys.contains(&name))
}
