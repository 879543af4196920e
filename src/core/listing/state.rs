//! One dataset as a listing shows it, with its snapshots and bookmarks in their order.

use std::collections::{BTreeMap, HashSet};

use crate::core::name::{Dataset, Prefix, destination_id};
use crate::core::span::Epoch;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What follows the `@`.
    pub name: Box<str>,
    pub guid: u64,
    pub createtxg: u64,
    /// 0 in a listing by SKIM_COLUMNS.
    pub creation: Epoch,
    /// Bytes written between the snapshot before and this one.
    pub written: u64,
    pub held: bool,
    pub cloned: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// What follows the `#`.
    pub name: Box<str>,
    /// The GUID and the createtxg are those of the snapshot from which it was made.
    pub guid: u64,
    pub createtxg: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// 0: the listing has no row of the dataset itself.
    pub guid: u64,
    /// When the dataset was made; 0 in a listing by SKIM_COLUMNS.
    pub creation: Epoch,
    pub volume: bool,
    /// None: not encrypted. A replica that was received raw is its own root (its parents were sent without it).
    pub encryption_root: Option<String>,
    /// Bytes written since the newest snapshot.
    pub written: u64,
    pub resume_token: Option<String>,
    pub writable: bool,
    /// Oldest first.
    pub snapshots: Vec<Snapshot>,
    pub bookmarks: Vec<Bookmark>,
}

/// Datasets by name; a parent comes before its children.
pub type Tree = BTreeMap<Dataset, State>;

impl State {
    pub fn snapshot(&self, guid: u64) -> Option<&Snapshot> {
        self.snapshots.iter().find(|s| s.guid == guid)
    }

    pub fn bookmark(&self, guid: u64) -> Option<&Bookmark> {
        self.bookmarks.iter().find(|b| b.guid == guid)
    }

    /// The GUIDs of its snapshots and bookmarks.
    pub fn guids(&self) -> HashSet<u64> {
        let mut guids: HashSet<u64> = self.snapshots.iter().map(|s| s.guid).collect();
        guids.extend(self.bookmarks.iter().map(|b| b.guid));
        guids
    }

    /// The snapshots of ours, oldest first.
    pub fn owned(&self, prefix: &Prefix) -> impl DoubleEndedIterator<Item = &Snapshot> + Clone {
        self.snapshots
            .iter()
            .filter(|s| prefix.owns_snapshot(&s.name))
    }

    /// The bookmarks of the destination whose root dataset has the GUID `root`.
    pub fn cursors_of(&self, prefix: &Prefix, root: u64) -> impl Iterator<Item = &Bookmark> {
        let id = destination_id(root);
        self.bookmarks
            .iter()
            .filter(move |b| prefix.owns_bookmark(&b.name, b.guid) == Some(id))
    }

    /// Sorts snapshots and bookmarks, oldest first, and drops rows that came twice: the second of a pair could be taken
    /// for another snapshot, and be destroyed.
    ///
    /// # Errors
    /// One name has two GUIDs, or one snapshot two names; returned is the name, with its `@` or `#`.
    pub(super) fn set_in_order(&mut self) -> Result<(), String> {
        let State {
            snapshots,
            bookmarks,
            ..
        } = self;
        snapshots.sort_by(|a, b| (a.createtxg, &a.name).cmp(&(b.createtxg, &b.name)));
        snapshots.dedup_by(|a, b| a.guid == b.guid && a.name == b.name);
        bookmarks.sort_by(|a, b| (a.createtxg, &a.name).cmp(&(b.createtxg, &b.name)));
        bookmarks.dedup();
        let names = snapshots.iter().map(|s| &*s.name).collect();
        if let Some(name) = doubled(names) {
            return Err(format!("@{name}"));
        }
        let guids = snapshots.iter().map(|s| s.guid).collect();
        if let Some(guid) = doubled(guids) {
            return Err(format!("@{}", self.snapshot(guid).map_or("", |s| &s.name)));
        }
        let names = self.bookmarks.iter().map(|b| &*b.name).collect();
        match doubled(names) {
            Some(name) => Err(format!("#{name}")),
            None => Ok(()),
        }
    }
}

/// The first that is there twice.
fn doubled<T: Ord + Copy>(mut all: Vec<T>) -> Option<T> {
    all.sort_unstable();
    let pair = all.windows(2).find(|pair| pair[0] == pair[1])?;
    Some(pair[0])
}
