//! Both sides of a replication, read as cheaply as the truth allows: first the GUIDs of everything, then the datasets
//! themselves. More is asked about snapshots only where there is something to do, and only about the few that matter.

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
use crate::edge::zfs::Depth;
use crate::verbs::Run;
use crate::verbs::replicate::machines::{Both, Machines};
use crate::verbs::say::does_not_exist;

/// From so many snapshots on, listing all that a dataset has costs less than asking for each.
const SINGLY_MAX: usize = 50;

pub(super) struct SourceAndReplicas {
    pub(super) here: Machine,
    pub(super) there: Machine,
    /// The datasets that the entry governs.
    pub(super) source: Tree,
    /// The replicas of that, and what is above them up to the destination's root.
    pub(super) replicas: Tree,
    /// The GUID of the destination's root, which names our bookmarks.
    pub(super) root: u64,
    /// All that exists from the destination's root down, whether this entry governs it or another.
    pub(super) existing: BTreeSet<Dataset>,
    /// Replicas whose source is gone.
    pub(super) orphans: Vec<Dataset>,
    /// Datasets below the replica of a pulled entry that no entry brings: a stream can hold more than was asked for.
    pub(super) strays: Vec<Dataset>,
    /// Sources that were replaced, or whose replicas went or were replaced, while both sides were listed.
    pub(super) unsteady: Vec<Dataset>,
}

impl SourceAndReplicas {
    pub(super) fn list(run: &Run, to: &Destination) -> Result<Self> {
        let machines = Machines::new(run, to);
        let mut skimmed = skim(run, &machines, to)?;
        let orphans = find_orphans(run, to, &skimmed);
        let strays = find_strays(run, to, &skimmed.replicas);
        let mut existing: BTreeSet<Dataset> = skimmed.replicas.keys().cloned().collect();
        let Both { source, replicas } = &mut skimmed;
        replicas.retain(|replica, _| {
            let dataset = replica.below(&to.root);
            dataset.is_some_and(|dataset| source.contains_key(&dataset))
        });

        let datasets = list_datasets(run, &machines, to, &skimmed)?;
        let unsteady = find_unsteady(to, &skimmed, &datasets);
        let mut source = with_snapshots(datasets.source, skimmed.source);
        source.retain(|dataset, _| !unsteady.contains(dataset));
        let replicas = with_snapshots(datasets.replicas, skimmed.replicas);
        existing.extend(replicas.keys().cloned());

        let mut listed = SourceAndReplicas {
            here: machines.here.clone(),
            there: machines.there.clone(),
            root: guid_of_root(to, &replicas, &machines)?,
            source,
            replicas,
            existing,
            orphans,
            strays,
            unsteady,
        };
        listed.refuse_its_own_source(to)?;
        listed.read_snapshots(run, to, &machines)?;
        Ok(listed)
    }

    /// The replica that was listed under this name, or the nearest dataset above it.
    pub(super) fn replica_at_or_above(&self, replica: &Dataset) -> Option<&State> {
        replica
            .and_above()
            .find_map(|above| self.replicas.get(&above))
    }

    /// # Errors
    /// The destination's root is one of the sources. Where this machine goes by another name, say over ssh, no
    /// comparison of names would show it.
    fn refuse_its_own_source(&self, to: &Destination) -> Result<()> {
        let inside = self.source.iter().find(|(_, s)| s.guid == self.root);
        let Some((inside, _)) = inside else {
            return Ok(());
        };
        let root = &to.root;
        let here = self.here.on_host();
        let there = self.there.on_host();
        Err(anyhow!(
            "the destination's root {root}{there} is {inside}{here} itself, which this entry replicates: each run would replicate \
             the replicas; exclude {inside} from the entry, or choose a root outside of it"
        ))
    }

    /// Reads what a plan has to know about snapshots, of the datasets that are not at rest.
    fn read_snapshots(&mut self, run: &Run, to: &Destination, machines: &Machines) -> Result<()> {
        let prefix = &run.config.prefix;
        let mut names = Both {
            source: Vec::new(),
            replicas: Vec::new(),
        };
        for (dataset, source) in &self.source {
            let name = to.replica(dataset);
            let replica = self.replicas.get(&name);
            if replica.is_some_and(|replica| is_at_rest(prefix, self.root, source, replica)) {
                continue;
            }
            let [here, there] = to_look_at(prefix, &to.windows, source, replica);
            names.source.extend(names_to_list(dataset, here));
            names.replicas.extend(names_to_list(&name, there));
        }
        let types = "filesystem,volume,snapshot";
        let known = machines.list(TREE_COLUMNS, types, Depth::One, &names)?;
        learn(&mut self.source, &known.source, &names.source);
        learn(&mut self.replicas, &known.replicas, &names.replicas);
        Ok(())
    }
}

/// The GUIDs of everything: the sources that the entry governs, and all that is at and below their replicas.
fn skim(run: &Run, machines: &Machines, to: &Destination) -> Result<Both<Tree>> {
    let depth = if run.entry.recursive {
        Depth::All
    } else {
        Depth::One
    };
    let names = Both {
        source: vec![run.dataset.to_string()],
        replicas: vec![to.replica(&run.dataset).to_string()],
    };
    let mut skimmed = machines.list(SKIM_COLUMNS, ALL_TYPES, depth, &names)?;
    if !skimmed.source.contains_key(&run.dataset) {
        return Err(does_not_exist(&run.dataset, &machines.here));
    }
    skimmed
        .source
        .retain(|dataset, _| governs(run.config, run.entry, dataset));
    Ok(skimmed)
}

/// The datasets that were skimmed, and those above the replicas, with all columns but without their snapshots.
fn list_datasets(
    run: &Run,
    machines: &Machines,
    to: &Destination,
    skimmed: &Both<Tree>,
) -> Result<Both<Tree>> {
    let mut roots = Both {
        source: names(&skimmed.source),
        replicas: names(&skimmed.replicas),
    };
    let above = to.replica(&run.dataset).and_above().skip(1);
    for above in above.take_while(|above| above.is_within(&to.root)) {
        roots.replicas.push(above.to_string());
    }
    let datasets = machines.list(TREE_COLUMNS, DATASETS, Depth::Roots, &roots)?;
    if !datasets.source.contains_key(&run.dataset) {
        return Err(does_not_exist(&run.dataset, &machines.here));
    }
    Ok(datasets)
}

fn names(tree: &Tree) -> Vec<String> {
    tree.keys().map(Dataset::to_string).collect()
}

fn guid_of_root(to: &Destination, replicas: &Tree, machines: &Machines) -> Result<u64> {
    match replicas.get(&to.root) {
        Some(root) => Ok(root.guid),
        None => Err(anyhow!(
            "{}; the replicas go below it (zfs create {})",
            does_not_exist(&to.root, &machines.there),
            quoted(to.root.as_str())
        )),
    }
}

/// Replicas of sources that the entry would govern, and that are gone.
fn find_orphans(run: &Run, to: &Destination, skimmed: &Both<Tree>) -> Vec<Dataset> {
    let mut orphans = Vec::new();
    for replica in skimmed.replicas.keys() {
        if let Some(dataset) = replica.below(&to.root)
            && governs(run.config, run.entry, &dataset)
            && !skimmed.source.contains_key(&dataset)
        {
            orphans.push(replica.clone());
        }
    }
    orphans
}

fn find_strays(run: &Run, to: &Destination, replicas: &Tree) -> Vec<Dataset> {
    let mut strays: Vec<Dataset> = replicas.keys().cloned().collect();
    strays.retain(|replica| is_stray(run, to, replica));
    strays
}

/// Whether this lies below a pulled entry's replica although no entry brings it, nor anything below it.
fn is_stray(run: &Run, to: &Destination, replica: &Dataset) -> bool {
    let host = run.entry.host_name();
    let Some(dataset) = replica.below(&to.root).filter(|_| host.is_some()) else {
        return false;
    };
    let is_above = |entry: &Entry| entry.host_name() == host && entry.dataset.is_within(&dataset);
    governing(run.config, host, &dataset).is_none() && !run.config.entries.iter().any(is_above)
}

/// The sources that changed between the two listings, or whose replicas did.
fn find_unsteady(to: &Destination, skimmed: &Both<Tree>, now: &Both<Tree>) -> Vec<Dataset> {
    let mut replicas: Vec<Dataset> = skimmed.replicas.keys().cloned().collect();
    replicas.retain(|replica| !now.replicas.contains_key(replica));
    replicas.extend(replaced(&skimmed.replicas, &now.replicas));
    let mut unsteady = replaced(&skimmed.source, &now.source);
    unsteady.extend(
        replicas
            .iter()
            .filter_map(|replica| replica.below(&to.root)),
    );
    unsteady.sort();
    unsteady.dedup();
    unsteady
}

/// The datasets that are not the same any more as those whose snapshots were listed.
fn replaced(skimmed: &Tree, now: &Tree) -> Vec<Dataset> {
    let mut replaced = Vec::new();
    for (dataset, state) in now {
        if let Some(before) = skimmed.get(dataset)
            && before.guid != state.guid
        {
            replaced.push(dataset.clone());
        }
    }
    replaced
}

/// The datasets, with the snapshots and bookmarks that were skimmed.
fn with_snapshots(mut datasets: Tree, mut skimmed: Tree) -> Tree {
    for (dataset, state) in &mut datasets {
        let skimmed = skimmed.remove(dataset).unwrap_or_default();
        (state.snapshots, state.bookmarks) = (skimmed.snapshots, skimmed.bookmarks);
    }
    datasets
}

/// The names to ask for to learn about these snapshots: each snapshot, or the dataset if they are many.
fn names_to_list(dataset: &Dataset, snapshots: &[Snapshot]) -> Vec<String> {
    if snapshots.len() >= SINGLY_MAX {
        return vec![dataset.to_string()];
    }
    let name = |s: &Snapshot| format!("{dataset}@{}", s.name);
    snapshots.iter().map(name).collect()
}

/// Takes over what a second listing says about snapshots, asked for by these names. A snapshot that was asked for and is
/// not in it is gone.
fn learn(tree: &mut Tree, listed: &Tree, asked: &[String]) {
    let asked: BTreeSet<&str> = asked.iter().map(String::as_str).collect();
    let datasets: BTreeSet<&str> = asked.iter().map(|name| dataset_of(name)).collect();
    for (dataset, state) in tree {
        if !datasets.contains(dataset.as_str()) {
            continue;
        }
        let is_whole = asked.contains(dataset.as_str());
        let now = listed
            .get(dataset)
            .map_or(&[][..], |state| &state.snapshots);
        let now: HashMap<u64, &Snapshot> = now.iter().map(|s| (s.guid, s)).collect();
        state.snapshots.retain_mut(|s| match now.get(&s.guid) {
            Some(now) => {
                s.clone_from(now);
                true
            }
            None => !is_whole && !asked.contains(format!("{dataset}@{}", s.name).as_str()),
        });
    }
}

fn dataset_of(name: &str) -> &str {
    name.split('@').next().unwrap_or(name)
}
