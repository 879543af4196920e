//! What a job leaves for the next one and for reports: when it last succeeded, and since when its pruning waits. Waiting
//! is silent, because systemd takes exit 75 for a success; so it fails after a day, and OnFailure= then tells somebody.

use anyhow::{Result, anyhow};

use crate::core::span::{DAY, Rough};
use crate::edge::outcome::Exit::{Locked, Misconfigured};
use crate::edge::outcome::Outcome;
use crate::edge::records::{Records, Success};

/// In seconds. A little less than a day: the second run of a daily job fails although it may come a moment early.
const PATIENCE: i64 = DAY - 600;

/// Records how the run of a job ended, and returns that; `instance` is the job's, `records` are those of the user that it
/// runs as. `done` is what to record of a success, and has the time at which the run began.
///
/// # Errors
/// Those of `result`; when pruning has waited for a day, [`Misconfigured`], or a failure where it was locked out.
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
    let waited = format!("pruning has waited for {}", Rough(waits));
    let why = match result {
        Err(error) if matches!(error.downcast_ref(), Some(Locked(_))) => {
            return Err(anyhow!("{waited}: {error:#}"));
        }
        Err(error) => format!(": {error:#}"),
        Ok(_) => String::new(),
    };
    let text = format!("{waited} for the configuration to be mended{why}");
    Err(Misconfigured(text).into())
}
