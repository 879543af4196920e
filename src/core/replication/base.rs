//! The incremental base: the newest snapshot that both sides have. Matches by GUID and orders by createtxg (invariant 5).

use std::fmt;

use crate::core::listing::{Snapshot, State};

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

/// The newest snapshot that both sides have, as the source knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub mark: Mark,
    pub guid: u64,
    pub createtxg: u64,
}

impl Base {
    /// The source's snapshot with this GUID, or else its bookmark of it.
    pub(super) fn of(source: &State, guid: u64) -> Option<Base> {
        let (mark, createtxg) = if let Some(s) = source.snapshot(guid) {
            (Mark::Snapshot(s.name.to_string()), s.createtxg)
        } else {
            let b = source.bookmark(guid)?;
            (Mark::Bookmark(b.name.to_string()), b.createtxg)
        };
        Some(Base {
            mark,
            guid,
            createtxg,
        })
    }

    /// The base, and its index among the replica's snapshots. It is the newest of them that the source has too, or of which
    /// it has a bookmark.
    pub(super) fn find(source: &State, replica: &[Snapshot]) -> Option<(usize, Base)> {
        // It is nearly always the last, and to look that one up needs no set of all GUIDs.
        let last = replica.last()?;
        if let Some(base) = Base::of(source, last.guid) {
            return Some((replica.len() - 1, base));
        }
        let known = source.guids();
        let at = replica.iter().rposition(|s| known.contains(&s.guid))?;
        Some((at, Base::of(source, replica[at].guid)?))
    }
}
