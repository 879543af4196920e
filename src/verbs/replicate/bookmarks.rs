//! A destination's bookmarks on one source dataset. They stand in for snapshots that pruning takes, and tell pruning what
//! is still on its way: there is one at rest, and two or more while a transfer is unconfirmed. A bookmark that was there
//! when the run began is destroyed only after a stream has arrived that makes up for it (invariant 2).

use std::collections::BTreeSet;

use anyhow::Result;

use crate::core::listing::State;
use crate::core::name::{Dataset, Prefix};
use crate::core::replication::{Base, Mark, Plan, Stream, TokenUse, never_given, set_aside};
use crate::edge::command::Machine;
use crate::edge::{systemd, zfs};
use crate::verbs::replicate::replication::Replication;

pub(super) struct Bookmarks<'b> {
    machine: &'b Machine,
    dataset: &'b Dataset,
    source: &'b State,
    prefix: &'b Prefix,
    /// The GUID of the destination's root.
    root: u64,
    names: BTreeSet<String>,
    /// Those of `names` that this run has made.
    made: BTreeSet<String>,
    /// The bookmarks were made for another copy of this replica, which was given more.
    is_other_copy: bool,
    /// The pool of the source cannot be written to: no bookmark can be made, and none is destroyed.
    pub(super) is_read_only: bool,
}

impl<'b> Bookmarks<'b> {
    pub(super) fn of(
        replication: &'b Replication,
        dataset: &'b Dataset,
        source: &'b State,
    ) -> Self {
        let prefix = &replication.run.config.prefix;
        let root = replication.listed.root;
        let cursors = source.cursors_of(prefix, root);
        Bookmarks {
            machine: &replication.listed.here,
            dataset,
            source,
            prefix,
            root,
            names: cursors.map(|b| b.name.to_string()).collect(),
            made: BTreeSet::new(),
            is_other_copy: false,
            is_read_only: false,
        }
    }

    /// The first one that was there when the run began.
    pub(super) fn first(&self) -> Option<&str> {
        self.names.difference(&self.made).next().map(String::as_str)
    }

    /// Marks the start of a plan and its end: pruning keeps what lies between, however long the transfer takes. A plan
    /// without streams marks the newest common snapshot alone, so that what mends a divergence works tomorrow too.
    pub(super) fn mark_start_and_end(&mut self, plan: &Plan) -> Result<()> {
        if let Some(base) = &plan.base {
            self.mark(&base.mark, base.guid)?;
        }
        if plan.token == TokenUse::Foreign {
            return Ok(());
        }
        if plan.base.is_none()
            && let Some(first) = plan.streams.first()
        {
            self.mark_end_of(first)?;
        }
        match plan.streams.last() {
            Some(last) => self.mark_end_of(last),
            None => Ok(()),
        }
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

    /// Whether the bookmark could be made.
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

    /// Keeps for another copy of the replica the bookmarks of what this copy was never given, under names of their own.
    /// Returns the full names of the bookmarks that were made, which are to be destroyed if there is no other copy.
    pub(super) fn set_aside(&mut self, base: &Base) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for bookmark in never_given(self.prefix, self.root, self.source, base) {
            self.is_other_copy = true;
            let name = set_aside(self.prefix, self.root, bookmark.guid);
            let mark = Mark::Bookmark(bookmark.name.to_string());
            if !self.was_listed(&name) && self.bookmark(&mark, &name)? {
                names.push(format!("{}#{name}", self.dataset));
            }
        }
        Ok(names)
    }

    /// Destroys the bookmark that was set aside for this copy: the copy is back, and has been given more.
    pub(super) fn drop_what_was_set_aside(&mut self, base: &Base) -> Result<()> {
        let name = set_aside(self.prefix, self.root, base.guid);
        if self.is_other_copy && self.was_listed(&name) {
            return self.destroy(&name);
        }
        Ok(())
    }

    fn was_listed(&self, name: &str) -> bool {
        self.source.bookmarks.iter().any(|b| *b.name == *name)
    }

    /// Destroys all but those of the snapshots with these GUIDs.
    pub(super) fn keep_only(&mut self, guids: &[u64]) -> Result<()> {
        let mut others = self.names.clone();
        for guid in guids {
            others.remove(&self.prefix.bookmark(self.root, *guid));
        }
        others.iter().try_for_each(|name| self.destroy(name))
    }

    /// Whether an earlier run has sent more than `base`, as far as its bookmarks tell.
    pub(super) fn has_newer(&self, base: &Base) -> bool {
        let mut listed = self.source.bookmarks.iter();
        listed.any(|b| b.createtxg > base.createtxg && self.names.contains(&*b.name))
    }

    /// Destroys what this run has made, except the bookmark of `base`.
    pub(super) fn unmark(&mut self, base: Option<&Base>) -> Result<()> {
        let mut made = std::mem::take(&mut self.made);
        if let Some(base) = base {
            made.remove(&self.prefix.bookmark(self.root, base.guid));
        }
        made.iter().try_for_each(|name| self.destroy(name))
    }

    fn destroy(&mut self, name: &str) -> Result<()> {
        if self.is_read_only {
            return Ok(());
        }
        // There may be hundreds, and each waits for a transaction group.
        systemd::alive();
        match zfs::destroy_bookmark(self.machine, self.dataset, name) {
            Err(error) if zfs::is_read_only(&error) => self.is_read_only = true,
            destroyed => destroyed?,
        }
        self.names.remove(name);
        Ok(())
    }
}
