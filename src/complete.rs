//! What shells complete besides verbs and options: datasets, destinations and hosts, from the configuration. Without a
//! configuration, or with a broken one, it offers nothing and says nothing: completion is no place for errors.

use std::collections::BTreeSet;

use clap_complete::CompletionCandidate;

use zam::core::config::Config;
use zam::edge::configuration::{path, read};

fn config() -> Config {
    match read(&path(None)) {
        Ok(Some(loaded)) => loaded.config,
        _ => Config::default(),
    }
}

/// The keys of all entries.
pub(crate) fn datasets() -> Vec<CompletionCandidate> {
    let entries = config().entries.into_iter();
    entries
        .map(|entry| CompletionCandidate::new(entry.key))
        .collect()
}

/// The destinations that entries use.
pub(crate) fn destinations() -> Vec<CompletionCandidate> {
    let mut names = BTreeSet::new();
    for entry in config().entries {
        names.extend(entry.destinations.iter().map(|to| to.name.to_string()));
    }
    names.into_iter().map(CompletionCandidate::new).collect()
}

pub(crate) fn hosts() -> Vec<CompletionCandidate> {
    let names = config().hosts.into_keys();
    names
        .map(|name| CompletionCandidate::new(name.to_string()))
        .collect()
}
