//! Which datasets an entry governs: its recursion, what it excludes, and best fit (the longest matching entry).
//! Looks at names alone, so it works on what exists and on what is only planned.

use crate::core::config::{Config, Entry, key};
use crate::core::name::Dataset;
use crate::core::nearest::nearest;

/// The entry that governs a dataset of `host`, or of this machine.
pub fn governing<'c>(
    config: &'c Config,
    host: Option<&str>,
    dataset: &Dataset,
) -> Option<&'c Entry> {
    nearest_above(config, host, dataset).filter(|entry| !is_excluded(entry, dataset))
}

pub fn governs(config: &Config, entry: &Entry, dataset: &Dataset) -> bool {
    governing(config, entry.host_name(), dataset).is_some_and(|best| best.key == entry.key)
}

/// The longest entry that is the dataset itself, or recursive and above it.
fn nearest_above<'c>(
    config: &'c Config,
    host: Option<&str>,
    dataset: &Dataset,
) -> Option<&'c Entry> {
    let covers = |entry: &Entry| entry.recursive || entry.dataset == *dataset;
    longest(config, host, dataset, covers)
}

/// The longest entry on the path of a dataset of which this holds. What a dropped entry names goes to no shorter entry,
/// because a typo in one policy must not put its datasets under another.
fn longest<'c>(
    config: &'c Config,
    host: Option<&str>,
    dataset: &Dataset,
    is_wanted: impl Fn(&Entry) -> bool,
) -> Option<&'c Entry> {
    for above in dataset.and_above() {
        if config.is_dropped(host, &above) {
            return None;
        }
        let entry = config.entry(&key(host, &above));
        if let Some(entry) = entry.filter(|entry| is_wanted(entry)) {
            return Some(entry);
        }
    }
    None
}

/// The recursive entry that governs what lies below a dataset and has no entry of its own. What its patterns say of
/// single children is not known here.
pub fn recursing_into<'c>(
    config: &'c Config,
    host: Option<&str>,
    dataset: &Dataset,
) -> Option<&'c Entry> {
    recursive_above(config, host, dataset).filter(|entry| !is_excluded(entry, dataset))
}

/// The longest recursive entry that is the dataset itself, or above it, whatever it excludes.
pub fn recursive_above<'c>(
    config: &'c Config,
    host: Option<&str>,
    dataset: &Dataset,
) -> Option<&'c Entry> {
    longest(config, host, dataset, |entry| entry.recursive)
}

/// An excluded dataset takes its children with it.
fn is_excluded(entry: &Entry, dataset: &Dataset) -> bool {
    let mut below = dataset
        .and_above()
        .take_while(|above| *above != entry.dataset);
    below.any(|dataset| {
        entry
            .exclude
            .iter()
            .any(|pattern| pattern.matches(&dataset))
    })
}

/// The entry above a dataset of this machine that leaves it out only because it is not recursive.
pub fn passed_over_by<'c>(config: &'c Config, dataset: &Dataset) -> Option<&'c Entry> {
    match nearest_above(config, None, dataset) {
        Some(_) => None,
        None => longest(config, None, dataset, |_| true),
    }
}

/// The entry and the dataset that a command line's DATASET means: an entry, or a dataset inside one.
///
/// # Errors
/// No entry governs it; the message names the nearest entry.
pub fn find<'c>(config: &'c Config, argument: &str) -> Result<(&'c Entry, Dataset), String> {
    let (host, name) = split_host(config, argument);
    let dataset: Dataset = name.parse()?;
    match governing(config, host, &dataset) {
        Some(entry) => Ok((entry, dataset)),
        None => {
            let why = why_not(config, host, &dataset);
            Err(format!(
                "no entry of the configuration governs {argument}{why}"
            ))
        }
    }
}

/// Why no entry governs the dataset, or which one may have been meant.
fn why_not(config: &Config, host: Option<&str>, dataset: &Dataset) -> String {
    if let Some(entry) = nearest_above(config, host, dataset) {
        return format!("; the entry {} excludes it", entry.key);
    }
    if config.is_dropped(host, dataset) {
        return "; its own entry has a fault".into();
    }
    for above in dataset.and_above().skip(1) {
        let name = key(host, &above);
        if config.is_dropped(host, &above) {
            return format!("; the entry {name} above it has a fault");
        }
        if config.entry(&name).is_some() {
            return format!("; the entry {name} above it is not recursive");
        }
    }
    match nearest(&key(host, dataset), config.keys()) {
        Some(near) => format!("; did you mean {near}?"),
        None => String::new(),
    }
}

/// Why `entry` governs `dataset`, in words.
pub fn why(config: &Config, entry: &Entry, dataset: &Dataset) -> String {
    let mut shorter = Vec::new();
    for above in entry.dataset.and_above().skip(1) {
        let above = config.entry(&key(entry.host_name(), &above));
        shorter.extend(
            above
                .filter(|above| above.recursive)
                .map(|above| above.key.as_str()),
        );
    }
    let shorter = match shorter.join(", ") {
        none if none.is_empty() => none,
        shorter => format!(" (a shorter one: {shorter})"),
    };
    let recursive = if entry.recursive {
        "recursive"
    } else {
        "not recursive"
    };
    let governor = &entry.key;
    if *dataset == entry.dataset {
        return format!("{governor} has an entry of its own{shorter}; {recursive}");
    }
    let name = key(entry.host_name(), dataset);
    format!(
        "{name} is governed by {governor}: the longest entry on its path{shorter}; {recursive}, not excluded"
    )
}

/// The host and the dataset of a key. `HOST:dataset` is a dataset of HOST if that is one of the hosts; otherwise the
/// colon belongs to the name.
fn split_host<'a>(config: &Config, key: &'a str) -> (Option<&'a str>, &'a str) {
    match key.split_once(':') {
        Some((host, dataset)) if config.hosts.contains_key(host) => (Some(host), dataset),
        _ => (None, key),
    }
}
