//! Lists everything that `zam status` shows, with few zfs processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;

use crate::core::config::{Entry, Host};
use crate::core::listing::{ALL_TYPES, TREE_COLUMNS, Tree};
use crate::core::name::Dataset;
use crate::edge::command::Machine;
use crate::edge::zfs::{self, Depth};
use crate::verbs::side_by_side;

/// Machines asked side by side: one that does not answer takes its time.
const AT_ONCE: usize = 8;

/// The datasets of each machine, by the name of its host (none is this machine), or why it cannot be asked.
pub(in crate::verbs) type Trees<'c> = BTreeMap<Option<&'c str>, Result<Tree>>;

/// Lists the chosen entries and their replicas, with at most two zfs processes on each machine.
///
/// # Errors
/// This machine cannot be asked. What another machine answers is in the result.
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
    let mut trees = Trees::new();
    for (host, tree) in listed {
        match (host, tree) {
            (None, Err(error)) => return Err(error),
            (host, tree) => trees.insert(host, tree),
        };
    }
    Ok(trees)
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

    fn list(&self) -> Result<Tree> {
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
