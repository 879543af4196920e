//! Which datasets an entry governs: its recursion, what it excludes, and best fit (the longest matching entry).
//! Pure: by names alone, so it works on what exists and on what is only planned.

use crate::core::config::{Config, Entry, key};
use crate::core::name::Dataset;
use crate::core::nearest::nearest;

/// The entry that governs a dataset of this machine, or of `host`.
pub fn governing<'c>(
    config: &'c Config,
    host: Option<&str>,
    dataset: &Dataset,
) -> Option<&'c Entry> {
    nearest_above(config, host, dataset).filter(|best| !is_excluded(best, dataset))
}

pub fn governs(config: &Config, entry: &Entry, dataset: &Dataset) -> bool {
    governing(config, entry.host_name(), dataset).is_some_and(|e| e.key == entry.key)
}

/// The longest entry that is the dataset itself, or recursive and above it. What a dropped entry was about goes to no
/// other: a typo in one policy must not put its datasets under a shorter one.
fn nearest_above<'c>(
    config: &'c Config,
    host: Option<&str>,
    dataset: &Dataset,
) -> Option<&'c Entry> {
    let sound = dataset
        .and_above()
        .take_while(|d| !config.is_dropped(host, d));
    sound
        .filter_map(|d| config.entry(&key(host, &d)))
        .find(|entry| entry.recursive || entry.dataset == *dataset)
}

/// An excluded dataset takes its children with it.
fn is_excluded(entry: &Entry, dataset: &Dataset) -> bool {
    dataset
        .and_above()
        .take_while(|d| *d != entry.dataset)
        .any(|d| entry.exclude.iter().any(|pattern| pattern.matches(&d)))
}

/// The entry and the dataset that a command line's DATASET means: an entry, or a dataset inside one.
///
/// # Errors
/// No entry governs it; the message names the nearest entry.
pub fn find<'c>(config: &'c Config, argument: &str) -> Result<(&'c Entry, Dataset), String> {
    let (host, name) = split_host(config, argument);
    let dataset: Dataset = name.parse()?;
    governing(config, host, &dataset)
        .map(|entry| (entry, dataset.clone()))
        .ok_or_else(|| {
            let keys = config
                .entries
                .iter()
                .map(|e| e.key.as_str())
                .chain(config.dropped.iter().map(String::as_str));
            let above = dataset.and_above().find_map(|d| {
                keys.clone()
                    .find(|key| split_host(config, key) == (host, d.as_str()))
            });
            let why = match (nearest_above(config, host, &dataset), above) {
                (Some(e), _) => format!("; the entry {} excludes it", e.key),
                (None, Some(above)) => {
                    format!("; the entry {above} above it is not recursive, or at fault")
                }
                (None, None) => nearest(argument, keys)
                    .map(|key| format!("; did you mean {key}?"))
                    .unwrap_or_default(),
            };
            format!("no entry of the configuration governs {argument}{why}")
        })
}

/// Why `entry` governs `dataset`, in words.
pub fn why(config: &Config, entry: &Entry, dataset: &Dataset) -> String {
    let shorter = entry
        .dataset
        .and_above()
        .skip(1)
        .filter_map(|d| config.entry(&key(entry.host_name(), &d)));
    let shorter = shorter
        .filter(|e| e.recursive)
        .map(|e| e.key.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let shorter = if shorter.is_empty() {
        shorter
    } else {
        format!(" (a shorter one: {shorter})")
    };
    let recursive = if entry.recursive {
        "recursive"
    } else {
        "not recursive"
    };
    if *dataset == entry.dataset {
        return format!(
            "{} has an entry of its own{shorter}; {recursive}",
            entry.key
        );
    }
    let name = key(entry.host_name(), dataset);
    format!(
        "{name} is governed by {}: the longest entry on its path{shorter}; {recursive}, not excluded",
        entry.key
    )
}

/// `HOST:dataset` is a dataset of HOST if that is one of the hosts; otherwise the colon belongs to the name.
pub fn split_host<'a>(config: &Config, key: &'a str) -> (Option<&'a str>, &'a str) {
    match key.split_once(':') {
        Some((host, dataset)) if config.hosts.keys().any(|h| h.as_str() == host) => {
            (Some(host), dataset)
        }
        _ => (None, key),
    }
}
