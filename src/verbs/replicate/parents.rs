//! The parents of a first replica: what a job will bring is waited for, what none will is made.

use std::collections::BTreeSet;
use std::sync::Mutex;

use anyhow::{Result, anyhow};

use crate::core::config::{Destination, Entry};
use crate::core::name::Dataset;
use crate::core::selection::governing;
use crate::core::shell::quoted;
use crate::edge::command::Machine;
use crate::edge::outcome::Exit::Later;
use crate::edge::zfs;
use crate::verbs::Run;

/// What exists at a destination; grows as datasets arrive.
pub(super) struct Parents(Mutex<BTreeSet<Dataset>>);

impl Parents {
    pub(super) fn new(existing: impl IntoIterator<Item = Dataset>) -> Self {
        Parents(Mutex::new(existing.into_iter().collect()))
    }

    pub(super) fn arrived(&self, place: &Dataset) {
        if let Ok(mut existing) = self.0.lock() {
            existing.insert(place.clone());
        }
    }

    pub(super) fn has(&self, place: &Dataset) -> bool {
        self.0.lock().is_ok_and(|existing| existing.contains(place))
    }

    /// Sees to it that what is above the first replica of `dataset` exists; one dataset at a time, since siblings share
    /// their parents.
    ///
    /// # Errors
    /// [`Later`] when a job will bring a parent.
    pub(super) fn make(
        &self,
        run: &Run,
        to: &Destination,
        there: &Machine,
        dataset: &Dataset,
    ) -> Result<()> {
        let mut existing = self
            .0
            .lock()
            .map_err(|_| anyhow!("another dataset's thread died"))?;
        for parent in missing(&existing, run, to, dataset, |_| false)? {
            zfs::create_parent(there, &parent).map_err(|error| without_key(error, &parent))?;
            existing.insert(parent);
        }
        Ok(())
    }

    /// Whether they exist or can be made, as far as this run does not bring them itself: `comes` says what it will.
    ///
    /// # Errors
    /// [`Later`] when another job will bring a parent.
    pub(super) fn look(
        &self,
        run: &Run,
        to: &Destination,
        dataset: &Dataset,
        comes: impl Fn(&Dataset) -> bool,
    ) -> Result<()> {
        let existing = self
            .0
            .lock()
            .map_err(|_| anyhow!("another dataset's thread died"))?;
        missing(&existing, run, to, dataset, comes).map(drop)
    }
}

/// What has to be made above the first replica of `dataset`, top down.
fn missing(
    existing: &BTreeSet<Dataset>,
    run: &Run,
    to: &Destination,
    dataset: &Dataset,
    comes: impl Fn(&Dataset) -> bool,
) -> Result<Vec<Dataset>> {
    let mut missing = Vec::new();
    let sources: Vec<Dataset> = dataset.and_above().skip(1).collect();
    for above in sources.into_iter().rev().filter(|above| !comes(above)) {
        let parent = to.replica(&above);
        if existing.contains(&parent) {
            continue;
        }
        let waits = format!("{} waits for its parent {parent}", to.replica(dataset));
        let bringer = governing(run.config, run.entry.host_name(), &above);
        let is_there = |other: &Destination| {
            other.host_name() == to.host_name() && other.replica(&above) == parent
        };
        let brings = |entry: &Entry| entry.destinations.iter().any(is_there);
        if let Some(entry) = bringer.filter(|entry| brings(entry)) {
            return Err(Later(format!(
                "{waits}, which `zam replicate {}` brings",
                quoted(&entry.key)
            ))
            .into());
        }
        if run.config.is_dropped(run.entry.host_name(), &above) {
            return Err(Later(format!("{waits}: the entry of that is at fault")).into());
        }
        missing.push(parent);
    }
    Ok(missing)
}

/// Below an encrypted dataset that is locked nothing encrypted can be made; what arrives raw needs no key of its parent.
fn without_key(error: anyhow::Error, parent: &Dataset) -> anyhow::Error {
    if !zfs::lacks_key(&error) {
        return error;
    }
    let parent = quoted(parent.as_str());
    anyhow!(
        "{error:#}; to make it without encryption (what arrives raw stays encrypted): \
         zfs create -u -o canmount=off -o encryption=off {parent}"
    )
}
