//! The alerts that are open: kept, and not followed by a success.

use anyhow::{Context, Result};

use crate::core::alert::Alert;
use crate::edge::{alerts, clock, records};

pub(super) fn write(instance: &str, alert: &Alert) -> Result<()> {
    let text = serde_json::to_string_pretty(alert)? + "\n";
    alerts::write(instance, &text)
        .with_context(|| format!("cannot write {}", alerts::path(instance).display()))
}

pub(super) fn read(instance: &str) -> Option<Alert> {
    serde_json::from_str(&alerts::read(instance).ok()?).ok()
}

/// A job that is not root's cannot remove its alert, and says by its record that it has succeeded.
pub(super) fn is_over(instance: &str, alert: &Alert) -> bool {
    let (now, failed) = (clock::now().timestamp(), alert.time.timestamp());
    let success = records::claimed_success(instance, now);
    // One dated ahead was written while the clock was wrong.
    success.is_some_and(|success| success > failed || failed > now)
}

/// The alert of a unit, if there is one that can be read, and that no success has followed.
pub fn open(instance: &str) -> Option<Alert> {
    read(instance).filter(|alert| !is_over(instance, alert))
}

pub fn all_open() -> Vec<Alert> {
    let instances = alerts::instances();
    instances
        .iter()
        .filter_map(|instance| open(instance))
        .collect()
}
