//! The alerts that are open: kept, and not followed by a success.

use anyhow::{Context, Result};

use crate::core::alert::Alert;
use crate::core::config::{Config, ROOT};
use crate::core::unit_name;
use crate::edge::{alerts, clock, records};

pub(super) fn write(instance: &str, alert: &Alert) -> Result<()> {
    let text = serde_json::to_string_pretty(alert)? + "\n";
    alerts::write(instance, &text)
        .with_context(|| format!("cannot write {}", alerts::path(instance).display()))
}

pub(super) fn read(instance: &str) -> Option<Alert> {
    serde_json::from_str(&alerts::read(instance).ok()?).ok()
}

/// Who runs the unit with this instance.
pub(super) fn owner(config: &Config, instance: &str) -> String {
    let mut jobs = config.jobs();
    let user = match jobs.find(|job| unit_name::instance(job) == instance) {
        Some(job) => config.user_of(&job),
        None if instance == "check" => config.user(),
        None => ROOT,
    };
    user.to_owned()
}

/// When the unit last succeeded, in epoch seconds: a job that is not root's cannot remove its alert, and says so by its
/// record.
pub(super) fn last_success(instance: &str, user: &str) -> Option<i64> {
    records::claimed_success(user, instance, clock::now().timestamp())
}

/// Whether the unit has succeeded since.
pub(super) fn is_over(instance: &str, alert: &Alert) -> bool {
    let success = last_success(instance, &alert.user);
    let (now, failed) = (clock::now().timestamp(), alert.time.timestamp());
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
