//! What `zam status` looks like to a person: a line for each entry and replica, and below them what went wrong.

use std::io::IsTerminal;

use chrono::{DateTime, Utc};

use crate::core::config::Verb;
use crate::core::health::Health;
use crate::edge::journal;
use crate::verbs::say::rough;
use crate::verbs::status::shown::{Shown, ShownJob, ShownReplica};

const HEAD: [&str; 6] = ["DATASET", "STATE", "NEWEST", "BEHIND", "SNAPSHOTS", "NEXT"];
/// The column that is coloured.
const STATE: usize = 1;

struct Row {
    cells: [String; HEAD.len()],
    /// An SGR parameter (ECMA-48): none for the head.
    color: Option<&'static str>,
}

pub(super) fn print(shown: &[Shown], now: DateTime<Utc>) {
    let head = Row {
        cells: HEAD.map(Into::into),
        color: None,
    };
    let rows: Vec<Row> = std::iter::once(head)
        .chain(shown.iter().flat_map(|entry| rows(entry, now)))
        .collect();
    let widths: [usize; HEAD.len()] = std::array::from_fn(|i| {
        rows.iter()
            .map(|row| row.cells[i].chars().count())
            .max()
            .unwrap_or(0)
    });
    let colored = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    rows.iter()
        .for_each(|row| journal::print_colored(&line(row, &widths, colored)));
    shown
        .iter()
        .flat_map(|entry| troubles(entry, now))
        .for_each(|text| journal::print(format!("\n{text}")));
}

fn line(row: &Row, widths: &[usize], colored: bool) -> String {
    let cells = row
        .cells
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(i, (cell, width))| {
            let padded = if HEAD[i] == "SNAPSHOTS" {
                format!("{cell:>width$}")
            } else {
                format!("{cell:width$}")
            };
            match row.color.filter(|_| colored && i == STATE) {
                Some(color) => format!("\x1b[{color}m{padded}\x1b[0m"),
                None => padded,
            }
        });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn rows(entry: &Shown, now: DateTime<Utc>) -> Vec<Row> {
    let name = format!(
        "{}{}",
        entry.dataset,
        if entry.recursive { " and below" } else { "" }
    );
    let (word, color) = state(entry.state, &entry.jobs, None);
    let source = [
        name,
        word,
        age(entry.newest, now),
        String::new(),
        entry.snapshots.to_string(),
        next(&entry.jobs, None, now),
    ];
    let replicas = entry
        .destinations
        .iter()
        .map(|replica| row(replica, &entry.jobs, now));
    std::iter::once(Row {
        cells: source,
        color,
    })
    .chain(replicas)
    .collect()
}

fn row(replica: &ShownReplica, jobs: &[ShownJob], now: DateTime<Utc>) -> Row {
    let (word, color) = state(replica.state, jobs, Some(&replica.name));
    let behind = replica
        .lag_seconds
        .map(|lag| if lag == 0 { "-".into() } else { rough(lag) })
        .unwrap_or_default();
    let next = next(jobs, Some(&replica.name), now);
    let name = format!("  to {}", replica.name);
    Row {
        cells: [
            name,
            word,
            age(replica.newest, now),
            behind,
            replica.snapshots.to_string(),
            next,
        ],
        color,
    }
}

fn of<'j>(jobs: &'j [ShownJob], destination: Option<&str>) -> impl Iterator<Item = &'j ShownJob> {
    jobs.iter()
        .filter(move |job| job.destination.as_deref() == destination)
}

/// A job that failed is worse news than what it left, but for what is as bad.
fn state(
    health: Health,
    jobs: &[ShownJob],
    destination: Option<&str>,
) -> (String, Option<&'static str>) {
    let failed = of(jobs, destination).any(|job| job.alert.is_some());
    let word = match health {
        Health::Ok if failed => "failed",
        Health::Ok => "ok",
        Health::Late => "late",
        Health::Never => "never",
        Health::Stale => "stale",
        Health::Diverged => "diverged",
        Health::Unreachable => "unreachable",
    };
    let color = match health {
        Health::Ok if !failed => "32",
        Health::Late | Health::Never if !failed => "33",
        _ => "31",
    };
    (word.into(), Some(color))
}

fn age(time: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    time.map_or_else(
        || "-".into(),
        |time| format!("{} ago", rough((now - time).num_seconds())),
    )
}

/// `snapshot in 6 min, prune in 26 min`.
fn next(jobs: &[ShownJob], destination: Option<&str>, now: DateTime<Utc>) -> String {
    let mut jobs: Vec<&ShownJob> = of(jobs, destination).collect();
    jobs.sort_by_key(|job| (job.result.as_deref() != Some("running"), job.next));
    let when = |job: &&ShownJob| match (job.result.as_deref(), job.next) {
        (Some("running"), _) => Some(format!("{} runs now", job.verb)),
        (_, Some(next)) => Some(format!(
            "{} in {}",
            job.verb,
            rough((next - now).num_seconds())
        )),
        _ => None,
    };
    jobs.iter().filter_map(when).collect::<Vec<_>>().join(", ")
}

fn troubles(entry: &Shown, now: DateTime<Utc>) -> Vec<String> {
    let source = entry
        .why
        .iter()
        .map(|why| format!("{}: {why}", entry.dataset));
    let replicas = entry.destinations.iter().filter_map(|to| {
        Some(format!(
            "{} to {}: {}",
            entry.dataset,
            to.name,
            to.why.as_ref()?
        ))
    });
    let alerts = entry.jobs.iter().filter_map(|job| {
        let alert = job.alert.as_ref()?;
        let again = if job.verb == Verb::Replicate {
            "; zam replicate -n shows how things stand"
        } else {
            ""
        };
        Some(format!(
            "{} ago: {alert}{again}",
            rough((now - alert.time).num_seconds())
        ))
    });
    let waiting = entry
        .jobs
        .iter()
        .filter(|job| job.result.as_deref() == Some("waiting"));
    let waiting = waiting.map(|job| {
        format!(
            "{} waits for the configuration to be mended; see: zam config",
            job.unit
        )
    });
    source
        .chain(replicas)
        .chain(alerts)
        .chain(waiting)
        .collect()
}
