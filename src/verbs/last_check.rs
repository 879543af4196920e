//! When systemd last had zam look whether everything is as promised, since nobody would hear of a check that does not run;
//! and which replicas were missing then.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::edge::records;
use crate::verbs::say::ago;

/// Hours after which a check says little about now.
const OLD: i64 = 3;

/// Since when a replica is missing, by its dataset and its destination.
pub(super) type Missed = BTreeMap<(String, String), DateTime<Utc>>;

/// What is needed here of the record of a check.
#[derive(Deserialize)]
struct Checked {
    time: DateTime<Utc>,
    #[serde(default)]
    datasets: Vec<CheckedEntry>,
}

#[derive(Deserialize)]
struct CheckedEntry {
    dataset: String,
    #[serde(default)]
    destinations: Vec<CheckedReplica>,
}

#[derive(Deserialize)]
struct CheckedReplica {
    name: String,
    #[serde(default)]
    missing_since: Option<DateTime<Utc>>,
}

/// Whether what was found at a time is too old to rely on. What lies in the future was found under another clock.
pub(super) fn is_old(time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - time).num_hours().abs() >= OLD
}

/// The last check, whoever ran it: the configuration may have named another user then. One that lies in the future counts
/// only where there is no other.
fn last(now: DateTime<Utc>) -> Option<Checked> {
    let mut checks: Vec<Checked> = Vec::new();
    for text in records::checks() {
        checks.extend(serde_json::from_str::<Checked>(&text));
    }
    checks
        .into_iter()
        .max_by_key(|check| (check.time <= now, check.time))
}

/// Says since when nobody has checked, if that is too long. Before the first check there is nothing to say.
pub(super) fn silence(now: DateTime<Utc>) -> Option<String> {
    let time = last(now)?.time;
    let ago = ago(Some(time), now);
    is_old(time, now).then(|| format!("last checked {ago} (systemctl status zam-check.timer)"))
}

/// The replicas that were missing at the last check. A time in the future was noticed under another clock.
pub(super) fn missed(now: DateTime<Utc>) -> Missed {
    let mut missed = Missed::new();
    for entry in last(now).map_or_else(Vec::new, |check| check.datasets) {
        for replica in entry.destinations {
            if let Some(since) = replica.missing_since.filter(|since| *since <= now) {
                missed.insert((entry.dataset.clone(), replica.name), since);
            }
        }
    }
    missed
}
