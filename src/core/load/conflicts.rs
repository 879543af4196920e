//! What is wrong between entries that are right by themselves: replicas inside a source, sources inside replicas, two
//! sources on one replica, names that grow too long. An entry at fault is dropped; where two meet in one replica all
//! pruning waits too, since the other may prune what only the dropped one would keep.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::config::{Config, Destination, Entry};
use crate::core::fault::Fault;
use crate::core::name::Dataset;
use crate::core::selection;

/// What is an entry's own affair goes to `contained`, the other faults to `faults`.
pub fn drop_conflicting(config: &mut Config, contained: &mut Vec<Fault>, faults: &mut Vec<Fault>) {
    let alone = by_key(
        sources_and_roots(config)
            .into_iter()
            .chain(too_long(config))
            .chain(replicas_too_long(config)),
    );
    let meeting = by_key(replicas(config));
    config
        .entries
        .retain(|entry| !alone.contains_key(&entry.key) && !meeting.contains_key(&entry.key));
    config
        .dropped
        .extend(alone.keys().chain(meeting.keys()).cloned());
    contained.extend(alone.into_values());
    faults.extend(meeting.into_values());
}

fn by_key<'c>(found: impl IntoIterator<Item = (&'c Entry, String)>) -> BTreeMap<String, Fault> {
    found
        .into_iter()
        .map(|(entry, message)| {
            (
                entry.key.clone(),
                Fault {
                    at: entry.at,
                    message,
                },
            )
        })
        .collect()
}

/// A replica is no source: the snapshots made there would be foreign to the replication that fills it.
fn sources_and_roots(config: &Config) -> Vec<(&Entry, String)> {
    let destinations = config.entries.iter().flat_map(|entry| &entry.destinations);
    let used = destinations.map(|to| (to.host_name(), &to.root));
    let roots: BTreeSet<(Option<&str>, &Dataset)> = used
        .chain(config.roots.iter().map(|root| (None, root)))
        .collect();
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
    let (limit, length) = (config.prefix.dataset_max(), |entry: &Entry| {
        entry.dataset.as_str().len()
    });
    let message = move |n| {
        format!(
            "the name has {n} bytes, and its bookmarks leave room for {limit} of ZFS's 255; use a shorter one"
        )
    };
    config
        .entries
        .iter()
        .filter(move |entry| length(entry) > limit)
        .map(move |entry| (entry, message(length(entry))))
}

fn replicas_too_long(config: &Config) -> Vec<(&Entry, String)> {
    let limit = config.prefix.dataset_max();
    let mut problems = Vec::new();
    for entry in &config.entries {
        let mut replicas = entry
            .destinations
            .iter()
            .map(|to| to.replica(&entry.dataset));
        if let Some(replica) = replicas.find(|replica| replica.as_str().len() > limit) {
            let length = replica.as_str().len();
            let message = format!(
                "its replica {replica} would have a name of {length} bytes, and there is room for {limit}; choose a shorter root"
            );
            problems.push((entry, message));
        }
    }
    problems
}

/// Two entries that meet in one replica are both at fault: which of them is wrong, only a person can say. Of two whose
/// replicas lie one in the other, the inner one is.
fn replicas(config: &Config) -> Vec<(&Entry, String)> {
    let all = || {
        config
            .entries
            .iter()
            .flat_map(|entry| entry.destinations.iter().map(move |to| (entry, to)))
    };
    type Users<'c> = Vec<(&'c Entry, &'c Destination)>;
    let mut places: BTreeMap<(Option<&str>, Dataset), Users> = BTreeMap::new();
    for (entry, to) in all() {
        places
            .entry((to.host_name(), to.replica(&entry.dataset)))
            .or_default()
            .push((entry, to));
    }
    let mut problems = Vec::new();
    for ((host, replica), users) in &places {
        let above = replica
            .and_above()
            .skip(1)
            .filter_map(|d| places.get(&(*host, d)));
        let apart = |(a, at): (&Entry, &Destination), (b, bt): (&Entry, &Destination)| {
            a.host != b.host || at.root != bt.root
        };
        let nested = above.flatten().find(|other| apart(users[0], **other));
        for (i, (entry, _)) in users.iter().enumerate() {
            if let Some((other, _)) = users
                .iter()
                .enumerate()
                .find(|(j, _)| *j != i)
                .map(|(_, user)| user)
                .or(nested)
            {
                let who = if entry.key == other.key {
                    "two of its destinations".into()
                } else {
                    format!("{} and {}", entry.key, other.key)
                };
                let message = format!(
                    "{who} would meet in the replica {replica}; give one of them another root"
                );
                problems.push((*entry, message));
            }
        }
    }
    problems
}
