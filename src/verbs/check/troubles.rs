//! What is wrong around the datasets: the configuration, timers, units, pools, and what no entry covers.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::core::alert::Alert;
use crate::core::config::Config;
use crate::core::name::Dataset;
use crate::core::selection::passed_over_by;
use crate::core::trouble::Trouble;
use crate::core::unit_name::instance;
use crate::edge::configuration::Loaded;
use crate::edge::systemd::Jobs;
use crate::edge::zfs::Pool;
use crate::verbs::status::is_of_a_job;
use crate::verbs::status::shown::ShownEntry;
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
        let timer = format!("zam-{instance}.timer");
        let service = format!("zam@{instance}.service");
        if !known.next.contains_key(&timer) && !known.running.contains(&service) {
            let why = format!("it is not active; this starts it: systemctl start '{timer}'");
            troubles.push(Trouble::critical(timer, "stopped", why));
        }
    }
    troubles
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

pub(super) fn of_alert(alert: &Alert) -> Trouble {
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
    let Some(here) = trees.here() else {
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
            "it is not recursive, and {first}{others} below it has no entry: make it recursive (what is not wanted it can \
             exclude), or give them entries of their own, like {{}}"
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
        let about = format!("pool {}", pool.name);
        let name = &pool.name;
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
    use super::*;
    use crate::core::listing::State;
    use crate::core::load::config;

    const CONFIG: &str = "
destinations: {usb: {root: u/zam, replication-period: 1h, prune-period: 1d, alert-after: 3d, windows: [{max-age: 1d, period: 1h}]}}
datasets:
  tank: {snapshot-period: 1h}
  tank/home: {recursive: true, exclude: [tank/home/cache], snapshot-period: 1h, destinations: [usb]}";

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
        let trees = Trees::of_this_machine(tree);
        let troubles = of_uncovered(&config(CONFIG), &trees);
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
        let told: Vec<String> = of_pools(&config(CONFIG), &pools)
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
