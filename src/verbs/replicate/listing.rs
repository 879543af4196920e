//! Both sides of a replication, read as cheaply as the truth allows: first the GUIDs of everything, then the datasets
//! themselves, and more of snapshots only where there is something to do, and then of the few that matter.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Result, anyhow};

use crate::core::config::{Destination, Entry};
use crate::core::listing::{
    ALL_TYPES, DATASETS, SKIM_COLUMNS, Snapshot, State, TREE_COLUMNS, Tree,
};
use crate::core::name::Dataset;
use crate::core::replication::{is_at_rest, to_look_at};
use crate::core::selection::{governing, governs};
use crate::core::shell::quoted;
use crate::edge::command::Machine;
use crate::edge::zfs::{self, Depth, Listing};
use crate::verbs::Run;
use crate::verbs::say::does_not_exist;

/// From so many snapshots on, listing all that a dataset has costs less than asking for each.
const SINGLY_MAX: usize = 50;

pub(super) struct Sides {
    pub(super) here: Machine,
    pub(super) there: Machine,
    /// What the entry governs.
    pub(super) source: Tree,
    /// Its replicas, and what is above them up to the destination's root.
    pub(super) replicas: Tree,
    /// The GUID of the destination's root, which names our bookmarks.
    pub(super) root: u64,
    /// Whatever is there, down from the destination's root, governed by this entry or by others.
    pub(super) existing: BTreeSet<Dataset>,
    /// Replicas whose source is gone.
    pub(super) orphans: Vec<Dataset>,
    /// What lies below the replica of a pulled entry and no entry brings: a stream can hold more than it was asked for.
    pub(super) strays: Vec<Dataset>,
    /// Sources that were replaced, or whose replicas went or were replaced, while both sides were listed.
    pub(super) unsteady: Vec<Dataset>,
}

impl Sides {
    /// Makes sure that the destination answers.
    pub(super) fn reach(to: &Destination) -> Result<()> {
        zfs::list(
            &Machine::new(to.host.as_ref()),
            SKIM_COLUMNS,
            DATASETS,
            Depth::Roots,
            &[to.root.as_str()],
        )
        .map(drop)
    }

    pub(super) fn read(run: &Run, to: &Destination) -> Result<Self> {
        let (here, there, top) = (
            Machine::new(run.entry.host.as_ref()),
            Machine::new(to.host.as_ref()),
            to.replica(&run.dataset),
        );
        let machines = Machines {
            here,
            there,
            to,
            top: top.clone(),
        };
        let depth = if run.entry.recursive {
            Depth::All
        } else {
            Depth::One
        };
        let [mut source, mut replicas] = machines.list(
            SKIM_COLUMNS,
            ALL_TYPES,
            depth,
            [vec![run.dataset.as_str()], vec![top.as_str()]],
        )?;
        if source
            .absent
            .iter()
            .any(|absent| *absent == run.dataset.as_str())
        {
            return Err(does_not_exist(&run.dataset, &machines.here.place()));
        }
        source
            .tree
            .retain(|dataset, _| governs(run.config, run.entry, dataset));
        let gone = |place: &&Dataset| {
            let source_of = place
                .below(&to.root)
                .filter(|dataset| governs(run.config, run.entry, dataset));
            source_of.is_some_and(|dataset| !source.tree.contains_key(&dataset))
        };
        let orphans = replicas.tree.keys().filter(gone).cloned().collect();
        let strays = replicas
            .tree
            .keys()
            .filter(|place| is_stray(run, to, place))
            .cloned()
            .collect();
        let mut existing: BTreeSet<Dataset> = replicas.tree.keys().cloned().collect();
        replicas.tree.retain(|place, _| {
            place
                .below(&to.root)
                .is_some_and(|dataset| source.tree.contains_key(&dataset))
        });

        let above: Vec<Dataset> = top
            .and_above()
            .skip(1)
            .take_while(|above| above.is_within(&to.root))
            .collect();
        let places = replicas
            .tree
            .keys()
            .chain(&above)
            .map(Dataset::as_str)
            .collect();
        let names = [source.tree.keys().map(Dataset::as_str).collect(), places];
        let [datasets, places] = machines.list(TREE_COLUMNS, DATASETS, Depth::Roots, names)?;
        if !datasets.tree.contains_key(&run.dataset) {
            return Err(does_not_exist(&run.dataset, &machines.here.place()));
        }
        let unsteady = unsteady(
            to,
            [&source.tree, &replicas.tree],
            [&datasets.tree, &places.tree],
        );
        let (mut source, replicas) = (
            with_snapshots(datasets.tree, source.tree),
            with_snapshots(places.tree, replicas.tree),
        );
        source.retain(|dataset, _| !unsteady.contains(dataset));
        let root = replicas
            .get(&to.root)
            .map(|state| state.guid)
            .ok_or_else(|| {
                let missing = does_not_exist(&to.root, &machines.there.place());
                anyhow!(
                    "{missing}; the replicas go below it (zfs create {})",
                    quoted(to.root.as_str())
                )
            })?;
        if let Some((inside, _)) = source.iter().find(|(_, state)| state.guid == root) {
            return Err(is_its_own_source(&to.root, &machines, inside));
        }
        existing.extend(replicas.keys().cloned());
        let Machines { here, there, .. } = machines.clone();
        let mut sides = Sides {
            here,
            there,
            source,
            replicas,
            root,
            existing,
            orphans,
            strays,
            unsteady,
        };
        sides.read_busy(run, &machines)?;
        Ok(sides)
    }

    /// What a plan has to know of the snapshots of those datasets that are not at rest.
    fn read_busy(&mut self, run: &Run, machines: &Machines) -> Result<()> {
        let mut names = [Vec::new(), Vec::new()];
        for (dataset, source) in &self.source {
            let place = machines.to.replica(dataset);
            let replica = self.replicas.get(&place);
            if replica
                .is_some_and(|replica| is_at_rest(&run.config.prefix, self.root, source, replica))
            {
                continue;
            }
            let snapshots = to_look_at(&run.config.prefix, &machines.to.windows, source, replica);
            for ((names, dataset), snapshots) in
                names.iter_mut().zip([dataset, &place]).zip(snapshots)
            {
                match snapshots.len() {
                    0..SINGLY_MAX => {
                        names.extend(snapshots.iter().map(|s| format!("{dataset}@{}", s.name)))
                    }
                    _ => names.push(dataset.to_string()),
                }
            }
        }
        let words = names
            .each_ref()
            .map(|names| names.iter().map(String::as_str).collect());
        let [source, replicas] = machines.list(
            TREE_COLUMNS,
            "filesystem,volume,snapshot",
            Depth::One,
            words,
        )?;
        learn(&mut self.source, source, &names[0]);
        learn(&mut self.replicas, replicas, &names[1]);
        Ok(())
    }
}

#[derive(Clone)]
struct Machines<'t> {
    here: Machine,
    there: Machine,
    to: &'t Destination,
    /// Where the replicas begin.
    top: Dataset,
}

impl Machines<'_> {
    /// The source's names and the replicas', each on its machine; with one process where that is the same.
    fn list(
        &self,
        columns: &str,
        types: &str,
        depth: Depth,
        [source, replicas]: [Vec<&str>; 2],
    ) -> Result<[Listing; 2]> {
        if !self.here.is_same(&self.there) {
            let list =
                |machine, names: Vec<&str>| zfs::list(machine, columns, types, depth, &names);
            return Ok([list(&self.here, source)?, list(&self.there, replicas)?]);
        }
        let Listing { tree, absent } = zfs::list(
            &self.here,
            columns,
            types,
            depth,
            &[source, replicas].concat(),
        )?;
        // A root may lie above a source; what is below both is the replica's.
        let is_replica = |name: &Dataset| {
            name.is_within(&self.top) || self.top.is_within(name) && name.is_within(&self.to.root)
        };
        let (replicas, source) = tree.into_iter().partition(|(name, _)| is_replica(name));
        Ok([
            Listing {
                tree: source,
                absent: absent.clone(),
            },
            Listing {
                tree: replicas,
                absent,
            },
        ])
    }
}

/// Under another name of this machine, say over ssh, no comparison of names shows it.
fn is_its_own_source(root: &Dataset, machines: &Machines, inside: &Dataset) -> anyhow::Error {
    let (here, there) = (machines.here.place(), machines.there.place());
    anyhow!(
        "the destination's root {root}{there} is {inside}{here} itself, which this entry replicates: each run would replicate \
         the replicas; exclude {inside} from the entry, or choose a root outside of it"
    )
}

/// Sources that are not what was listed first any more, or whose replicas are not.
fn unsteady(
    to: &Destination,
    [source, replicas]: [&Tree; 2],
    [datasets, places]: [&Tree; 2],
) -> Vec<Dataset> {
    let gone = replicas
        .keys()
        .filter(|place| !places.contains_key(place))
        .cloned();
    let replicas = gone
        .chain(replaced(places, replicas))
        .filter_map(|place| place.below(&to.root));
    replaced(datasets, source)
        .into_iter()
        .chain(replicas)
        .collect()
}

/// The datasets that are not the ones any more whose snapshots were listed.
fn replaced(now: &Tree, skimmed: &Tree) -> Vec<Dataset> {
    let other = |dataset: &Dataset, state: &State| {
        skimmed
            .get(dataset)
            .is_some_and(|skimmed| skimmed.guid != state.guid)
    };
    now.iter()
        .filter(|(dataset, state)| other(dataset, state))
        .map(|(dataset, _)| dataset.clone())
        .collect()
}

/// Whether a pulled entry's replica has this below it, and neither an entry brings it nor what an entry brings lies below.
fn is_stray(run: &Run, to: &Destination, place: &Dataset) -> bool {
    let host = run.entry.host_name();
    let Some(dataset) = place.below(&to.root).filter(|_| host.is_some()) else {
        return false;
    };
    let is_above = |entry: &Entry| entry.host_name() == host && entry.dataset.is_within(&dataset);
    governing(run.config, host, &dataset).is_none() && !run.config.entries.iter().any(is_above)
}

fn with_snapshots(mut datasets: Tree, mut skimmed: Tree) -> Tree {
    for (dataset, state) in &mut datasets {
        let skimmed = skimmed.remove(dataset).unwrap_or_default();
        (state.snapshots, state.bookmarks) = (skimmed.snapshots, skimmed.bookmarks);
    }
    datasets
}

/// Takes over what a listing says of single snapshots. Those that it was asked for and does not know any more are gone.
fn learn(tree: &mut Tree, listing: Listing, asked: &[String]) {
    let datasets: BTreeSet<&str> = asked
        .iter()
        .map(|name| name.split('@').next().unwrap_or(name))
        .collect();
    let asked: BTreeSet<&str> = asked.iter().map(String::as_str).collect();
    for (dataset, state) in tree
        .iter_mut()
        .filter(|(dataset, _)| datasets.contains(dataset.as_str()))
    {
        let known = listing
            .tree
            .get(dataset)
            .map(|state| state.snapshots.as_slice())
            .unwrap_or_default();
        let known: HashMap<u64, &Snapshot> = known.iter().map(|s| (s.guid, s)).collect();
        let whole = asked.contains(dataset.as_str());
        state.snapshots.retain_mut(|s| match known.get(&s.guid) {
            Some(known) => {
                s.clone_from(known);
                true
            }
            None => !whole && !asked.contains(format!("{dataset}@{}", s.name).as_str()),
        });
    }
}
