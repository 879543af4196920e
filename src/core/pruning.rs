//! Which snapshots of one side pruning keeps: those that retention keeps, and those that a replication still needs to go on
//! (invariant 2). Pure, like both of them.

use std::collections::HashSet;

use crate::core::arrived::Replicated;
use crate::core::config::Window;
use crate::core::listing::{Snapshot, State};
use crate::core::name::Prefix;
use crate::core::replication::{newest_cursors, unconfirmed};
use crate::core::retention::{self, Plan, Reason};
use crate::core::span::Epoch;

/// What is asked of one side.
pub struct Keeping<'w> {
    pub prefix: &'w Prefix,
    pub windows: &'w [Window],
    /// What each destination of this source may have, as far as is known.
    pub replicated: Vec<Replicated>,
    pub now: Epoch,
}

/// The verdict on every snapshot of `pruned`, which is a source, or the replica of `source`.
pub fn plan<'s>(wish: &Keeping, pruned: &'s State, source: Option<&State>) -> Plan<'s> {
    let known = source.map(State::guids).unwrap_or_default();
    let base = newest_of(&pruned.snapshots, &known);
    let needed = unconfirmed(wish.prefix, pruned);
    let marked = newest_cursors(wish.prefix, pruned);
    let forced = |s: &Snapshot| {
        if Some(s.guid) == base {
            Some(Reason::Base)
        } else if needed.iter().any(|range| range.contains(&s.createtxg)) {
            Some(Reason::Unconfirmed)
        } else {
            let time = wish.prefix.time_of(&s.name)?;
            let mut replicated = wish.replicated.iter();
            let unmarked = replicated.find(|it| it.may_have_unmarked(s, time, &marked));
            unmarked.map(|it| Reason::Unmarked(it.id))
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

/// Whether one side knows a snapshot of the other.
pub fn has_in_common(one: &State, other: &State) -> bool {
    newest_of(&one.snapshots, &other.guids()).is_some()
}
