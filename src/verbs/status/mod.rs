//! `zam status`: what each entry and its replicas hold, whether that is what was promised, when the jobs run next, and
//! what failed. ZFS is asked about the data, systemd about the jobs. Changes nothing, and works for every user.

mod columns;
mod entry;
mod jobs;
mod missing;
pub(super) mod shown;
mod table;
pub(super) mod trees;

use anyhow::Result;
use chrono::{DateTime, Utc};

use crate::core::alert::Alert;
use crate::core::config::{Config, Entry};
use crate::core::name::Dataset;
use crate::edge::journal;
use crate::edge::systemd::{self, Jobs};
use crate::verbs::last_check::{self, Before};
use crate::verbs::{notify, print_json};
use entry::Look;
use shown::ShownEntry;
use trees::Trees;

/// How to show it.
pub enum Form {
    Json,
    Table { colored: bool },
}

/// Shows every entry, or `only` one, at and below that dataset.
///
/// # Errors
/// The ZFS of this machine cannot be asked.
pub fn run(
    config: &Config,
    only: Option<(&Entry, Dataset)>,
    form: Form,
    now: DateTime<Utc>,
) -> Result<()> {
    let is_whole = only.is_none();
    let chosen = match only {
        Some(only) => vec![only],
        None => whole(config),
    };
    let known = known_jobs();
    let has_jobs = chosen.iter().any(|(entry, _)| !entry.jobs().is_empty());
    if let Some(why) = known.stopped.as_ref().filter(|_| has_jobs) {
        journal::warn(why);
    }
    let trees = trees::list(&chosen)?;
    let before = last_check::before(config.user(), now);
    let shown = look(config, &chosen, &trees, &known, &before, now);
    let mut alerts = Vec::new();
    if is_whole {
        alerts = notify::all_open();
        alerts.retain(|alert| !is_of_a_job(alert, &shown));
    }
    match form {
        Form::Json => print_json(&serde_json::json!({"datasets": shown, "alerts": alerts}))?,
        Form::Table { colored } => table::print(&shown, &alerts, colored, now),
    }
    Ok(())
}

/// Whether it stands with its dataset already. The others are of the check, of the configuration, and the like.
pub(in crate::verbs) fn is_of_a_job(alert: &Alert, shown: &[ShownEntry]) -> bool {
    let mut jobs = shown.iter().flat_map(|entry| &entry.jobs);
    jobs.any(|job| job.unit == alert.unit)
}

/// Every entry, from its own dataset on.
pub(super) fn whole(config: &Config) -> Vec<(&Entry, Dataset)> {
    let entries = config.entries.iter();
    entries
        .map(|entry| (entry, entry.dataset.clone()))
        .collect()
}

pub(super) fn look(
    config: &Config,
    chosen: &[(&Entry, Dataset)],
    trees: &Trees,
    known: &Jobs,
    before: &Before,
    now: DateTime<Utc>,
) -> Vec<ShownEntry> {
    let mut shown = Vec::new();
    for (entry, top) in chosen {
        shown.push(Look::new(config, entry, top, trees, before, now).show(known));
    }
    shown
}

/// Asks systemd about the jobs. When it does not answer, nothing is known of them.
pub(super) fn known_jobs() -> Jobs {
    systemd::jobs().unwrap_or_else(|error| {
        journal::warn(format!("{error:#}; when jobs run next is not known"));
        Jobs::default()
    })
}
