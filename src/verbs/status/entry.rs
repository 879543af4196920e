//! One entry of `zam status`, judged by what was listed of its machines.

use anyhow::Result;
use chrono::{DateTime, Utc};

use crate::core::config::{Config, Destination, Entry, Verb};
use crate::core::health::{Health, Judgement, judge, of_source, owned};
use crate::core::name::Dataset;
use crate::core::replication::Side;
use crate::core::selection::governs;
use crate::core::unit_name::{instance, service};
use crate::edge::command::Machine;
use crate::edge::records;
use crate::edge::systemd::Jobs;
use crate::verbs::notify;
use crate::verbs::say::does_not_exist;
use crate::verbs::status::shown::{Shown, ShownJob, ShownReplica};
use crate::verbs::status::trees::Trees;

/// One entry, with what there is to see of it.
pub(super) struct Look<'l> {
    pub(super) config: &'l Config,
    pub(super) entry: &'l Entry,
    pub(super) top: &'l Dataset,
    pub(super) trees: &'l Trees<'l>,
    pub(super) now: DateTime<Utc>,
}

impl Look<'_> {
    pub(super) fn show(&self, jobs: &Jobs) -> Shown {
        let sources = self.sources().unwrap_or_default();
        let times = |dataset: &Dataset| self.times(self.entry.host_name(), dataset);
        let newest = sources
            .iter()
            .filter_map(|dataset| times(dataset).last().copied())
            .min();
        let (state, why) = match &self.trees[&self.entry.host_name()] {
            Err(error) => (Health::Unreachable, Some(format!("{error:#}"))),
            Ok(tree) if !tree.contains_key(self.top) => {
                let place = Machine::new(self.entry.host.as_ref()).place();
                (
                    Health::Unreachable,
                    Some(format!("{:#}", does_not_exist(self.top, &place))),
                )
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
            destinations: self
                .entry
                .destinations
                .iter()
                .map(|to| self.replica(to))
                .collect(),
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
        let state = self.trees[&host]
            .as_ref()
            .ok()
            .and_then(|tree| tree.get(dataset));
        state
            .map(|state| {
                owned(&self.config.prefix, state)
                    .map(|s| s.creation)
                    .collect()
            })
            .unwrap_or_default()
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
            snapshots: sources
                .iter()
                .map(|source| self.times(to.host_name(), &to.replica(source)).len())
                .sum(),
            replica,
            newest: judged.newest.and_then(time),
            lag_seconds: judged.lag,
            state: judged.health,
            why: judged.why,
        }
    }

    /// Of a tree the worst, with the oldest of what is the newest in each.
    fn judge(&self, to: &Destination, sources: &[Dataset]) -> Result<Judgement, String> {
        let of = |host| {
            self.trees[&host]
                .as_ref()
                .map_err(|error| format!("{error:#}"))
        };
        let (here, there) = (of(self.entry.host_name())?, of(to.host_name())?);
        if !there.contains_key(&to.root) {
            return Err(format!(
                "{:#}",
                does_not_exist(&to.root, &Machine::new(to.host.as_ref()).place())
            ));
        }
        // What has nothing to send yet says nothing of the tree.
        let counts = |source: &&Dataset| {
            owned(&self.config.prefix, &here[*source]).next().is_some()
                || there.contains_key(&to.replica(source))
        };
        let judged = sources.iter().filter(counts).map(|source| {
            let place = to.replica(source);
            let replica = there.get(&place).map(|state| Side {
                name: place.to_string(),
                state,
            });
            let side = Side {
                name: source.to_string(),
                state: &here[source],
            };
            judge(
                &self.config.prefix,
                to,
                &side,
                replica.as_ref(),
                self.now.timestamp(),
            )
        });
        let none = Judgement {
            health: Health::Never,
            newest: None,
            lag: None,
            why: None,
        };
        Ok(judged.reduce(worse).unwrap_or(none))
    }

    fn unreachable(&self, to: &Destination, error: &str) -> String {
        let jobs = self.entry.jobs();
        let job = jobs.iter().find(|job| {
            job.verb == Verb::Replicate && job.destination.is_some_and(|d| d.name == to.name)
        });
        match job.and_then(records::last_success).and_then(time) {
            Some(last) => format!(
                "{error}; the last replication that succeeded was at {}",
                last.format("%F %T UTC")
            ),
            None => error.into(),
        }
    }

    fn jobs(&self, known: &Jobs) -> Vec<ShownJob> {
        let jobs = self.entry.jobs().into_iter().map(|job| {
            let (unit, instance) = (service(&job), instance(&job));
            let alert = notify::open(&instance);
            let done = records::last_success(&job).and_then(time);
            let result = match &alert {
                _ if known.running.contains(&unit) => Some("running".into()),
                Some(alert) => Some(alert.result.clone()),
                None if records::waits_since(&job).is_some() => Some("waiting".into()),
                None => done.map(|_| "success".into()),
            };
            ShownJob {
                next: known
                    .next
                    .get(&format!("zam-{instance}.timer"))
                    .copied()
                    .and_then(time),
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
    Judgement {
        newest,
        lag,
        ..worst
    }
}

fn time(epoch: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(epoch, 0)
}
