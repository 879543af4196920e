//! Which snapshots of one side pruning keeps: those that retention keeps, and those that a replication still needs to go on
//! (invariant 2). Pure, like both of them.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

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
    let needed = Needed {
        wish,
        base: newest_of(&pruned.snapshots, &known),
        unconfirmed: unconfirmed(wish.prefix, pruned),
        marked: newest_cursors(wish.prefix, pruned),
    };
    retention::plan(
        wish.prefix,
        &pruned.snapshots,
        wish.windows,
        wish.now,
        |snapshot| needed.reason(snapshot),
    )
}

/// What replications need to go on.
struct Needed<'w> {
    wish: &'w Keeping<'w>,
    /// The GUID of the newest snapshot that source and replica have in common.
    base: Option<u64>,
    /// In createtxg.
    unconfirmed: Vec<RangeInclusive<u64>>,
    /// The createtxg of the newest bookmark of each destination.
    marked: BTreeMap<u32, u64>,
}

impl Needed<'_> {
    fn reason(&self, snapshot: &Snapshot) -> Option<Reason> {
        if Some(snapshot.guid) == self.base {
            return Some(Reason::Base);
        }
        let mut unconfirmed = self.unconfirmed.iter();
        if unconfirmed.any(|range| range.contains(&snapshot.createtxg)) {
            return Some(Reason::Unconfirmed);
        }
        let time = self.wish.prefix.time_of(&snapshot.name)?;
        let mut replicated = self.wish.replicated.iter();
        let unmarked = replicated.find(|it| it.may_have_unmarked(snapshot, time, &self.marked))?;
        Some(Reason::Unmarked(unmarked.id))
    }
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
