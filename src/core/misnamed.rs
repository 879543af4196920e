//! Names that stand in the configuration and name nothing, near one that exists: a slip that is no fault, since a dataset
//! may be made later. What exists under the near name is governed by a shorter entry, against the wish (invariant 10).
//! By names alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::config::{Config, Entry};
use crate::core::name::Dataset;
use strsim::levenshtein;

/// A name that may be meant to be another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misnamed {
    /// As the configuration has it.
    pub name: Dataset,
    /// What exists.
    pub near: Dataset,
    /// This, or what is above it.
    pub waits: Dataset,
}

impl Misnamed {
    pub fn why(&self) -> String {
        let Misnamed { name, near, .. } = self;
        format!(
            "{name} stands in the configuration and does not exist, and {near} is near: correct the name, or remove it"
        )
    }
}

/// The datasets of `governed` that may be meant by other names than they have, of which none is in `existing`. Whoever
/// lists a part of a pool has to ask whether a name elsewhere exists.
pub fn misnamed(
    config: &Config,
    entry: &Entry,
    existing: &BTreeSet<&Dataset>,
    governed: &[Dataset],
) -> Vec<Misnamed> {
    if governed.iter().all(|dataset| *dataset == entry.dataset) {
        return Vec::new();
    }
    let missing: Vec<Dataset> = named(config, entry)
        .into_iter()
        .filter(|name| !existing.contains(name))
        .collect();
    let mut index: BTreeMap<String, Vec<&Dataset>> = BTreeMap::new();
    for name in &missing {
        places(name)
            .into_iter()
            .for_each(|place| index.entry(place).or_default().push(name));
    }
    let mut found = Vec::new();
    for waits in governed {
        for near in waits
            .and_above()
            .take_while(|above| *above != entry.dataset)
        {
            let names: BTreeSet<&Dataset> = places(&near)
                .iter()
                .filter_map(|place| index.get(place))
                .flatten()
                .copied()
                .collect();
            let names = names.into_iter().filter(|name| is_near(name, &near));
            found.extend(names.map(|name| Misnamed {
                name: name.clone(),
                near: near.clone(),
                waits: waits.clone(),
            }));
        }
    }
    found
}

/// What other entries, sound or not, and the exclusions of this one name by full names.
fn named(config: &Config, entry: &Entry) -> BTreeSet<Dataset> {
    let host = entry
        .host_name()
        .map_or(String::new(), |host| format!("{host}:"));
    let keys = config
        .entries
        .iter()
        .map(|entry| &entry.key)
        .chain(&config.dropped)
        .filter(|key| **key != entry.key);
    let others = keys.filter_map(|key| key.strip_prefix(&host)?.parse().ok());
    let excluded = entry.exclude.iter().filter_map(|pattern| pattern.path());
    others.chain(excluded).collect()
}

/// The name with one component left open, or two that a / may divide, so that names are compared only where all else
/// agrees; its words; and its letters without any /.
fn places(name: &Dataset) -> Vec<String> {
    let parts: Vec<&str> = name.as_str().split('/').collect();
    let open = |at: usize, count: usize| {
        [&parts[..at], &["*"], &parts[at + count..]]
            .concat()
            .join("/")
    };
    let one = (0..parts.len()).map(|at| open(at, 1));
    let two = (1..parts.len()).map(|at| open(at - 1, 2));
    one.chain(two)
        .chain(name.as_str().split(' ').map(Into::into))
        .chain([parts.concat()])
        .collect()
}

/// A slip of the hand away, in one component or in a /; or one of several names between which a comma is missing. Numbers
/// alone tell apart what was meant to be told apart, where both have one.
fn is_near(name: &Dataset, other: &Dataset) -> bool {
    if name.as_str().split(' ').any(|word| word == other.as_str()) {
        return true;
    }
    let (parts, others): (Vec<&str>, Vec<&str>) = (
        name.as_str().split('/').collect(),
        other.as_str().split('/').collect(),
    );
    if parts.concat() == others.concat() {
        return true;
    }
    if parts.len() != others.len() {
        return levenshtein(name.as_str(), other.as_str()) <= 1;
    }
    parts
        .iter()
        .zip(&others)
        .all(|(a, b)| a == b || (is_slip(a, b) && !is_numbered(a, b)))
}

/// Whether two names differ by their numbers alone.
fn is_numbered(a: &str, b: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    a.contains(is_digit)
        && b.contains(is_digit)
        && a.replace(is_digit, "") == b.replace(is_digit, "")
}

/// At most two letters, in a short word one, and never all of them.
fn is_slip(a: &str, b: &str) -> bool {
    if a.eq_ignore_ascii_case(b) {
        return true;
    }
    let longest = a.len().max(b.len());
    let limit = (longest / 4 + 1).min(2);
    a.len().abs_diff(b.len()) <= limit
        && (is_swapped(a, b) || (levenshtein(a, b) <= limit && levenshtein(a, b) < longest))
}

/// Two neighbours that changed places.
fn is_swapped(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let Some(first) = a.iter().zip(b).position(|(a, b)| a != b) else {
        return false;
    };
    let swapped = a.get(first + 1) == b.get(first) && b.get(first + 1) == a.get(first);
    a.len() == b.len() && swapped && a.get(first + 2..) == b.get(first + 2..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: &str, b: &str) -> bool {
        is_near(
            &a.parse().expect("a dataset"),
            &b.parse().expect("a dataset"),
        )
    }

    #[test]
    fn a_slip_of_the_hand_is_near_and_another_name_is_not() {
        for (name, other) in [
            ("tank/vmm", "tank/vm"),
            ("tank/mv", "tank/vm"),
            ("tank/archve", "tank/archive"),
            ("Tank/vm", "tank/vm"),
            ("tank/VM", "tank/vm"),
            ("tank/vm0", "tank/vm"),
            ("tnak/vm", "tank/vm"),
            ("tank/vm ", "tank/vm"),
            ("tankv/m", "tank/vm"),
            ("tank.vm", "tank/vm"),
            ("tank/archive tank/scratch", "tank/scratch"),
        ] {
            assert!(near(name, other), "{name} {other}");
        }
        for (name, other) in [
            ("tank/a", "tank/b"),
            ("tank/vm", "tank/db"),
            ("tank/tmp", "tank/vm"),
            ("tank/ci-101", "tank/ci-102"),
            ("tank/vm/disk", "tank/vm"),
            ("tank/home", "tank/mail"),
        ] {
            assert!(!near(name, other), "{name} {other}");
        }
    }
}
