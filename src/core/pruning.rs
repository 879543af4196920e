//! What pruning keeps of one side: what retention keeps, and what a replication still needs to go on (invariant 2).
//! Pure, like both of them.

use std::collections::HashSet;

use crate::core::config::Window;
use crate::core::listing::{Snapshot, State};
use crate::core::name::Prefix;
use crate::core::replication::{destinations, unconfirmed};
use crate::core::retention::{self, Plan, Reason};

/// What is asked of one side.
pub struct Keeping<'w> {
    pub prefix: &'w Prefix,
    pub windows: &'w [Window],
    /// When replications of this source to each of its destinations last had everything there, in epoch seconds.
    pub replicated: Vec<i64>,
    /// In epoch seconds.
    pub now: i64,
}

/// The verdict on every snapshot of `pruned`: of a source, or of the replica of `source`.
pub fn plan<'s>(wish: &Keeping, pruned: &'s State, source: Option<&State>) -> Plan<'s> {
    let known = source.map(guids).unwrap_or_default();
    let needed = unconfirmed(wish.prefix, pruned);
    let unmarked = unmarked(wish, pruned);
    let base = pruned
        .snapshots
        .iter()
        .rev()
        .find(|s| known.contains(&s.guid))
        .map(|s| s.guid);
    let forced = |s: &Snapshot| {
        if Some(s.guid) == base {
            Some(Reason::Base)
        } else if needed.iter().any(|range| range.contains(&s.createtxg)) {
            Some(Reason::Unconfirmed)
        } else {
            unmarked
                .filter(|until| s.creation <= *until)
                .map(|_| Reason::Unmarked)
        }
    };
    retention::plan(
        wish.prefix,
        &pruned.snapshots,
        wish.windows,
        wish.now,
        forced,
    )
}

/// Until when a destination may have the snapshots of a source on which no bookmark says so: fewer destinations have one
/// than were replicated to. A rollback takes bookmarks with it, and a clone that was promoted has none.
fn unmarked(wish: &Keeping, source: &State) -> Option<i64> {
    let is_lost = destinations(wish.prefix, source) < wish.replicated.len();
    wish.replicated.iter().max().copied().filter(|_| is_lost)
}

/// Whether one side knows a snapshot of the other.
pub fn has_in_common(one: &State, other: &State) -> bool {
    let known = guids(other);
    one.snapshots.iter().any(|s| known.contains(&s.guid))
}

/// Of its snapshots and bookmarks.
fn guids(state: &State) -> HashSet<u64> {
    state
        .snapshots
        .iter()
        .map(|s| s.guid)
        .chain(state.bookmarks.iter().map(|b| b.guid))
        .collect()
}
