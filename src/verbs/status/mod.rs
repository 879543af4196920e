//! `zam status`: what each entry and its replicas hold, whether that is what was promised, when the jobs run next, and
//! what failed. ZFS is asked about the data, systemd about the jobs. Changes nothing, and works for every user.

mod entry;
mod shown;
mod table;
mod trees;

use anyhow::{Result, anyhow};
use chrono::{DateTime, Utc};

use crate::core::config::{Config, Entry};
use crate::core::name::Dataset;
use crate::edge::journal;
use crate::edge::systemd::{self, Jobs};
use crate::verbs::print_json;
use entry::Look;
use shown::Shown;
use trees::look;

/// `only` one entry, and of it what is at and below that dataset.
///
/// # Errors
/// The ZFS of this machine cannot be asked.
pub fn run(
    config: &Config,
    only: Option<(&Entry, Dataset)>,
    json: bool,
    now: DateTime<Utc>,
) -> Result<()> {
    let all = || {
        config
            .entries
            .iter()
            .map(|entry| (entry, entry.dataset.clone()))
            .collect()
    };
    let chosen: Vec<(&Entry, Dataset)> = only.map_or_else(all, |only| vec![only]);
    let jobs = systemd::jobs().unwrap_or_else(|error| {
        journal::warn(format!("{error:#}; when jobs run next is not known"));
        Jobs::default()
    });
    if let Some(why) = jobs
        .stopped
        .as_ref()
        .filter(|_| chosen.iter().any(|(entry, _)| !entry.jobs().is_empty()))
    {
        journal::warn(why);
    }
    let mut trees = look(&chosen);
    if let Some(Err(error)) = trees.get_mut(&None) {
        return Err(std::mem::replace(error, anyhow!("told")));
    }
    let shown: Vec<Shown> = chosen
        .iter()
        .map(|(entry, top)| {
            Look {
                config,
                entry,
                top,
                trees: &trees,
                now,
            }
            .show(&jobs)
        })
        .collect();
    if json {
        return print_json(&serde_json::json!({"datasets": shown}));
    }
    table::print(&shown, now);
    Ok(())
}
