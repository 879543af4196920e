//! Warnings about what no plan changes and a person should know: replicas that somebody should look at, and bookmarks
//! that could not be made or are kept for another copy.

use crate::core::name::Dataset;
use crate::core::replication::Base;
use crate::core::shell::quoted;
use crate::edge::journal;
use crate::verbs::replicate::replication::Replication;

pub(super) fn tell_what_is_odd(replication: &Replication) {
    let listed = &replication.listed;
    let to = replication.to;
    let there = listed.there.on_host();
    for replica in &listed.orphans {
        replication.say(format!(
            "{replica}{there} stays as it is: its source no longer exists"
        ));
    }
    for stray in &listed.strays {
        journal::warn(format!(
            "{stray}{there} exists, and no entry of the configuration brings it: a stream of {} may have brought it; look at it, \
             and destroy it if nobody needs it",
            replication.run.entry.key
        ));
    }
    for dataset in listed.source.keys() {
        let replica = to.replica(dataset);
        if let Some(state) = listed.replicas.get(&replica)
            && state.writable
            && !state.snapshots.is_empty()
        {
            journal::warn(format!(
                "{replica}{there} is writable, and a write to it would end its replication; to prevent that: \
                 zfs set readonly=on {}",
                quoted(replica.as_str())
            ));
        }
    }
}

pub(super) fn tell_that_the_pool_is_read_only(replication: &Replication) {
    let pool = replication.run.dataset.pool();
    journal::warn(format!(
        "the pool {pool}{} is read-only, so no bookmark can mark what is sent: as soon as it can be written to, replicate \
         once more before its snapshots are pruned",
        replication.listed.here.on_host()
    ));
}

/// A bookmark proves that there was a replica, or a first stream that was cut and given up.
pub(super) fn tell_of_an_earlier_replica(
    replication: &Replication,
    dataset: &Dataset,
    bookmark: &str,
) {
    let replica = replication.to.replica(dataset);
    journal::warn(format!(
        "{replica}{} is not there, although {dataset}#{bookmark} says that something was sent there: it is gone, or has \
         another name. The history is sent anew; if that was not meant, stop this run, give up what it has begun (zfs receive \
         -A {}), and rename it back",
        replication.listed.there.on_host(),
        quoted(replica.as_str())
    ));
}

/// A plain stream passes over snapshots that a machine takes of its replicas. They count as the newest there, so that its
/// pruning no longer keeps the base.
pub(super) fn tell_of_snapshots_taken_there(
    replication: &Replication,
    replica: &Dataset,
    base: &Base,
) {
    let listed = &replication.listed;
    let newest = listed
        .replicas
        .get(replica)
        .and_then(|it| it.snapshots.last());
    if let Some(newest) = newest
        && newest.guid != base.guid
        && replication.run.config.prefix.owns_snapshot(&newest.name)
    {
        let name = &newest.name;
        let mark = &base.mark;
        journal::warn(format!(
            "{replica}@{name}{} is not known here. Unless it was destroyed here, somebody snapshots the replica, and pruning \
             it there may take what it has in common with its source, {mark}: the entry that prunes it there must have no \
             snapshot-period",
            listed.there.on_host()
        ));
    }
}

/// `bookmarks` are the full names of those that were set aside.
pub(super) fn tell_what_was_set_aside(
    replication: &Replication,
    dataset: &Dataset,
    bookmarks: &[String],
) {
    if bookmarks.is_empty() {
        return;
    }
    let destroy = |name: &String| format!("zfs destroy {}", quoted(name));
    let commands: Vec<String> = bookmarks.iter().map(destroy).collect();
    journal::warn(format!(
        "{}{} ends before what {dataset} has sent there: it was rolled back, or it is another copy, such as half of a split \
         mirror. A bookmark is kept for the other copy; if there is none: {}",
        replication.to.replica(dataset),
        replication.listed.there.on_host(),
        commands.join(" && ")
    ));
}

/// Which machine the commands of a message are for, where that is not this one: a dataset that they name may exist on
/// another machine, or as another copy, too.
pub(super) fn where_to_run(
    replication: &Replication,
    dataset: &Dataset,
    replica: &Dataset,
) -> String {
    let listed = &replication.listed;
    let mut text = String::new();
    for (name, machine) in [(replica, &listed.there), (dataset, &listed.here)] {
        let on_host = machine.on_host();
        if !on_host.is_empty() {
            text += &format!(". {name} is{on_host}: run there what names it");
        }
    }
    text
}
