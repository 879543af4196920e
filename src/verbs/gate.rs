//! `zam gate`: systemd asks it (ExecCondition=) at the moment of starting whether a job may run. A skip is no failure;
//! one line of the journal says why.

use std::path::Path;

use anyhow::{Context, Result};
use chrono::DateTime;

use crate::core::config::Idle;
use crate::core::gate::{Moment, not_now};
use crate::core::job::Job;
use crate::core::span::{Rough, Span};
use crate::core::unit_name::instance;
use crate::edge::outcome::Exit::Undecided;
use crate::edge::outcome::Outcome;
use crate::edge::records::Records;
use crate::edge::{clock, idle, journal};
use crate::verbs::JobName;
use crate::verbs::loading::load;
use crate::verbs::scans::{self, Where};

/// Whether the job called `name` of the entry with this `key` may run now: [`Outcome::Done`] means yes, anything else a
/// skip.
///
/// # Errors
/// [`Undecided`]: the configuration cannot be read, it has no such job, or a condition cannot be asked for.
pub fn run(path: &Path, key: &str, name: JobName) -> Result<Outcome> {
    match why_not(path, key, name) {
        Ok(None) => Ok(Outcome::Done),
        Ok(Some(why)) => {
            journal::print(format!("not now: {why}"));
            Ok(Outcome::Failed)
        }
        Err(error) => Err(Undecided(format!("{error:#}")).into()),
    }
}

fn why_not(path: &Path, key: &str, name: JobName) -> Result<Option<String>> {
    let loaded = load(path)?;
    let entry = loaded.config.entry(key);
    let job = entry
        .and_then(|entry| name.find_in(entry))
        .with_context(|| format!("the configuration has no job {} for {key}", name.verb))?;
    let now = clock::moment();
    let records = Records::of(loaded.config.user_of(&job));
    if let Some(why) = not_now(&job, now, last_success(&records, &job)) {
        return Ok(Some(why));
    }
    match job.idle() {
        Some(idle) if idle.run_at_last && job.timing().is_last_slot(now.weekday, now.minute) => {
            Ok(None)
        }
        Some(idle) => not_idle(&job, idle, now.epoch),
        None => Ok(None),
    }
}

fn last_success(records: &Records, job: &Job) -> Option<Moment> {
    let time = DateTime::from_timestamp(records.last_success(&instance(job))?, 0)?;
    Some(clock::of(time))
}

/// Which of the conditions does not hold, if one does not. Only those that the configuration names are asked for.
fn not_idle(job: &Job, wanted: &Idle, now: i64) -> Result<Option<String>> {
    if let Some(span) = wanted.user_idle
        && let Some(why) = in_use(span, now)?
    {
        return Ok(Some(why));
    }
    if wanted.on_ac_power && !idle::is_on_mains()? {
        return Ok(Some("the machine runs on battery".into()));
    }
    if wanted.unmetered && idle::is_metered()? {
        return Ok(Some("the network is metered".into()));
    }
    match job.destination.filter(|_| wanted.pool) {
        Some(to) => scans::look(job.entry, to, Where::Here),
        None => Ok(None),
    }
}

fn in_use(wanted: Span, now: i64) -> Result<Option<String>> {
    Ok(match idle::idle_for(now)? {
        None => Some("the machine is in use".into()),
        Some(seconds) if seconds < wanted.seconds().unsigned_abs() => Some(format!(
            "the machine was in use {} ago, and is idle after {wanted}",
            Rough(seconds as i64)
        )),
        Some(_) => None,
    })
}
