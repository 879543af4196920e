//! The machines of both sides, and how to list something on both: with one process when they are the same machine.

use anyhow::Result;

use crate::core::config::Destination;
use crate::core::listing::Tree;
use crate::core::name::Dataset;
use crate::edge::command::Machine;
use crate::edge::zfs::{self, Depth};
use crate::verbs::Run;

/// Something of the source, and the same of the replicas.
pub(super) struct Both<T> {
    pub(super) source: T,
    pub(super) replicas: T,
}

pub(super) struct Machines<'m> {
    pub(super) here: Machine,
    pub(super) there: Machine,
    /// The destination's root.
    root: &'m Dataset,
    /// The replica of the dataset that is replicated with all below it.
    top: Dataset,
}

impl<'m> Machines<'m> {
    pub(super) fn new(run: &Run, to: &'m Destination) -> Self {
        Machines {
            here: Machine::new(run.entry.host.as_ref()),
            there: Machine::new(to.host.as_ref()),
            root: &to.root,
            top: to.replica(&run.dataset),
        }
    }

    /// Lists these names, and below them as far as `depth` says; names that do not exist have no row.
    pub(super) fn list(
        &self,
        columns: &str,
        types: &str,
        depth: Depth,
        names: &Both<Vec<String>>,
    ) -> Result<Both<Tree>> {
        let Both { source, replicas } = names;
        if self.here.is_same(&self.there) {
            let all: Vec<&str> = source.iter().chain(replicas).map(String::as_str).collect();
            let tree = zfs::list(&self.here, columns, types, depth, &all)?.tree;
            let (replicas, source) = tree.into_iter().partition(|(name, _)| self.is_there(name));
            return Ok(Both { source, replicas });
        }
        let source: Vec<&str> = source.iter().map(String::as_str).collect();
        let replicas: Vec<&str> = replicas.iter().map(String::as_str).collect();
        Ok(Both {
            source: zfs::list(&self.here, columns, types, depth, &source)?.tree,
            replicas: zfs::list(&self.there, columns, types, depth, &replicas)?.tree,
        })
    }

    /// Whether a dataset belongs to the replicas' side. The root may lie above a source, and then a dataset can be below
    /// both; it counts as a replica.
    fn is_there(&self, name: &Dataset) -> bool {
        name.is_within(&self.top) || self.top.is_within(name) && name.is_within(self.root)
    }
}
