//! What others learn of a check: a file for Prometheus, and whether the login has anything to say. It runs as root after
//! each check, however that ended; the check itself may be another user's.

use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::core::unit_name::instance;
use crate::edge::configuration::{self, Loaded};
use crate::edge::outcome::Outcome;
use crate::edge::{clock, generated, records, trusted};
use crate::verbs::check::metrics;
use crate::verbs::check::record::{Record, last};
use crate::verbs::{notify, units};

/// # Errors
/// The file for Prometheus cannot be written.
pub fn publish(path: &Path, now: DateTime<Utc>) -> Result<Outcome> {
    let loaded = configuration::read(path).ok().flatten();
    if let Some(loaded) = &loaded {
        notify::assign(&loaded.config);
    }
    let record = loaded.as_ref().and_then(|loaded| last(&loaded.config).ok());
    let written = match &loaded {
        Some(loaded) => write_metrics(loaded, record.as_ref()),
        None => Ok(()),
    };
    // To tell may take long, so it comes last. Without its metrics a check has not succeeded, whatever it has said of itself.
    let kept: &[&str] = if written.is_ok() { &[] } else { &["check"] };
    notify::sweep(path, now, kept);
    if let Some(loaded) = &loaded {
        take_back_what_is_in_force(loaded, path, now);
    }
    let is_fresh = record.is_some_and(|record| !record.is_old(now));
    records::set_well(alerts() == 0 && is_fresh && written.is_ok());
    written.map(|()| Outcome::Done)
}

/// How many alerts are open. What keeps them from being kept is as good as one.
fn alerts() -> usize {
    notify::all_open().len() + usize::from(records::why_unwritable().is_some())
}

fn write_metrics(loaded: &Loaded, record: Option<&Record>) -> Result<()> {
    let Some(file) = &loaded.config.metrics_file else {
        return Ok(());
    };
    let text = metrics::text(record, loaded.faults.is_empty(), alerts());
    trusted::replace(Path::new(file), &text)
        .with_context(|| format!("cannot write {file} (metrics-file)"))
}

/// A boot, or a daemon-reload by hand, puts a configuration into force as `zam reload` does. Alerts from before it, of jobs
/// that are gone and of a configuration that was mended, would stay.
fn take_back_what_is_in_force(loaded: &Loaded, path: &Path, now: DateTime<Utc>) {
    let is_in_force = || loaded.faults.is_empty() && units::are_in_force(loaded);
    if alerts() == 0 || !is_in_force() {
        return;
    }
    // Before its clock was set a machine may have dated what it made.
    let made = generated::made().max(Some(clock::booted())).unwrap_or(now);
    let jobs = loaded.config.jobs().map(|job| instance(&job)).collect();
    notify::withdraw_of_others(path, &jobs, made, now);
    for instance in ["config", "reload"] {
        notify::withdraw(path, instance, now, |alert| alert.time < made);
    }
}
