//! What a configuration is once it has been read: entries with all their settings resolved, and the jobs they give.
//! Knows no YAML; `load` makes it from text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{self, IntoDeserializer};
use serde::{Deserialize, Serialize};

use crate::core::fault::At;
use crate::core::name::{Dataset, Label, Prefix};
use crate::core::pattern::Pattern;
use crate::core::period::Period;
use crate::core::places::Places;
use crate::core::scalars::{Compression, Rate};
use crate::core::schedule::{self, Timing};
use crate::core::span::Span;

#[derive(Clone, Debug, Default)]
pub struct Config {
    pub prefix: Prefix,
    /// Who takes snapshots and replicates. None: nobody is named, and root runs every job.
    pub user: Option<String>,
    /// Who prunes what is on this machine.
    pub prune_user: Option<String>,
    pub notify: Vec<String>,
    /// Whether alerts are shown on the desktops of this machine.
    pub desktop: bool,
    pub metrics_file: Option<String>,
    pub hosts: BTreeMap<Label, Arc<Host>>,
    /// Sorted by key.
    pub entries: Vec<Entry>,
    /// The roots of all destinations on this machine, and those that entries use in their place.
    pub roots: BTreeSet<Dataset>,
    /// The keys of entries at fault.
    pub dropped: BTreeSet<String>,
    /// Why nothing may be pruned: a fault that may have meant another policy for any dataset (invariant 10).
    pub pruning_waits: Option<String>,
}

/// Where ssh goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address<'h> {
    user_and_machine: &'h str,
    port: u16,
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

impl Host {
    /// The name under which systemd hands its key to a job (systemd.exec(5), LoadCredential=).
    pub fn credential(&self) -> String {
        format!("ssh-{}", self.name)
    }

    /// One machine may stand in the configuration under several names, with a key for each.
    pub fn address(&self) -> Address<'_> {
        Address {
            user_and_machine: &self.ssh,
            port: self.port.unwrap_or(22),
        }
    }
}

/// A dataset named in the configuration, with its recursion and all its settings.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As the configuration names it: the dataset, or `HOST:dataset` of a pulled one.
    pub key: String,
    pub at: At,
    /// The machine of the dataset; none for this one. A pulled entry has destinations alone.
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
    pub places: Places,
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
    /// Every setting in its definition and in the entry, and where it stands.
    pub settings: Vec<Setting>,
    pub places: Places,
}

impl Destination {
    pub fn host_name(&self) -> Option<&str> {
        self.host.as_ref().map(|host| host.name.as_str())
    }

    /// None: on this machine.
    pub fn address(&self) -> Option<Address<'_>> {
        self.host.as_ref().map(|host| host.address())
    }

    pub fn replica(&self, source: &Dataset) -> Dataset {
        self.root.join(source)
    }

    /// Whether its replicas have a job that prunes them.
    pub fn is_pruned(&self) -> bool {
        self.prune_period.is_some() && !self.windows.is_empty()
    }

    /// The windows of its replications. Empty: at any time.
    pub fn idle_windows(&self) -> &[schedule::Window] {
        match &self.idle {
            Some(idle) => &idle.windows,
            None => &[],
        }
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
    /// Whether something besides the windows decides, so that a job tries again and again until it may run.
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

/// The configuration's name for a dataset of a host, or of this machine.
pub fn key(host: Option<&str>, dataset: &Dataset) -> String {
    match host {
        Some(host) => format!("{host}:{dataset}"),
        None => dataset.to_string(),
    }
}

/// Who may do everything, and runs the jobs until the configuration names somebody else.
pub const ROOT: &str = "root";
/// Who they are once `zam setup` has been run.
pub const USER: &str = "zam";
pub const PRUNE_USER: &str = "zam-prune";

impl Config {
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or(ROOT)
    }

    pub fn prune_user(&self) -> &str {
        self.prune_user_beside(self.user())
    }

    /// Who prunes if that other one takes snapshots and replicates.
    pub fn prune_user_beside(&self, user: &str) -> &str {
        match &self.prune_user {
            Some(user) => user,
            None if user == ROOT => ROOT,
            None => PRUNE_USER,
        }
    }

    /// The user that a job runs as. A replica on another machine is pruned over the key that sends to it.
    pub fn user_of(&self, job: &Job) -> &str {
        let is_here = job.destination.is_none_or(|to| to.host.is_none());
        match job.verb {
            Verb::Prune if is_here => self.prune_user(),
            _ => self.user(),
        }
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        let found = self
            .entries
            .binary_search_by(|entry| entry.key.as_str().cmp(key));
        found.ok().map(|position| &self.entries[position])
    }

    /// The keys of all entries, sound or at fault.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let sound = self.entries.iter().map(|entry| &entry.key);
        sound.chain(&self.dropped).map(String::as_str)
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

    /// None: on this machine.
    pub fn address(&self) -> Option<Address<'_>> {
        self.host.as_ref().map(|host| host.address())
    }

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
