//! What is wrong with an entry: with its source, its replicas and its jobs.

use chrono::{DateTime, Utc};

use crate::core::config::Entry;
use crate::core::health::Health;
use crate::core::span::{HOUR, Rough};
use crate::core::trouble::Trouble;
use crate::verbs::check::troubles::of_alert;
use crate::verbs::status::shown::{ShownEntry, ShownReplica};

pub(super) fn of_entry(entry: &Entry, shown: &ShownEntry, now: DateTime<Utc>) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    troubles.extend(of_clock(shown, now).or_else(|| of_source(entry, shown, now)));
    for replica in &shown.destinations {
        let about = format!("{} to {}", shown.dataset, replica.name);
        troubles.extend(of_replica(about, replica, now));
    }
    for job in &shown.jobs {
        troubles.extend(job.alert.as_ref().map(of_alert));
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
        Health::Late if entry.host.is_some() => Some(Trouble::critical(about, "late", why)),
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

fn of_replica(about: String, replica: &ShownReplica, now: DateTime<Utc>) -> Option<Trouble> {
    let why = replica.why.clone().unwrap_or_default();
    match replica.state {
        Health::Ok => None,
        Health::Late => {
            let why = format!("late: {}", behind(replica, now));
            Some(Trouble::warning(about, "late", why))
        }
        Health::Stale => {
            let after = Rough(replica.alert_after_seconds.unwrap_or(0));
            let why = format!("stale: {} (alert-after {after})", behind(replica, now));
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
                if before == Health::Diverged || replica.alert_after_seconds.is_some() =>
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

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::core::trouble::Gravity;
    use crate::verbs::check::example::record;

    #[test]
    fn a_replica_that_is_missing_is_stale_only_after_alert_after() {
        let mut record = record();
        let now = record.time;
        let usb = &mut record.datasets[0].destinations[1];
        usb.alert_after_seconds = Some(3 * 86_400);
        for state in [Health::Unreachable, Health::Never] {
            usb.state = state;
            for (days, gravity) in [(2, Gravity::Warning), (4, Gravity::Critical)] {
                usb.missing_since = Some(now - TimeDelta::days(days));
                let trouble = of_replica("x".into(), usb, now).expect("a trouble");
                assert_eq!((trouble.gravity, trouble.is_news()), (gravity, days == 4));
            }
        }
    }
}
