//! Faults between entries that are right by themselves: replicas inside a source, sources inside replicas, two sources on
//! one replica, names that grow too long. An entry at fault is dropped. When two meet in one replica all pruning waits
//! too, because the one that stays may prune what only the dropped one would keep.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::config::{Config, Destination, Entry};
use crate::core::fault::Fault;
use crate::core::host::Address;
use crate::core::load::reach::Faults;
use crate::core::name::Dataset;
use crate::core::selection;

pub fn drop_conflicting(config: &mut Config, faults: &mut Faults) {
    let mut alone = Conflicts::default();
    find_roots_in_sources(config, &mut alone);
    find_sources_in_roots(config, &mut alone);
    find_too_long(config, &mut alone);
    let mut meeting = Conflicts::default();
    find_meeting(config, &mut meeting);
    let dropped: BTreeSet<String> = alone.0.keys().chain(meeting.0.keys()).cloned().collect();
    config.entries.retain(|entry| !dropped.contains(&entry.key));
    config.dropped.extend(dropped);
    faults.contained.extend(alone.0.into_values());
    faults.wide.extend(meeting.0.into_values());
}

/// One fault for each entry at fault, by its key; the last that is found.
#[derive(Default)]
struct Conflicts(BTreeMap<String, Fault>);

impl Conflicts {
    fn add(&mut self, entry: &Entry, message: String) {
        self.0.insert(entry.key.clone(), entry.at.fault(message));
    }
}

/// The names that the configuration has for each machine: this one has none.
fn names_by_machine(config: &Config) -> BTreeMap<Option<Address<'_>>, Vec<Option<&str>>> {
    let mut names = BTreeMap::from([(None, vec![None])]);
    for host in config.hosts.values() {
        let of_machine: &mut Vec<_> = names.entry(Some(host.address())).or_default();
        of_machine.push(Some(host.name.as_str()));
    }
    names
}

/// Where replicas go: the roots that entries use, and all those on this machine.
fn find_roots(config: &Config) -> BTreeSet<(Option<Address<'_>>, &Dataset)> {
    let used = config.entries.iter().flat_map(|entry| &entry.destinations);
    let mut roots: BTreeSet<_> = used.map(|to| (to.address(), &to.root)).collect();
    roots.extend(config.roots.iter().map(|root| (None, root)));
    roots
}

fn find_roots_in_sources(config: &Config, conflicts: &mut Conflicts) {
    let names = names_by_machine(config);
    for (at, root) in find_roots(config) {
        let names = names.get(&at).into_iter().flatten();
        for entry in names.filter_map(|host| selection::governing(config, *host, root)) {
            let message = format!(
                "the destination's root {root} lies inside {}: exclude it, or choose a root outside",
                entry.key
            );
            conflicts.add(entry, message);
        }
    }
}

/// A replica is no source, because the snapshots made there would be foreign to the replication that fills it.
fn find_sources_in_roots(config: &Config, conflicts: &mut Conflicts) {
    let roots = find_roots(config);
    for entry in &config.entries {
        let mut above = entry.dataset.and_above();
        if let Some(root) = above.find(|above| roots.contains(&(entry.address(), above))) {
            let message = format!(
                "{} lies under {root}, where a destination keeps its replicas, and a replica is no source; remove the \
                 entry, or give the destination another root",
                entry.key
            );
            conflicts.add(entry, message);
        }
    }
}

/// A name must leave room for those of its snapshots and bookmarks, or nothing can be snapshot or replicated.
fn find_too_long(config: &Config, conflicts: &mut Conflicts) {
    let limit = config.prefix.dataset_max();
    for entry in &config.entries {
        let length = entry.dataset.as_str().len();
        if length > limit {
            let message = format!(
                "the name has {length} bytes, and its bookmarks leave room for {limit} of ZFS's 255; use a shorter one"
            );
            conflicts.add(entry, message);
        }
        let destinations = entry.destinations.iter();
        let mut replicas = destinations.map(|to| to.replica(&entry.dataset));
        if let Some(replica) = replicas.find(|replica| replica.as_str().len() > limit) {
            let length = replica.as_str().len();
            let message = format!(
                "its replica {replica} would have a name of {length} bytes, and there is room for {limit}; choose a \
                 shorter root"
            );
            conflicts.add(entry, message);
        }
    }
}

/// An entry with one of its destinations.
#[derive(Clone, Copy)]
struct User<'c> {
    entry: &'c Entry,
    to: &'c Destination,
}

/// The users of each replica, by its place and name.
type Replicas<'c> = BTreeMap<(Option<Address<'c>>, Dataset), Vec<User<'c>>>;

/// Two entries that meet in one replica are both at fault, because only a person can say which of them is wrong. If one
/// replica lies inside the other, the inner entry is at fault.
fn find_meeting(config: &Config, conflicts: &mut Conflicts) {
    let replicas = replicas_by_name(config);
    for ((at, replica), users) in &replicas {
        let outer = outer_user(&replicas, *at, replica, users[0]);
        for (position, user) in users.iter().enumerate() {
            let beside = users.get(if position == 0 { 1 } else { 0 });
            if let Some(other) = beside.copied().or(outer) {
                let who = match (&user.entry.key, &other.entry.key) {
                    (key, other) if key == other => "two of its destinations".into(),
                    (key, other) => format!("{key} and {other}"),
                };
                let message = format!(
                    "{who} would meet in the replica {replica}; give one of them another root"
                );
                conflicts.add(user.entry, message);
            }
        }
    }
}

fn replicas_by_name(config: &Config) -> Replicas<'_> {
    let mut replicas = Replicas::new();
    for entry in &config.entries {
        for to in &entry.destinations {
            let replica = (to.address(), to.replica(&entry.dataset));
            let users = replicas.entry(replica).or_default();
            users.push(User { entry, to });
        }
    }
    replicas
}

/// Who has a replica above this one. The replicas of one tree of sources lie in each other, so they do not count.
fn outer_user<'c>(
    replicas: &Replicas<'c>,
    at: Option<Address<'c>>,
    replica: &Dataset,
    user: User,
) -> Option<User<'c>> {
    let above = replica.and_above().skip(1);
    let mut users = above
        .filter_map(|above| replicas.get(&(at, above)))
        .flatten();
    users
        .find(|other| user.entry.host != other.entry.host || user.to.root != other.to.root)
        .copied()
}
