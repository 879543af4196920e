//! The jobs of a configuration: a verb on an entry, each with a timer of its own.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, IntoDeserializer};
use serde::{Deserialize, Serialize};

use crate::core::config::{Config, Destination, Entry, Idle};
use crate::core::period::Period;
use crate::core::schedule::Timing;

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Snapshot,
    Replicate,
    Prune,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for Verb {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let verb: Result<Verb, de::value::Error> = Verb::deserialize(text.into_deserializer());
        verb.map_err(|_| format!("`{text}` is not a verb of a job"))
    }
}

/// A verb on an entry. Replicating, and pruning a replica, have a destination too.
#[derive(Clone, Copy, Debug)]
pub struct Job<'c> {
    pub verb: Verb,
    pub entry: &'c Entry,
    pub destination: Option<&'c Destination>,
    pub period: Period,
}

impl<'c> Job<'c> {
    /// The conditions for starting it; pruning and snapshots have none.
    pub fn idle(&self) -> Option<&'c Idle> {
        match self.verb {
            Verb::Replicate => self.destination?.idle.as_ref(),
            Verb::Snapshot | Verb::Prune => None,
        }
    }

    /// When its timer fires.
    pub fn timing(&self) -> Timing<'c> {
        let is_elsewhere = self.destination.is_some_and(|to| to.host.is_some());
        Timing {
            period: self.period,
            windows: self.idle().map_or(&[], |idle| idle.windows.as_slice()),
            is_polled: self.idle().is_some_and(Idle::is_polled),
            is_tried_again: self.verb == Verb::Prune && self.destination.is_some(),
            is_remote: is_elsewhere || self.entry.host.is_some(),
        }
    }

    /// `VERB/DATASET` or `VERB:DESTINATION/DATASET`. The job's units are named after it.
    pub fn path(&self) -> String {
        let verb = self.verb;
        let key = &self.entry.key;
        match self.destination {
            Some(to) => format!("{verb}:{}/{key}", to.name),
            None => format!("{verb}/{key}"),
        }
    }
}

impl Config {
    pub fn jobs(&self) -> impl Iterator<Item = Job<'_>> {
        self.entries.iter().flat_map(Entry::jobs)
    }

    /// The user that a job runs as. A replica on another machine is pruned over the key that sends to it.
    pub fn user_of(&self, job: &Job) -> &str {
        let is_here = job.destination.is_none_or(|to| to.host.is_none());
        match job.verb {
            Verb::Prune if is_here => self.prune_user(),
            _ => self.user(),
        }
    }
}

impl Entry {
    /// The jobs of this entry. A setting that is absent means that its job does not exist.
    pub fn jobs(&self) -> Vec<Job<'_>> {
        let mut jobs = Vec::new();
        jobs.extend(self.job(Verb::Snapshot, None, self.snapshot_period));
        if !self.windows.is_empty() {
            jobs.extend(self.job(Verb::Prune, None, Some(self.prune_period)));
        }
        for to in &self.destinations {
            jobs.extend(self.replication(to));
            if to.is_pruned() {
                jobs.extend(self.job(Verb::Prune, Some(to), to.prune_period));
            }
        }
        jobs
    }

    /// None: only replications by hand go there.
    pub fn replication<'c>(&'c self, to: &'c Destination) -> Option<Job<'c>> {
        self.job(Verb::Replicate, Some(to), to.replication_period)
    }

    fn job<'c>(
        &'c self,
        verb: Verb,
        destination: Option<&'c Destination>,
        period: Option<Period>,
    ) -> Option<Job<'c>> {
        Some(Job {
            verb,
            entry: self,
            destination,
            period: period?,
        })
    }
}
