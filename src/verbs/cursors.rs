//! A destination's bookmarks on one source dataset. They stand in for the snapshots that pruning takes, and tell it what
//! is still on its way: one at rest, two or more while a transfer is unconfirmed.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::core::listing::State;
use crate::core::name::{Dataset, Prefix, destination_id};
use crate::core::replication::{Mark, Plan, Stream};
use crate::edge::command::Machine;
use crate::edge::zfs;

pub(super) struct Cursors<'c> {
    machine: &'c Machine,
    dataset: &'c Dataset,
    prefix: &'c Prefix,
    /// The GUID of the destination's root.
    root: u64,
    names: BTreeSet<String>,
}

impl<'c> Cursors<'c> {
    pub(super) fn of(machine: &'c Machine, dataset: &'c Dataset, state: &State, prefix: &'c Prefix, root: u64) -> Self {
        let ours = Some(destination_id(root));
        let owned = state.bookmarks.iter().filter(|b| prefix.owns_bookmark(&b.name, b.guid) == ours);
        Cursors { machine, dataset, prefix, root, names: owned.map(|b| b.name.to_string()).collect() }
    }

    /// The start of a way and its end: pruning keeps what lies between, however long it takes.
    pub(super) fn mark_way(&mut self, plan: &Plan) -> Result<()> {
        let (first, last) = (plan.streams.first(), plan.streams.last());
        match (&plan.base, first) {
            (Some(base), _) => self.mark(&base.mark, base.guid)?,
            (None, Some(first)) => self.mark_end_of(first)?,
            (None, None) => {}
        }
        last.map_or(Ok(()), |last| self.mark_end_of(last))?;
        // As long as nothing has arrived, no earlier way is needed: of runs that only wait none may be left.
        match (&plan.base, first, last) {
            (None, Some(first), Some(last)) => self.keep_only(&[first.guid, last.guid]),
            _ => Ok(()),
        }
    }

    pub(super) fn mark_end_of(&mut self, stream: &Stream) -> Result<()> {
        self.mark(&Mark::Snapshot(stream.to.clone()), stream.guid)
    }

    fn mark(&mut self, mark: &Mark, guid: u64) -> Result<()> {
        let name = self.prefix.bookmark(self.root, guid);
        if !self.names.contains(&name) {
            zfs::bookmark(self.machine, self.dataset, mark, &name)?;
            self.names.insert(name);
        }
        Ok(())
    }

    /// Destroys all but those of the snapshots with these GUIDs.
    pub(super) fn keep_only(&mut self, guids: &[u64]) -> Result<()> {
        let keep: Vec<String> = guids.iter().map(|guid| self.prefix.bookmark(self.root, *guid)).collect();
        let go: Vec<String> = self.names.iter().filter(|name| !keep.contains(name)).cloned().collect();
        for name in go {
            zfs::destroy_bookmark(self.machine, self.dataset, &name)?;
            self.names.remove(&name);
        }
        Ok(())
    }
}
