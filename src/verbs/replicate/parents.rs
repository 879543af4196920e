//! The datasets above a replica that is sent for the first time. A parent that a job will bring is waited for; one that
//! no job will bring is made.

use std::collections::BTreeSet;
use std::sync::Mutex;

use anyhow::{Result, anyhow, bail};

use crate::core::config::{Destination, Entry};
use crate::core::listing::{State, Tree};
use crate::core::name::Dataset;
use crate::core::selection::governing;
use crate::core::shell::quoted;
use crate::edge::command::Machine;
use crate::edge::mutex::lock;
use crate::edge::outcome::Exit::Later;
use crate::edge::zfs;
use crate::verbs::Run;

pub(super) struct Parents<'p> {
    run: &'p Run<'p>,
    to: &'p Destination,
    /// All that exists at the destination; grows as datasets arrive.
    existing: Mutex<BTreeSet<Dataset>>,
}

impl<'p> Parents<'p> {
    pub(super) fn new(run: &'p Run, to: &'p Destination, existing: BTreeSet<Dataset>) -> Self {
        Parents {
            run,
            to,
            existing: Mutex::new(existing),
        }
    }

    pub(super) fn arrived(&self, replica: &Dataset) {
        lock(&self.existing).insert(replica.clone());
    }

    pub(super) fn has(&self, replica: &Dataset) -> bool {
        lock(&self.existing).contains(replica)
    }

    /// Makes what is missing above the replica of `dataset`; one dataset at a time, since siblings share their parents.
    ///
    /// # Errors
    /// [`Later`] when a job will bring a parent.
    pub(super) fn make(&self, there: &Machine, dataset: &Dataset) -> Result<()> {
        let mut existing = lock(&self.existing);
        for parent in self.missing(&existing, dataset, &Tree::new())? {
            zfs::create_parent(there, &parent).map_err(|error| without_key(error, &parent))?;
            existing.insert(parent);
        }
        Ok(())
    }

    /// Whether the parents exist or can be made, apart from those that this run brings itself: the replicas of `sources`.
    ///
    /// # Errors
    /// [`Later`] when another job will bring a parent, or this one once the parent has a snapshot.
    pub(super) fn check(&self, dataset: &Dataset, sources: &Tree) -> Result<()> {
        self.missing(&lock(&self.existing), dataset, sources)
            .map(drop)
    }

    /// The datasets that have to be made above the replica of `dataset`, top down.
    fn missing(
        &self,
        existing: &BTreeSet<Dataset>,
        dataset: &Dataset,
        sources: &Tree,
    ) -> Result<Vec<Dataset>> {
        let mut missing = Vec::new();
        let above: Vec<Dataset> = dataset.and_above().skip(1).collect();
        for source in above.iter().rev() {
            let parent = self.to.replica(source);
            if existing.contains(&parent) {
                continue;
            }
            if let Some(state) = sources.get(source) {
                self.check_snapshots(dataset, source, state, &missing)?;
                continue;
            }
            self.must_not_wait(dataset, source, &parent)?;
            missing.push(parent);
        }
        Ok(missing)
    }

    /// `missing` is what has to be made above the replica of `source`.
    ///
    /// # Errors
    /// The source above `dataset` has no snapshot of ours, and so nothing that this run could bring.
    fn check_snapshots(
        &self,
        dataset: &Dataset,
        source: &Dataset,
        state: &State,
        missing: &[Dataset],
    ) -> Result<()> {
        if state.owned(&self.run.config.prefix).next().is_some() {
            return Ok(());
        }
        let entry = self.run.entry;
        let here = Machine::new(entry.host.as_ref()).on_host();
        let there = Machine::new(self.to.host.as_ref()).on_host();
        let why = format!(
            "the replica of {dataset} waits for that of {source}, which has no snapshot of zam's yet"
        );
        // What is still being received, or is snapshot by this entry, will have one by itself.
        if state.resume_token.is_some() || entry.snapshot_period.is_some() {
            return Err(Later(why).into());
        }
        let mut commands = Vec::new();
        for parent in missing.iter().chain([&self.to.replica(source)]) {
            let parent = quoted(parent.as_str());
            commands.push(format!("zfs create -u -o canmount=off {parent}"));
        }
        bail!(
            "{why}; let what snapshots {dataset} snapshot {source}{here} too, or, if that only holds others and never has a \
             snapshot, make its replica{there}: {}",
            commands.join(" && ")
        )
    }

    /// # Errors
    /// The replica of `source` is not to be made, since an entry brings it: [`Later`], unless that is another one, for which
    /// no timer runs.
    fn must_not_wait(&self, dataset: &Dataset, source: &Dataset, parent: &Dataset) -> Result<()> {
        let host = self.run.entry.host_name();
        let what = format!("{} waits for its parent {parent}", self.to.replica(dataset));
        if let Some(entry) = governing(self.run.config, host, source)
            && let Some(to) = self.brings(entry, source, parent)
        {
            let key = quoted(&entry.key);
            let is_other = entry.key != self.run.entry.key;
            if is_other && to.replication_period.is_none() {
                bail!("{what}, which no timer brings: zam replicate {key}");
            }
            return Err(Later(format!("{what}, which `zam replicate {key}` brings")).into());
        }
        if self.run.config.is_dropped(host, source) {
            let why = format!("{what}, whose entry has a fault in the configuration");
            return Err(Later(why).into());
        }
        Ok(())
    }

    /// The destination by which an entry brings `parent`, the replica of `source`.
    fn brings<'e>(
        &self,
        entry: &'e Entry,
        source: &Dataset,
        parent: &Dataset,
    ) -> Option<&'e Destination> {
        let address = self.to.address();
        let mut destinations = entry.destinations.iter();
        destinations.find(|other| other.address() == address && other.replica(source) == *parent)
    }
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
