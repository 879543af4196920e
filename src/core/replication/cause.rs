//! Why a replica cannot be continued, if it cannot: looked for before anything is planned, and in what was planned.

use std::collections::BTreeSet;

use crate::core::divergence::{Cause, Ends};
use crate::core::listing::{Snapshot, State};
use crate::core::name::Prefix;
use crate::core::replication::streams::{Side, Stream, Wish};

/// The cause that forbids to continue the replica from its snapshot number `base`, the newest in common. That must be the
/// replica's newest, but for foreign snapshots that changed nothing, which a plain stream passes over.
pub(super) fn find(
    wish: &Wish,
    source: &Side,
    replica: &Side,
    base: Option<usize>,
    raw: bool,
) -> Option<Cause> {
    let Some(base) = base else {
        return without_base(wish.prefix, source.state, replica.state, raw);
    };
    let (until_base, foreign) = replica.state.snapshots.split_at(base + 1);
    let common = until_base[base].name.to_string();
    if foreign.iter().any(|s| s.written > 0) || raw && !foreign.is_empty() {
        return Some(Cause::ForeignSnapshots {
            common,
            foreign: foreign.iter().map(|s| s.name.to_string()).collect(),
        });
    }
    match replica.state.written {
        0 => mixed_kinds(wish, source, replica),
        bytes => {
            let newest = replica.state.snapshots.last()?.name.to_string();
            Some(Cause::Written { newest, bytes })
        }
    }
}

fn without_base(prefix: &Prefix, source: &State, replica: &State, raw: bool) -> Option<Cause> {
    match replica.snapshots.last() {
        // A first stream was cut.
        None if replica.resume_token.is_some() => None,
        // Neither holds anything but what is below it.
        None if source.owned(prefix).next().is_none() => None,
        _ if source.volume != replica.volume => Some(Cause::WrongType {
            is_source_volume: source.volume,
        }),
        Some(newest) => Some(no_common(prefix, source, newest)),
        None => Some(Cause::NoSnapshots {
            is_encrypted: raw || replica.encryption_root.is_some(),
        }),
    }
}

fn no_common(prefix: &Prefix, source: &State, newest: &Snapshot) -> Cause {
    let ends = source.snapshots.first().zip(source.snapshots.last());
    let mut bookmarks = source.bookmarks.iter();
    Cause::NoCommon {
        of_source: ends.map(|(oldest, newest)| Ends {
            oldest: oldest.name.to_string(),
            newest: newest.name.to_string(),
        }),
        newest: newest.name.to_string(),
        has_cursor: bookmarks.any(|b| prefix.owns_bookmark(&b.name, b.guid).is_some()),
    }
}

/// A replica that was received raw is its own encryption root, and only a raw stream continues it.
fn mixed_kinds(wish: &Wish, source: &Side, replica: &Side) -> Option<Cause> {
    let was_raw = replica.state.encryption_root.as_deref() == Some(&*replica.name);
    let is_encrypted = source.state.encryption_root.is_some();
    (is_encrypted && was_raw == wish.decrypt).then_some(Cause::MixedKinds { was_raw })
}

/// The names to be sent that the replica has already, with another GUID: ZFS would refuse the stream.
pub(super) fn taken(streams: &[Stream], replica: &State) -> Option<Cause> {
    let sent: BTreeSet<&String> = streams.iter().flat_map(|s| &s.snapshots).collect();
    let mut taken = Vec::new();
    for snapshot in &replica.snapshots {
        let name = snapshot.name.to_string();
        if sent.contains(&name) {
            taken.push(name);
        }
    }
    (!taken.is_empty()).then_some(Cause::TakenNames { taken })
}
