//! An entry in `zam status`, as `--json` prints it and as the table is made from it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::core::alert::Alert;
use crate::core::config::Verb;
use crate::core::health::Health;
use crate::core::name::Dataset;

#[derive(Serialize)]
pub(super) struct ShownEntry {
    pub(super) dataset: String,
    pub(super) recursive: bool,
    /// How many snapshots of ours there are in all that the entry governs.
    pub(super) snapshots: usize,
    pub(super) newest: Option<DateTime<Utc>>,
    pub(super) state: Health,
    pub(super) why: Option<String>,
    pub(super) jobs: Vec<ShownJob>,
    pub(super) destinations: Vec<ShownReplica>,
}

#[derive(Serialize)]
pub(super) struct ShownJob {
    pub(super) unit: String,
    pub(super) next: Option<DateTime<Utc>>,
    /// When it last ended.
    pub(super) last: Option<DateTime<Utc>>,
    /// `running`, `success`, `waiting` (for the configuration to be mended), or what systemd calls the failure; none
    /// before the first run.
    pub(super) result: Option<String>,
    #[serde(skip)]
    pub(super) verb: Verb,
    #[serde(skip)]
    pub(super) destination: Option<String>,
    #[serde(skip)]
    pub(super) alert: Option<Alert>,
}

#[derive(Serialize)]
pub(super) struct ShownReplica {
    pub(super) name: String,
    pub(super) replica: Dataset,
    pub(super) snapshots: usize,
    pub(super) newest: Option<DateTime<Utc>>,
    pub(super) lag_seconds: Option<i64>,
    pub(super) state: Health,
    pub(super) why: Option<String>,
}

impl ShownJob {
    pub(super) fn is_running(&self) -> bool {
        self.result.as_deref() == Some("running")
    }
}
