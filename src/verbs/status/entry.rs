//! One entry of `zam status`, judged by what was listed of its machines.

use chrono::{DateTime, Utc};

use crate::core::config::{Config, Destination, Entry, key};
use crate::core::health::{Health, Judgement, alert_after, has_stopped, is_new, judge, of_source};
use crate::core::job::Job;
use crate::core::listing::Tree;
use crate::core::name::Dataset;
use crate::core::replication::Side;
use crate::core::selection::governs;
use crate::core::span::Rough;
use crate::core::unit_name::{instance, service};
use crate::edge::command::Machine;
use crate::edge::records::Records;
use crate::edge::systemd::Jobs;
use crate::verbs::last_check::{Before, Seen};
use crate::verbs::notify;
use crate::verbs::say::does_not_exist;
use crate::verbs::status::missing::{Known, time};
use crate::verbs::status::shown::{ShownEntry, ShownJob, ShownReplica};
use crate::verbs::status::trees::Trees;

/// One entry, with what there is to see of it.
pub(super) struct Look<'l> {
    config: &'l Config,
    entry: &'l Entry,
    top: &'l Dataset,
    trees: &'l Trees<'l>,
    before: &'l Before,
    now: DateTime<Utc>,
    /// The datasets that the entry governs; empty when its machine cannot be reached.
    sources: Vec<&'l Dataset>,
}

impl<'l> Look<'l> {
    pub(super) fn new(
        config: &'l Config,
        entry: &'l Entry,
        top: &'l Dataset,
        trees: &'l Trees,
        before: &'l Before,
        now: DateTime<Utc>,
    ) -> Self {
        let mut sources = Vec::new();
        if let Ok(tree) = trees.at(entry.host_name(), top) {
            sources.extend(tree.keys());
            sources.retain(|d| d.is_within(top) && governs(config, entry, d));
        }
        Look {
            config,
            entry,
            top,
            trees,
            before,
            now,
            sources,
        }
    }

    pub(super) fn show(&self, systemd: &Jobs) -> ShownEntry {
        let mut snapshots = 0;
        let mut newest = None;
        for dataset in &self.sources {
            let times = self.times(self.entry.host_name(), dataset);
            snapshots += times.len();
            newest = older(newest, times.last().copied());
        }
        let unreachable = self.why_unreachable();
        let stopped = self.why_stopped();
        let state = match (&unreachable, &stopped) {
            (Some(_), _) => Health::Unreachable,
            (None, Some(_)) => Health::Late,
            (None, None) => of_source(self.entry, newest, self.now.timestamp()),
        };
        let jobs = self.entry.jobs();
        let jobs = jobs.iter().map(|job| self.job(job, systemd)).collect();
        let known = self.known(self.before.source(&self.key()), None);
        let replicas = self.entry.destinations.iter().map(|to| self.replica(to));
        let destinations = replicas.collect();
        ShownEntry {
            missing_since: known.source_missing_since(state),
            dataset: self.key(),
            recursive: self.entry.recursive,
            snapshots: (state != Health::Unreachable).then_some(snapshots),
            newest: newest.and_then(time),
            state,
            why: unreachable.or(stopped),
            jobs,
            destinations,
        }
    }

    /// Why the source cannot be judged.
    fn why_unreachable(&self) -> Option<String> {
        match self.trees.at(self.entry.host_name(), self.top) {
            Ok(tree) if tree.contains_key(self.top) => None,
            Ok(_) => {
                let machine = Machine::new(self.entry.host.as_ref());
                Some(format!("{:#}", does_not_exist(self.top, &machine)))
            }
            Err(error) => Some(error),
        }
    }

    /// Of which source that is pulled the machine takes no snapshots any more.
    fn why_stopped(&self) -> Option<String> {
        let now = self.now.timestamp();
        let mut sources = self.sources.iter();
        let stopped = sources.find(|source| has_stopped(self.entry, &self.taken(source), now))?;
        let newest = self.taken(stopped).pop()?;
        Some(format!(
            "the newest snapshot {}_* of {} is {} old (alert-after {}), so its machine takes none any more",
            self.config.prefix,
            key(self.entry.host_name(), stopped),
            Rough(now - newest),
            alert_after(self.entry)?
        ))
    }

    /// When snapshots of a source were taken, as far as anybody knows: where all are gone from it, a replica has the last.
    fn taken(&self, source: &Dataset) -> Vec<i64> {
        let taken = self.times(self.entry.host_name(), source);
        if !taken.is_empty() {
            return taken;
        }
        let destinations = self.entry.destinations.iter();
        let there = destinations.map(|to| self.times(to.host_name(), &to.replica(source)));
        there
            .max_by_key(|times| times.last().copied())
            .unwrap_or_default()
    }

    /// When our snapshots of a dataset were taken, in epoch seconds, oldest first.
    fn times(&self, host: Option<&str>, dataset: &Dataset) -> Vec<i64> {
        let Ok(tree) = self.trees.at(host, dataset) else {
            return Vec::new();
        };
        let Some(state) = tree.get(dataset) else {
            return Vec::new();
        };
        let owned = state.owned(&self.config.prefix);
        owned.map(|s| s.creation).collect()
    }

    fn replica(&self, to: &Destination) -> ShownReplica {
        let host = to.host_name();
        let replica = to.replica(self.top);
        let seen = self.before.replica(&self.key(), &to.name.to_string());
        let known = self.known(seen, self.last_success(to));
        let judged = self.judge(to).unwrap_or_else(|error| Judgement {
            newest: self.times(host, &replica).last().copied(),
            why: Some(self.with_last_success(to, error)),
            ..Judgement::new(Health::Unreachable)
        });
        let mut snapshots = 0;
        for source in &self.sources {
            snapshots += self.times(host, &to.replica(source)).len();
        }
        ShownReplica {
            name: to.name.to_string(),
            replica: replica.to_string(),
            snapshots: (judged.health != Health::Unreachable).then_some(snapshots),
            newest: judged.newest.and_then(time),
            lag_seconds: judged.lag,
            alert_after_seconds: to.alert_after.map(|after| after.seconds()),
            missing_since: known.missing_since(&judged),
            state_before: known.state_before(judged.health),
            state: judged.health,
            why: judged.why,
        }
    }

    /// The judgement of a whole tree: the worst health of its replicas, and the oldest of their newest snapshots.
    ///
    /// # Errors
    /// Why one of the two sides cannot be judged.
    fn judge(&self, to: &Destination) -> Result<Judgement, String> {
        if let Some(why) = self.why_unreachable() {
            return Err(why);
        }
        let here = self.trees.at(self.entry.host_name(), self.top)?;
        let there = self.trees.at(to.host_name(), &to.root)?;
        if !there.contains_key(&to.root) {
            let error = does_not_exist(&to.root, &Machine::new(to.host.as_ref()));
            return Err(format!("{error:#}"));
        }
        let one = |source: &&Dataset| self.judge_one(to, source, here, there);
        let mut judged: Vec<Judgement> = self.sources.iter().filter_map(one).collect();
        // A new child says nothing about the tree either, before its turn has come.
        if judged.iter().any(|judged| judged.newest.is_some()) {
            let now = self.now.timestamp();
            let is_new = |made| is_new(to, made, now);
            judged.retain(|judged| !judged.awaited_since.is_some_and(is_new));
        }
        Ok(judged
            .into_iter()
            .reduce(worse)
            .unwrap_or(Judgement::new(Health::Never)))
    }

    /// None for a source that has nothing to send yet: it says nothing about the tree.
    fn judge_one(
        &self,
        to: &Destination,
        source: &Dataset,
        here: &Tree,
        there: &Tree,
    ) -> Option<Judgement> {
        let prefix = &self.config.prefix;
        let name = to.replica(source);
        let replica = there.get(&name).map(|state| Side {
            name: name.to_string(),
            state,
        });
        let state = &here[source];
        if replica.is_none() && state.owned(prefix).next().is_none() {
            return None;
        }
        let source = Side {
            name: source.to_string(),
            state,
        };
        let now = self.now.timestamp();
        Some(judge(prefix, to, &source, replica.as_ref(), now))
    }

    fn with_last_success(&self, to: &Destination, error: String) -> String {
        match self.last_success(to) {
            None => error,
            Some(last) => {
                let last = last.format("%F %T UTC");
                format!("{error}; the last replication that succeeded was at {last}")
            }
        }
    }

    /// When a replication last succeeded. One dated in the future was recorded under another clock.
    fn last_success(&self, to: &Destination) -> Option<DateTime<Utc>> {
        let job = self.entry.replication(to)?;
        let last = self.records(&job).last_success(&instance(&job))?;
        time(last).filter(|last| *last <= self.now)
    }

    fn known<'k>(&self, seen: Option<&'k Seen>, success: Option<DateTime<Utc>>) -> Known<'k> {
        Known {
            seen,
            check: self.before.time,
            success,
            now: self.now,
        }
    }

    fn key(&self) -> String {
        key(self.entry.host_name(), self.top)
    }

    fn records(&self, job: &Job) -> Records {
        Records::of(self.config.user_of(job))
    }

    fn job(&self, job: &Job, known: &Jobs) -> ShownJob {
        let unit = service(job);
        let name = instance(job);
        let records = self.records(job);
        let success = records.last(&name);
        let done = success.and_then(|success| time(success.time));
        let alert = notify::open(&name);
        let result = match &alert {
            _ if known.running.contains(&unit) => Some("running".into()),
            Some(alert) => Some(alert.result.clone()),
            None if records.waits_since(&name).is_some() => Some("waiting".into()),
            None => done.map(|_| "success".into()),
        };
        let next = known.next.get(&format!("zam-{name}.timer"));
        let next = next.and_then(|epoch| time(*epoch));
        let failed = alert.as_ref().map(|alert| alert.time);
        ShownJob {
            next,
            last: failed.max(done),
            unit,
            result,
            verb: job.verb,
            destination: job.destination.map(|to| to.name.to_string()),
            success: done,
            seconds: success.and_then(|success| success.seconds),
            bytes: success.and_then(|success| success.bytes),
            alert,
        }
    }
}

fn worse(a: Judgement, b: Judgement) -> Judgement {
    let newest = older(a.newest, b.newest);
    let lag = a.lag.max(b.lag);
    let awaited_since = older(a.awaited_since, b.awaited_since);
    let worst = if b.health > a.health { b } else { a };
    Judgement {
        newest,
        lag,
        awaited_since,
        ..worst
    }
}

/// The older one of two moments, in epoch seconds, or the only one.
fn older(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}
