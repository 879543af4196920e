//! What a configuration is once it has been read: entries with all their settings resolved, and the jobs they give.
//! Knows no YAML; `load` makes it from text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;

use crate::core::fault::At;
use crate::core::name::{Dataset, Label, Prefix};
use crate::core::pattern::Pattern;
use crate::core::scalars::{Compression, Rate};
use crate::core::schedule;
use crate::core::span::{Period, Span};

#[derive(Clone, Debug, Default)]
pub struct Config {
    pub prefix: Prefix,
    pub user: String,
    pub prune_user: String,
    pub notify: Vec<String>,
    pub metrics_file: Option<String>,
    pub hosts: BTreeMap<Label, Arc<Host>>,
    /// Sorted by key.
    pub entries: Vec<Entry>,
    /// The roots of all destinations on this machine.
    pub roots: BTreeSet<Dataset>,
    /// The keys of entries at fault.
    pub dropped: BTreeSet<String>,
    /// Why nothing may be pruned: a fault that could have meant another policy for any dataset (invariant 10).
    pub pruning_waits: Option<String>,
    /// What is no fault and should be known.
    pub notes: Vec<String>,
}

/// A machine reached over ssh.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    pub name: Label,
    /// As ssh takes it: `user@machine`.
    pub ssh: String,
    pub port: Option<u16>,
    pub identity: Option<String>,
    pub options: Vec<String>,
}

/// A dataset named in the configuration, with its recursion and all its settings.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As the configuration names it: the dataset, or `HOST:dataset` of a pulled one.
    pub key: String,
    pub at: At,
    /// Where the dataset is; none for this machine. A pulled entry has destinations alone.
    pub host: Option<Arc<Host>>,
    pub dataset: Dataset,
    pub recursive: bool,
    pub exclude: Vec<Pattern>,
    pub snapshot_period: Option<Period>,
    pub prune_period: Period,
    pub windows: Vec<Window>,
    pub destinations: Vec<Destination>,
    pub hooks: Hooks,
    /// Every setting that applies, and where it stands.
    pub settings: Vec<Setting>,
}

#[derive(Clone, Debug)]
pub struct Setting {
    pub name: String,
    pub value: String,
    pub at: At,
}

#[derive(Clone, Debug, Default)]
pub struct Hooks {
    pub before: Vec<String>,
    pub after: Vec<String>,
}

/// A destination as one entry uses it, its overrides applied.
#[derive(Clone, Debug)]
pub struct Destination {
    pub name: Label,
    pub host: Option<Arc<Host>>,
    pub root: Dataset,
    pub replication_period: Option<Period>,
    pub prune_period: Option<Period>,
    /// Empty: every owned snapshot is wanted.
    pub windows: Vec<Window>,
    pub alert_after: Option<Span>,
    pub idle: Option<Idle>,
    pub decrypt: bool,
    pub rate_limit: Option<Rate>,
    pub compress: Option<Compression>,
    pub stall_timeout: Span,
    /// None: as many as the machine is good for.
    pub parallel: Option<u8>,
    /// What is set for it, in its definition and by the entry, and where it stands.
    pub settings: Vec<Setting>,
}

impl Destination {
    pub fn host_name(&self) -> Option<&str> {
        self.host.as_ref().map(|host| host.name.as_str())
    }

    pub fn replica(&self, source: &Dataset) -> Dataset {
        self.root.join(source)
    }
}

/// When a job may run.
#[derive(Clone, Debug, Default)]
pub struct Idle {
    pub windows: Vec<schedule::Window>,
    pub on_ac_power: bool,
    pub user_idle: Option<Span>,
    pub unmetered: bool,
    pub pool: bool,
    pub run_at_last: bool,
}

impl Idle {
    /// Whether anything besides the windows is asked, so that a job tries again and again until it may run.
    pub fn is_polled(&self) -> bool {
        self.on_ac_power || self.user_idle.is_some() || self.unmetered || self.pool
    }
}

/// A promise: for every bucket of `period` within `max_age` (for ever without one), one snapshot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    pub max_age: Option<Span>,
    pub period: Period,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.max_age {
            Some(age) => write!(f, "one per {} for {age}", self.period),
            None => write!(f, "one per {} for ever", self.period),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Snapshot,
    Replicate,
    Prune,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Verb::Snapshot => "snapshot",
            Verb::Replicate => "replicate",
            Verb::Prune => "prune",
        })
    }
}

impl FromStr for Verb {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Verb::Snapshot, Verb::Replicate, Verb::Prune];
        all.into_iter()
            .find(|verb| verb.to_string() == text)
            .ok_or_else(|| format!("`{text}` is no verb of a job"))
    }
}

/// A verb on an entry; for replicate, and for pruning a replica: and a destination.
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
        self.destination
            .filter(|_| self.verb == Verb::Replicate)
            .and_then(|to| to.idle.as_ref())
    }

    /// `VERB/DATASET` or `VERB:DESTINATION/DATASET`: what the job's units are named after.
    pub fn path(&self) -> String {
        let to = self
            .destination
            .map(|d| format!(":{}", d.name))
            .unwrap_or_default();
        format!("{}{to}/{}", self.verb, self.entry.key)
    }
}

/// As the configuration names a dataset of this machine or of a host.
pub fn key(host: Option<&str>, dataset: &Dataset) -> String {
    host.map_or_else(|| dataset.to_string(), |host| format!("{host}:{dataset}"))
}

impl Config {
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries
            .binary_search_by(|e| e.key.as_str().cmp(key))
            .ok()
            .map(|i| &self.entries[i])
    }

    /// Whether an entry at fault names this dataset.
    pub fn is_dropped(&self, host: Option<&str>, dataset: &Dataset) -> bool {
        self.dropped.contains(&key(host, dataset))
    }

    pub fn jobs(&self) -> impl Iterator<Item = Job<'_>> {
        self.entries.iter().flat_map(Entry::jobs)
    }
}

impl Entry {
    pub fn host_name(&self) -> Option<&str> {
        self.host.as_ref().map(|host| host.name.as_str())
    }

    /// The jobs of this entry. A setting that is absent means that its job does not exist.
    pub fn jobs(&self) -> Vec<Job<'_>> {
        let job = |verb, destination, period| Job {
            verb,
            entry: self,
            destination,
            period,
        };
        let mut jobs = Vec::new();
        jobs.extend(
            self.snapshot_period
                .map(|period| job(Verb::Snapshot, None, period)),
        );
        if !self.windows.is_empty() {
            jobs.push(job(Verb::Prune, None, self.prune_period));
        }
        for to in &self.destinations {
            jobs.extend(
                to.replication_period
                    .map(|period| job(Verb::Replicate, Some(to), period)),
            );
            jobs.extend(
                to.prune_period
                    .filter(|_| !to.windows.is_empty())
                    .map(|period| job(Verb::Prune, Some(to), period)),
            );
        }
        jobs
    }
}
