//! `zam notify`: systemd calls it when a unit has failed (OnFailure=), and when one with an open alert has succeeded
//! (OnSuccess=). It keeps alerts as files in /var/lib/zam/alerts, and tells them by the commands of `notify` and on desktops.

mod failure;
mod open;
mod telling;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::core::alert::{Alert, End, Over};
use crate::core::config::Config;
use crate::core::event;
use crate::core::span::DAY;
use crate::core::unit_name::is_job;
use crate::edge::outcome::Exit::Usage;
use crate::edge::outcome::Outcome;
use crate::edge::records::Records;
use crate::edge::{alerts, configuration, journal, records};
use crate::verbs::loading::load;
use failure::{failure, told_by_systemd};
use open::{is_over, owner, read, write};
use telling::{Event, tell, tell_untold};

pub use open::{all_open, open};

/// For what is told late, before the last of it begins, which may take two minutes: systemd gives a check five.
const PATIENCE: Duration = Duration::from_secs(30);

/// Records the failure of the unit with this instance; systemd tells the rest in the environment (systemd.exec(5),
/// MONITOR_*). What fails at each of its slots for the same reason is told once a day.
pub fn failed(path: &Path, instance: &str, now: DateTime<Utc>) -> Result<Outcome> {
    check(instance)?;
    let config = readable(path);
    let user = config.as_ref().and_then(|config| owner(config, instance));
    let known = read(instance);
    let user = user.or(known.map(|known| known.user)).unwrap_or_default();
    // Read before the failure is examined, which takes a moment: a success during that time must end this alert.
    let succeeded = Records::of(&user).last_success(instance);
    let mut alert = Alert {
        user,
        succeeded,
        ..failure(instance, now)
    };
    let _lock = alerts::lock(instance);
    // An alert that nobody has taken back still counts, even if its job has succeeded since: a later run has failed.
    let known = read(instance);
    let is_known = known.is_some_and(|known| alert.follow(&known));
    // On a full disk it is told all the same, though each time.
    let mut kept = write(instance, &alert);
    records::set_well(false);
    announce(&alert, is_known);
    if let Some(config) = config
        && tell_failure(&config, instance, &mut alert, now)
    {
        kept = write(instance, &alert);
    }
    // Not a failure of its own, which nothing would take back: the check and the login tell of the full disk.
    if let Err(error) = kept {
        journal::error(format!("{error:#}"));
    }
    Ok(Outcome::Done)
}

/// Tells a failure when it is time, and else by those commands that could not tell it. Returns whether the alert has changed.
fn tell_failure(config: &Config, instance: &str, alert: &mut Alert, now: DateTime<Utc>) -> bool {
    let event = Event::failed(alert);
    if alert.is_to_be_told(now) {
        let told = tell(config, instance, alert, &event);
        alert.told = told.is_told.then_some(now);
        alert.untold = told.untold;
        return true;
    }
    if alert.untold.is_empty() {
        return false;
    }
    alert.untold = tell_untold(config, instance, alert, &event);
    true
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
    let has_succeeded = told_by_systemd("EXIT_STATUS") == "0";
    withdraw(path, instance, now, |alert| {
        // Units that are no jobs remember nothing: systemd says that this one has succeeded.
        let is_job = alert.unit.starts_with("zam@") && is_job(instance);
        has_succeeded && !is_job || is_over(instance, alert)
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
    end(path, instance, End::Success, now, is_over);
}

/// Takes back every alert that is over, but for those `kept`, and tells what could not be told until now. Leaves for the
/// next time what would take too long.
pub fn sweep(path: &Path, now: DateTime<Utc>, kept: &[&str]) {
    let begun = Instant::now();
    for instance in alerts::instances() {
        if kept.contains(&instance.as_str()) || begun.elapsed() > PATIENCE {
            continue;
        }
        let is_done = |alert: &Alert| alert.over.is_some() || is_over(&instance, alert);
        match read(&instance) {
            Some(alert) if is_done(&alert) => withdraw(path, &instance, now, is_done),
            Some(alert) if alert.waits_to_be_told(now) => tell_late(path, &instance, now),
            _ => {}
        }
    }
}

/// Tells a failure that could not be told when it happened.
fn tell_late(path: &Path, instance: &str, now: DateTime<Utc>) {
    let _lock = alerts::lock(instance);
    let alert = read(instance).filter(|alert| alert.waits_to_be_told(now));
    if let (Some(mut alert), Some(config)) = (alert, readable(path)) {
        tell_failure(&config, instance, &mut alert, now);
        // Where it cannot be written, it is told again.
        let _ = write(instance, &alert);
    }
}

/// Takes back the alerts of jobs other than these, if they are from before a time: nobody else would.
pub fn withdraw_of_others(
    path: &Path,
    jobs: &BTreeSet<String>,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) {
    for instance in alerts::instances() {
        if instance != "check" && !jobs.contains(&instance) {
            // Other units may have zam tell of them, too.
            let is_gone = |alert: &Alert| {
                alert.unit.starts_with("zam@") && (alert.time < before || alert.time > now)
            };
            end(path, &instance, End::Removal, now, is_gone);
        }
    }
}

/// Has the word of whoever runs a unit now count, since the configuration may have named another one.
pub fn assign(config: &Config) {
    for instance in alerts::instances() {
        let Some(user) = owner(config, &instance) else {
            continue;
        };
        let is_right = |alert: &Alert| alert.user == user;
        if read(&instance).as_ref().is_none_or(is_right) {
            continue;
        }
        let _lock = alerts::lock(&instance);
        if let Some(alert) = read(&instance) {
            // It is tried again in an hour.
            let _ = write(&instance, &Alert { user, ..alert });
        }
    }
}

/// Ends an alert of which `is_over` holds, and tells how.
fn end(
    path: &Path,
    instance: &str,
    end: End,
    now: DateTime<Utc>,
    is_over: impl FnOnce(&Alert) -> bool,
) {
    let _lock = alerts::lock(instance);
    let Some(mut alert) = read(instance) else {
        return;
    };
    let config = readable(path).unwrap_or_default();
    if let Some(over) = alert.over.clone() {
        return tell_end(&config, instance, alert, &over, now);
    }
    if !is_over(&alert) {
        return;
    }
    let over = Over {
        time: now,
        how: alert.end(end, now),
    };
    alert.over = Some(over.clone());
    // Also by a command that failed to tell the failure: another one may have told it.
    alert.untold = (0..config.notify.len()).collect();
    if let Err(error) = write(instance, &alert) {
        return journal::warn(format!("the alert of {} stays: {error:#}", alert.unit));
    }
    if journal::is_journal() {
        tracing::info!(
            message_id = event::RECOVERED,
            object_systemd_unit = alert.unit,
            "{}",
            over.how
        );
    } else {
        journal::notice(&over.how);
    }
    Event::recovered(&over).show(&config);
    tell_end(&config, instance, alert, &over, now);
}

/// Tells how an alert has ended, and removes it. What fails to tell it is tried again for a day.
fn tell_end(config: &Config, instance: &str, mut alert: Alert, over: &Over, now: DateTime<Utc>) {
    alert.untold = tell_untold(config, instance, &alert, &Event::recovered(over));
    let is_late = (now - over.time).num_seconds() >= DAY;
    let kept = match alert.untold.is_empty() || is_late {
        true => alerts::remove(instance).context("it stays"),
        false => write(instance, &alert),
    };
    if let Err(error) = kept {
        journal::warn(format!("the alert of {}: {error:#}", alert.unit));
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
        lines: vec!["nothing has failed: this is a test of `notify`".into()],
        ..Alert::default()
    };
    let config = load(path)?.config;
    let told = tell(&config, "test", &alert, &Event::failed(&alert));
    match told.is_told && told.untold.is_empty() {
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

/// What says whom to tell. Where there is none any more, that is what the last good one says.
fn readable(path: &Path) -> Option<Config> {
    match configuration::read(path) {
        Ok(Some(loaded)) => Some(loaded.config),
        _ => configuration::last_good(path),
    }
}
