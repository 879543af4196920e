//! `zam notify`: called by OnFailure= of a job. Records what failed, how, and its last lines, in the journal and as a
//! file in /var/lib/zam/alerts, which the job's next success removes.

use std::path::PathBuf;

use anyhow::{Context, Result};
use chrono::DateTime;
use serde_json::json;

use crate::edge::command::Machine;
use crate::edge::journal;

const LINES: &str = "10";

fn alert(instance: &str) -> PathBuf {
    let directory = std::env::var_os("ZAM_ALERTS").map_or_else(|| "/var/lib/zam/alerts".into(), PathBuf::from);
    directory.join(format!("{instance}.json"))
}

/// `instance` is that of the failed unit; systemd tells the rest in the environment (systemd.exec(5), MONITOR_*).
pub fn run(instance: &str, now: i64) -> Result<()> {
    let told = |name: &str| std::env::var(name).unwrap_or_default();
    let (unit, result, status) = (told("MONITOR_UNIT"), told("MONITOR_SERVICE_RESULT"), told("MONITOR_EXIT_STATUS"));
    let unit = if unit.is_empty() { format!("zam@{instance}.service") } else { unit };
    let lines = last_lines(&told("MONITOR_INVOCATION_ID"));
    let time = DateTime::from_timestamp(now, 0).unwrap_or_default().to_rfc3339();
    let text = json!({"unit": unit, "result": result, "status": status, "time": time, "lines": lines});
    let path = alert(instance);
    std::fs::create_dir_all(path.parent().unwrap_or(&path)).context("cannot make the folder for alerts")?;
    std::fs::write(&path, format!("{text:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    journal::error(format!(
        "{unit} failed ({result}, {status}): {}",
        lines.last().map(String::as_str).unwrap_or("see its journal")
    ));
    Ok(())
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
    let _ = std::fs::remove_file(alert(instance));
}
