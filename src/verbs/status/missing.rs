//! Since when something is missing, and what it was before: by what the last check saw, which a look alone cannot tell.

use chrono::{DateTime, Utc};

use crate::core::health::{Health, Judgement};
use crate::verbs::last_check::Seen;

/// What is known besides what can be seen now. Times in the future were recorded under another clock, and do not count.
pub(super) struct Known<'k> {
    /// How it stood at the last check.
    pub(super) seen: Option<&'k Seen>,
    /// When that check was.
    pub(super) check: Option<DateTime<Utc>>,
    /// When its replication last succeeded.
    pub(super) success: Option<DateTime<Utc>>,
    pub(super) now: DateTime<Utc>,
}

impl Known<'_> {
    /// Since when a replica is missing, if it is: since a check first missed it, but a dataset that has just come has missed
    /// nothing, and what a check has seen to be well, or a job has reached, was not missing then.
    pub(super) fn missing_since(&self, judged: &Judgement) -> Option<DateTime<Utc>> {
        match judged.health {
            Health::Never => {
                let since = self.noticed().unwrap_or(self.now);
                let awaited = judged.awaited_since.and_then(time);
                Some(since.max(awaited.unwrap_or(since)).min(self.now))
            }
            Health::Unreachable => {
                let well = self.seen.filter(|seen| seen.state == Health::Ok);
                let well = well.and(self.check);
                let last = self.noticed().max(well).max(self.success);
                Some(last.unwrap_or(self.now))
            }
            _ => None,
        }
    }

    /// Since when a source that has to have snapshots is known to have none.
    pub(super) fn source_missing_since(&self, state: Health) -> Option<DateTime<Utc>> {
        (state == Health::Never).then(|| self.noticed().unwrap_or(self.now))
    }

    /// What a replica was when it was last reached, if it cannot be reached now. Nobody knows once a job has reached it.
    pub(super) fn state_before(&self, state: Health) -> Option<Health> {
        let seen = self.seen.filter(|_| state == Health::Unreachable)?;
        let is_reached = self.check.is_some_and(|check| self.success > Some(check));
        match seen.state {
            _ if is_reached => None,
            Health::Unreachable => seen.state_before,
            reached => Some(reached),
        }
    }

    fn noticed(&self) -> Option<DateTime<Utc>> {
        let since = self.seen?.missing_since;
        since.filter(|since| *since <= self.now)
    }
}

pub(super) fn time(epoch: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(epoch, 0)
}
