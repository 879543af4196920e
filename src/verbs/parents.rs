//! The parents of a first replica: what a job will bring is waited for, what none will is made.

use std::collections::BTreeSet;
use std::sync::Mutex;

use anyhow::{Result, anyhow};

use super::Run;
use crate::core::config::{Destination, Entry};
use crate::core::name::Dataset;
use crate::core::selection::governing;
use crate::edge::command::Machine;
use crate::edge::outcome::Later;
use crate::edge::zfs;

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

    /// Sees to it that what is above the first replica of `dataset` exists; one dataset at a time, since siblings share
    /// their parents.
    ///
    /// # Errors
    /// [`Later`] when a job will bring a parent.
    pub(super) fn make(&self, run: &Run, to: &Destination, there: &Machine, dataset: &Dataset) -> Result<()> {
        let mut existing = self.0.lock().map_err(|_| anyhow!("another dataset's thread died"))?;
        let sources: Vec<Dataset> = dataset.and_above().skip(1).collect();
        for above in sources.into_iter().rev() {
            let parent = to.replica(&above);
            if existing.contains(&parent) {
                continue;
            }
            let waits = format!("{} waits for its parent {parent}", to.replica(dataset));
            let bringer = governing(run.config, run.entry.host_name(), &above);
            let brings = |entry: &Entry| entry.destinations.iter().any(|other| other.name == to.name && other.root == to.root);
            if let Some(entry) = bringer.filter(|entry| brings(entry)) {
                return Err(Later(format!("{waits}, which `zam replicate {}` brings", entry.key)).into());
            }
            if run.config.is_dropped(run.entry.host_name(), &above) {
                return Err(Later(format!("{waits}: the entry of that is at fault")).into());
            }
            zfs::create_parent(there, &parent)?;
            existing.insert(parent);
        }
        Ok(())
    }
}
