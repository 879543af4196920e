//! Names in the configuration that name nothing. That is no fault, since a dataset may be made later; but they may be meant
//! for one that exists, by a slip or because it was renamed. Meanwhile a shorter entry governs that one, against the wish
//! of whoever wrote the other, so its pruning waits (invariant 10). Looks at names alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use strsim::osa_distance;

use crate::core::config::{Config, Entry};
use crate::core::name::Dataset;
use crate::core::pattern::Pattern;

/// A name that may be meant to be another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misnamed {
    /// The name in the configuration.
    pub name: Dataset,
    /// The dataset that exists.
    pub near: Dataset,
    /// The dataset whose pruning waits: `near`, or one below it.
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

/// The datasets of `governed` that may be meant by other names, none of which is in `existing`. A caller that lists only
/// a part of a pool has to ask whether those names exist elsewhere.
pub fn misnamed(
    config: &Config,
    entry: &Entry,
    existing: &BTreeSet<&Dataset>,
    governed: &[Dataset],
) -> Vec<Misnamed> {
    if governed.iter().all(|dataset| *dataset == entry.dataset) {
        return Vec::new();
    }
    let mut missing = named(config, entry);
    missing.retain(|name| !existing.contains(name));
    let index = Index::new(&missing);
    let mut found = Vec::new();
    for waits in governed {
        for near in waits
            .and_above()
            .take_while(|above| *above != entry.dataset)
        {
            for name in index.near(&near) {
                found.push(Misnamed {
                    name: name.clone(),
                    near: near.clone(),
                    waits: waits.clone(),
                });
            }
        }
    }
    found
}

/// The names below this one that stand in other entries, sound or not.
pub fn named_below(config: &Config, entry: &Entry) -> Vec<Dataset> {
    let mut names = other_keys(config, entry);
    names.retain(|name| name.is_within(&entry.dataset));
    names
}

fn other_keys(config: &Config, entry: &Entry) -> Vec<Dataset> {
    let host = entry.host_name();
    let host = host.map_or(String::new(), |host| format!("{host}:"));
    let mut names = Vec::new();
    for key in config.keys().filter(|key| **key != entry.key) {
        let name = key.strip_prefix(&host);
        names.extend(name.and_then(|name| name.parse::<Dataset>().ok()));
    }
    names
}

/// The full names in other entries, sound or not, and in the exclusions of this one.
fn named(config: &Config, entry: &Entry) -> BTreeSet<Dataset> {
    let excluded = entry.exclude.iter().filter_map(Pattern::path);
    excluded.chain(other_keys(config, entry)).collect()
}

/// Names by their shapes, so that each name is compared only with those that have one in common.
struct Index<'n>(BTreeMap<String, Vec<&'n Dataset>>);

impl<'n> Index<'n> {
    fn new(names: &'n BTreeSet<Dataset>) -> Self {
        let mut index: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for name in names {
            for shape in shapes(name) {
                index.entry(shape).or_default().push(name);
            }
        }
        Index(index)
    }

    fn near(&self, other: &Dataset) -> BTreeSet<&'n Dataset> {
        let mut near = BTreeSet::new();
        for names in shapes(other).iter().filter_map(|shape| self.0.get(shape)) {
            near.extend(names.iter().copied().filter(|name| is_near(name, other)));
        }
        near
    }
}

/// Two names that are near have one of these in common: the name with one component left open, or with two of them, which a
/// / may divide wrongly; its words; its letters without any /.
fn shapes(name: &Dataset) -> Vec<String> {
    let parts: Vec<&str> = name.as_str().split('/').collect();
    let mut shapes = vec![parts.concat()];
    shapes.extend(name.as_str().split(' ').map(String::from));
    for at in 0..parts.len() {
        shapes.push(with_open(&parts, at..at + 1));
        if at > 0 {
            shapes.push(with_open(&parts, at - 1..at + 1));
        }
    }
    shapes
}

fn with_open(parts: &[&str], open: Range<usize>) -> String {
    let parts = [&parts[..open.start], &["*"], &parts[open.end..]];
    parts.concat().join("/")
}

/// Whether the names are a slip of the hand apart, in one component or in a /, or `name` is several names without a comma
/// between them.
fn is_near(name: &Dataset, other: &Dataset) -> bool {
    let name = name.as_str();
    let other = other.as_str();
    let is_word = name.split(' ').any(|word| word == other);
    if is_word || name.replace('/', "") == other.replace('/', "") {
        return true;
    }
    let parts: Vec<&str> = name.split('/').collect();
    let others: Vec<&str> = other.split('/').collect();
    if parts.len() != others.len() {
        return osa_distance(name, other) <= 1;
    }
    let mut pairs = parts.iter().zip(&others);
    pairs.all(|(a, b)| a == b || (is_slip(a, b) && !is_numbered(a, b)))
}

/// Whether two names differ by their numbers alone. Numbers tell apart what was meant to be told apart.
fn is_numbered(a: &str, b: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    a.contains(is_digit)
        && b.contains(is_digit)
        && a.replace(is_digit, "") == b.replace(is_digit, "")
}

/// At most two edits, in a short word one, and never one for each letter. Two neighbours that change places are one edit.
fn is_slip(a: &str, b: &str) -> bool {
    let longest = a.len().max(b.len());
    let limit = (longest / 4 + 1).min(2);
    let distance = osa_distance(a, b);
    a.eq_ignore_ascii_case(b) || (distance <= limit && distance < longest)
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
