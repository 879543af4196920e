//! What a check found, as it is kept.

use anyhow::{Context, Result, anyhow};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::core::config::Config;
use crate::core::trouble::Trouble;
use crate::edge::records::{self, Records};
use crate::verbs::status::shown::ShownEntry;

#[derive(Deserialize, Serialize)]
pub(in crate::verbs) struct Record {
    pub(in crate::verbs) time: DateTime<Utc>,
    pub(super) is_config_valid: bool,
    /// The gravest first.
    pub(super) troubles: Vec<Trouble>,
    pub(super) datasets: Vec<ShownEntry>,
}

impl Record {
    pub(super) fn write(&self, user: &str) -> Result<()> {
        let text = serde_json::to_string(self)?;
        Records::of(user)
            .write_check(&text)
            .context("cannot record what was found")
    }
}

/// The record of the last check that systemd ran.
///
/// # Errors
/// There is none that can be read.
pub(in crate::verbs) fn last(config: &Config) -> Result<Record> {
    let text = Records::of(config.user()).check();
    let text = text.map_err(|_| {
        anyhow!("systemd has run no check yet; see: systemctl status zam-check.timer")
    })?;
    serde_json::from_str(&text).context("the record of the last check cannot be read")
}

/// The record of the last check, whoever ran it.
pub(in crate::verbs) fn last_of_anybody() -> Option<Record> {
    let texts = records::checks();
    let all = texts
        .iter()
        .filter_map(|text| serde_json::from_str(text).ok());
    all.max_by_key(|record: &Record| record.time)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Of a dataset with two replicas, of which one is stale and one has never been reached.
    pub(in crate::verbs::check) fn record() -> Record {
        let text = r#"{
            "time": "2027-01-15T08:00:00Z",
            "is_config_valid": true,
            "troubles": [
                {"gravity": "critical", "about": "tank/my \"data\" to nas", "why": "stale: old | new", "told": false},
                {"gravity": "warning", "about": "pool tank", "why": "95 % full", "told": false}
            ],
            "datasets": [{
                "dataset": "tank/my \"data\"", "recursive": false, "snapshots": 12, "newest": "2027-01-15T07:00:00Z",
                "state": "ok", "why": null,
                "jobs": [{
                    "unit": "zam@x.service", "next": null, "last": "2027-01-14T04:13:20Z", "result": "success",
                    "verb": "replicate", "destination": "nas", "success": "2027-01-14T04:13:20Z", "seconds": 7,
                    "bytes": 4096, "alert": null
                }],
                "destinations": [
                    {"name": "nas", "replica": "b/x", "snapshots": 3, "newest": "2027-01-11T08:00:00Z",
                     "lag_seconds": 342000, "alert_after_seconds": 259200, "state": "stale", "why": null},
                    {"name": "usb", "replica": "u/x", "snapshots": 0, "newest": null,
                     "lag_seconds": null, "alert_after_seconds": null, "state": "unreachable", "why": "no pool"}
                ]
            }]
        }"#;
        serde_json::from_str(text).expect("a record")
    }
}
