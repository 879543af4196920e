//! `zam notify`: systemd calls it when a job has failed (OnFailure=). It records what failed, how, and its last lines, in
//! the journal and as a file in /var/lib/zam/alerts, which the job's next success removes.

use std::fmt;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use crate::edge::command::Machine;
use crate::edge::outcome::Exit::Usage;
use crate::edge::outcome::Outcome;
use crate::edge::{journal, records};

const LINES: &str = "10";
/// The journal may get the last words of a unit a moment after systemd has seen its end.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// A failure that no success has followed yet.
#[derive(Serialize, Deserialize)]
pub struct Alert {
    pub unit: String,
    /// How it failed, in systemd's word: `exit-code`, `watchdog`, ...
    pub result: String,
    /// The exit code, or the signal's name.
    pub status: String,
    /// When it failed last.
    pub time: DateTime<Utc>,
    /// When it first failed in this way.
    pub since: Option<DateTime<Utc>>,
    /// How often it has failed in this way.
    #[serde(default)]
    pub count: u64,
    /// What the failed run said last; never empty.
    pub lines: Vec<String>,
}

/// Records the failure of the unit with this instance; systemd tells the rest in the environment (systemd.exec(5),
/// MONITOR_*). What fails at each of its slots for the same reason is reported as an error once.
pub fn run(instance: &str, now: i64) -> Result<Outcome> {
    if !records::is_file_name(instance) {
        return Err(Usage(format!("{instance:?} is not an instance of a unit")).into());
    }
    let time = DateTime::from_timestamp(now, 0).unwrap_or_default();
    let mut alert = failure(instance, time);
    let known = open(instance, records::claimed_success(instance));
    let known = known.filter(|known| alert.repeats(known));
    if let Some(known) = &known {
        alert.since = known.since.or(Some(known.time));
        alert.count = known.count.max(1) + 1;
    }
    let text = serde_json::to_string_pretty(&alert)? + "\n";
    records::write_alert(instance, &text)
        .with_context(|| format!("cannot write {}", records::alert(instance).display()))?;
    match known {
        Some(_) => journal::print(&alert),
        None => journal::error(&alert),
    }
    Ok(Outcome::Done)
}

fn failure(instance: &str, time: DateTime<Utc>) -> Alert {
    let mut unit = told_by_systemd("UNIT");
    if unit.is_empty() {
        unit = format!("zam@{instance}.service");
    }
    let lines = last_lines(&unit, &told_by_systemd("INVOCATION_ID"));
    Alert {
        unit,
        result: told_by_systemd("SERVICE_RESULT"),
        status: told_by_systemd("EXIT_STATUS"),
        time,
        since: Some(time),
        count: 1,
        lines,
    }
}

/// Empty when systemd does not say; nor does it when a person runs us.
fn told_by_systemd(name: &str) -> String {
    std::env::var(format!("MONITOR_{name}")).unwrap_or_default()
}

impl Alert {
    /// Whether it says nothing that `known` has not said. Its last line may be any line of that, because datasets that
    /// fail side by side do so in any order.
    fn repeats(&self, known: &Alert) -> bool {
        let last = self.lines.last().map(|line| gist(line));
        (&self.result, &self.status) == (&known.result, &known.status)
            && known.lines.iter().any(|line| Some(gist(line)) == last)
    }
}

/// A line without what differs from run to run: the times in the names of snapshots, and numbers that stand alone.
fn gist(line: &str) -> String {
    let changing = Regex::new(r"[0-9]{8}T[0-9]{6}Z|(^|[ (])[0-9]+").expect("a regular expression");
    changing.replace_all(line, "").into_owned()
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} failed ({}, {})", self.unit, self.result, self.status)?;
        if let (2.., Some(since)) = (self.count, self.since) {
            let since = since.format("%F %T UTC");
            write!(f, " {} times since {since}", self.count)?;
        }
        let last = self.lines.last().map_or("see its journal", String::as_str);
        write!(f, ": {last}")
    }
}

/// The alert of a job, if there is one that can be read, and that no success has followed (in epoch seconds). A job that is
/// not root's cannot remove its alert.
pub fn open(instance: &str, success: Option<i64>) -> Option<Alert> {
    let alert: Alert = serde_json::from_str(&records::read_alert(instance).ok()?).ok()?;
    let is_over = success.is_some_and(|success| success > alert.time.timestamp());
    (!is_over).then_some(alert)
}

/// What the failed run said last; never empty.
fn last_lines(unit: &str, invocation: &str) -> Vec<String> {
    for look in 0..LOOKS {
        if look > 0 {
            sleep(PAUSE);
        }
        let lines = logged(invocation);
        if !lines.is_empty() {
            return lines;
        }
    }
    vec![format!(
        "it printed nothing; see what systemd says of it: journalctl -u {unit}"
    )]
}

/// The last lines of a run in the journal; none when the journal cannot be asked.
fn logged(invocation: &str) -> Vec<String> {
    let filter = format!("_SYSTEMD_INVOCATION_ID={invocation}");
    let argv = ["journalctl", "-q", "-o", "cat", "-n", LINES, &filter];
    let Ok(output) = Machine::default().run(&argv) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(Into::into).collect()
}

/// Removes the alert of a job: one that went well has nothing to report any more.
pub fn withdraw(instance: &str) {
    // Most jobs have none. One that cannot be removed is over all the same, by the record of the success.
    let _ = std::fs::remove_file(records::alert(instance));
}
