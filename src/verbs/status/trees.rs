//! Lists everything that `zam status` and `zam check` look at, with few zfs processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Error, Result};

use crate::core::config::Entry;
use crate::core::host::Host;
use crate::core::listing::{ALL_TYPES, TREE_COLUMNS, Tree};
use crate::core::name::Dataset;
use crate::edge::command::Machine;
use crate::edge::zfs::{self, Depth};
use crate::verbs::side_by_side;

/// Machines asked side by side: one that does not answer takes its time.
const AT_ONCE: usize = 8;

/// What each machine has, by the name of its host (none is this machine), or why it cannot be asked.
pub(in crate::verbs) struct Trees<'c>(BTreeMap<Option<&'c str>, Result<Listed>>);

struct Listed {
    tree: Tree,
    /// Why a pool cannot be asked, by its name.
    errors: BTreeMap<String, Error>,
}

/// Lists the chosen entries and their replicas, with at most two zfs processes on each machine, if all its pools answer.
///
/// # Errors
/// No pool of this machine can be asked. What is wrong elsewhere is in the result.
pub(in crate::verbs) fn list<'c>(chosen: &[(&'c Entry, Dataset)]) -> Result<Trees<'c>> {
    let mut wanted = BTreeMap::new();
    for (entry, top) in chosen {
        at(&mut wanted, entry.host.as_ref()).add(top.clone(), entry.recursive);
        for to in &entry.destinations {
            let there = at(&mut wanted, to.host.as_ref());
            there.add(to.root.clone(), false);
            there.add(to.replica(top), entry.recursive);
        }
    }
    let listed = side_by_side(wanted.into_iter().collect(), AT_ONCE, |(host, wanted)| {
        (host, wanted.list())
    });
    let mut trees = BTreeMap::new();
    for (host, listed) in listed {
        match (host, listed) {
            (None, Err(error)) => return Err(error),
            (host, listed) => trees.insert(host, listed),
        };
    }
    Ok(Trees(trees))
}

impl Trees<'_> {
    /// The datasets of the machine that has this one.
    ///
    /// # Errors
    /// Why the machine, or the dataset's pool, cannot be asked.
    pub(in crate::verbs) fn at<'t>(
        &'t self,
        host: Option<&'t str>,
        dataset: &Dataset,
    ) -> Result<&'t Tree, String> {
        let listed = self.0[&host].as_ref();
        let listed = listed.map_err(|error| format!("{error:#}"))?;
        match listed.errors.get(dataset.pool()) {
            Some(error) => Err(format!("{error:#}")),
            None => Ok(&listed.tree),
        }
    }

    /// Those of this machine, as far as its pools can be asked; none if nothing is wanted of it.
    pub(in crate::verbs) fn here(&self) -> Option<&Tree> {
        let listed = self.0.get(&None)?.as_ref().ok()?;
        Some(&listed.tree)
    }

    #[cfg(test)]
    pub(in crate::verbs) fn of_this_machine(tree: Tree) -> Self {
        let errors = BTreeMap::new();
        Trees([(None, Ok(Listed { tree, errors }))].into())
    }
}

/// The datasets to list on one machine.
struct Wanted {
    machine: Machine,
    alone: BTreeSet<Dataset>,
    with_children: BTreeSet<Dataset>,
}

fn at<'w, 'c>(
    wanted: &'w mut BTreeMap<Option<&'c str>, Wanted>,
    host: Option<&'c Arc<Host>>,
) -> &'w mut Wanted {
    let name = host.map(|host| host.name.as_str());
    wanted.entry(name).or_insert_with(|| Wanted {
        machine: Machine::new(host),
        alone: BTreeSet::new(),
        with_children: BTreeSet::new(),
    })
}

impl Wanted {
    fn add(&mut self, dataset: Dataset, recursive: bool) {
        if recursive {
            self.with_children.insert(dataset);
        } else {
            self.alone.insert(dataset);
        }
    }

    /// # Errors
    /// No pool can be asked.
    fn list(&self) -> Result<Listed> {
        let mut listed = Listed {
            tree: Tree::new(),
            errors: BTreeMap::new(),
        };
        match self.tree() {
            Ok(tree) => listed.tree = tree,
            Err(error) if zfs::is_refusal(&error) => self.list_each_pool(&mut listed, error)?,
            Err(error) => return Err(error),
        }
        Ok(listed)
    }

    /// A pool that is suspended fails a listing of several.
    ///
    /// # Errors
    /// `error`, which all of them together met, if none can be asked by itself either.
    fn list_each_pool(&self, listed: &mut Listed, error: Error) -> Result<()> {
        let all = self.alone.iter().chain(&self.with_children);
        let pools: BTreeSet<&str> = all.map(Dataset::pool).collect();
        for pool in &pools {
            match self.of_pool(pool).tree() {
                Ok(tree) => listed.tree.extend(tree),
                Err(error) => _ = listed.errors.insert(pool.to_string(), error),
            }
        }
        if listed.errors.len() == pools.len() {
            return Err(error);
        }
        Ok(())
    }

    fn of_pool(&self, pool: &str) -> Wanted {
        let mut wanted = Wanted {
            machine: self.machine.clone(),
            alone: self.alone.clone(),
            with_children: self.with_children.clone(),
        };
        wanted.alone.retain(|dataset| dataset.pool() == pool);
        let datasets = &mut wanted.with_children;
        datasets.retain(|dataset| dataset.pool() == pool);
        wanted
    }

    fn tree(&self) -> Result<Tree> {
        let mut tree = self.list_at(Depth::One, &self.alone)?;
        // The first listing has children too, but without their snapshots; the second replaces those rows.
        tree.extend(self.list_at(Depth::All, &self.with_children)?);
        Ok(tree)
    }

    fn list_at(&self, depth: Depth, datasets: &BTreeSet<Dataset>) -> Result<Tree> {
        let names: Vec<&str> = datasets.iter().map(Dataset::as_str).collect();
        Ok(zfs::list(&self.machine, TREE_COLUMNS, ALL_TYPES, depth, &names)?.tree)
    }
}
