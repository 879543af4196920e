//! What shells complete besides verbs and options: datasets and destinations, from the configuration. Quiet where there is
//! none, or a broken one: completion is no place for errors.

use std::collections::BTreeSet;

use clap_complete::CompletionCandidate;

use zam::core::config::Config;
use zam::edge::configuration::{path, read};

fn config() -> Config {
    read(&path(None))
        .ok()
        .flatten()
        .map(|loaded| loaded.config)
        .unwrap_or_default()
}

/// The keys of all entries.
pub(crate) fn datasets() -> Vec<CompletionCandidate> {
    config()
        .entries
        .into_iter()
        .map(|entry| CompletionCandidate::new(entry.key))
        .collect()
}

/// The destinations that entries use.
pub(crate) fn destinations() -> Vec<CompletionCandidate> {
    let config = config();
    let names: BTreeSet<&str> = config
        .entries
        .iter()
        .flat_map(|e| &e.destinations)
        .map(|to| to.name.as_str())
        .collect();
    names.into_iter().map(CompletionCandidate::new).collect()
}
