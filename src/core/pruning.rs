//! Which snapshots of one side pruning keeps: those that retention keeps, and those that a replication still needs to go on
//! (invariant 2). Pure, like both of them.

use std::collections::HashSet;

use crate::core::config::Window;
use crate::core::listing::{Snapshot, State};
use crate::core::name::Prefix;
use crate::core::replication::{destinations, unconfirmed};
use crate::core::retention::{self, Plan, Reason};
use crate::core::span::Epoch;

/// What is asked of one side.
pub struct Keeping<'w> {
    pub prefix: &'w Prefix,
    pub windows: &'w [Window],
    /// For each destination of this source that is known to have had everything.
    pub replicated: Vec<Replicated>,
    pub now: Epoch,
}

/// A destination had everything.
#[derive(Clone, Copy)]
pub struct Replicated {
    pub time: Epoch,
    /// What the destination's bookmarks are named after.
    pub id: u32,
}

/// The verdict on every snapshot of `pruned`, which is a source, or the replica of `source`.
pub fn plan<'s>(wish: &Keeping, pruned: &'s State, source: Option<&State>) -> Plan<'s> {
    let known = source.map(State::guids).unwrap_or_default();
    let base = newest_of(&pruned.snapshots, &known);
    let needed = unconfirmed(wish.prefix, pruned);
    let unmarked = unmarked_until(wish, pruned);
    let forced = |s: &Snapshot| {
        if Some(s.guid) == base {
            Some(Reason::Base)
        } else if needed.iter().any(|range| range.contains(&s.createtxg)) {
            Some(Reason::Unconfirmed)
        } else if unmarked.is_some_and(|until| s.creation <= until) {
            Some(Reason::Unmarked)
        } else {
            None
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

/// The newest snapshot with one of these GUIDs.
fn newest_of(snapshots: &[Snapshot], guids: &HashSet<u64>) -> Option<u64> {
    let newest = snapshots.iter().rfind(|s| guids.contains(&s.guid))?;
    Some(newest.guid)
}

/// A destination may have the snapshots of a source that were taken until this moment, although no bookmark of it says so.
/// A rollback takes bookmarks with it, and a clone that was promoted has none.
fn unmarked_until(wish: &Keeping, source: &State) -> Option<Epoch> {
    let marked = destinations(wish.prefix, source);
    let replicated = wish.replicated.iter();
    let unmarked = replicated.filter(|it| !marked.contains(&it.id));
    unmarked.map(|it| it.time).max()
}

/// Whether one side knows a snapshot of the other.
pub fn has_in_common(one: &State, other: &State) -> bool {
    newest_of(&one.snapshots, &other.guids()).is_some()
}
