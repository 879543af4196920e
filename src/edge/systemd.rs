//! Talks to systemd: how zam's jobs stand, new units that are put into force, and what a service says of itself while it
//! runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use sd_notify::NotifyState;
use zbus::Connection;

use crate::edge::bus::{UNSTOPPED, ask, is_denied};
use crate::edge::journal;
use crate::edge::manager::{Manager, PATIENCE, TARGET, Unit};

/// While somebody else's reload goes on systemd answers nobody: 20 s on a slow machine (seen).
const PATIENCE_OF_CHANGE: Duration = Duration::from_secs(60);

/// What systemd knows of our jobs.
#[derive(Debug, Default)]
pub struct Jobs {
    /// When a timer fires next, in epoch seconds, by its name; without those that do not.
    pub next: BTreeMap<String, i64>,
    /// The services that run now.
    pub running: BTreeSet<String>,
    /// Why no timer fires at all, and the command that mends it.
    pub stopped: Option<String>,
}

pub fn jobs() -> Result<Jobs> {
    look().context("cannot ask systemd about the jobs")
}

fn look() -> Result<Jobs> {
    let manager = Manager::new(connect()?, PATIENCE)?;
    let units = manager.list(&[TARGET, "zam-*.timer", "zam@*.service"])?;
    let mut jobs = Jobs {
        stopped: why_stopped(units.iter().find(|unit| unit.name == TARGET)),
        ..Jobs::default()
    };
    for unit in units {
        if !unit.is_active() || unit.name == TARGET {
            continue;
        }
        if unit.name.ends_with(".service") {
            jobs.running.insert(unit.name);
        } else if let Some(next) = manager.next_elapse(&unit)? {
            jobs.next.insert(unit.name, next);
        }
    }
    Ok(jobs)
}

fn connect() -> Result<Connection> {
    ask(PATIENCE, &UNSTOPPED, Connection::system())
}

fn why_stopped(target: Option<&Unit>) -> Option<String> {
    let (state, command) = match target {
        Some(target) if target.is_active() => return None,
        Some(target) if target.load == "masked" => (
            "masked",
            "systemctl unmask zam.target && systemctl start zam.target",
        ),
        Some(target) => (target.active.as_str(), "systemctl start zam.target"),
        None => ("not loaded", "zam reload"),
    };
    Some(format!(
        "{TARGET} is {state}, so no timer fires; this starts them: {command}"
    ))
}

/// Has the generators run, and starts what is new; `wanted` are the instances of the jobs that the configuration has.
/// Timers of other jobs are stopped before, because a reload would leave them failed. Those that stay take their new
/// settings while they run: zam can be killed at any moment, and no timer that is wanted stands still. Running services
/// are not touched.
///
/// # Errors
/// systemd refuses or does not answer; [`super::outcome::Exit::Later`] when a signal came.
pub fn reload_timers(wanted: &BTreeSet<String>) -> Result<()> {
    let connection = connect().context("cannot reach systemd over D-Bus")?;
    let manager = Manager::new(connection, PATIENCE_OF_CHANGE)?;
    manager.watch_signals()?;
    let replaced = replace_units(&manager, wanted);
    // However that ended, the timers have to run.
    let started = manager.start();
    let Err(error) = replaced else {
        return started;
    };
    let how_it_stands = if is_denied(&error) {
        "systemd refuses; only root may reload"
    } else if started.is_ok() || manager.has_been_signalled() {
        "not all of the configuration is in force, and the timers run; try zam reload again"
    } else {
        "not all of the configuration is in force, and zam.target may be down: zam status"
    };
    Err(error.context(how_it_stands))
}

fn replace_units(manager: &Manager, wanted: &BTreeSet<String>) -> Result<()> {
    // Not knowing the timers costs failed timers, and no more.
    let mut gone = manager.list(&["zam-*.timer"]).unwrap_or_default();
    gone.retain(|timer| {
        let instance = timer.instance();
        instance.is_some_and(|instance| !wanted.contains(instance))
    });
    let mut stopping = Vec::new();
    for timer in gone.iter().filter(|timer| timer.is_active()) {
        stopping.push(manager.stop(timer)?);
    }
    if !stopping.is_empty() {
        manager.wait(&stopping)?;
    }
    manager.reload()?;
    // A job that was mended is not failed any more; one that was not fails again in a moment.
    manager.reset_failed("zam-config.service");
    manager.reset_failed("zam-units.service");
    for timer in &gone {
        manager.reset_failed(&timer.name);
    }
    Ok(())
}

/// Takes jobs other than these off systemd's list of failed units.
pub fn forget_others(jobs: &BTreeSet<String>) {
    if let Err(error) = try_to_forget_others(jobs) {
        journal::warn(format!(
            "jobs that are gone may still stand in systemctl --failed: {error:#}"
        ));
    }
}

fn try_to_forget_others(jobs: &BTreeSet<String>) -> Result<()> {
    let manager = Manager::new(connect()?, PATIENCE)?;
    for unit in manager.list(&["zam@*.service"])? {
        let is_gone = unit.instance().is_some_and(|job| !jobs.contains(job));
        if is_gone && unit.active == "failed" {
            manager.reset_failed(&unit.name);
        }
    }
    Ok(())
}

/// Shown by `systemctl status`.
pub fn status(text: &str) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[NotifyState::Status(text)]);
}

/// Feeds the watchdog (WatchdogSec=), if there is one.
pub fn alive() {
    let _ = sd_notify::notify(&[NotifyState::Watchdog]);
}
