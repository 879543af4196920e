//! What brings one replica up to date: the common base, the fewest streams from there, or why there is no way. Pure:
//! both sides' listings in, a plan with its reasons out. Matches by GUID and orders by createtxg (invariant 5); never
//! plans anything that would need `receive -F` (invariant 4).

mod base;
mod cause;
mod cursors;
mod streams;
mod token;

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

use crate::core::config::Window;
use crate::core::divergence::{Cause, Divergence};
use crate::core::listing::{Snapshot, State};
use crate::core::name::Prefix;
pub use crate::core::replication::base::{Base, Mark};
use crate::core::replication::cursors::end_of_unconfirmed;
pub use crate::core::replication::cursors::{
    is_at_rest, never_given, newest_cursors, set_aside, unconfirmed,
};
pub use crate::core::replication::streams::{Side, Stream, Wish, leap};
use crate::core::replication::streams::{choose, fewest_streams, snapshots_after};
pub use crate::core::replication::token::{Token, TokenUse};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    UpToDate,
    Incremental,
    Full,
    /// The first stream is the rest of one that was cut.
    Resume,
    Diverged,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub kind: Kind,
    /// Diverged replicas have one too: the mend goes on from there.
    pub base: Option<Base>,
    pub raw: bool,
    pub streams: Vec<Stream>,
    pub token: TokenUse,
    /// The source has snapshots after these, and marks them only once these have arrived.
    pub has_more: bool,
    pub divergence: Option<Divergence>,
    /// One line for people: why this base; or what is wrong, and the command that would mend it.
    pub why: String,
}

/// The plan for one dataset. `token` is what the replica's resume token says, if it has one and it could be decoded.
/// Takes time and memory in proportion to the number of snapshots.
pub fn plan(wish: &Wish, source: &Side, replica: Option<&Side>, token: Option<&Token>) -> Plan {
    let raw = wish.is_raw(source.state);
    let held = replica.map(|replica| replica.state);
    let common = held.and_then(|held| Base::find(source.state, &held.snapshots));
    let (at, base) = common.unzip();
    let base = base.map(|base| prefer_own_cursor(base, wish, source.state));
    let mut plan = Plan::empty(base, raw);
    if let Some(replica) = replica
        && let Some(cause) = cause::find(wish, source, replica, at, raw)
    {
        return plan.diverged(source, replica, cause);
    }
    let base = plan.base.as_ref();
    let mut newer = snapshots_after(source.state, base);
    let mut wanted = choose(wish, held, &newer);
    let resumed = match (token, held) {
        (Some(token), Some(held)) => token.resumed(wish, raw, &newer, base, held),
        _ => None,
    };
    if let Some(end) = end_of_unconfirmed(wish, source.state) {
        let of_token = resumed.as_ref().map(|stream| stream.guid);
        let is_end = |s: &&Snapshot| s.guid == end || Some(s.guid) == of_token;
        // It may have arrived although its cursors could not be swept: a pool that is read-only keeps them.
        if let Some(at) = newer.iter().rposition(is_end) {
            plan.has_more = at + 1 < newer.len();
            newer.truncate(at + 1);
            wanted.insert(end);
        }
    }
    if let Some(first) = resumed {
        plan.resume(first, &newer, &wanted);
    } else {
        plan.token = TokenUse::of(source.state, held, token);
        plan.go_on(&newer, &wanted);
    }
    if let Some(replica) = replica
        && let Some(cause) = cause::taken(&plan.streams, replica.state)
    {
        return plan.diverged(source, replica, cause);
    }
    plan
}

/// Another destination's bookmark of the same snapshot goes when that one's job sweeps, maybe before the stream begins.
fn prefer_own_cursor(mut base: Base, wish: &Wish, source: &State) -> Base {
    let guid = base.guid;
    if let (Mark::Bookmark(name), Some(root)) = (&mut base.mark, wish.root)
        && let mut own = source.cursors_of(wish.prefix, root)
        && let Some(cursor) = own.find(|bookmark| bookmark.guid == guid)
    {
        *name = cursor.name.to_string();
    }
    base
}

impl Plan {
    fn empty(base: Option<Base>, raw: bool) -> Plan {
        Plan {
            kind: Kind::UpToDate,
            base,
            raw,
            streams: Vec::new(),
            token: TokenUse::None,
            has_more: false,
            divergence: None,
            why: String::new(),
        }
    }

    /// From the base to the newest snapshot, or from nothing.
    fn go_on(&mut self, newer: &[&Snapshot], wanted: &HashSet<u64>) {
        let mark = self.base.as_ref().map(|base| &base.mark);
        let streams = fewest_streams(newer, wanted, mark);
        (self.kind, self.why) = match (mark, streams.is_empty()) {
            (None, true) => {
                let why = "the source has no snapshot of zam's yet";
                (Kind::UpToDate, why.into())
            }
            (None, false) => (Kind::Full, "the destination has none of it yet".into()),
            (Some(mark), true) => (Kind::UpToDate, format!("it has {mark}, the newest")),
            (Some(mark), false) => {
                let why = format!("{mark} is the newest that both sides have");
                (Kind::Incremental, why)
            }
        };
        self.streams = streams;
        if self.token == TokenUse::Foreign {
            self.why += ", but a resume token of another stream is in the way";
        }
    }

    /// First the rest of a stream that was cut, then on from its end.
    fn resume(&mut self, first: Stream, newer: &[&Snapshot], wanted: &HashSet<u64>) {
        let at = newer.iter().position(|s| s.guid == first.guid);
        let after = &newer[at.map_or(newer.len(), |at| at + 1)..];
        let end = Mark::Snapshot(first.to.clone());
        self.kind = Kind::Resume;
        self.why = "a stream was cut, and its resume token fits".into();
        self.streams = vec![first];
        self.streams
            .extend(fewest_streams(after, wanted, Some(&end)));
    }

    /// Nothing is sent, and no token is touched.
    fn diverged(self, source: &Side, replica: &Side, cause: Cause) -> Plan {
        let divergence = Divergence {
            source: source.name.clone(),
            replica: replica.name.clone(),
            cause,
        };
        Plan {
            kind: Kind::Diverged,
            streams: Vec::new(),
            token: TokenUse::None,
            has_more: false,
            why: divergence.to_string(),
            divergence: Some(divergence),
            ..self
        }
    }
}

/// The snapshots of the source and of the replica of which a plan must know more than SKIM_COLUMNS tell. Of the replica
/// these are the snapshots after the base. If windows choose, they are also those of the source after the base, and those
/// of the replica from its newest of ours on.
pub fn to_look_at<'s>(
    prefix: &Prefix,
    windows: &[Window],
    source: &'s State,
    replica: Option<&'s State>,
) -> [&'s [Snapshot]; 2] {
    let there = replica.map_or(&[][..], |replica| &replica.snapshots);
    let (base, base_txg) = match Base::find(source, there) {
        Some((at, base)) => (Some(at), base.createtxg),
        None => (None, 0),
    };
    if windows.is_empty() {
        return [&[], &there[base.map_or(0, |base| base + 1)..]];
    }
    let newer = source
        .snapshots
        .partition_point(|s| s.createtxg <= base_txg);
    let newest = there.iter().rposition(|s| prefix.owns_snapshot(&s.name));
    let from = match (base, newest) {
        (Some(base), Some(newest)) => base.min(newest),
        (at, None) | (None, at) => at.unwrap_or(0),
    };
    [&source.snapshots[newer..], &there[from..]]
}
