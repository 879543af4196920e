//! What a job leaves for the next one and for reports: when it last succeeded, and since when its pruning waits. Waiting is
//! silent (systemd takes 75 for a success), and so it fails after a day: OnFailure then tells somebody.

use anyhow::Result;

use crate::core::span::DAY;
use crate::edge::outcome::{self, Misconfigured, Outcome};
use crate::edge::records;
use crate::verbs::notify;

/// In seconds. A little less than a day, so that a job of once a day fails on the second one, though it comes a moment early.
const PATIENCE: i64 = DAY as i64 - 600;

/// How the run of a job ended; `instance` is the job's, `now` in epoch seconds.
///
/// # Errors
/// Its own, but [`Misconfigured`] when it waits for more than a day.
pub fn settle(result: Result<Outcome>, instance: &str, now: i64) -> Result<Outcome> {
    let outcome = result.as_ref().map_or_else(outcome::of, |outcome| *outcome);
    if outcome == Outcome::Done {
        notify::withdraw(instance);
        records::record_success(instance, now);
    }
    if outcome != Outcome::Waits {
        records::end_to_wait(instance);
        return result;
    }
    let waits = now - records::begin_to_wait(instance, now);
    if waits < PATIENCE {
        return result;
    }
    let why = result
        .err()
        .map(|error| format!(": {error:#}"))
        .unwrap_or_default();
    Err(Misconfigured(format!(
        "pruning has waited for {} h for the configuration to be mended{why}",
        waits / 3600
    ))
    .into())
}
