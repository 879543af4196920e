//! A destination's bookmarks on one source dataset. They stand in for the snapshots that pruning takes, and tell it what
//! is still on its way: one at rest, two or more while a transfer is unconfirmed. One that was there when the run began
//! goes only once a stream has arrived that makes up for it (invariant 2).

use std::collections::BTreeSet;

use anyhow::Result;

use crate::core::listing::State;
use crate::core::name::{Dataset, Prefix, destination_id};
use crate::core::replication::{Base, Mark, Plan, Stream, TokenUse, never_given, set_aside};
use crate::edge::command::Machine;
use crate::edge::zfs;

pub(super) struct Cursors<'c> {
    machine: &'c Machine,
    dataset: &'c Dataset,
    state: &'c State,
    prefix: &'c Prefix,
    /// The GUID of the destination's root.
    root: u64,
    names: BTreeSet<String>,
    /// Those of `names` that this run has made.
    made: BTreeSet<String>,
    /// This replica is another copy than the one that was given most.
    is_other_copy: bool,
    /// The pool of the source cannot be written to, so that nothing can be marked, and nothing is destroyed.
    pub(super) is_read_only: bool,
}

impl<'c> Cursors<'c> {
    pub(super) fn of(
        machine: &'c Machine,
        dataset: &'c Dataset,
        state: &'c State,
        prefix: &'c Prefix,
        root: u64,
    ) -> Self {
        let ours = Some(destination_id(root));
        let owned = state
            .bookmarks
            .iter()
            .filter(|b| prefix.owns_bookmark(&b.name, b.guid) == ours);
        let names = owned.map(|b| b.name.to_string()).collect();
        Cursors {
            machine,
            dataset,
            state,
            prefix,
            root,
            names,
            made: BTreeSet::new(),
            is_other_copy: false,
            is_read_only: false,
        }
    }

    /// The first of those that were there when the run began.
    pub(super) fn first(&self) -> Option<&str> {
        self.names.difference(&self.made).next().map(String::as_str)
    }

    /// The start of a way and its end: pruning keeps what lies between, however long it takes. Where there is no way,
    /// the newest in common alone, so that what mends it works tomorrow too.
    pub(super) fn mark_way(&mut self, plan: &Plan) -> Result<()> {
        let (first, last) = (plan.streams.first(), plan.streams.last());
        match (&plan.base, first) {
            (Some(base), _) => self.mark(&base.mark, base.guid)?,
            (None, Some(first)) if plan.token != TokenUse::Foreign => self.mark_end_of(first)?,
            (None, _) => {}
        }
        last.filter(|_| plan.token != TokenUse::Foreign)
            .map_or(Ok(()), |last| self.mark_end_of(last))
    }

    pub(super) fn mark_end_of(&mut self, stream: &Stream) -> Result<()> {
        self.mark(&Mark::Snapshot(stream.to.clone()), stream.guid)
    }

    fn mark(&mut self, mark: &Mark, guid: u64) -> Result<()> {
        let name = self.prefix.bookmark(self.root, guid);
        if !self.names.contains(&name) && self.bookmark(mark, &name)? {
            self.made.insert(name.clone());
            self.names.insert(name);
        }
        Ok(())
    }

    /// Whether it could be made.
    fn bookmark(&mut self, mark: &Mark, name: &str) -> Result<bool> {
        if self.is_read_only {
            return Ok(false);
        }
        match zfs::bookmark(self.machine, self.dataset, mark, name) {
            Err(error) if zfs::is_read_only(&error) => self.is_read_only = true,
            made => made?,
        }
        Ok(!self.is_read_only)
    }

    /// Keeps for another copy of the replica what this one was never given. Returns what to destroy where there is no
    /// other copy.
    pub(super) fn set_aside(&mut self, base: &Base) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for cursor in never_given(self.prefix, self.root, self.state, base) {
            self.is_other_copy = true;
            let name = set_aside(self.prefix, self.root, cursor.guid);
            let is_new = self.state.bookmarks.iter().all(|b| *b.name != *name);
            if is_new && self.bookmark(&Mark::Bookmark(cursor.name.to_string()), &name)? {
                names.push(format!("{}#{name}", self.dataset));
            }
        }
        Ok(names)
    }

    /// The copy is back for which this was kept, and has been given more.
    pub(super) fn drop_what_was_set_aside(&mut self, base: &Base) -> Result<()> {
        let name = set_aside(self.prefix, self.root, base.guid);
        let is_back = self.is_other_copy && self.state.bookmarks.iter().any(|b| *b.name == *name);
        if is_back { self.destroy(&name) } else { Ok(()) }
    }

    /// Destroys all but those of the snapshots with these GUIDs.
    pub(super) fn keep_only(&mut self, guids: &[u64]) -> Result<()> {
        let keep: Vec<String> = guids
            .iter()
            .map(|guid| self.prefix.bookmark(self.root, *guid))
            .collect();
        let go: Vec<String> = self
            .names
            .iter()
            .filter(|name| !keep.contains(name))
            .cloned()
            .collect();
        go.iter().try_for_each(|name| self.destroy(name))
    }

    /// Destroys what this run has made, but for the mark of `base`.
    pub(super) fn unmark(&mut self, base: Option<u64>) -> Result<()> {
        let base = base.map(|guid| self.prefix.bookmark(self.root, guid));
        let made = std::mem::take(&mut self.made);
        made.iter()
            .filter(|name| Some(*name) != base.as_ref())
            .try_for_each(|name| self.destroy(name))
    }

    fn destroy(&mut self, name: &str) -> Result<()> {
        if self.is_read_only {
            return Ok(());
        }
        match zfs::destroy_bookmark(self.machine, self.dataset, name) {
            Err(error) if zfs::is_read_only(&error) => self.is_read_only = true,
            destroyed => destroyed?,
        }
        self.names.remove(name);
        Ok(())
    }
}
