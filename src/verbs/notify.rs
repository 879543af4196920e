//! `zam notify`: called by OnFailure= of a job. Records what failed, how, and its last lines, in the journal and as a
//! file in /var/lib/zam/alerts, which the job's next success removes.

use std::fmt;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::edge::command::Machine;
use crate::edge::{journal, state};

const LINES: &str = "10";

/// A failure that no success has followed yet.
#[derive(Serialize, Deserialize)]
pub struct Alert {
    pub unit: String,
    /// As systemd calls it: `exit-code`, `watchdog`, ...
    pub result: String,
    /// The exit code, or the signal's name.
    pub status: String,
    pub time: DateTime<Utc>,
    /// What the failed run said last.
    pub lines: Vec<String>,
}

/// `instance` is that of the failed unit; systemd tells the rest in the environment (systemd.exec(5), MONITOR_*).
pub fn run(instance: &str, now: i64) -> Result<()> {
    let told = |name: &str| std::env::var(name).unwrap_or_default();
    let (unit, result, status) = (told("MONITOR_UNIT"), told("MONITOR_SERVICE_RESULT"), told("MONITOR_EXIT_STATUS"));
    let unit = if unit.is_empty() { format!("zam@{instance}.service") } else { unit };
    let lines = last_lines(&told("MONITOR_INVOCATION_ID"));
    let alert = Alert { unit, result, status, time: DateTime::from_timestamp(now, 0).unwrap_or_default(), lines };
    let path = state::alert(instance);
    std::fs::create_dir_all(path.parent().unwrap_or(&path)).context("cannot make the folder for alerts")?;
    let text = serde_json::to_string_pretty(&alert)? + "\n";
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    journal::error(&alert);
    Ok(())
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Alert { unit, result, status, lines, .. } = self;
        write!(f, "{unit} failed ({result}, {status}): {}", lines.last().map_or("see its journal", String::as_str))
    }
}

/// The alert of a job, if there is one that can be read.
pub fn open(instance: &str) -> Option<Alert> {
    serde_json::from_str(&std::fs::read_to_string(state::alert(instance)).ok()?).ok()
}

/// What the failed run said last; nothing when the journal cannot be asked.
fn last_lines(invocation: &str) -> Vec<String> {
    let filter = format!("_SYSTEMD_INVOCATION_ID={invocation}");
    let output = Machine::default().run(&["journalctl", "-q", "-o", "cat", "-n", LINES, &filter]);
    output.map(|output| String::from_utf8_lossy(&output.stdout).lines().map(Into::into).collect()).unwrap_or_default()
}

/// A job that went well has nothing to report any more; `instance` is the job's.
pub fn withdraw(instance: &str) {
    // Absent is the rule; one that cannot be removed is withdrawn by the next success.
    let _ = std::fs::remove_file(state::alert(instance));
}
