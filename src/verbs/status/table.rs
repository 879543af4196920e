//! The table of `zam status` for a person: a line for each entry and replica, and below them what went wrong.

use std::io::IsTerminal;

use chrono::{DateTime, Utc};

use crate::core::config::Verb;
use crate::core::health::Health;
use crate::core::span::Rough;
use crate::edge::journal;
use crate::verbs::status::shown::{ShownEntry, ShownJob, ShownReplica};

/// SGR parameters (ECMA-48).
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// The columns of the table: every line has its cells in this order.
const HEADS: [&str; 6] = ["DATASET", "STATE", "NEWEST", "BEHIND", "SNAPSHOTS", "NEXT"];
/// The column that has a colour.
const STATE: usize = 1;
/// The column of numbers, which stand to the right.
const SNAPSHOTS: usize = 4;

/// One line of the table, as texts.
struct Line {
    cells: [String; HEADS.len()],
    /// None in the head.
    color: Option<&'static str>,
}

pub(super) fn print(shown: &[ShownEntry], now: DateTime<Utc>) {
    let mut lines = vec![Line {
        cells: HEADS.map(String::from),
        color: None,
    }];
    for entry in shown {
        lines.push(source_line(entry, now));
        for replica in &entry.destinations {
            lines.push(replica_line(replica, &entry.jobs, now));
        }
    }
    let colored = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let widths = column_widths(&lines);
    for line in &lines {
        journal::print_colored(&line.padded(widths, colored));
    }
    for entry in shown {
        for trouble in troubles(entry, now) {
            journal::print(format!("\n{trouble}"));
        }
    }
}

/// The width of each column, in characters.
fn column_widths(lines: &[Line]) -> [usize; HEADS.len()] {
    let mut widths = [0; HEADS.len()];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(&line.cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    widths
}

impl Line {
    fn padded(&self, widths: [usize; HEADS.len()], colored: bool) -> String {
        let mut cells = Vec::new();
        for (column, (cell, width)) in self.cells.iter().zip(widths).enumerate() {
            let padded = match column {
                SNAPSHOTS => format!("{cell:>width$}"),
                _ => format!("{cell:width$}"),
            };
            cells.push(match self.color {
                Some(color) if colored && column == STATE => {
                    format!("\x1b[{color}m{padded}\x1b[0m")
                }
                _ => padded,
            });
        }
        cells.join("  ").trim_end().into()
    }
}

fn source_line(entry: &ShownEntry, now: DateTime<Utc>) -> Line {
    let below = if entry.recursive { " and below" } else { "" };
    let jobs = jobs_of(&entry.jobs, None);
    let has_failed = has_failed(&jobs);
    Line {
        cells: [
            format!("{}{below}", entry.dataset),
            word(entry.state, has_failed).into(),
            age(entry.newest, now),
            String::new(),
            entry.snapshots.to_string(),
            next(jobs, now),
        ],
        color: Some(color(entry.state, has_failed)),
    }
}

fn replica_line(replica: &ShownReplica, jobs: &[ShownJob], now: DateTime<Utc>) -> Line {
    let jobs = jobs_of(jobs, Some(&replica.name));
    let has_failed = has_failed(&jobs);
    let behind = match replica.lag_seconds {
        Some(0) => "-".into(),
        Some(lag) => Rough(lag).to_string(),
        None => String::new(),
    };
    Line {
        cells: [
            format!("  to {}", replica.name),
            word(replica.state, has_failed).into(),
            age(replica.newest, now),
            behind,
            replica.snapshots.to_string(),
            next(jobs, now),
        ],
        color: Some(color(replica.state, has_failed)),
    }
}

/// The jobs of a destination, or those of the source.
fn jobs_of<'j>(jobs: &'j [ShownJob], destination: Option<&str>) -> Vec<&'j ShownJob> {
    let mut jobs: Vec<&ShownJob> = jobs.iter().collect();
    jobs.retain(|job| job.destination.as_deref() == destination);
    jobs
}

fn has_failed(jobs: &[&ShownJob]) -> bool {
    jobs.iter().any(|job| job.alert.is_some())
}

/// A job that failed is worse news than the state that it left, unless that is as bad.
fn word(health: Health, has_failed: bool) -> &'static str {
    match health {
        Health::Ok if has_failed => "failed",
        Health::Ok => "ok",
        Health::Late => "late",
        Health::Never => "never",
        Health::Stale => "stale",
        Health::Diverged => "diverged",
        Health::Unreachable => "unreachable",
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

fn age(time: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    match time {
        Some(time) => format!("{} ago", Rough((now - time).num_seconds())),
        None => "-".into(),
    }
}

/// `snapshot in 6 min, prune in 26 min`
fn next(mut jobs: Vec<&ShownJob>, now: DateTime<Utc>) -> String {
    jobs.sort_by_key(|job| (!job.is_running(), job.next));
    let mut texts = Vec::new();
    for job in jobs {
        if job.is_running() {
            texts.push(format!("{} runs now", job.verb));
        } else if let Some(next) = job.next {
            let seconds = (next - now).num_seconds();
            texts.push(format!("{} in {}", job.verb, Rough(seconds)));
        }
    }
    texts.join(", ")
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
            let ago = Rough((now - alert.time).num_seconds());
            let again = match job.verb {
                Verb::Replicate => "; zam replicate -n shows how things stand",
                _ => "",
            };
            troubles.push(format!("{ago} ago: {alert}{again}"));
        }
    }
    for job in &entry.jobs {
        if job.result.as_deref() == Some("waiting") {
            troubles.push(format!(
                "{} waits for the configuration to be mended; see: zam config",
                job.unit
            ));
        }
    }
    troubles
}
