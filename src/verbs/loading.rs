//! The configuration as verbs want it: there has to be one, and what is wrong with it is said. `edge/configuration`
//! cannot say anything itself, because the generator uses it and has no journal.

use std::path::Path;

use anyhow::Result;

use crate::core::config::Entry;
use crate::core::name::Dataset;
use crate::core::selection;
use crate::edge::configuration::{self, Loaded};
use crate::edge::journal;
use crate::edge::outcome::Exit::{Misconfigured, Usage};
use crate::edge::outcome::Outcome;

/// Reads the configuration at `path`.
///
/// # Errors
/// [`Misconfigured`]: there is none, or it cannot be read.
pub fn load(path: &Path) -> Result<Loaded> {
    let loaded = configuration::read(path).map_err(Misconfigured)?;
    loaded.ok_or_else(|| {
        let path = path.display();
        Misconfigured(format!(
            "there is no configuration at {path}; zam.yaml(5) shows one"
        ))
        .into()
    })
}

/// Reads the configuration at `path` and reports everything that is wrong with it.
///
/// # Errors
/// As [`load`] does.
pub fn load_and_report(path: &Path) -> Result<Loaded> {
    let loaded = load(path)?;
    loaded.report_faults();
    Ok(loaded)
}

impl Loaded {
    /// The entry and the dataset that a command line's DATASET means.
    ///
    /// # Errors
    /// No entry governs it: [`Usage`], or [`Misconfigured`] if the configuration is known to be wrong.
    pub fn find(&self, dataset: &str) -> Result<(&Entry, Dataset)> {
        let found = selection::find(&self.config, dataset);
        Ok(found.map_err(|why| match self.faults.is_empty() {
            true => Usage(why),
            false => Misconfigured(why),
        })?)
    }

    /// As [`Loaded::find`] does; none if the command line names no dataset.
    ///
    /// # Errors
    /// As [`Loaded::find`] does.
    pub fn find_if_given(&self, dataset: Option<&str>) -> Result<Option<(&Entry, Dataset)>> {
        dataset.map(|dataset| self.find(dataset)).transpose()
    }

    /// Reports everything that is wrong, each fault with its place.
    pub fn report_faults(&self) {
        for fault in &self.faults {
            journal::error(fault);
        }
    }

    /// Says in one line that something is wrong elsewhere in the configuration. While the last good one is in force, every
    /// fault is said.
    pub fn mention_faults(&self) {
        if self.is_last_good {
            self.faults.iter().for_each(journal::warn);
        } else if !self.faults.is_empty() {
            journal::warn(format!("{}; zam config tells them", self.wrong()));
        }
    }

    /// Why nothing may be pruned under this configuration, as a warning, if that is so.
    pub fn warn_if_pruning_waits(&self) {
        if let Some(why) = &self.config.pruning_waits {
            journal::warn(format!("pruning waits: {why}"));
        }
    }

    /// How a verb ends that has shown the whole configuration.
    ///
    /// # Errors
    /// [`Misconfigured`] if anything is wrong with it.
    pub fn finish(&self) -> Result<Outcome> {
        match self.faults.is_empty() {
            true => Ok(Outcome::Done),
            false => Err(self.wrong().into()),
        }
    }
}
