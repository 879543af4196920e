//! What is wrong between entries that are right by themselves: replicas inside a source, sources inside replicas, two
//! sources on one replica, names that grow too long. An entry at fault is dropped.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{Config, Destination, Entry};
use super::name::Dataset;
use super::selection;
use super::yaml::Fault;

pub fn drop_conflicting(config: &mut Config, faults: &mut Vec<Fault>) {
    let found = sources_and_roots(config).into_iter().chain(replicas(config)).chain(too_long(config));
    let found: BTreeMap<String, Fault> =
        found.map(|(entry, message)| (entry.key.clone(), Fault { at: entry.at, message })).collect();
    config.entries.retain(|entry| !found.contains_key(&entry.key));
    config.dropped.extend(found.keys().cloned());
    faults.extend(found.into_values());
}

/// A replica is no source: the snapshots made there would be foreign to the replication that fills it.
fn sources_and_roots(config: &Config) -> Vec<(&Entry, String)> {
    let destinations = config.entries.iter().flat_map(|entry| &entry.destinations);
    let used = destinations.map(|to| (to.host_name(), &to.root));
    let roots: BTreeSet<(Option<&str>, &Dataset)> = used.chain(config.roots.iter().map(|root| (None, root))).collect();
    let under = config.entries.iter().filter_map(|entry| {
        let above: Vec<Dataset> = entry.dataset.and_above().collect();
        let root = above.iter().find(|above| roots.contains(&(entry.host_name(), above)))?;
        Some((entry, format!("{} lies under {root}, where a destination keeps its replicas, and a replica is no source; remove the entry, or give the destination another root", entry.key)))
    });
    let inside = roots.iter().filter_map(|(host, root)| {
        let entry = selection::governing(config, *host, root)?;
        Some((entry, format!("the destination's root {root} lies inside {}: exclude it, or choose a root outside", entry.key)))
    });
    inside.chain(under).collect()
}

/// What has no room for a bookmark cannot be replicated, nor what has no room for a snapshot be snapshot.
fn too_long(config: &Config) -> impl Iterator<Item = (&Entry, String)> {
    let (limit, length) = (config.prefix.dataset_max(), |entry: &Entry| entry.dataset.as_str().len());
    let message =
        move |n| format!("the name has {n} bytes, and its bookmarks leave room for {limit} of ZFS's 255; use a shorter one");
    config.entries.iter().filter(move |entry| length(entry) > limit).map(move |entry| (entry, message(length(entry))))
}

/// Two entries that meet in one replica are both at fault: which of them is wrong, only a person can say.
fn replicas(config: &Config) -> Vec<(&Entry, String)> {
    let all = || config.entries.iter().flat_map(|entry| entry.destinations.iter().map(move |to| (entry, to)));
    type Users<'c> = Vec<(&'c Entry, &'c Destination)>;
    let mut places: BTreeMap<(Option<&str>, Dataset), Users> = BTreeMap::new();
    for (entry, to) in all() {
        places.entry((to.host_name(), to.replica(&entry.dataset))).or_default().push((entry, to));
    }
    let limit = config.prefix.dataset_max();
    let mut problems = Vec::new();
    for ((host, replica), users) in &places {
        let above = replica.and_above().skip(1).find_map(|d| places.get(&(*host, d)));
        let apart = |(a, at): (&Entry, &Destination), (b, bt): (&Entry, &Destination)| a.host != b.host || at.root != bt.root;
        let nested = above.into_iter().flatten().find(|other| apart(users[0], **other));
        for (i, (entry, _)) in users.iter().enumerate() {
            if let Some((other, _)) = users.iter().enumerate().find(|(j, _)| *j != i).map(|(_, user)| user).or(nested) {
                let who = if entry.key == other.key {
                    "two of its destinations".into()
                } else {
                    format!("{} and {}", entry.key, other.key)
                };
                let message = format!("{who} would meet in the replica {replica}; give one of them another root");
                problems.push((*entry, message));
            } else if replica.as_str().len() > limit {
                let message = format!(
                    "its replica {replica} would have a name of {} bytes, and there is room for {limit}; choose a shorter root",
                    replica.as_str().len()
                );
                problems.push((*entry, message));
            }
        }
    }
    problems
}
