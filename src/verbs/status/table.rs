//! What a person sees of `zam status`: a line for each entry and replica, the jobs, and what went wrong.

use chrono::{DateTime, Utc};

use crate::core::alert::Alert;
use crate::core::health::Health;
use crate::core::job::Verb;
use crate::core::shell::quoted;
use crate::core::span::Rough;
use crate::edge::{journal, records};
use crate::verbs::last_check;
use crate::verbs::say::ago;
use crate::verbs::status::columns::{Columns, GREEN, RED, YELLOW};
use crate::verbs::status::jobs;
use crate::verbs::status::shown::{ShownEntry, ShownJob, ShownReplica};

const HEADS: [&str; 5] = ["DATASET", "STATE", "NEWEST", "BEHIND", "SNAPSHOTS"];
const SNAPSHOTS: usize = 4;

/// `alerts` are those of no dataset's job.
pub(super) fn print(shown: &[ShownEntry], alerts: &[Alert], colored: bool, now: DateTime<Utc>) {
    let mut columns = Columns::new(HEADS, SNAPSHOTS);
    for entry in shown {
        add_source(&mut columns, entry, now);
        for replica in &entry.destinations {
            add_replica(&mut columns, replica, &entry.jobs, now);
        }
    }
    columns.print(colored);
    if shown.iter().any(|entry| !entry.jobs.is_empty()) {
        journal::print("");
        jobs::columns(shown, now).print(colored);
    }
    for entry in shown {
        for trouble in troubles(entry, now) {
            journal::print(format!("\n{trouble}"));
        }
    }
    for alert in alerts {
        journal::print(format!("\n{}", line_of(alert, now)));
    }
    let lacks = [records::why_unwritable(), last_check::silence(now)];
    for lack in lacks.into_iter().flatten() {
        journal::print(format!("\nzam: {lack}"));
    }
}

fn add_source(columns: &mut Columns<5>, entry: &ShownEntry, now: DateTime<Utc>) {
    let below = if entry.recursive { " and below" } else { "" };
    let has_failed = has_alert(&entry.jobs, None);
    let cells = [
        format!("{}{below}", entry.dataset),
        word(entry.state, has_failed),
        ago(entry.newest, now),
        String::new(),
        number(entry.snapshots),
    ];
    columns.add(cells, Some(color(entry.state, has_failed)));
}

fn add_replica(
    columns: &mut Columns<5>,
    replica: &ShownReplica,
    jobs: &[ShownJob],
    now: DateTime<Utc>,
) {
    let has_failed = has_alert(jobs, Some(&replica.name));
    let behind = match replica.lag_seconds {
        Some(0) => "-".into(),
        Some(lag) => Rough(lag).to_string(),
        None => String::new(),
    };
    let cells = [
        format!("  to {}", replica.name),
        word(replica.state, has_failed),
        ago(replica.newest, now),
        behind,
        number(replica.snapshots),
    ];
    columns.add(cells, Some(color(replica.state, has_failed)));
}

fn number(snapshots: Option<usize>) -> String {
    snapshots.map_or(String::new(), |number| number.to_string())
}

/// Whether a job of a destination, or of the source, has failed.
fn has_alert(jobs: &[ShownJob], destination: Option<&str>) -> bool {
    let mut failed = jobs.iter().filter(|job| job.alert.is_some());
    failed.any(|job| job.destination.as_deref() == destination)
}

/// A job that failed is worse news than the state that it left, unless that is as bad.
fn word(health: Health, has_failed: bool) -> String {
    match health {
        Health::Ok if has_failed => "failed".into(),
        health => health.to_string(),
    }
}

fn color(health: Health, has_failed: bool) -> &'static str {
    match health {
        _ if has_failed => RED,
        Health::Ok => GREEN,
        Health::Late | Health::Never => YELLOW,
        Health::Stale | Health::Diverged | Health::Unreachable => RED,
    }
}

fn line_of(alert: &Alert, now: DateTime<Utc>) -> String {
    format!("{}: {alert}", ago(Some(alert.time), now))
}

fn troubles(entry: &ShownEntry, now: DateTime<Utc>) -> Vec<String> {
    let mut troubles = Vec::new();
    let dataset = &entry.dataset;
    if let Some(why) = &entry.why {
        troubles.push(format!("{dataset}: {why}"));
    }
    for to in &entry.destinations {
        if let Some(why) = &to.why {
            troubles.push(format!("{dataset} to {}: {why}", to.name));
        }
    }
    for job in &entry.jobs {
        if let Some(alert) = &job.alert {
            let mut told = line_of(alert, now);
            if job.verb == Verb::Replicate {
                let dataset = quoted(dataset);
                told += &format!("; how things stand: zam replicate -n {dataset}");
            }
            troubles.push(told);
        }
    }
    for job in &entry.jobs {
        if job.is_waiting() {
            let unit = &job.unit;
            troubles.push(format!("{unit} waits; why: journalctl -u '{unit}'"));
        }
    }
    troubles
}
