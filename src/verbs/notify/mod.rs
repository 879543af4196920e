//! `zam notify`: systemd calls it when a unit has failed (OnFailure=), and when one with an open alert has succeeded
//! (OnSuccess=). It keeps alerts as files in /var/lib/zam/alerts, and tells them by the commands of `notify` and on desktops.

mod failure;
mod open;
mod telling;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use chrono::{DateTime, Utc};

use crate::core::alert::{Alert, End};
use crate::core::config::Config;
use crate::core::event;
use crate::core::unit_name::is_job;
use crate::edge::outcome::Exit::Usage;
use crate::edge::outcome::Outcome;
use crate::edge::{alerts, configuration, journal, records};
use crate::verbs::loading::load;
use failure::{failure, told_by_systemd};
use open::{is_over, read, write};
use telling::{Event, tell};

pub use open::{all_open, open};

/// Records the failure of the unit with this instance; systemd tells the rest in the environment (systemd.exec(5),
/// MONITOR_*). What fails at each of its slots for the same reason is told once a day.
pub fn failed(path: &Path, instance: &str, now: DateTime<Utc>) -> Result<Outcome> {
    check(instance)?;
    let mut alert = failure(instance, now);
    let _lock = alerts::lock(instance);
    // One that nobody has taken back yet, though the job may have said that it has succeeded: what comes after it failed.
    let known = read(instance);
    let is_known = known.is_some_and(|known| alert.follow(&known));
    // On a full disk it is told all the same, though each time.
    let mut kept = write(instance, &alert);
    records::set_well(false);
    announce(&alert, is_known);
    if alert.is_to_be_told()
        && let Some(config) = readable(path)
        && tell(&config, instance, &alert, &Event::failed(&alert))
    {
        alert.told = Some(now);
        kept = write(instance, &alert);
    }
    // Not a failure of its own, which nothing would take back: the check and the login tell of the full disk.
    if let Err(error) = kept {
        journal::error(format!("{error:#}"));
    }
    Ok(Outcome::Done)
}

/// Says it in the journal of the unit too (journalctl(1), --unit). What is known already is no new error.
fn announce(alert: &Alert, is_known: bool) {
    let unit = &alert.unit;
    match (journal::is_journal(), is_known) {
        (false, true) => journal::print(alert),
        (false, false) => journal::error(alert),
        (true, true) => {
            tracing::info!(
                message_id = event::FAILED,
                object_systemd_unit = unit,
                "{alert}"
            );
        }
        (true, false) => {
            tracing::error!(
                message_id = event::FAILED,
                object_systemd_unit = unit,
                "{alert}"
            );
        }
    }
}

/// Takes back the alert of the unit with this instance, if it has succeeded since.
pub fn recovered(path: &Path, instance: &str, now: DateTime<Utc>) -> Result<Outcome> {
    check(instance)?;
    // Units that are no jobs remember nothing: systemd says that this one has succeeded.
    let has_succeeded = !is_job(instance) && told_by_systemd("EXIT_STATUS") == "0";
    withdraw(path, instance, now, |alert| {
        has_succeeded || is_over(instance, alert)
    });
    Ok(Outcome::Done)
}

/// Takes back the alert of a unit that has succeeded, if it has one of which `is_over` holds.
pub fn withdraw(
    path: &Path,
    instance: &str,
    now: DateTime<Utc>,
    is_over: impl FnOnce(&Alert) -> bool,
) {
    let _lock = alerts::lock(instance);
    if let Some(alert) = read(instance).filter(is_over) {
        end(path, instance, &alert, alert.end(End::Success, now));
    }
}

/// Takes back every alert that is over, but for those `kept`.
pub fn sweep(path: &Path, now: DateTime<Utc>, kept: &[&str]) {
    for instance in alerts::instances() {
        let is_done = |alert: &Alert| is_over(&instance, alert);
        // Whoever tells of a failure holds its lock for a while.
        if !kept.contains(&instance.as_str()) && read(&instance).as_ref().is_some_and(is_done) {
            withdraw(path, &instance, now, is_done);
        }
    }
}

/// Takes back the alerts of jobs other than these: nobody else would.
pub fn withdraw_of_others(path: &Path, jobs: &BTreeSet<String>, now: DateTime<Utc>) {
    for instance in alerts::instances() {
        if is_job(&instance) && !jobs.contains(&instance) {
            let _lock = alerts::lock(&instance);
            if let Some(alert) = read(&instance) {
                end(path, &instance, &alert, alert.end(End::Removal, now));
            }
        }
    }
}

/// Removes an alert, and says how it ended.
fn end(path: &Path, instance: &str, alert: &Alert, how: String) {
    let unit = &alert.unit;
    match alerts::remove(instance) {
        Ok(true) => {}
        // Where nothing can be locked another one may have told it.
        Ok(false) => return,
        Err(error) => return journal::warn(format!("the alert of {unit} stays: {error}")),
    }
    if journal::is_journal() {
        tracing::info!(
            message_id = event::RECOVERED,
            object_systemd_unit = unit,
            "{how}"
        );
    } else {
        journal::notice(&how);
    }
    // Also where a command failed to tell the failure: another one may have told it.
    if let Some(config) = readable(path) {
        tell(&config, instance, alert, &Event::recovered(how));
    }
}

/// Tells something by the commands of `notify`, so that a person can see whether it arrives.
///
/// # Errors
/// There are no such commands, and nobody is at a desktop.
pub fn test(path: &Path, now: DateTime<Utc>) -> Result<Outcome> {
    let alert = Alert {
        unit: "zam@test.service".into(),
        result: "test".into(),
        status: "0".into(),
        time: now,
        since: Some(now),
        count: 1,
        told: None,
        lines: vec!["nothing has failed: this is a test of `notify`".into()],
    };
    let config = load(path)?.config;
    match tell(&config, "test", &alert, &Event::failed(&alert)) {
        true => Ok(Outcome::Done),
        false if config.notify.is_empty() => {
            let path = path.display();
            Err(Usage(format!(
                "{path} has no `notify`, and no desktop is in use here"
            ))
            .into())
        }
        false => Ok(Outcome::Failed),
    }
}

fn check(instance: &str) -> Result<()> {
    match records::is_file_name(instance) {
        true => Ok(()),
        false => Err(Usage(format!("{instance:?} is not an instance of a unit")).into()),
    }
}

/// One that cannot be read has failed units of its own.
fn readable(path: &Path) -> Option<Config> {
    let loaded = configuration::read(path).ok()??;
    Some(loaded.config)
}
