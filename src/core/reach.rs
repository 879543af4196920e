//! How far a fault reaches: whether it could have meant only the entry that it stands in. If not, all pruning waits
//! (invariant 10), since what is wrong may be what another dataset is to be kept by. Judges the shape of an entry, and
//! knows nothing of its values.

use super::fields::nearest;
use super::layers::{SETTINGS, TOP};
use super::name::Dataset;
use super::yaml::{Key, Node, Value};

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

/// Whether a fault in this entry is its own affair. `name` is the dataset's, without its host.
pub fn is_contained(name: &str, node: &Node) -> bool {
    let is_dataset = name.parse::<Dataset>().is_ok_and(|dataset| !dataset.pool().contains(':'));
    // A setting of the entry before, or of all, with too little indentation, has no / in its name, and is often no map.
    let may_be_setting = SETTINGS.contains(&name) || TOP.contains(&name) || (!name.contains('/') && !is_settings(node));
    is_dataset && !may_be_setting && !holds_another(node)
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

/// Whether something in there may be an entry or a section of its own that slipped in by its indentation.
fn holds_another(node: &Node) -> bool {
    match &node.value {
        Value::Map(entries) => entries.iter().any(|(key, node)| is_stray(key, node) || holds_another(node)),
        Value::List(items) => items.iter().any(holds_another),
        _ => false,
    }
}

fn is_stray(key: &Key, node: &Node) -> bool {
    let name = key.text.as_str();
    let is_known = SETTINGS.contains(&name) || BELOW.contains(&name);
    let is_value = matches!(node.value, Value::Scalar(_) | Value::List(_));
    !is_known && (name.contains('/') || !is_value || nearest(name, TOP.into_iter()).is_some())
}
