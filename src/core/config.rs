//! What a configuration is once it has been read: entries with all their settings resolved. Knows no YAML; `load` makes
//! it from text. The jobs that it gives are in `job`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::core::fault::At;
use crate::core::host::{Address, Host};
use crate::core::name::{Dataset, Label, Prefix};
use crate::core::pattern::Pattern;
use crate::core::period::Period;
use crate::core::places::Places;
use crate::core::scalars::{Compression, Rate};
use crate::core::schedule;
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
}

impl Entry {
    pub fn host_name(&self) -> Option<&str> {
        self.host.as_ref().map(|host| host.name.as_str())
    }

    /// None: on this machine.
    pub fn address(&self) -> Option<Address<'_>> {
        self.host.as_ref().map(|host| host.address())
    }
}
