//! The cursors on a source: bookmarks that say what each destination was given. What pruning learns from them, and which of
//! them another copy of a replica still needs.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use crate::core::listing::{Bookmark, State};
use crate::core::name::Prefix;
use crate::core::replication::base::Base;
use crate::core::replication::streams::Wish;

/// Whether a look at GUIDs alone (SKIM_COLUMNS) shows that nothing is to be done: the replica ends with the source's
/// newest snapshot of ours, nothing was cut or written there, and the one cursor of the destination, by the GUID of its
/// `root`, stands on it.
pub fn is_at_rest(prefix: &Prefix, root: u64, source: &State, replica: &State) -> bool {
    let Some(newest) = source.owned(prefix).next_back() else {
        return false;
    };
    let cursors = source.cursors_of(prefix, root).map(|b| b.guid);
    replica.snapshots.last().map(|s| s.guid) == Some(newest.guid)
        && replica.resume_token.is_none()
        && replica.written == 0
        && cursors.eq([newest.guid])
}

/// The ranges of createtxg in which some destination's newest snapshot may lie. A destination that has two cursors or more
/// has an unconfirmed transfer, and everything from the oldest to the newest of them is still needed.
pub fn unconfirmed(prefix: &Prefix, source: &State) -> Vec<RangeInclusive<u64>> {
    let mut cursors: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for bookmark in &source.bookmarks {
        if let Some(id) = prefix.owns_bookmark(&bookmark.name, bookmark.guid) {
            cursors.entry(id).or_default().push(bookmark.createtxg);
        }
    }
    let mut ranges = Vec::new();
    for mut txgs in cursors.into_values() {
        txgs.sort_unstable();
        if let [oldest, .., newest] = txgs[..] {
            ranges.push(oldest..=newest);
        }
    }
    ranges
}

/// The GUID of the snapshot at which a plan ends while a transfer to the destination is unconfirmed: the newest of its
/// cursors that is still a snapshot of ours. Each run that fails would otherwise mark a newer end, and pruning would keep
/// more and more.
pub(super) fn end_of_unconfirmed(wish: &Wish, source: &State) -> Option<u64> {
    let cursors = source.cursors_of(wish.prefix, wish.root?);
    let cursors: HashSet<u64> = cursors.map(|b| b.guid).collect();
    if cursors.len() < 2 {
        return None;
    }
    let mut ours = source.owned(wish.prefix);
    let newest = ours.rfind(|s| cursors.contains(&s.guid))?;
    Some(newest.guid)
}

/// The createtxg of the newest bookmark of each destination, by its ID.
pub fn newest_cursors(prefix: &Prefix, source: &State) -> BTreeMap<u32, u64> {
    let mut newest = BTreeMap::new();
    for bookmark in &source.bookmarks {
        if let Some(id) = prefix.owns_bookmark(&bookmark.name, bookmark.guid) {
            let createtxg = newest.entry(id).or_default();
            *createtxg = bookmark.createtxg.max(*createtxg);
        }
    }
    newest
}

/// The cursors, of the destination whose root has the GUID `root`, that this replica was never given: all of them are
/// newer than its end. Either somebody rolled it back, or it is another copy of the one that was continued (half of a
/// split mirror has the same GUIDs), and that one still needs them.
pub fn never_given<'s>(
    prefix: &Prefix,
    root: u64,
    source: &'s State,
    base: &Base,
) -> Vec<&'s Bookmark> {
    let cursors: Vec<&Bookmark> = source.cursors_of(prefix, root).collect();
    if cursors.iter().all(|b| b.createtxg > base.createtxg) {
        cursors
    } else {
        Vec::new()
    }
}

/// The name under which a cursor is kept for another copy of a replica. It has the form of a destination that nobody has,
/// one for each snapshot, so that it holds back no pruning.
pub fn set_aside(prefix: &Prefix, root: u64, guid: u64) -> String {
    prefix.bookmark(!(root ^ guid ^ guid.rotate_left(32)), guid)
}
