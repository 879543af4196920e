//! What others learn of a check: a file for Prometheus, and whether the login has anything to say. It runs as root after
//! each check, however that ended; the check itself may be another user's.

use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::edge::configuration;
use crate::edge::outcome::Outcome;
use crate::edge::records;
use crate::verbs::check::metrics;
use crate::verbs::check::record::last;
use crate::verbs::notify;

/// # Errors
/// The file for Prometheus cannot be written.
pub fn publish(path: &Path, now: DateTime<Utc>) -> Result<Outcome> {
    // What keeps alerts from being kept is as good as one.
    let alerts = notify::all_open().len() + usize::from(records::lack_of_room().is_some());
    let loaded = configuration::read(path).ok().flatten();
    let record = loaded.as_ref().and_then(|loaded| last(&loaded.config).ok());
    let is_fresh = record.as_ref().is_some_and(|record| !record.is_old(now));
    let file = loaded
        .as_ref()
        .and_then(|loaded| loaded.config.metrics_file.as_ref());
    let mut written = Ok(());
    if let Some(file) = file {
        let is_valid = loaded
            .as_ref()
            .is_some_and(|loaded| loaded.faults.is_empty());
        let text = metrics::text(record.as_ref(), is_valid, alerts);
        written = records::replace(Path::new(file), &text)
            .with_context(|| format!("cannot write {file} (metrics-file)"));
    }
    // Without its metrics a check has not succeeded, whatever it has said of itself.
    let kept: &[&str] = if written.is_ok() { &[] } else { &["check"] };
    notify::sweep(path, now, kept);
    records::set_well(alerts == 0 && is_fresh && written.is_ok());
    written.map(|()| Outcome::Done)
}
