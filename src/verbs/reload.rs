//! `zam reload`: checks the configuration, puts it into force, and keeps a copy for the day on which it cannot be read.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::core::unit_name::instance;
use crate::edge::clock::now;
use crate::edge::configuration::{self, Loaded};
use crate::edge::outcome::Exit::{Misconfigured, Usage};
use crate::edge::outcome::Outcome;
use crate::edge::{generated, journal, last_good, records, systemd};
use crate::verbs::loading::load_and_report;
use crate::verbs::notify;

/// # Errors
/// [`Usage`] when `path` is not the configuration that the generator reads; [`Misconfigured`] when anything is wrong with
/// it; systemd refuses or does not answer.
pub fn run(path: &Path) -> Result<Outcome> {
    let of_generator = configuration::path_of_generator();
    if path != of_generator {
        let place = of_generator.display();
        return Err(Usage(format!(
            "systemd's generator reads {place} alone; put the configuration there"
        ))
        .into());
    }
    loop {
        let loaded = load_and_report(path)?;
        put_into_force(&loaded, path)?;
        // zam-reload.path does not see what is saved while a reload goes on, so look here.
        if configuration::is_unchanged(path, &loaded) {
            return Ok(Outcome::Done);
        }
    }
}

fn put_into_force(loaded: &Loaded, path: &Path) -> Result<()> {
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
    let mut wanted = jobs.clone();
    wanted.insert("check".into());
    systemd::reload_timers(&wanted)?;
    if !generated::is_complete() {
        bail!(
            "zam-generator has not made all units; see: zam units --diff, journalctl -b -t zam-generator"
        );
    }
    journal::print(format!(
        "{} jobs are in force; see: systemctl list-timers 'zam-*'",
        jobs.len()
    ));
    if !loaded.faults.is_empty() {
        journal::warn(
            "entries with errors are not in force; systemctl status zam-config.service tells them too",
        );
        return Err(loaded.wrong().into());
    }
    notify::withdraw_of_others(path, &jobs, now(), now());
    records::keep_only(&jobs);
    systemd::forget_others(&jobs);
    // zam-reload.service and zam-config.service fail only because of errors in the configuration, zam-units.service because
    // of units that are missing, and there are none.
    for instance in ["reload", "config", "units"] {
        notify::withdraw(path, instance, now(), |_| true);
    }
    Ok(())
}

/// Keeps a copy of a configuration that has no fault. Something that is gone makes pruning wait; only a person may accept
/// that, and not zam-reload.path, so a run that systemd started keeps the old copy.
fn keep(loaded: &Loaded, path: &Path) -> Result<()> {
    if loaded.config.pruning_waits.is_some() && journal::is_journal() {
        loaded.warn_if_pruning_waits();
    } else if loaded.faults.is_empty() {
        last_good::keep(path, &loaded.sources)
            .context("cannot keep a copy of the configuration")?;
        for loss in &loaded.losses {
            journal::print(format!("accepted: {}", loss.what));
        }
    }
    Ok(())
}
