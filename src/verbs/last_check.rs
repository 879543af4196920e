//! The last check that systemd ran: when that was, since nobody would hear of one that does not run; and how sources and
//! replicas stood then, by which the next one knows how long something has been missing.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use crate::core::health::Health;
use crate::edge::records::{self, Records};
use crate::verbs::say::ago;

/// Hours after which a check says little about now.
const OLD: i64 = 3;

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
    #[serde(flatten)]
    seen: Seen,
    destinations: Vec<CheckedReplica>,
}

#[derive(Deserialize)]
struct CheckedReplica {
    name: String,
    #[serde(flatten)]
    seen: Seen,
}

/// How a source or a replica stood.
#[derive(Clone, Deserialize)]
pub(super) struct Seen {
    pub(super) state: Health,
    #[serde(default)]
    pub(super) missing_since: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(super) state_before: Option<Health>,
}

/// What the last check saw, if there was one.
#[derive(Default)]
pub(super) struct Before {
    pub(super) time: Option<DateTime<Utc>>,
    /// By dataset, and by destination where it is a replica.
    seen: BTreeMap<(String, Option<String>), Seen>,
}

impl Before {
    pub(super) fn source(&self, dataset: &str) -> Option<&Seen> {
        self.seen.get(&(dataset.to_owned(), None))
    }

    pub(super) fn replica(&self, dataset: &str, destination: &str) -> Option<&Seen> {
        let name = (dataset.to_owned(), Some(destination.to_owned()));
        self.seen.get(&name)
    }

    fn of(check: Checked) -> Self {
        let mut seen = BTreeMap::new();
        for entry in check.datasets {
            seen.insert((entry.dataset.clone(), None), entry.seen);
            for replica in entry.destinations {
                seen.insert((entry.dataset.clone(), Some(replica.name)), replica.seen);
            }
        }
        Before {
            time: Some(check.time),
            seen,
        }
    }
}

/// What the last check saw, which ran as this user, or as another, whom the configuration named before.
pub(super) fn before(user: &str, now: DateTime<Utc>) -> Before {
    let newest = last(now);
    let own = Records::of(user).check().ok();
    let own = own.and_then(|text| serde_json::from_str::<Checked>(&text).ok());
    let own = own.filter(|own| match &newest {
        Some(newest) => newest.time - own.time < TimeDelta::days(1),
        None => true,
    });
    let last = own.or(newest);
    let mut before = last.map_or_else(Before::default, Before::of);
    // What lies in the future was seen under another clock: so it was, but not then.
    before.time = before.time.filter(|time| *time <= now);
    before
}

/// Whether what was found at a time is too old to rely on. What lies in the future was found under another clock.
pub(super) fn is_old(time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - time).num_hours().abs() >= OLD
}

/// The last check, whoever ran it. One that lies in the future counts only where there is no other.
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
    let since = ago(Some(time), now);
    is_old(time, now).then(|| format!("last checked {since} (systemctl status zam-check.timer)"))
}
