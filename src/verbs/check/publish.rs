//! What others learn of a check: a file for Prometheus, and whether the login has anything to say. It runs as root after
//! each check, however that ended; the check itself may be another user's.

use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::core::alert::Alert;
use crate::edge::configuration::{self, Loaded};
use crate::edge::generated;
use crate::edge::outcome::Outcome;
use crate::edge::records;
use crate::verbs::check::metrics;
use crate::verbs::check::record::last;
use crate::verbs::{notify, units};

/// # Errors
/// The file for Prometheus cannot be written.
pub fn publish(path: &Path, now: DateTime<Utc>) -> Result<Outcome> {
    let loaded = configuration::read(path).ok().flatten();
    if let Some(loaded) = &loaded {
        take_back_what_is_in_force(loaded, path, now);
    }
    // What keeps alerts from being kept is as good as one.
    let alerts = notify::all_open().len() + usize::from(records::why_unwritable().is_some());
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

/// A boot, or a daemon-reload by hand, puts a configuration that was mended into force as `zam reload` does.
fn take_back_what_is_in_force(loaded: &Loaded, path: &Path, now: DateTime<Utc>) {
    let Some(made) = generated::made().filter(|_| loaded.faults.is_empty()) else {
        return;
    };
    let alerts = notify::all_open();
    for instance in ["config", "reload"] {
        let unit = format!("zam-{instance}.service");
        let is_before = |alert: &Alert| alert.unit == unit && alert.time < made;
        if alerts.iter().any(is_before) && units::are_in_force(loaded) {
            notify::withdraw(path, instance, now, is_before);
        }
    }
}
