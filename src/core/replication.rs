//! What brings one replica up to date: the common base, the fewest streams from there, or why there is no way. Pure:
//! both sides' listings in, a plan with its reasons out. Matches by GUID and orders by createtxg (invariant 5); never
//! plans anything that would need `receive -F` (invariant 4).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::ops::RangeInclusive;

use crate::core::config::Window;
use crate::core::divergence::{Cause, Divergence};
use crate::core::listing::{Bookmark, Snapshot, State};
use crate::core::name::{Prefix, destination_id};
use crate::core::retention;

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

/// What becomes of the replica's resume token. As long as there is one, ZFS receives no other stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// There is none, or it is resumed.
    None,
    /// It fits nothing, and is of a stream from this source.
    Discard,
    /// Of a stream from elsewhere, as far as anybody can tell: what it has brought is not ours to give up.
    Foreign,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub kind: Kind,
    /// Of replicas that diverged too: what mends them goes on from there.
    pub base: Option<Base>,
    pub raw: bool,
    pub streams: Vec<Stream>,
    pub token: TokenUse,
    pub divergence: Option<Divergence>,
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
/// Takes time and memory in proportion to the number of snapshots.
pub fn plan(wish: &Wish, source: &Side, replica: Option<&Side>, token: Option<&Token>) -> Plan {
    let raw = source.state.encryption_root.is_some() && !wish.decrypt;
    let common = replica.and_then(|replica| newest_common(source.state, &replica.state.snapshots));
    let (at, base) = common.unzip();
    if let Some(replica) = replica
        && let Some(cause) = what_diverged(wish, source, replica, at, raw)
    {
        return diverged(source, replica, cause, base, raw);
    }
    let newer = newer(source.state, base.as_ref());
    let held = replica.map(|replica| replica.state);
    let plan = match token
        .zip(held)
        .and_then(|(token, held)| resumed(wish, token, raw, &newer, base.as_ref(), held))
    {
        Some(first) => resuming(wish, first, base.clone(), raw, &newer, held),
        None => from_base(
            wish,
            base.clone(),
            raw,
            &newer,
            held,
            token_use(source.state, held, token),
        ),
    };
    if let Some(replica) = replica
        && let Some(cause) = taken(&plan.streams, replica.state)
    {
        return diverged(source, replica, cause, base, raw);
    }
    plan
}

fn resuming(
    wish: &Wish,
    first: Stream,
    base: Option<Base>,
    raw: bool,
    newer: &[&Snapshot],
    held: Option<&State>,
) -> Plan {
    let rest: Vec<&Snapshot> = newer
        .iter()
        .copied()
        .skip_while(|s| s.guid != first.guid)
        .skip(1)
        .collect();
    let rest = streams(
        &rest,
        &wanted(wish, held, newer),
        Some(&Mark::Snapshot(first.to.clone())),
    );
    let why = "a stream was cut, and its resume token fits".into();
    let streams = [vec![first], rest].concat();
    Plan {
        kind: Kind::Resume,
        base,
        raw,
        streams,
        token: TokenUse::None,
        divergence: None,
        why,
    }
}

fn from_base(
    wish: &Wish,
    base: Option<Base>,
    raw: bool,
    newer: &[&Snapshot],
    held: Option<&State>,
    token: TokenUse,
) -> Plan {
    let streams = streams(
        newer,
        &wanted(wish, held, newer),
        base.as_ref().map(|base| &base.mark),
    );
    let (kind, why) = match &base {
        None if streams.is_empty() => (
            Kind::UpToDate,
            "the source has no snapshot of zam's yet".into(),
        ),
        None => (Kind::Full, "the destination has none of it yet".into()),
        Some(base) if streams.is_empty() => {
            (Kind::UpToDate, format!("it has {}, the newest", base.mark))
        }
        Some(base) => (
            Kind::Incremental,
            format!("{} is the newest that both sides have", base.mark),
        ),
    };
    let why = if token == TokenUse::Foreign {
        format!("{why}, but a resume token of another stream is in the way")
    } else {
        why
    };
    Plan {
        kind,
        base,
        raw,
        streams,
        token,
        divergence: None,
        why,
    }
}

fn diverged(source: &Side, replica: &Side, cause: Cause, base: Option<Base>, raw: bool) -> Plan {
    let divergence = Divergence {
        source: source.name.clone(),
        replica: replica.name.clone(),
        cause,
    };
    let why = divergence.to_string();
    let (kind, token) = (Kind::Diverged, TokenUse::None);
    Plan {
        kind,
        base,
        raw,
        streams: Vec::new(),
        token,
        divergence: Some(divergence),
        why,
    }
}

/// The newest snapshot of `there` that the source has too, or a bookmark of: where it stands, and what the source calls
/// it.
fn newest_common(source: &State, there: &[Snapshot]) -> Option<(usize, Base)> {
    // Nearly always it is the last.
    if let Some(base) = there.last().and_then(|last| common(source, last.guid)) {
        return Some((there.len() - 1, base));
    }
    let snapshots = source.snapshots.iter().map(|s| s.guid);
    let known: HashSet<u64> = snapshots
        .chain(source.bookmarks.iter().map(|b| b.guid))
        .collect();
    let at = there.iter().rposition(|s| known.contains(&s.guid))?;
    Some((at, common(source, there[at].guid)?))
}

/// What forbids to continue the replica from its snapshot number `at`, the newest in common. That must be its newest,
/// but for foreign snapshots that changed nothing, which a plain stream passes over.
fn what_diverged(
    wish: &Wish,
    source: &Side,
    replica: &Side,
    at: Option<usize>,
    raw: bool,
) -> Option<Cause> {
    let State {
        snapshots,
        resume_token,
        written,
        ..
    } = replica.state;
    let Some(at) = at else {
        return match snapshots.last() {
            // Of a first stream that was cut.
            None if resume_token.is_some() => None,
            _ if source.state.volume != replica.state.volume => Some(Cause::WrongType {
                volume: source.state.volume,
            }),
            Some(newest) => Some(no_common(wish.prefix, source.state, newest)),
            None => Some(Cause::NoSnapshots { raw }),
        };
    };
    let (common, foreign) = (snapshots[at].name.to_string(), &snapshots[at + 1..]);
    if foreign.iter().any(|s| s.written > 0) || raw && !foreign.is_empty() {
        return Some(Cause::ForeignSnapshots {
            common,
            foreign: foreign.iter().map(|s| s.name.to_string()).collect(),
        });
    }
    if *written > 0 {
        return Some(Cause::Written {
            common,
            bytes: *written,
        });
    }
    let was_raw = replica.state.encryption_root.as_deref() == Some(&*replica.name);
    let mixes = source.state.encryption_root.is_some() && was_raw == wish.decrypt;
    mixes.then_some(Cause::MixedKinds { was_raw })
}

fn no_common(prefix: &Prefix, source: &State, newest: &Snapshot) -> Cause {
    let ends = source.snapshots.first().zip(source.snapshots.last());
    Cause::NoCommon {
        of_source: ends.map(|(first, last)| (first.name.to_string(), last.name.to_string())),
        newest: newest.name.to_string(),
        has_cursor: source
            .bookmarks
            .iter()
            .any(|b| prefix.owns_bookmark(&b.name, b.guid).is_some()),
    }
}

/// A name that the replica has already, with another GUID: ZFS would refuse the stream.
fn taken(streams: &[Stream], replica: &State) -> Option<Cause> {
    if streams.is_empty() {
        return None;
    }
    let there: HashSet<&str> = replica.snapshots.iter().map(|s| &*s.name).collect();
    let sent = streams.iter().flat_map(|stream| &stream.snapshots);
    let taken: Vec<String> = sent
        .filter(|name| there.contains(name.as_str()))
        .cloned()
        .collect();
    (!taken.is_empty()).then_some(Cause::TakenNames { taken })
}

/// Of a token that is not resumed. It is ours where the source knows the snapshot that it was to bring: zam makes a
/// bookmark of that before each stream.
fn token_use(source: &State, replica: Option<&State>, token: Option<&Token>) -> TokenUse {
    let is_ours = |token: &Token| common(source, token.toguid).is_some();
    match (
        replica.and_then(|replica| replica.resume_token.as_ref()),
        token,
    ) {
        (None, _) => TokenUse::None,
        (Some(_), Some(token)) if is_ours(token) => TokenUse::Discard,
        (Some(_), _) => TokenUse::Foreign,
    }
}

fn common(source: &State, guid: u64) -> Option<Base> {
    let snapshot = source
        .snapshot(guid)
        .map(|s| (Mark::Snapshot(s.name.to_string()), s.createtxg));
    let bookmark = || {
        source
            .bookmark(guid)
            .map(|b| (Mark::Bookmark(b.name.to_string()), b.createtxg))
    };
    snapshot.or_else(bookmark).map(|(mark, createtxg)| Base {
        mark,
        guid,
        createtxg,
    })
}

/// The source's snapshots after the base, owned or not, oldest first.
fn newer<'s>(source: &'s State, base: Option<&Base>) -> Vec<&'s Snapshot> {
    source
        .snapshots
        .iter()
        .filter(|s| base.is_none_or(|base| s.createtxg > base.createtxg))
        .collect()
}

/// Of `newer`, what the destination's windows would keep beside what it has already, and the newest: their GUIDs. Of
/// what it has the newest decides: where an older one has a bucket in common with a new one, so has that.
fn wanted(wish: &Wish, replica: Option<&State>, newer: &[&Snapshot]) -> HashSet<u64> {
    let owned = |s: &&Snapshot| wish.prefix.owns_snapshot(&s.name);
    let old: Vec<&Snapshot> = replica
        .and_then(|r| r.snapshots.iter().rfind(owned))
        .into_iter()
        .collect();
    let new: Vec<&Snapshot> = newer.iter().copied().filter(owned).collect();
    let windows = retention::wanted(&[old.as_slice(), &new].concat(), wish.windows, wish.now);
    let kept = new
        .iter()
        .zip(&windows[old.len()..])
        .filter(|(_, windows)| wish.windows.is_empty() || !windows.is_empty());
    kept.map(|(s, _)| s.guid)
        .chain(new.last().map(|s| s.guid))
        .collect()
}

/// The fewest streams: one `-I` for each run of wanted neighbours, one `-i` over each gap. A bookmark gives only `-i`
/// (zfs-send(8)).
fn streams(newer: &[&Snapshot], wanted: &HashSet<u64>, base: Option<&Mark>) -> Vec<Stream> {
    let (mut streams, mut from, mut rest) = (Vec::new(), base.cloned(), newer);
    while let Some(gap) = rest.iter().position(|s| wanted.contains(&s.guid)) {
        let run = match from {
            Some(Mark::Snapshot(_)) if gap == 0 => {
                rest.iter().take_while(|s| wanted.contains(&s.guid)).count()
            }
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
    Stream {
        from,
        to: last.name.to_string(),
        guid: last.guid,
        intermediates: part.len() > 1,
        snapshots,
    }
}

/// What is left of the stream that a token stands for, if it continues this replica with a snapshot of ours.
fn resumed(
    wish: &Wish,
    token: &Token,
    raw: bool,
    newer: &[&Snapshot],
    base: Option<&Base>,
    replica: &State,
) -> Option<Stream> {
    let to = newer
        .iter()
        .find(|s| s.guid == token.toguid && wish.prefix.owns_snapshot(&s.name))?;
    let continues = token.fromguid == replica.snapshots.last().map(|s| s.guid) && token.raw == raw;
    continues.then(|| stream(base.map(|base| base.mark.clone()), &[to]))
}

/// Whether a look at GUIDs alone (SKIM_COLUMNS) shows that nothing is to be done: the replica ends with the source's
/// newest snapshot of ours, nothing was cut or written there, and the one cursor of the destination, by the GUID of its
/// `root`, stands on it.
pub fn is_at_rest(prefix: &Prefix, root: u64, source: &State, replica: &State) -> bool {
    let newest = source
        .snapshots
        .iter()
        .rev()
        .find(|s| prefix.owns_snapshot(&s.name))
        .map(|s| s.guid);
    let cursors = source
        .bookmarks
        .iter()
        .filter(|b| prefix.owns_bookmark(&b.name, b.guid) == Some(destination_id(root)));
    let ends_there = newest.is_some() && replica.snapshots.last().map(|s| s.guid) == newest;
    ends_there
        && replica.resume_token.is_none()
        && replica.written == 0
        && cursors.map(|b| b.guid).eq(newest)
}

/// The snapshots of both sides of which a plan must know more than SKIM_COLUMNS tell: of the replica's those after the
/// base; and where windows choose, the source's after the base, and the replica's from its newest of ours on.
pub fn to_look_at<'s>(
    prefix: &Prefix,
    windows: &[Window],
    source: &'s State,
    replica: Option<&'s State>,
) -> [&'s [Snapshot]; 2] {
    let there = replica
        .map(|replica| replica.snapshots.as_slice())
        .unwrap_or_default();
    let (base, after) =
        newest_common(source, there).map_or((None, 0), |(at, base)| (Some(at), base.createtxg));
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
    cursors
        .into_values()
        .filter(|txgs| txgs.len() > 1)
        .filter_map(range)
        .collect()
}

/// How many destinations have a bookmark on the source.
pub fn destinations(prefix: &Prefix, source: &State) -> usize {
    let owned = source
        .bookmarks
        .iter()
        .filter_map(|b| prefix.owns_bookmark(&b.name, b.guid));
    owned.collect::<BTreeSet<u32>>().len()
}

/// The cursors, of the destination whose root has the GUID `root`, that this replica was never given: all of them are
/// newer than what it ends with. Either somebody rolled it back, or it is another copy of the one that was continued
/// (half of a split mirror has the same GUIDs), and that one still needs them.
pub fn never_given<'s>(
    prefix: &Prefix,
    root: u64,
    source: &'s State,
    base: &Base,
) -> Vec<&'s Bookmark> {
    let is_ours =
        |b: &&Bookmark| prefix.owns_bookmark(&b.name, b.guid) == Some(destination_id(root));
    let cursors: Vec<&Bookmark> = source.bookmarks.iter().filter(is_ours).collect();
    if cursors.iter().all(|b| b.createtxg > base.createtxg) {
        cursors
    } else {
        Vec::new()
    }
}

/// The name under which a cursor is kept for another copy of a replica: as of a destination that nobody has, one for each
/// snapshot, so that it holds back no pruning.
pub fn set_aside(prefix: &Prefix, root: u64, guid: u64) -> String {
    prefix.bookmark(!(root ^ guid ^ guid.rotate_left(32)), guid)
}
