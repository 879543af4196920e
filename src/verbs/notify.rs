//! `zam notify`: called by OnFailure= of a job. Records what failed, how, and its last lines, in the journal and as a
//! file in /var/lib/zam/alerts, which the job's next success removes.

use std::fmt;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use crate::edge::command::Machine;
use crate::edge::outcome::Usage;
use crate::edge::{journal, records};

const LINES: &str = "10";
/// The journal may get the last words of a unit a moment after systemd has seen its end.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// A failure that no success has followed yet.
#[derive(Serialize, Deserialize)]
pub struct Alert {
    pub unit: String,
    /// As systemd calls it: `exit-code`, `watchdog`, ...
    pub result: String,
    /// The exit code, or the signal's name.
    pub status: String,
    /// Of the last failure.
    pub time: DateTime<Utc>,
    /// Of the first one of this kind.
    pub since: Option<DateTime<Utc>>,
    /// How often it has failed so.
    #[serde(default)]
    pub count: u64,
    /// What the failed run said last; never empty.
    pub lines: Vec<String>,
}

/// `instance` is that of the failed unit; systemd tells the rest in the environment (systemd.exec(5), MONITOR_*). What
/// fails at each of its slots for the same reason is told once.
pub fn run(instance: &str, now: i64) -> Result<()> {
    if !records::is_file_name(instance) {
        return Err(Usage(format!("{instance:?} is no instance of a unit")).into());
    }
    let mut alert = failure(
        instance,
        DateTime::from_timestamp(now, 0).unwrap_or_default(),
    );
    let known = open(instance).filter(|known| alert.repeats(known));
    if let Some(known) = &known {
        alert.since = known.since.or(Some(known.time));
        alert.count = known.count.max(1) + 1;
    }
    let text = serde_json::to_string_pretty(&alert)? + "\n";
    records::write_alert(instance, &text)
        .with_context(|| format!("cannot write {}", records::alert(instance).display()))?;
    if known.is_some() {
        journal::print(&alert)
    } else {
        journal::error(&alert)
    }
    Ok(())
}

fn failure(instance: &str, time: DateTime<Utc>) -> Alert {
    let told = |name: &str| std::env::var(name).unwrap_or_default();
    let (unit, result, status) = (
        told("MONITOR_UNIT"),
        told("MONITOR_SERVICE_RESULT"),
        told("MONITOR_EXIT_STATUS"),
    );
    let unit = if unit.is_empty() {
        format!("zam@{instance}.service")
    } else {
        unit
    };
    let lines = last_lines(&unit, &told("MONITOR_INVOCATION_ID"));
    Alert {
        unit,
        result,
        status,
        time,
        since: Some(time),
        count: 1,
        lines,
    }
}

impl Alert {
    /// Whether it says nothing that `known` has not said. Any line of that will do, because datasets that fail side by
    /// side do so in any order.
    fn repeats(&self, known: &Alert) -> bool {
        let last = self.lines.last().map(|line| gist(line));
        (&self.result, &self.status) == (&known.result, &known.status)
            && known.lines.iter().any(|line| Some(gist(line)) == last)
    }
}

/// A line without what is another at each run: the times in the names of snapshots, and numbers that stand alone.
fn gist(line: &str) -> String {
    let changing = Regex::new(r"[0-9]{8}T[0-9]{6}Z|(^|[ (])[0-9]+").expect("a regular expression");
    changing.replace_all(line, "").into_owned()
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Alert {
            unit,
            result,
            status,
            lines,
            ..
        } = self;
        write!(f, "{unit} failed ({result}, {status})")?;
        if let (2.., Some(since)) = (self.count, self.since) {
            write!(
                f,
                " {} times since {}",
                self.count,
                since.format("%F %T UTC")
            )?;
        }
        write!(
            f,
            ": {}",
            lines.last().map_or("see its journal", String::as_str)
        )
    }
}

/// The alert of a job, if there is one that can be read.
pub fn open(instance: &str) -> Option<Alert> {
    serde_json::from_str(&records::read_alert(instance).ok()?).ok()
}

/// What the failed run said last.
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
        "it printed nothing; what systemd says of it: journalctl -u {unit}"
    )]
}

/// Nothing when the journal cannot be asked.
fn logged(invocation: &str) -> Vec<String> {
    let filter = format!("_SYSTEMD_INVOCATION_ID={invocation}");
    let output = Machine::default().run(&["journalctl", "-q", "-o", "cat", "-n", LINES, &filter]);
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(Into::into)
        .collect()
}

/// A job that went well has nothing to report any more; `instance` is the job's.
pub fn withdraw(instance: &str) {
    // Absent is the rule; one that cannot be removed is withdrawn by the next success.
    let _ = std::fs::remove_file(records::alert(instance));
}
