//! The alerts that are open: kept, and not followed by a success.

use anyhow::{Context, Result};

use crate::core::alert::Alert;
use crate::core::config::Config;
use crate::core::unit_name::job_called;
use crate::edge::records::Records;
use crate::edge::{alerts, clock};

pub(super) fn write(instance: &str, alert: &Alert) -> Result<()> {
    let text = serde_json::to_string_pretty(alert)? + "\n";
    alerts::write(instance, &text)
        .with_context(|| format!("cannot write {}", alerts::path(instance).display()))
}

pub(super) fn read(instance: &str) -> Option<Alert> {
    serde_json::from_str(&alerts::read(instance).ok()?).ok()
}

/// Who runs the unit with this instance, if the configuration says it.
pub(super) fn owner(config: &Config, instance: &str) -> Option<String> {
    let job = job_called(config, instance);
    let user = job.map(|job| config.user_of(&job));
    let user = user.or_else(|| (instance == "check").then(|| config.user()));
    user.map(Into::into)
}

/// Whether the unit has succeeded since: a job that is not root's cannot remove its alert, and says so by its record.
pub(super) fn is_over(instance: &str, alert: &Alert) -> bool {
    let now = clock::now().timestamp();
    let failed = alert.time.timestamp();
    // A time ahead comes of a clock that was wrong.
    let success = Records::of(&alert.user).last_success(instance);
    let success = success.filter(|time| *time <= now);
    // A failure dated ahead was written while the clock was wrong: any success ends it that is not the one before.
    success != alert.succeeded && success.is_some_and(|success| success > failed || failed > now)
}

/// The alert of a unit, if there is one that can be read, and that no success has followed.
pub fn open(instance: &str) -> Option<Alert> {
    read(instance).filter(|alert| alert.over.is_none() && !is_over(instance, alert))
}

pub fn all_open() -> Vec<Alert> {
    let instances = alerts::instances();
    instances
        .iter()
        .filter_map(|instance| open(instance))
        .collect()
}
