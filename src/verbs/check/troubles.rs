//! What is wrong, from what was looked at.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use chrono::{DateTime, Utc};

use crate::core::alert::Alert;
use crate::core::config::{Config, Destination, Entry};
use crate::core::health::Health;
use crate::core::name::Dataset;
use crate::core::selection::passed_over_by;
use crate::core::span::{HOUR, Rough};
use crate::core::trouble::Trouble;
use crate::core::unit_name::instance;
use crate::edge::configuration::Loaded;
use crate::edge::systemd::Jobs;
use crate::edge::zfs::Pool;
use crate::verbs::status::is_of_a_job;
use crate::verbs::status::shown::{ShownEntry, ShownJob, ShownReplica};
use crate::verbs::status::trees::Trees;

/// Percent of a pool; ZFS slows down beyond.
const FULL: u8 = 90;

/// zam-config.service fails for the same reason.
pub(super) fn of_configuration(loaded: &Loaded) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if !loaded.faults.is_empty() {
        let why = format!("{}; zam config tells them", loaded.wrong());
        troubles.push(Trouble {
            told: true,
            ..Trouble::critical("the configuration", "invalid", why)
        });
    }
    if let Some(why) = &loaded.config.pruning_waits {
        let why = format!("it waits: {why}");
        troubles.push(Trouble::warning("pruning", "waiting", why));
    }
    troubles
}

/// Timers that do not fire.
pub(super) fn of_timers(config: &Config, known: &Result<Jobs>) -> Vec<Trouble> {
    if config.jobs().next().is_none() {
        return Vec::new();
    }
    let known = match known {
        Err(error) => {
            let why = format!("{error:#}");
            return vec![Trouble::warning("systemd", "unreachable", why)];
        }
        Ok(known) => known,
    };
    if let Some(why) = &known.stopped {
        return vec![Trouble::critical("zam.target", "stopped", why)];
    }
    let mut troubles = Vec::new();
    let mut instances: Vec<String> = config.jobs().map(|job| instance(&job)).collect();
    instances.push("check".into());
    for instance in instances {
        let (timer, service) = (
            format!("zam-{instance}.timer"),
            format!("zam@{instance}.service"),
        );
        if !known.next.contains_key(&timer) && !known.running.contains(&service) {
            let why = format!("it is not active; this starts it: systemctl start '{timer}'");
            troubles.push(Trouble::critical(timer, "stopped", why));
        }
    }
    troubles
}

pub(super) fn of_entry(entry: &Entry, shown: &ShownEntry, now: DateTime<Utc>) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    troubles.extend(of_clock(shown, now).or_else(|| of_source(entry, shown, now)));
    for (to, replica) in entry.destinations.iter().zip(&shown.destinations) {
        let about = format!("{} to {}", shown.dataset, to.name);
        troubles.extend(of_replica(about, to, replica, now));
    }
    for job in &shown.jobs {
        troubles.extend(of_job(job));
    }
    troubles
}

/// While the newest snapshot is dated in the future, nobody can tell whether others come.
fn of_clock(shown: &ShownEntry, now: DateTime<Utc>) -> Option<Trouble> {
    let ahead = (shown.newest? - now).num_seconds();
    let why = format!(
        "its newest snapshot is dated {} in the future; if the clock is right now (timedatectl), the next snapshot ends this",
        Rough(ahead)
    );
    (ahead > HOUR).then(|| Trouble::critical(shown.dataset.as_str(), "ahead", why))
}

fn of_source(entry: &Entry, shown: &ShownEntry, now: DateTime<Utc>) -> Option<Trouble> {
    let about = shown.dataset.as_str();
    let why = shown.why.clone().unwrap_or_default();
    match shown.state {
        Health::Unreachable if entry.host.is_none() => {
            Some(Trouble::critical(about, "unreachable", why))
        }
        // Whether that matters, its replicas decide.
        Health::Unreachable => Some(Trouble::warning(about, "unreachable", why)),
        Health::Late => {
            let age = shown
                .newest
                .map_or(0, |newest| (now - newest).num_seconds());
            let period = entry.snapshot_period?;
            let why = format!(
                "its newest snapshot is {} old, although one is due every {period}",
                Rough(age)
            );
            Some(Trouble::critical(about, "late", why))
        }
        Health::Never => {
            let period = entry.snapshot_period?;
            let missing = (now - shown.missing_since?).num_seconds();
            Some(match missing > 2 * period.seconds() {
                true => {
                    let why = format!("it has no snapshot, although one is due every {period}");
                    Trouble::critical(about, "late", why)
                }
                false => Trouble::warning(about, "never", "it has no snapshot yet"),
            })
        }
        _ => None,
    }
}

fn of_replica(
    about: String,
    to: &Destination,
    replica: &ShownReplica,
    now: DateTime<Utc>,
) -> Option<Trouble> {
    let why = replica.why.clone().unwrap_or_default();
    match replica.state {
        Health::Ok => None,
        Health::Late => {
            let why = format!("late: {}", behind(replica, now));
            Some(Trouble::warning(about, "late", why))
        }
        Health::Stale => {
            let after = to
                .alert_after
                .map_or(String::new(), |after| format!(" (alert-after {after})"));
            let why = format!("stale: {}{after}", behind(replica, now));
            Some(Trouble::critical(about, "stale", why))
        }
        Health::Diverged => {
            let why = format!("diverged: {why}");
            Some(Trouble::critical(about, "diverged", why))
        }
        Health::Never => {
            let why = "nothing has arrived yet".into();
            Some(of_missing(about, "never", why, replica, now))
        }
        Health::Unreachable => Some(match replica.state_before {
            // Nobody has mended that meanwhile, as far as is known.
            Some(before @ (Health::Stale | Health::Diverged))
                if before == Health::Diverged || to.alert_after.is_some() =>
            {
                let why = format!("{before} when it was last reached: {why}");
                Trouble::critical(about, &before.to_string(), why)
            }
            _ => of_missing(about, "unreachable", why, replica, now),
        }),
    }
}

/// A replica that has been missing for longer than `alert-after` is as good as one that is as old.
fn of_missing(
    about: String,
    kind: &str,
    why: String,
    replica: &ShownReplica,
    now: DateTime<Utc>,
) -> Trouble {
    let since = replica.missing_since.unwrap_or(now);
    let missing = (now - since).num_seconds();
    match replica.alert_after_seconds {
        Some(after) if missing > after => {
            let why = format!("stale: {why}; missing for {}", Rough(missing));
            Trouble::critical(about, "stale", why)
        }
        _ => Trouble::warning(about, kind, why),
    }
}

fn behind(replica: &ShownReplica, now: DateTime<Utc>) -> String {
    match replica.newest {
        None => "nothing has arrived".into(),
        Some(newest) => format!("what it has is {} old", Rough((now - newest).num_seconds())),
    }
}

fn of_job(job: &ShownJob) -> Option<Trouble> {
    job.alert.as_ref().map(of_alert)
}

/// Alerts of units that are no jobs of the configuration, such as zam-reload.service. The check's own says what stands here
/// anyway, and of zam-config.service of_configuration() has told.
pub(super) fn of_other_units(alerts: &[Alert], shown: &[ShownEntry]) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for alert in alerts {
        let is_told = ["zam@check.service", "zam-config.service"].contains(&alert.unit.as_str());
        if !is_told && !is_of_a_job(alert, shown) {
            troubles.push(of_alert(alert));
        }
    }
    troubles
}

fn of_alert(alert: &Alert) -> Trouble {
    let why = format!(
        "failed ({}, {}): {}",
        alert.result,
        alert.status,
        alert.reason()
    );
    Trouble {
        told: true,
        ..Trouble::critical(alert.unit.as_str(), "failed", why)
    }
}

/// Datasets below an entry that is not recursive, and that have no entry of their own: one line for each such entry.
pub(super) fn of_uncovered(config: &Config, trees: &Trees) -> Vec<Trouble> {
    let mut below: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let Some(Ok(here)) = trees.get(&None) else {
        return Vec::new();
    };
    for dataset in here.keys() {
        let is_replica = config.roots.iter().any(|root| dataset.is_within(root));
        if !is_replica && let Some(entry) = passed_over_by(config, dataset) {
            below
                .entry(entry.key.clone())
                .or_default()
                .push(dataset.as_str());
        }
    }
    let mut troubles = Vec::new();
    for (key, datasets) in below {
        let first = datasets[0];
        let others = match datasets.len() {
            1 => String::new(),
            count => format!(" and {} others", count - 1),
        };
        let why = format!(
            "it is not recursive, and {first}{others} below it has no entry: make it recursive, or exclude what is not wanted"
        );
        troubles.push(Trouble::warning(key, "uncovered", why));
    }
    troubles
}

/// The pools of this machine that have to do with zam.
pub(super) fn of_pools(config: &Config, pools: &[Pool]) -> Vec<Trouble> {
    let mut used: BTreeSet<&str> = config.roots.iter().map(Dataset::pool).collect();
    for entry in config.entries.iter().filter(|entry| entry.host.is_none()) {
        used.insert(entry.dataset.pool());
    }
    let mut troubles = Vec::new();
    for pool in pools
        .iter()
        .filter(|pool| used.contains(pool.name.as_str()))
    {
        let (about, name) = (format!("pool {}", pool.name), &pool.name);
        if pool.health != "ONLINE" {
            let why = format!("{}; zpool status {name}", pool.health);
            let kind = pool.health.to_lowercase();
            troubles.push(Trouble::critical(about.clone(), &kind, why));
        }
        if pool.capacity >= FULL {
            let why = format!("{} % full", pool.capacity);
            troubles.push(Trouble::warning(about, "full", why));
        }
    }
    troubles
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::core::fault::Source;
    use crate::core::listing::State;
    use crate::core::load::load;
    use crate::core::trouble::Gravity;
    use crate::verbs::check::example::record;

    const CONFIG: &str = "
destinations: {usb: {root: u/zam, replication-period: 1h, prune-period: 1d, alert-after: 3d, windows: [{max-age: 1d, period: 1h}]}}
datasets:
  tank: {snapshot-period: 1h}
  tank/home: {recursive: true, exclude: [tank/home/cache], snapshot-period: 1h, destinations: [usb]}";

    fn config() -> Config {
        let source = Source {
            path: "zam.yaml".into(),
            text: CONFIG.into(),
        };
        let (config, faults) = load(&[source]).expect("a configuration");
        assert!(faults.is_empty());
        config
    }

    #[test]
    fn a_replica_that_is_missing_is_stale_only_after_alert_after() {
        let (config, mut record) = (config(), record());
        let (to, now) = (&config.entries[1].destinations[0], record.time);
        let usb = &mut record.datasets[0].destinations[1];
        usb.alert_after_seconds = Some(3 * 86_400);
        for state in [Health::Unreachable, Health::Never] {
            usb.state = state;
            for (days, gravity) in [(2, Gravity::Warning), (4, Gravity::Critical)] {
                usb.missing_since = Some(now - TimeDelta::days(days));
                let trouble = of_replica("x".into(), to, usb, now).expect("a trouble");
                assert_eq!((trouble.gravity, trouble.is_news()), (gravity, days == 4));
            }
        }
    }

    #[test]
    fn what_an_entry_leaves_out_because_it_is_not_recursive_is_told_once() {
        let mut tree = BTreeMap::new();
        for name in [
            "tank",
            "tank/a",
            "tank/b",
            "tank/home",
            "tank/home/x",
            "tank/home/cache",
            "u/zam/tank/c",
            "other",
        ] {
            tree.insert(name.parse().expect("a dataset"), State::default());
        }
        let trees = Trees::from([(None, Ok(tree))]);
        let troubles = of_uncovered(&config(), &trees);
        let told: Vec<String> = troubles.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("tank: it is not recursive, and tank/a and 1 others below it"),
            "{told:?}"
        );
    }

    #[test]
    fn only_the_pools_that_zam_works_on_are_looked_at() {
        let pool = |name: &str, health: &str, capacity| Pool {
            name: name.into(),
            health: health.into(),
            capacity,
        };
        let pools = [
            pool("tank", "ONLINE", 90),
            pool("u", "DEGRADED", 10),
            pool("other", "FAULTED", 99),
        ];
        let told: Vec<String> = of_pools(&config(), &pools)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            ["pool tank: 90 % full", "pool u: DEGRADED; zpool status u"]
        );
    }

    #[test]
    fn an_alert_of_a_unit_that_is_no_job_is_a_trouble_that_was_told() {
        let mut alerts = Vec::new();
        for unit in [
            "zam-reload.service",
            "zam@check.service",
            "zam-config.service",
        ] {
            alerts.push(Alert {
                unit: unit.into(),
                result: "exit-code".into(),
                status: "1".into(),
                lines: vec!["why".into()],
                ..Alert::default()
            });
        }
        let troubles = of_other_units(&alerts, &[]);
        assert_eq!(troubles.len(), 1);
        let text = troubles[0].to_string();
        assert_eq!(text, "zam-reload.service: failed (exit-code, 1): why");
        assert!(!troubles[0].is_news());
    }
}
