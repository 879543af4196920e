//! What a person is told at login: open alerts, and that nobody has looked for a while. `zam ack` silences the alerts for
//! its user until there is a new one.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use chrono::{DateTime, Utc};

use crate::core::alert::Alert;
use crate::core::span::Rough;
use crate::edge::outcome::Outcome;
use crate::edge::{journal, records};
use crate::verbs::last_check;
use crate::verbs::notify;
use crate::verbs::say::counted;

/// All of it: a head, alerts, how many more there are, a lack of room, and the age of the last check.
const LINES: usize = 6;

/// Prints what there is to say. Nothing that goes wrong here is worth disturbing a login for.
pub fn greet(now: DateTime<Utc>) -> Outcome {
    // One dated ahead was written while the clock was wrong.
    let acknowledged = last_ack().filter(|time| *time <= now);
    let mut alerts = notify::all_open();
    alerts.retain(|alert| acknowledged.is_none_or(|time| alert.begun() > time));
    alerts.sort_by_key(|alert| std::cmp::Reverse(alert.time));
    if !alerts.is_empty() {
        let number = counted(alerts.len(), "alert");
        journal::print(format!(
            "zam: {number} (zam status tells more, zam ack silences this)"
        ));
    }
    let lacks = [records::why_unwritable(), last_check::silence(now)];
    let lacks: Vec<String> = lacks.into_iter().flatten().collect();
    let room = LINES - 1 - lacks.len();
    let shown = match alerts.len() {
        count if count > room => room - 1,
        count => count,
    };
    for alert in &alerts[..shown] {
        journal::print(line(alert, now));
    }
    if alerts.len() > shown {
        journal::print(format!("  and {} more", alerts.len() - shown));
    }
    for lack in lacks {
        journal::print(format!("zam: {lack}"));
    }
    Outcome::Done
}

/// As much of it as fits.
fn line(alert: &Alert, now: DateTime<Utc>) -> String {
    let ago = Rough((now - alert.time).num_seconds());
    let text = format!("  {ago} ago: {alert}");
    let width = journal::columns().max(40);
    match text.char_indices().nth(width) {
        None => text,
        Some(_) => text.chars().take(width - 1).collect::<String>() + "…",
    }
}

/// Silences the alerts of now.
///
/// # Errors
/// The user has no home to remember it in.
pub fn acknowledge(now: DateTime<Utc>) -> Result<Outcome> {
    let file = path_of_ack()?;
    let folder = file.parent().context("no directory")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&file, now.to_rfc3339()))
        .with_context(|| format!("cannot write {}", file.display()))?;
    let number = counted(notify::all_open().len(), "open alert");
    journal::print(format!(
        "your login says nothing of {number}; a new one is told, and zam status shows all"
    ));
    Ok(Outcome::Done)
}

fn last_ack() -> Option<DateTime<Utc>> {
    let text = fs::read_to_string(path_of_ack().ok()?).ok()?;
    text.trim().parse().ok()
}

fn path_of_ack() -> Result<PathBuf> {
    let told = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(".local/share"));
    let data = told.filter(|told| told.is_absolute()).or_else(home);
    let data = data.ok_or_else(|| anyhow!("there is no HOME to remember it in"))?;
    Ok(data.join("zam/acknowledged"))
}
