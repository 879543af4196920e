//! What pruning keeps of one side: what retention keeps, and what a replication still needs to go on (invariant 2).
//! Pure, like both of them.

use std::collections::HashSet;

use super::config::Window;
use super::listing::{Snapshot, State};
use super::name::Prefix;
use super::replication::unconfirmed;
use super::retention::{self, Plan, Reason};

/// The verdict on every snapshot of `pruned`: of a source, or of the replica of `source`. `now` is in epoch seconds.
pub fn plan<'s>(prefix: &Prefix, pruned: &'s State, source: Option<&State>, windows: &[Window], now: i64) -> Plan<'s> {
    let guids = |of: &State| Vec::from_iter(of.snapshots.iter().map(|s| s.guid).chain(of.bookmarks.iter().map(|b| b.guid)));
    let known: HashSet<u64> = source.map(guids).unwrap_or_default().into_iter().collect();
    let needed = unconfirmed(prefix, pruned);
    let base = pruned.snapshots.iter().rev().find(|s| known.contains(&s.guid)).map(|s| s.guid);
    let forced = |s: &Snapshot| match (Some(s.guid) == base, needed.iter().any(|range| range.contains(&s.createtxg))) {
        (true, _) => Some(Reason::Base),
        (_, true) => Some(Reason::Unconfirmed),
        _ => None,
    };
    retention::plan(prefix, &pruned.snapshots, windows, now, forced)
}
