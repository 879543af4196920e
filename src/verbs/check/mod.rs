//! `zam check`: whether everything is as promised. Judges replicas by what they hold, jobs by systemd and by their alerts,
//! and looks at the pools. systemd runs it every hour; then it is recorded for `status`, for the login, and for metrics.

mod crowds;
mod entries;
mod formats;
mod leftovers;
mod metrics;
mod publish;
mod record;
mod troubles;
mod users;

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};

use crate::core::config::Config;
use crate::core::trouble::Trouble;
use crate::edge::configuration::Loaded;
use crate::edge::outcome::Outcome;
use crate::edge::{arrived, journal, records, systemd, zfs};
use crate::verbs::status::{look, trees, whole};
use crate::verbs::{last_check, notify};

pub use formats::{Format, unknown};
pub use publish::publish;
use record::{Record, last};

/// Checks everything now, and shows it in a format.
///
/// # Errors
/// The ZFS of this machine cannot be asked.
pub fn run(loaded: &Loaded, format: Format, now: DateTime<Utc>) -> Result<Outcome> {
    let record = check(loaded, now)?;
    Ok(record.show(format, now))
}

/// Shows what systemd's check recorded last, for a user who cannot reach the other machines.
///
/// # Errors
/// Nothing is recorded.
pub fn show_last(config: &Config, format: Format, now: DateTime<Utc>) -> Result<Outcome> {
    Ok(last(config)?.show(format, now))
}

/// Checks everything, as a job: what is wrong goes to the journal and into the record.
///
/// # Errors
/// Something is wrong of which nobody has been told yet. Its text changes when something else is wrong, so
/// that it is told anew.
pub fn record(loaded: &Loaded, now: DateTime<Utc>) -> Result<Outcome> {
    let record = check(loaded, now)?;
    let kept = record.write(loaded.config.user());
    let mut news = Vec::new();
    for trouble in &record.troubles {
        // The error is what the check ends with: by its errors an alert knows whether it was told.
        journal::warn(trouble);
        if trouble.is_news() {
            news.push(format!("{} ({})", trouble.about, trouble.kind));
        }
    }
    if news.is_empty() {
        return kept.map(|()| Outcome::Done);
    }
    if let Err(error) = kept {
        news.push(format!("{error:#}"));
    }
    bail!("not as promised: {}", news.join(", "));
}

fn check(loaded: &Loaded, now: DateTime<Utc>) -> Result<Record> {
    let config = &loaded.config;
    let chosen = whole(config);
    let known = systemd::jobs();
    let trees = trees::list(&chosen)?;
    let pools = zfs::pools()?;
    let mut troubles = troubles::of_configuration(loaded);
    troubles.extend(troubles::of_timers(config, &known));
    troubles.extend(users::of_users(config));
    let known = known.unwrap_or_default();
    let before = last_check::before(config.user(), now);
    let datasets = look(config, &chosen, &trees, &known, &before, now);
    for (entry, shown) in config.entries.iter().zip(&datasets) {
        troubles.extend(entries::of_entry(entry, shown, now));
        troubles.extend(crowds::of_crowds(config, entry, &trees, now));
    }
    troubles.extend(troubles::of_other_units(&notify::all_open(), &datasets));
    troubles.extend(troubles::of_uncovered(config, &trees));
    // An entry at fault is not one that was removed, nor is one whose file is missing.
    if loaded.faults.is_empty() && config.pruning_waits.is_none() {
        troubles.extend(leftovers::of_leftovers(config, &trees, &arrived::all()));
    }
    troubles.extend(troubles::of_pools(config, &pools));
    let why = records::why_unwritable();
    troubles.extend(why.map(|why| Trouble::critical("records", "unwritable", why)));
    troubles.sort_by_key(|trouble| std::cmp::Reverse(trouble.gravity));
    Ok(Record {
        time: now,
        is_config_valid: loaded.faults.is_empty(),
        troubles,
        datasets,
    })
}

#[cfg(test)]
mod example;
