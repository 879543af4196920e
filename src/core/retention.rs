//! Which snapshots are kept, and why. Time is cut into fixed buckets in UTC; the oldest snapshot of each bucket is kept, and
//! whole buckets expire at once. Pure. Keeps invariants 1 and 2: a snapshot that is not owned, held, cloned, dated in the
//! future, the newest, or still needed by a destination is never given up.

use std::collections::HashSet;
use std::fmt;

use serde::ser::{Serialize, Serializer};

use crate::core::config::Window;
use crate::core::listing::Snapshot;
use crate::core::name::Prefix;
use crate::core::span::{DAY, Epoch};

/// Why a snapshot is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    Window(Window),
    Newest,
    Held,
    Cloned,
    Future,
    /// The newest snapshot that both sides of a replication have.
    Base,
    /// It may be the newest that a destination has, as far as the destination's bookmarks tell.
    Unconfirmed,
    /// The destination with this ID may have it, but the bookmark that would say so is gone.
    Unmarked(Option<u32>),
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
            Reason::Unmarked(id) => unmarked(*id, f),
            Reason::NotOurs => f.write_str("not one of zam's"),
            Reason::SuspiciousClock => f.write_str("the clock is suspicious"),
        }
    }
}

fn unmarked(id: Option<u32>, f: &mut fmt::Formatter) -> fmt::Result {
    f.write_str(
        "a destination may have it, but its bookmark is gone; the next replication makes a new one",
    )?;
    match id {
        Some(id) => write!(
            f,
            " (if it is gone for good, see arrived-*@{id:08x} in zam(8))"
        ),
        None => Ok(()),
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
    /// Empty: it is given up.
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
    /// The clock has just leapt and more than half would have been given up, so nothing is.
    pub suspicious: bool,
}

impl<'s> Plan<'s> {
    /// The snapshots that nothing keeps, oldest first.
    pub fn given_up(&self) -> impl Iterator<Item = &'s Snapshot> {
        let given_up = self.verdicts.iter().filter(|verdict| !verdict.keep());
        given_up.map(|verdict| verdict.snapshot)
    }

    /// Whether more than half of our snapshots are given up.
    pub fn gives_up_most(&self) -> bool {
        let is_ours = |verdict: &&Verdict| !verdict.reasons.contains(&Reason::NotOurs);
        let ours = self.verdicts.iter().filter(is_ours);
        self.given_up().count() * 2 > ours.count()
    }

    /// Keeps everything if the clock has just leapt and more than half would be given up.
    fn distrust_a_leap(&mut self, owned: &[&Snapshot]) {
        self.suspicious = has_leapt(owned, LEAP) && self.gives_up_most();
        if self.suspicious {
            for verdict in self.verdicts.iter_mut().filter(|verdict| !verdict.keep()) {
                verdict.reasons.push(Reason::SuspiciousClock);
            }
        }
    }
}

/// A longer gap between two snapshots may be a clock that was set wrong (seconds).
pub const LEAP: i64 = 30 * DAY;
/// So many snapshots after a leap prove that the clock is right.
const BELIEVED: usize = 20;

/// Whether a clock has leapt ahead by more than `least` seconds, so that it may be wrong, as far as `owned` (oldest first)
/// show.
pub fn has_leapt(owned: &[&Snapshot], least: i64) -> bool {
    let mut gaps = owned.windows(2);
    let leap = gaps.rposition(|pair| pair[1].creation - pair[0].creation > least);
    leap.is_some_and(|before| owned.len() - (before + 1) < BELIEVED)
}

/// The verdict on every snapshot of a dataset. `forced` may give a reason of its own to keep one.
pub fn plan<'s>(
    prefix: &Prefix,
    snapshots: &'s [Snapshot],
    windows: &[Window],
    now: Epoch,
    forced: impl Fn(&Snapshot) -> Option<Reason>,
) -> Plan<'s> {
    let mut ordered: Vec<&Snapshot> = snapshots.iter().collect();
    ordered.sort_by(|a, b| (a.createtxg, &a.name).cmp(&(b.createtxg, &b.name)));
    let owned = ordered.iter().filter(|s| prefix.owns_snapshot(&s.name));
    let owned: Vec<&Snapshot> = owned.copied().collect();
    let newest = owned.last().map(|s| s.guid);
    let mut windows_of_each = wanted(&owned, windows, now).into_iter();
    let mut verdicts = Vec::with_capacity(ordered.len());
    for snapshot in ordered {
        let reasons = if prefix.owns_snapshot(&snapshot.name) {
            let windows = windows_of_each.next().unwrap_or_default();
            let mut reasons = reasons_of_ours(snapshot, windows, newest, now);
            reasons.extend(forced(snapshot));
            reasons
        } else {
            vec![Reason::NotOurs]
        };
        verdicts.push(Verdict { snapshot, reasons });
    }
    let mut plan = Plan {
        verdicts,
        suspicious: false,
    };
    plan.distrust_a_leap(&owned);
    plan
}

/// Why a snapshot of ours is kept: the windows that want it, and what else is known of it.
fn reasons_of_ours(
    snapshot: &Snapshot,
    windows: Vec<Window>,
    newest: Option<u64>,
    now: Epoch,
) -> Vec<Reason> {
    // Collected in place of the windows: a million snapshots have a million of these lists.
    let mut reasons: Vec<Reason> = windows.into_iter().map(Reason::Window).collect();
    let others = [
        (newest == Some(snapshot.guid), Reason::Newest),
        (snapshot.held, Reason::Held),
        (snapshot.cloned, Reason::Cloned),
        (snapshot.creation > now, Reason::Future),
    ];
    for (applies, reason) in others {
        if applies {
            reasons.push(reason);
        }
    }
    reasons
}

/// For each of `owned` (oldest first), the windows that want it. The oldest of each bucket is wanted until the bucket's
/// end has passed the window's max-age, counted back from the newest snapshot (capped by `now`): so the choice never
/// changes, however often pruning runs, and a machine that stands still loses nothing.
pub fn wanted(owned: &[&Snapshot], windows: &[Window], now: Epoch) -> Vec<Vec<Window>> {
    let mut wanted = vec![Vec::new(); owned.len()];
    let reference = owned.last().map_or(now, |newest| newest.creation.min(now));
    // Creation may step back among rising createtxg, so that a bucket can return after others.
    let is_in_order = owned.is_sorted_by_key(|s| s.creation);
    for window in windows {
        let limit = window
            .max_age
            .map_or(Epoch::MIN, |age| age.before(reference));
        let mut seen = HashSet::new();
        let mut last = None;
        for (snapshot, wanted) in owned.iter().zip(&mut wanted) {
            let bucket = window.period.bucket(snapshot.creation);
            let is_other = last.replace(bucket) != Some(bucket);
            let is_oldest = is_other && (is_in_order || seen.insert(bucket));
            if is_oldest && window.period.start(bucket + 1) > limit {
                wanted.reserve_exact(1); // mostly there is one, and there are many of these lists
                wanted.push(*window);
            }
        }
    }
    wanted
}
