//! What brings one replica up to date: the common base, the fewest streams from there, or why there is no way. Pure:
//! both sides' listings in, a plan with its reasons out. Matches by GUID and orders by createtxg (invariant 5); never
//! plans anything that would need `receive -F` (invariant 4).

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::RangeInclusive;

use super::config::Window;
use super::listing::{Snapshot, State};
use super::name::{Prefix, destination_id};
use super::retention;

/// Where an incremental stream starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    Snapshot(String),
    Bookmark(String),
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Mark::Snapshot(name) => write!(f, "@{name}"),
            Mark::Bookmark(name) => write!(f, "#{name}"),
        }
    }
}

/// The newest that both sides have, as the source calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub mark: Mark,
    pub guid: u64,
    pub createtxg: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// None: a full stream.
    pub from: Option<Mark>,
    /// The name of its last snapshot, and that snapshot's GUID.
    pub to: String,
    pub guid: u64,
    /// `-I`: what lies between comes along.
    pub intermediates: bool,
    /// What it brings, oldest first.
    pub snapshots: Vec<String>,
}

/// What a resume token says, as `zfs send -nvPt` decodes it. The name in it proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    pub toguid: u64,
    pub fromguid: Option<u64>,
    pub raw: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    UpToDate,
    Incremental,
    Full,
    /// The first stream is what is left of one that was cut.
    Resume,
    Diverged,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub kind: Kind,
    pub base: Option<Base>,
    pub raw: bool,
    pub streams: Vec<Stream>,
    /// A token that fits nothing blocks every other receive, so it has to go first.
    pub discard_token: bool,
    /// One line for people: why this base; or what is wrong, and the command that would mend it.
    pub why: String,
}

pub struct Side<'s> {
    pub name: String,
    pub state: &'s State,
}

pub struct Wish<'w> {
    pub prefix: &'w Prefix,
    /// Empty: every owned snapshot is wanted.
    pub windows: &'w [Window],
    pub decrypt: bool,
    /// Epoch seconds.
    pub now: i64,
}

/// The plan for one dataset. `token` is what the replica's resume token says, if it has one and it could be decoded.
pub fn plan(wish: &Wish, source: &Side, replica: Option<&Side>, token: Option<&Token>) -> Plan {
    let raw = source.state.encryption_root.is_some() && !wish.decrypt;
    let idle = Plan { kind: Kind::UpToDate, base: None, raw, streams: Vec::new(), discard_token: false, why: String::new() };
    let base = match replica.map(|replica| find_base(source, replica, raw, wish.decrypt)).transpose() {
        Ok(base) => base.flatten(),
        Err(why) => return Plan { kind: Kind::Diverged, why, ..idle },
    };
    let newer = newer(source.state, base.as_ref());
    let held = replica.map(|replica| replica.state);
    let resumed = token.zip(held).and_then(|(token, held)| resumed(wish, token, raw, &newer, base.as_ref(), held));
    if let Some(first) = resumed {
        let rest: Vec<&Snapshot> = newer.iter().copied().skip_while(|s| s.guid != first.guid).skip(1).collect();
        let rest = streams(&rest, &wanted(wish, held, &newer), Some(&Mark::Snapshot(first.to.clone())));
        let why = "a stream was cut, and its resume token fits".into();
        return Plan { kind: Kind::Resume, base, streams: [vec![first], rest].concat(), why, ..idle };
    }
    let streams = streams(&newer, &wanted(wish, held, &newer), base.as_ref().map(|base| &base.mark));
    let (kind, why) = match &base {
        None if streams.is_empty() => (Kind::UpToDate, "the source has no snapshot of zam's yet".into()),
        None => (Kind::Full, "the destination has none of it yet".into()),
        Some(base) if streams.is_empty() => (Kind::UpToDate, format!("it has {}, the newest", base.mark)),
        Some(base) => (Kind::Incremental, format!("{} is the newest that both sides have", base.mark)),
    };
    let discard_token = held.is_some_and(|replica| replica.resume_token.is_some());
    Plan { kind, base, streams, discard_token, why, ..idle }
}

/// The newest snapshot of the replica that the source has too, or a bookmark of. It must be the replica's newest, but
/// for foreign snapshots that changed nothing, which a plain stream passes over.
///
/// # Errors
/// The two sides diverged.
fn find_base(source: &Side, replica: &Side, raw: bool, decrypt: bool) -> Result<Option<Base>, String> {
    let name = &replica.name;
    let snapshots = &replica.state.snapshots;
    let found = snapshots.iter().enumerate().rev().find_map(|(at, s)| Some((at, common(source.state, s.guid)?)));
    let Some((at, base)) = found else {
        return match (snapshots.last(), &replica.state.resume_token) {
            (Some(newest), _) => Err(no_common(source, name, newest)),
            (None, Some(_)) => Ok(None),
            (None, None) => Err(format!(
                "{name} exists and holds no snapshot, so that a first stream cannot be received into it. If nothing was ever \
                 written to it (what lies below it is not touched): zfs send -Lc{} {}@FIRST | zfs receive -F -u -o readonly=on {name}, \
                 with the oldest snapshot of zam's as FIRST; otherwise give the destination another root",
                if raw { "w" } else { "" },
                source.name
            )),
        };
    };
    let mend = format!(
        "zfs rollback -r {name}@{} (or keep it, and begin again beside it: zfs rename {name} {name}-old)",
        snapshots[at].name
    );
    let foreign = &snapshots[at + 1..];
    if foreign.iter().any(|s| s.written > 0) || raw && !foreign.is_empty() {
        let names: Vec<&str> = foreign.iter().map(|s| &*s.name).collect();
        return Err(format!(
            "{name} has snapshots that {} has not ({}), newer than the newest in common, @{}; to give them up: {mend}",
            source.name,
            names.join(", "),
            snapshots[at].name
        ));
    }
    if replica.state.written > 0 {
        let written = replica.state.written;
        return Err(format!(
            "{name} was written to since its newest snapshot, or a newer snapshot of it was destroyed ({written} bytes); to give \
             that up: {mend}"
        ));
    }
    let received_raw = replica.state.encryption_root.as_deref() == Some(name);
    match (source.state.encryption_root.is_some(), received_raw, decrypt) {
        (true, true, true) => Err(format!(
            "{name} was received raw, and `decrypt: true` would mix the kinds; take the setting back, or choose another root"
        )),
        (true, false, false) => Err(format!(
            "{name} was received decrypted (or its key was changed to inherit), and a raw stream would mix the kinds; if \
             `decrypt: true` was set before, set it again, otherwise choose another root"
        )),
        _ => Ok(Some(base)),
    }
}

fn common(source: &State, guid: u64) -> Option<Base> {
    let snapshot = source.snapshot(guid).map(|s| (Mark::Snapshot(s.name.to_string()), s.createtxg));
    let bookmark = || source.bookmark(guid).map(|b| (Mark::Bookmark(b.name.to_string()), b.createtxg));
    snapshot.or_else(bookmark).map(|(mark, createtxg)| Base { mark, guid, createtxg })
}

fn no_common(source: &Side, name: &str, newest: &Snapshot) -> String {
    let of_source = match (source.state.snapshots.first(), source.state.snapshots.last()) {
        (Some(first), Some(last)) => format!("@{} to @{}", first.name, last.name),
        _ => "no snapshot".into(),
    };
    format!(
        "{name} (newest @{}) and {} ({of_source}) have no snapshot in common, nor a bookmark of one; nothing was changed. \
         To begin again beside it: zfs rename {name} {name}-old",
        newest.name, source.name
    )
}

/// The source's snapshots after the base, owned or not, oldest first.
fn newer<'s>(source: &'s State, base: Option<&Base>) -> Vec<&'s Snapshot> {
    source.snapshots.iter().filter(|s| base.is_none_or(|base| s.createtxg > base.createtxg)).collect()
}

/// Of `newer`, what the destination's windows would keep beside what it has already, and the newest: their GUIDs. Of
/// what it has the newest decides: where an older one has a bucket in common with a new one, so has that.
fn wanted(wish: &Wish, replica: Option<&State>, newer: &[&Snapshot]) -> HashSet<u64> {
    let owned = |s: &&Snapshot| wish.prefix.owns_snapshot(&s.name);
    let old: Vec<&Snapshot> = replica.and_then(|r| r.snapshots.iter().rfind(owned)).into_iter().collect();
    let new: Vec<&Snapshot> = newer.iter().copied().filter(owned).collect();
    let windows = retention::wanted(&[old.as_slice(), &new].concat(), wish.windows, wish.now);
    let kept = new.iter().zip(&windows[old.len()..]).filter(|(_, windows)| wish.windows.is_empty() || !windows.is_empty());
    kept.map(|(s, _)| s.guid).chain(new.last().map(|s| s.guid)).collect()
}

/// The fewest streams: one `-I` for each run of wanted neighbours, one `-i` over each gap. A bookmark gives only `-i`
/// (zfs-send(8)).
fn streams(newer: &[&Snapshot], wanted: &HashSet<u64>, base: Option<&Mark>) -> Vec<Stream> {
    let (mut streams, mut from, mut rest) = (Vec::new(), base.cloned(), newer);
    while let Some(gap) = rest.iter().position(|s| wanted.contains(&s.guid)) {
        let run = match from {
            Some(Mark::Snapshot(_)) if gap == 0 => rest.iter().take_while(|s| wanted.contains(&s.guid)).count(),
            _ => 1,
        };
        let (part, after) = rest[gap..].split_at(run);
        let stream = stream(from, part);
        from = Some(Mark::Snapshot(stream.to.clone()));
        streams.push(stream);
        rest = after;
    }
    streams
}

fn stream(from: Option<Mark>, part: &[&Snapshot]) -> Stream {
    let last = part[part.len() - 1];
    let snapshots = part.iter().map(|s| s.name.to_string()).collect();
    Stream { from, to: last.name.to_string(), guid: last.guid, intermediates: part.len() > 1, snapshots }
}

/// What is left of the stream that a token stands for, if it continues this replica with a snapshot of ours.
fn resumed(wish: &Wish, token: &Token, raw: bool, newer: &[&Snapshot], base: Option<&Base>, replica: &State) -> Option<Stream> {
    let to = newer.iter().find(|s| s.guid == token.toguid && wish.prefix.owns_snapshot(&s.name))?;
    let continues = token.fromguid == replica.snapshots.last().map(|s| s.guid) && token.raw == raw;
    continues.then(|| stream(base.map(|base| base.mark.clone()), &[to]))
}

/// Whether a look at GUIDs alone (SKIM_COLUMNS) shows that nothing is to be done: the replica ends with the source's
/// newest snapshot of ours, nothing was cut or written there, and the one cursor of the destination, by the GUID of its
/// `root`, stands on it.
pub fn is_at_rest(prefix: &Prefix, root: u64, source: &State, replica: &State) -> bool {
    let newest = source.snapshots.iter().rev().find(|s| prefix.owns_snapshot(&s.name)).map(|s| s.guid);
    let cursors = source.bookmarks.iter().filter(|b| prefix.owns_bookmark(&b.name, b.guid) == Some(destination_id(root)));
    let ends_there = newest.is_some() && replica.snapshots.last().map(|s| s.guid) == newest;
    ends_there && replica.resume_token.is_none() && replica.written == 0 && cursors.map(|b| b.guid).eq(newest)
}

/// The snapshots of both sides of which a plan must know more than SKIM_COLUMNS tell: of the replica's those after the
/// base; and where windows choose, the source's after the base, and the replica's from its newest of ours on.
pub fn to_look_at<'s>(prefix: &Prefix, windows: &[Window], source: &'s State, replica: Option<&'s State>) -> [&'s [Snapshot]; 2] {
    let there = replica.map(|replica| replica.snapshots.as_slice()).unwrap_or_default();
    let base = there.iter().rposition(|s| common(source, s.guid).is_some());
    let after = base.and_then(|at| common(source, there[at].guid)).map_or(0, |base| base.createtxg);
    if windows.is_empty() {
        return [&[], &there[base.map_or(0, |base| base + 1)..]];
    }
    let newest = there.iter().rposition(|s| prefix.owns_snapshot(&s.name));
    [
        &source.snapshots[source.snapshots.partition_point(|s| s.createtxg <= after)..],
        &there[base.into_iter().chain(newest).min().unwrap_or(0)..],
    ]
}

/// The ranges of createtxg in which some destination's newest snapshot may lie: where a destination has two cursors or
/// more, a transfer is unconfirmed, and everything from the oldest to the newest of them is still needed.
pub fn unconfirmed(prefix: &Prefix, source: &State) -> Vec<RangeInclusive<u64>> {
    let mut cursors: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for bookmark in &source.bookmarks {
        if let Some(id) = prefix.owns_bookmark(&bookmark.name, bookmark.guid) {
            cursors.entry(id).or_default().push(bookmark.createtxg);
        }
    }
    let range = |txgs: Vec<u64>| Some(*txgs.iter().min()?..=*txgs.iter().max()?);
    cursors.into_values().filter(|txgs| txgs.len() > 1).filter_map(range).collect()
}
