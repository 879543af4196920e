//! `zam reload`: checks the configuration, puts it into force, and keeps a copy for the day on which it cannot be read.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use crate::core::unit_name::instance;
use crate::edge::configuration::{Loaded, keep_as_last_good};
use crate::edge::outcome::Misconfigured;
use crate::edge::{journal, records, systemd};
use crate::verbs::notify;

pub fn run(loaded: &Loaded, path: &Path) -> Result<()> {
    if loaded.is_last_good {
        return Err(Misconfigured(
            "nothing of the configuration can be put into force; the jobs stay as they are until that is mended".into(),
        )
        .into());
    }
    if loaded.config.entries.is_empty() {
        return Err(loaded.wrong().into());
    }
    keep(loaded, path)?;
    let jobs: BTreeSet<String> = loaded.config.jobs().map(|job| instance(&job)).collect();
    systemd::reload_timers(&jobs)?;
    journal::print(format!(
        "{} jobs are in force; see: systemctl list-timers 'zam-*'",
        jobs.len()
    ));
    if loaded.faults.is_empty() {
        records::keep_only(&jobs);
        // Of zam-reload.service and zam-config.service, which had nothing to say but what is mended now.
        ["reload", "config"].into_iter().for_each(notify::withdraw);
        return Ok(());
    }
    journal::warn(
        "entries with errors are not in force; systemctl status zam-config.service tells them too",
    );
    Err(loaded.wrong().into())
}

/// Only what has no fault is good. That a file is gone, a person has to accept, and not zam-reload.path.
fn keep(loaded: &Loaded, path: &Path) -> Result<()> {
    if let Some(why) = loaded
        .config
        .pruning_waits
        .as_ref()
        .filter(|_| journal::is_journal())
    {
        journal::warn(format!("pruning waits: {why}"));
    } else if loaded.faults.is_empty() {
        keep_as_last_good(path, &loaded.sources)
            .context("cannot keep a copy of the configuration")?;
    }
    Ok(())
}
