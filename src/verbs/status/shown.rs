//! An entry in `zam status`, as `--json` prints it and as the table is made from it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::core::alert::Alert;
use crate::core::health::Health;
use crate::core::job::Verb;

#[derive(Deserialize, Serialize)]
pub(in crate::verbs) struct ShownEntry {
    pub(in crate::verbs) dataset: String,
    pub(in crate::verbs) recursive: bool,
    /// How many snapshots of ours there are in all that the entry governs; none while nobody knows.
    pub(in crate::verbs) snapshots: Option<usize>,
    pub(in crate::verbs) newest: Option<DateTime<Utc>>,
    pub(in crate::verbs) state: Health,
    /// Since when it is known to have no snapshot.
    #[serde(default)]
    pub(in crate::verbs) missing_since: Option<DateTime<Utc>>,
    pub(in crate::verbs) why: Option<String>,
    pub(in crate::verbs) jobs: Vec<ShownJob>,
    pub(in crate::verbs) destinations: Vec<ShownReplica>,
}

#[derive(Deserialize, Serialize)]
pub(in crate::verbs) struct ShownJob {
    pub(in crate::verbs) unit: String,
    pub(in crate::verbs) next: Option<DateTime<Utc>>,
    /// When it last ended.
    pub(in crate::verbs) last: Option<DateTime<Utc>>,
    /// `running`, `success`, `waiting` (for the configuration to be mended), or what systemd calls the failure; none
    /// before the first run.
    pub(in crate::verbs) result: Option<String>,
    pub(in crate::verbs) verb: Verb,
    pub(in crate::verbs) destination: Option<String>,
    /// When it last ended with 0.
    pub(in crate::verbs) success: Option<DateTime<Utc>>,
    /// How long that took.
    pub(in crate::verbs) seconds: Option<u64>,
    /// What it sent.
    pub(in crate::verbs) bytes: Option<u64>,
    pub(in crate::verbs) alert: Option<Alert>,
}

#[derive(Deserialize, Serialize)]
pub(in crate::verbs) struct ShownReplica {
    pub(in crate::verbs) name: String,
    pub(in crate::verbs) replica: String,
    pub(in crate::verbs) snapshots: Option<usize>,
    pub(in crate::verbs) newest: Option<DateTime<Utc>>,
    pub(in crate::verbs) lag_seconds: Option<i64>,
    pub(in crate::verbs) alert_after_seconds: Option<i64>,
    /// Since when it cannot be reached, or has got nothing, as far as is known; none while something is there.
    #[serde(default)]
    pub(in crate::verbs) missing_since: Option<DateTime<Utc>>,
    /// While it cannot be reached: what it was before.
    #[serde(default)]
    pub(in crate::verbs) state_before: Option<Health>,
    pub(in crate::verbs) state: Health,
    pub(in crate::verbs) why: Option<String>,
}

impl ShownJob {
    pub(in crate::verbs) fn is_running(&self) -> bool {
        self.result.as_deref() == Some("running")
    }

    pub(in crate::verbs) fn is_waiting(&self) -> bool {
        self.result.as_deref() == Some("waiting")
    }
}
