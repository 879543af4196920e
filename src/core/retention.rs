//! Which snapshots are kept, and why: fixed buckets of time in UTC, the oldest snapshot of each bucket, whole buckets
//! expiring at once. Pure. Keeps invariants 1 and 2: what is not owned, held, cloned, dated in the future, the newest
//! or still needed by a destination is never in the destroyed part.

use std::collections::HashSet;
use std::fmt;

use serde::ser::{Serialize, Serializer};

use crate::core::config::Window;
use crate::core::listing::Snapshot;
use crate::core::name::Prefix;

/// Why a snapshot is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    Window(Window),
    Newest,
    Held,
    Cloned,
    Future,
    /// The newest that the two sides of a replication have in common.
    Base,
    /// The newest that a destination has may be this one, as far as its bookmarks tell.
    Unconfirmed,
    /// A destination may have it, and the bookmark that would say so is gone.
    Unmarked,
    NotOurs,
    SuspiciousClock,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Reason::Window(window) => window.fmt(f),
            Reason::Newest => f.write_str("the newest"),
            Reason::Held => f.write_str("held"),
            Reason::Cloned => f.write_str("cloned"),
            Reason::Future => f.write_str("dated in the future"),
            Reason::Base => f.write_str("the newest common with the other side"),
            Reason::Unconfirmed => f.write_str("a transfer to a destination is unconfirmed"),
            Reason::Unmarked => {
                f.write_str("a destination may have it, and the bookmark of that is gone: the next replication makes another")
            }
            Reason::NotOurs => f.write_str("not one of zam's"),
            Reason::SuspiciousClock => f.write_str("the clock is suspicious"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[derive(Debug)]
pub struct Verdict<'s> {
    pub snapshot: &'s Snapshot,
    /// Empty: it goes.
    pub reasons: Vec<Reason>,
}

impl Verdict<'_> {
    pub fn keep(&self) -> bool {
        !self.reasons.is_empty()
    }
}

#[derive(Debug)]
pub struct Plan<'s> {
    /// Oldest first.
    pub verdicts: Vec<Verdict<'s>>,
    /// More than half would have gone just after a leap of the clock, so nothing goes.
    pub suspicious: bool,
}

impl<'s> Plan<'s> {
    /// What nothing keeps, oldest first.
    pub fn given_up(&self) -> impl Iterator<Item = &'s Snapshot> {
        self.verdicts
            .iter()
            .filter(|verdict| !verdict.keep())
            .map(|verdict| verdict.snapshot)
    }
}

/// A gap longer than this may be a clock that was set wrong (seconds).
const LEAP: i64 = 30 * 86_400;
/// So many snapshots after a leap make it believed.
const BELIEVED: usize = 20;

/// The verdict on every snapshot of a dataset. `now` is in epoch seconds; `forced` may give a reason of its own.
pub fn plan<'s>(
    prefix: &Prefix,
    snapshots: &'s [Snapshot],
    windows: &[Window],
    now: i64,
    forced: impl Fn(&Snapshot) -> Option<Reason>,
) -> Plan<'s> {
    let mut ordered: Vec<&Snapshot> = snapshots.iter().collect();
    ordered.sort_by(|a, b| (a.createtxg, &a.name).cmp(&(b.createtxg, &b.name)));
    let (owned, foreign): (Vec<&Snapshot>, Vec<&Snapshot>) =
        ordered.iter().partition(|s| prefix.owns_snapshot(&s.name));
    let wanted = wanted(&owned, windows, now);
    let newest = owned.last().map(|s| s.guid);
    let mut verdicts: Vec<Verdict> = owned
        .iter()
        .zip(wanted)
        .map(|(s, windows)| judge(s, windows, newest, now, &forced))
        .collect();
    let suspicious =
        after_a_leap(&owned) && verdicts.iter().filter(|v| !v.keep()).count() * 2 > owned.len();
    for verdict in verdicts.iter_mut().filter(|v| suspicious && !v.keep()) {
        verdict.reasons.push(Reason::SuspiciousClock);
    }
    verdicts.extend(foreign.into_iter().map(|snapshot| Verdict {
        snapshot,
        reasons: vec![Reason::NotOurs],
    }));
    verdicts.sort_by(|a, b| {
        (a.snapshot.createtxg, &a.snapshot.name).cmp(&(b.snapshot.createtxg, &b.snapshot.name))
    });
    Plan {
        verdicts,
        suspicious,
    }
}

fn judge<'s>(
    snapshot: &'s Snapshot,
    windows: Vec<Window>,
    newest: Option<u64>,
    now: i64,
    forced: impl Fn(&Snapshot) -> Option<Reason>,
) -> Verdict<'s> {
    let mut reasons: Vec<Reason> = windows.into_iter().map(Reason::Window).collect();
    let mut besides = |applies: bool, reason: Reason| {
        if applies {
            reasons.push(reason);
        }
    };
    besides(newest == Some(snapshot.guid), Reason::Newest);
    besides(snapshot.held, Reason::Held);
    besides(snapshot.cloned, Reason::Cloned);
    besides(snapshot.creation > now, Reason::Future);
    reasons.extend(forced(snapshot));
    Verdict { snapshot, reasons }
}

/// For each of `owned` (oldest first), the windows that want it. The oldest of each bucket is wanted until the bucket's
/// end has passed the window's max-age, counted back from the newest snapshot (capped by `now`): so the choice never
/// changes, however often pruning runs, and a machine that stands still loses nothing.
pub fn wanted(owned: &[&Snapshot], windows: &[Window], now: i64) -> Vec<Vec<Window>> {
    let mut wanted = vec![Vec::new(); owned.len()];
    let reference = owned.last().map_or(now, |newest| newest.creation.min(now));
    // Creation may step back among rising createtxg, so that a bucket can return after others.
    let in_order = owned.is_sorted_by_key(|s| s.creation);
    for window in windows {
        let limit = window.max_age.map_or(i64::MIN, |age| age.before(reference));
        let (mut seen, mut last) = (HashSet::new(), None);
        for (snapshot, wanted) in owned.iter().zip(&mut wanted) {
            let bucket = window.period.bucket(snapshot.creation);
            let is_oldest =
                last.replace(bucket) != Some(bucket) && (in_order || seen.insert(bucket));
            if is_oldest && window.period.start(bucket + 1) > limit {
                wanted.reserve_exact(1); // mostly there is one, and there are many of these lists
                wanted.push(*window);
            }
        }
    }
    wanted
}

fn after_a_leap(owned: &[&Snapshot]) -> bool {
    let leap = owned
        .windows(2)
        .rposition(|pair| pair[1].creation - pair[0].creation > LEAP);
    leap.is_some_and(|before| owned.len() - (before + 1) < BELIEVED)
}
