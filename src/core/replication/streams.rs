//! What a plan is asked for, which of the source's snapshots are therefore wanted after the base, and the fewest streams
//! that bring them.

use std::collections::HashSet;

use crate::core::config::Window;
use crate::core::listing::{Snapshot, State};
use crate::core::name::Prefix;
use crate::core::replication::base::{Base, Mark};
use crate::core::retention;
use crate::core::span::Epoch;

/// A source, or its replica.
pub struct Side<'s> {
    pub name: String,
    pub state: &'s State,
}

pub struct Wish<'w> {
    pub prefix: &'w Prefix,
    /// Empty: every owned snapshot is wanted.
    pub windows: &'w [Window],
    pub decrypt: bool,
    pub now: Epoch,
    /// The GUID of the destination's root. With it, what its cursors say was begun comes first, and ends the plan.
    pub root: Option<u64>,
}

impl Wish<'_> {
    // Inlined it becomes an instruction that QEMU 10 computes wrongly (tests/vm/README.md, An error of the emulator).
    #[inline(never)]
    pub(super) fn is_raw(&self, source: &State) -> bool {
        source.encryption_root.is_some() && !self.decrypt
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// None: a full stream.
    pub from: Option<Mark>,
    /// The name of its last snapshot, and that snapshot's GUID.
    pub to: String,
    pub guid: u64,
    /// The snapshots that it brings, oldest first.
    pub snapshots: Vec<String>,
}

impl Stream {
    /// The stream that brings `part`, which is not empty.
    pub(super) fn new(from: Option<Mark>, part: &[&Snapshot]) -> Stream {
        let last = part[part.len() - 1];
        Stream {
            from,
            to: last.name.to_string(),
            guid: last.guid,
            snapshots: part.iter().map(|s| s.name.to_string()).collect(),
        }
    }

    /// Whether the snapshots between its ends come along (`-I`).
    pub fn has_intermediates(&self) -> bool {
        self.snapshots.len() > 1
    }
}

/// The source's snapshots after the base, owned or not, oldest first.
pub(super) fn snapshots_after<'s>(source: &'s State, base: Option<&Base>) -> Vec<&'s Snapshot> {
    let is_newer = |s: &&Snapshot| base.is_none_or(|base| s.createtxg > base.createtxg);
    source.snapshots.iter().filter(is_newer).collect()
}

/// The GUIDs of those of `newer` that the destination's windows would keep beside what the replica has already, and of the
/// newest; of all where the clock may be wrong. Retention is given only the newest owned snapshot of the replica: buckets
/// follow each other in time, so if an older one shares a bucket with a new snapshot, the newest does too.
pub(super) fn choose(wish: &Wish, replica: Option<&State>, newer: &[&Snapshot]) -> HashSet<u64> {
    let mut owned = Vec::new();
    owned.extend(replica.and_then(|replica| replica.owned(wish.prefix).next_back()));
    let first_new = owned.len();
    let is_owned = |s: &&&Snapshot| wish.prefix.owns_snapshot(&s.name);
    owned.extend(newer.iter().filter(is_owned));
    let windows = retention::wanted(&owned, wish.windows, wish.now);
    // What is passed over never goes: under a wrong clock that could be everything that waits.
    let takes_all = wish.windows.is_empty() || retention::has_leapt(&owned, leap(wish.windows));
    let new = &owned[first_new..];
    let mut wanted = HashSet::new();
    for (snapshot, windows) in new.iter().zip(&windows[first_new..]) {
        if takes_all || !windows.is_empty() {
            wanted.insert(snapshot.guid);
        }
    }
    wanted.extend(new.last().map(|s| s.guid));
    wanted
}

/// How long a gap may be a leap of the clock (seconds). Where one snapshot a month is meant, a month is none.
pub fn leap(windows: &[Window]) -> i64 {
    let periods = windows.iter().map(|window| window.period.span().seconds());
    retention::LEAP.max(2 * periods.max().unwrap_or(0))
}

/// The fewest streams: one `-I` for each run of wanted neighbours, one `-i` over each gap. A bookmark gives only `-i`
/// (zfs-send(8)).
pub(super) fn fewest_streams(
    newer: &[&Snapshot],
    wanted: &HashSet<u64>,
    base: Option<&Mark>,
) -> Vec<Stream> {
    let is_wanted = |s: &&Snapshot| wanted.contains(&s.guid);
    let mut streams = Vec::new();
    let mut from = base.cloned();
    let mut rest = newer;
    while let Some(gap) = rest.iter().position(is_wanted) {
        let run = match from {
            Some(Mark::Snapshot(_)) if gap == 0 => {
                let end = rest.iter().position(|s| !is_wanted(s));
                end.unwrap_or(rest.len())
            }
            _ => 1,
        };
        let (part, after) = rest[gap..].split_at(run);
        let stream = Stream::new(from, part);
        from = Some(Mark::Snapshot(stream.to.clone()));
        streams.push(stream);
        rest = after;
    }
    streams
}
