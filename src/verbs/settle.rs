//! What a job leaves for the next one and for reports: when it last succeeded, and since when its pruning waits. Waiting
//! is silent, because systemd takes exit 75 for a success; so it fails after a day, and OnFailure= then tells somebody.

use anyhow::Result;

use crate::core::span::{DAY, Rough};
use crate::edge::outcome::Exit::Misconfigured;
use crate::edge::outcome::Outcome;
use crate::edge::records::{Records, Success};

/// In seconds. A little less than a day: the second run of a daily job fails although it may come a moment early.
const PATIENCE: i64 = DAY - 600;

/// Records how the run of a job ended, and returns that; `instance` is the job's, `records` are those of the user that it
/// runs as. `done` is what to record of a success, and has the time at which the run began.
///
/// # Errors
/// Those of `result`; [`Misconfigured`] instead when pruning has waited for a day.
pub fn settle(
    result: Result<Outcome>,
    records: &Records,
    instance: &str,
    done: Success,
) -> Result<Outcome> {
    let outcome = result.as_ref().map_or_else(Outcome::of, |outcome| *outcome);
    if outcome == Outcome::Done {
        records.record_success(instance, done);
    }
    if outcome != Outcome::Waits {
        records.end_to_wait(instance);
        return result;
    }
    let waits = done.time - records.begin_to_wait(instance, done.time);
    if waits < PATIENCE {
        return result;
    }
    let why = match result {
        Ok(_) => String::new(),
        Err(error) => format!(": {error:#}"),
    };
    Err(Misconfigured(format!(
        "pruning has waited for {} for the configuration to be mended{why}",
        Rough(waits)
    ))
    .into())
}
