//! Reads what pruning needs, and chooses the datasets that may be pruned. For a source the source alone is read, so that
//! an unreachable destination stops nothing; for a replica both sides are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use crate::core::config::Destination;
use crate::core::listing::{self, ALL_TYPES, DATASETS, SKIM_COLUMNS, SNAPSHOT_COLUMNS, Tree};
use crate::core::misnamed::{misnamed, named_below};
use crate::core::name::Dataset;
use crate::core::pruning;
use crate::core::selection::governs;
use crate::edge::command::Machine;
use crate::edge::journal;
use crate::edge::outcome::Outcome;
use crate::edge::zfs::{self, Depth};
use crate::verbs::Run;
use crate::verbs::prune::shown::Planned;
use crate::verbs::say::does_not_exist;

/// A dataset to prune.
pub(super) struct Target {
    /// The source's name, also when it is the replica that is pruned.
    pub(super) source: Dataset,
    /// The name of the dataset that loses snapshots: the source itself, or its replica.
    pub(super) pruned: Dataset,
}

pub(super) struct Listed {
    pub(super) source: Tree,
    /// None when it is the source that is pruned.
    pub(super) replicas: Option<Tree>,
    /// All names in a saved listing; none when ZFS can be asked.
    saved_names: Option<BTreeSet<Dataset>>,
}

impl Listed {
    pub(super) fn list(run: &Run, to: Option<&Destination>) -> Result<Self> {
        let here = Machine::new(run.entry.host.as_ref());
        let root = [run.dataset.as_str()];
        let source = zfs::list(&here, SNAPSHOT_COLUMNS, ALL_TYPES, Depth::All, &root)?;
        if !source.absent.is_empty() {
            return Err(does_not_exist(&run.dataset, &here));
        }
        let replicas = match to {
            Some(to) => Some(list_replicas(run, to)?),
            None => None,
        };
        Ok(Listed {
            source: source.tree,
            replicas,
            saved_names: None,
        })
    }

    /// Reads a saved listing, which may hold both sides, told apart by their names.
    pub(super) fn read(run: &Run, to: Option<&Destination>, file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let tree = listing::parse_saved(SNAPSHOT_COLUMNS, &text)
            .map_err(|e| anyhow!("{}: {e}", file.display()))?;
        let replica = to.map(|to| to.replica(&run.dataset));
        for needed in [Some(&run.dataset), replica.as_ref()].into_iter().flatten() {
            if !tree.keys().any(|dataset| dataset.is_within(needed)) {
                bail!("{} has no {needed}", file.display());
            }
        }
        Ok(Listed {
            source: within(&tree, &run.dataset),
            replicas: replica.map(|replica| within(&tree, &replica)),
            saved_names: Some(tree.into_keys().collect()),
        })
    }

    /// The tree that loses snapshots: the source, or the replicas.
    pub(super) fn pruned(&self) -> &Tree {
        self.replicas.as_ref().unwrap_or(&self.source)
    }

    /// The datasets that the entry governs and that are known to be of these sources.
    pub(super) fn targets(&self, run: &Run, to: Option<&Destination>) -> Vec<Target> {
        let mut targets = Vec::new();
        for (pruned, state) in self.pruned() {
            if state.snapshots.is_empty() && state.bookmarks.is_empty() {
                continue;
            }
            let source = match to {
                Some(to) => pruned.below(&to.root),
                None => Some(pruned.clone()),
            };
            if let Some(source) = source.filter(|source| governs(run.config, run.entry, source)) {
                let pruned = pruned.clone();
                targets.push(Target { source, pruned });
            }
        }
        targets.retain(|target| self.is_of_its_source(target));
        targets
    }

    /// Whether a target belongs to the source here. If not, another machine may send to the same root, or the source is
    /// gone, and the replica is all that is left of it.
    fn is_of_its_source(&self, target: &Target) -> bool {
        let Some(replicas) = &self.replicas else {
            return true;
        };
        let Target { source, pruned } = target;
        let why = match self.source.get(source) {
            Some(state) if pruning::has_in_common(&replicas[pruned], state) => return true,
            Some(_) => "has no snapshot in common with it",
            None => "does not exist",
        };
        journal::warn(format!(
            "{pruned} is not pruned: {source} {why}, so it may be all that is left, or belong to another machine"
        ));
        false
    }

    /// Removes the targets that have to wait for a person, since a misspelt name in the configuration may have meant
    /// them. Returns [`Outcome::Waits`] if there are any.
    pub(super) fn remove_misnamed(&self, run: &Run, targets: &mut Vec<Target>) -> Result<Outcome> {
        let governed: Vec<Dataset> = targets.iter().map(|target| target.source.clone()).collect();
        let existing = self.source.keys().collect();
        let mut found = misnamed(run.config, run.entry, &existing, &governed);
        let names = found.iter().map(|misnamed| &misnamed.name);
        let elsewhere = self.elsewhere(run, names)?;
        found.retain(|misnamed| !elsewhere.contains(&misnamed.name));
        let mut waiting = BTreeMap::new();
        for misnamed in &found {
            waiting.insert(&misnamed.waits, misnamed);
        }
        for (dataset, misnamed) in &waiting {
            journal::warn(format!("{dataset}: pruning waits: {}", misnamed.why()));
        }
        targets.retain(|target| !waiting.contains_key(&target.source));
        if waiting.is_empty() {
            return Ok(Outcome::Done);
        }
        Ok(Outcome::Waits)
    }

    /// Removes the plans that have to wait because the dataset of an entry below this one is not there: it may have been
    /// renamed to what would lose most of its snapshots now. Returns [`Outcome::Waits`] if there are any.
    pub(super) fn remove_renamed(&self, run: &Run, plans: &mut Vec<Planned>) -> Result<Outcome> {
        let may_be_renamed = |planned: &Planned| {
            planned.dataset != &run.entry.dataset && planned.plan.gives_up_most()
        };
        // A saved listing has no row of a dataset without snapshots.
        if self.saved_names.is_some() || !plans.iter().any(may_be_renamed) {
            return Ok(Outcome::Done);
        }
        let mut missing = named_below(run.config, run.entry);
        missing.retain(|name| !self.source.contains_key(name));
        let elsewhere = self.elsewhere(run, missing.iter())?;
        missing.retain(|name| !elsewhere.contains(name));
        let Some(name) = missing.first() else {
            return Ok(Outcome::Done);
        };
        for planned in plans.iter().filter(|planned| may_be_renamed(planned)) {
            let pruned = planned.pruned;
            journal::warn(format!(
                "{pruned}: pruning waits: {name} stands in the configuration and does not exist, and more than half of the \
                 snapshots here would go: if that was renamed to this, correct its name, or else remove its entry"
            ));
        }
        plans.retain(|planned| !may_be_renamed(planned));
        Ok(Outcome::Waits)
    }

    /// Those of the names that exist, although they are outside of what was listed.
    fn elsewhere<'n>(
        &self,
        run: &Run,
        names: impl Iterator<Item = &'n Dataset>,
    ) -> Result<BTreeSet<Dataset>> {
        if let Some(names) = &self.saved_names {
            return Ok(names.clone());
        }
        let outside: BTreeSet<&str> = names
            .filter(|name| !name.is_within(&run.dataset))
            .map(Dataset::as_str)
            .collect();
        if outside.is_empty() {
            return Ok(BTreeSet::new());
        }
        let here = Machine::new(run.entry.host.as_ref());
        let roots: Vec<&str> = outside.into_iter().collect();
        let listing = zfs::list(&here, SKIM_COLUMNS, DATASETS, Depth::Roots, &roots)?;
        Ok(listing.tree.into_keys().collect())
    }
}

/// A replica that does not exist yet has nothing to lose, but its root must be there.
fn list_replicas(run: &Run, to: &Destination) -> Result<Tree> {
    let there = Machine::new(to.host.as_ref());
    let top = to.replica(&run.dataset);
    let roots = [top.as_str()];
    let replicas = zfs::list(&there, SNAPSHOT_COLUMNS, ALL_TYPES, Depth::All, &roots)?;
    if !replicas.absent.is_empty() && !zfs::exists(&there, &to.root)? {
        return Err(does_not_exist(&to.root, &there));
    }
    Ok(replicas.tree)
}

fn within(tree: &Tree, top: &Dataset) -> Tree {
    let mut tree = tree.clone();
    tree.retain(|dataset, _| dataset.is_within(top));
    tree
}
