//! What a check found, as it is kept.

use anyhow::{Context, Result, anyhow};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::core::config::Config;
use crate::core::trouble::Trouble;
use crate::edge::records::Records;
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
