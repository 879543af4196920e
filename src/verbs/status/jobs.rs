//! The jobs in `zam status`, as one would type them: when each succeeded last, what that took and sent, and when it is due.

use chrono::{DateTime, Utc};

use crate::core::shell::quoted;
use crate::core::span::Rough;
use crate::verbs::say::{ago, size};
use crate::verbs::status::columns::{Columns, RED};
use crate::verbs::status::shown::{ShownEntry, ShownJob};

const HEADS: [&str; 5] = ["JOB", "SUCCEEDED", "TOOK", "SENT", "NEXT"];
const SENT: usize = 3;

pub(super) fn columns(shown: &[ShownEntry], now: DateTime<Utc>) -> Columns<5> {
    let mut columns = Columns::new(HEADS, SENT);
    for entry in shown {
        for job in &entry.jobs {
            let cells = [
                command(entry, job),
                ago(job.success, now),
                job.seconds.map_or(String::new(), took),
                job.bytes.map_or(String::new(), size),
                next(job, now),
            ];
            columns.add(cells, job.alert.as_ref().map(|_| RED));
        }
    }
    columns
}

/// `replicate tank/home --to nas`
fn command(entry: &ShownEntry, job: &ShownJob) -> String {
    let to = match &job.destination {
        Some(destination) => format!(" --to {destination}"),
        None => String::new(),
    };
    format!("{} {}{to}", job.verb, quoted(&entry.dataset))
}

fn took(seconds: u64) -> String {
    match seconds {
        0 => "< 1s".into(),
        seconds => Rough(seconds.try_into().unwrap_or(i64::MAX)).to_string(),
    }
}

fn next(job: &ShownJob, now: DateTime<Utc>) -> String {
    match job.next {
        _ if job.is_running() => "runs now".into(),
        _ if job.is_waiting() => "waits".into(),
        Some(next) => format!("in {}", Rough((next - now).num_seconds())),
        None => "-".into(),
    }
}
