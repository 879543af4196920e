//! `zam status`: what each entry and its replicas hold, whether that is what was promised, when the jobs run next, and
//! what failed. ZFS is asked about the data, systemd about the jobs. Changes nothing, and works for every user; how it
//! looks stands in `table`.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;

use anyhow::{Result, anyhow};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::notify::{self, Alert};
use super::sides::TYPES;
use super::words::does_not_exist;
use super::{print_json, side_by_side, table};
use crate::core::config::{Config, Destination, Entry, Verb};
use crate::core::health::{Health, Judgement, judge, of_source, owned};
use crate::core::listing::{TREE_COLUMNS, Tree};
use crate::core::name::Dataset;
use crate::core::replication::Side;
use crate::core::selection::governs;
use crate::core::units::{instance, service};
use crate::edge::command::Machine;
use crate::edge::systemd::{self, Jobs};
use crate::edge::zfs::{self, Depth};
use crate::edge::{journal, state};

/// Machines asked side by side: one that does not answer takes its time.
const AT_ONCE: usize = 8;

/// One entry, as `--json` prints it.
#[derive(Serialize)]
pub(super) struct Shown {
    pub(super) dataset: String,
    pub(super) recursive: bool,
    /// How many of ours it has, with all that it governs.
    pub(super) snapshots: usize,
    pub(super) newest: Option<DateTime<Utc>>,
    pub(super) state: Health,
    pub(super) why: Option<String>,
    pub(super) jobs: Vec<ShownJob>,
    pub(super) destinations: Vec<ShownReplica>,
}

#[derive(Serialize)]
pub(super) struct ShownJob {
    pub(super) unit: String,
    pub(super) next: Option<DateTime<Utc>>,
    /// When it last ended.
    pub(super) last: Option<DateTime<Utc>>,
    /// `running`, `success`, `waiting` (for the configuration to be mended), or what systemd calls the failure; none before
    /// its first run.
    pub(super) result: Option<String>,
    #[serde(skip)]
    pub(super) verb: Verb,
    #[serde(skip)]
    pub(super) destination: Option<String>,
    #[serde(skip)]
    pub(super) alert: Option<Alert>,
}

#[derive(Serialize)]
pub(super) struct ShownReplica {
    pub(super) name: String,
    pub(super) replica: Dataset,
    pub(super) snapshots: usize,
    pub(super) newest: Option<DateTime<Utc>>,
    pub(super) lag_seconds: Option<i64>,
    pub(super) state: Health,
    pub(super) why: Option<String>,
}

/// `only` one entry, and of it what is at and below that dataset.
///
/// # Errors
/// The ZFS of this machine cannot be asked.
pub fn run(config: &Config, only: Option<(&Entry, Dataset)>, json: bool, now: DateTime<Utc>) -> Result<()> {
    let all = || config.entries.iter().map(|entry| (entry, entry.dataset.clone())).collect();
    let chosen: Vec<(&Entry, Dataset)> = only.map_or_else(all, |only| vec![only]);
    let jobs = systemd::jobs().unwrap_or_else(|error| {
        journal::warn(format!("{error:#}; when jobs run next is not known"));
        Jobs::default()
    });
    if let Some(why) = jobs.stopped.as_ref().filter(|_| chosen.iter().any(|(entry, _)| !entry.jobs().is_empty())) {
        journal::warn(why);
    }
    let mut trees = look(&chosen);
    if let Some(Err(error)) = trees.get_mut(&None) {
        return Err(std::mem::replace(error, anyhow!("told")));
    }
    let shown: Vec<Shown> =
        chosen.iter().map(|(entry, top)| Look { config, entry, top, trees: &trees, now }.show(&jobs)).collect();
    if json {
        return print_json(&serde_json::json!({"datasets": shown}));
    }
    table::print(&shown, now);
    Ok(())
}

type Trees<'c> = BTreeMap<Option<&'c str>, Result<Tree>>;

/// All that the entries and their replicas are, by machine (none is this one); at most two zfs processes on each.
fn look<'c>(chosen: &[(&'c Entry, Dataset)]) -> Trees<'c> {
    let mut machines: BTreeMap<Option<&str>, (Machine, [BTreeSet<Dataset>; 2])> = BTreeMap::new();
    for (entry, top) in chosen {
        let roots = entry.destinations.iter().map(|to| (to.host.as_ref(), to.root.clone(), false));
        let replicas = entry.destinations.iter().map(|to| (to.host.as_ref(), to.replica(top), entry.recursive));
        for (host, place, whole) in once((entry.host.as_ref(), top.clone(), entry.recursive)).chain(roots).chain(replicas) {
            let machine = machines.entry(host.map(|host| host.name.as_str()));
            machine.or_insert_with(|| (Machine::new(host), Default::default())).1[usize::from(whole)].insert(place);
        }
    }
    let listed = side_by_side(machines.into_iter().collect(), AT_ONCE, |(host, (machine, [single, whole]))| {
        let list = |depth, names: &BTreeSet<Dataset>| {
            let names: Vec<&str> = names.iter().map(Dataset::as_str).collect();
            zfs::list(&machine, TREE_COLUMNS, TYPES, depth, &names).map(|listing| listing.tree)
        };
        // Of children the first listing knows no snapshots; the second then does.
        let tree = list(Depth::One, &single).and_then(|mut tree| {
            tree.extend(list(Depth::All, &whole)?);
            Ok(tree)
        });
        machine.close();
        (host, tree)
    });
    listed.into_iter().collect()
}

/// One entry, with what there is to see of it.
struct Look<'l> {
    config: &'l Config,
    entry: &'l Entry,
    top: &'l Dataset,
    trees: &'l Trees<'l>,
    now: DateTime<Utc>,
}

impl Look<'_> {
    fn show(&self, jobs: &Jobs) -> Shown {
        let sources = self.sources().unwrap_or_default();
        let times = |dataset: &Dataset| self.times(self.entry.host_name(), dataset);
        let newest = sources.iter().filter_map(|dataset| times(dataset).last().copied()).min();
        let (state, why) = match &self.trees[&self.entry.host_name()] {
            Err(error) => (Health::Unreachable, Some(format!("{error:#}"))),
            Ok(tree) if !tree.contains_key(self.top) => {
                let place = Machine::new(self.entry.host.as_ref()).place();
                (Health::Unreachable, Some(format!("{:#}", does_not_exist(self.top, &place))))
            }
            Ok(_) if self.entry.host.is_some() => (Health::Ok, None),
            Ok(_) => (of_source(self.entry, newest, self.now.timestamp()), None),
        };
        Shown {
            dataset: crate::core::config::key(self.entry.host_name(), self.top),
            recursive: self.entry.recursive,
            snapshots: sources.iter().map(|dataset| times(dataset).len()).sum(),
            newest: newest.and_then(time),
            state,
            why,
            jobs: self.jobs(jobs),
            destinations: self.entry.destinations.iter().map(|to| self.replica(to)).collect(),
        }
    }

    /// What the entry governs; none when its machine cannot be reached.
    fn sources(&self) -> Option<Vec<Dataset>> {
        let tree = self.trees[&self.entry.host_name()].as_ref().ok()?;
        let governed = |d: &&Dataset| d.is_within(self.top) && governs(self.config, self.entry, d);
        Some(tree.keys().filter(governed).cloned().collect())
    }

    /// When the snapshots of ours were taken, oldest first.
    fn times(&self, host: Option<&str>, dataset: &Dataset) -> Vec<i64> {
        let state = self.trees[&host].as_ref().ok().and_then(|tree| tree.get(dataset));
        state.map(|state| owned(&self.config.prefix, state).map(|s| s.creation).collect()).unwrap_or_default()
    }

    fn replica(&self, to: &Destination) -> ShownReplica {
        let replica = to.replica(self.top);
        let sources = self.sources().unwrap_or_default();
        let judged = self.judge(to, &sources).unwrap_or_else(|error| Judgement {
            health: Health::Unreachable,
            newest: self.times(to.host_name(), &replica).last().copied(),
            lag: None,
            why: Some(self.unreachable(to, &error)),
        });
        ShownReplica {
            name: to.name.to_string(),
            snapshots: sources.iter().map(|source| self.times(to.host_name(), &to.replica(source)).len()).sum(),
            replica,
            newest: judged.newest.and_then(time),
            lag_seconds: judged.lag,
            state: judged.health,
            why: judged.why,
        }
    }

    /// Of a tree the worst, with the oldest of what is the newest in each.
    fn judge(&self, to: &Destination, sources: &[Dataset]) -> Result<Judgement, String> {
        let of = |host| self.trees[&host].as_ref().map_err(|error| format!("{error:#}"));
        let (here, there) = (of(self.entry.host_name())?, of(to.host_name())?);
        if !there.contains_key(&to.root) {
            return Err(format!("{:#}", does_not_exist(&to.root, &Machine::new(to.host.as_ref()).place())));
        }
        // What has nothing to send yet says nothing of the tree.
        let counts = |source: &&Dataset| {
            owned(&self.config.prefix, &here[*source]).next().is_some() || there.contains_key(&to.replica(source))
        };
        let judged = sources.iter().filter(counts).map(|source| {
            let place = to.replica(source);
            let replica = there.get(&place).map(|state| Side { name: place.to_string(), state });
            let side = Side { name: source.to_string(), state: &here[source] };
            judge(&self.config.prefix, to, &side, replica.as_ref(), self.now.timestamp())
        });
        let none = Judgement { health: Health::Never, newest: None, lag: None, why: None };
        Ok(judged.reduce(worse).unwrap_or(none))
    }

    fn unreachable(&self, to: &Destination, error: &str) -> String {
        let jobs = self.entry.jobs();
        let job = jobs.iter().find(|job| job.verb == Verb::Replicate && job.destination.is_some_and(|d| d.name == to.name));
        match job.and_then(state::last_success).and_then(time) {
            Some(last) => format!("{error}; the last replication that succeeded was at {}", last.format("%F %T UTC")),
            None => error.into(),
        }
    }

    fn jobs(&self, known: &Jobs) -> Vec<ShownJob> {
        let jobs = self.entry.jobs().into_iter().map(|job| {
            let (unit, instance) = (service(&job), instance(&job));
            let alert = notify::open(&instance);
            let done = state::last_success(&job).and_then(time);
            let result = match &alert {
                _ if known.running.contains(&unit) => Some("running".into()),
                Some(alert) => Some(alert.result.clone()),
                None if state::waits_since(&job).is_some() => Some("waiting".into()),
                None => done.map(|_| "success".into()),
            };
            ShownJob {
                next: known.next.get(&format!("zam-{instance}.timer")).copied().and_then(time),
                last: alert.as_ref().map(|alert| alert.time).max(done),
                unit,
                result,
                verb: job.verb,
                destination: job.destination.map(|to| to.name.to_string()),
                alert,
            }
        });
        jobs.collect()
    }
}

fn worse(a: Judgement, b: Judgement) -> Judgement {
    let newest = a.newest.into_iter().chain(b.newest).min();
    let lag = a.lag.max(b.lag);
    let worst = if b.health > a.health { b } else { a };
    Judgement { newest, lag, ..worst }
}

fn time(epoch: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(epoch, 0)
}
