//! `zam gate`: asked by systemd (ExecCondition=) at the moment of starting whether a job may run. A skip is no failure;
//! one line of the journal says why.

use anyhow::Result;
use chrono::DateTime;

use crate::core::config::{Idle, Job};
use crate::core::gate::{is_last_slot, not_now};
use crate::edge::command::Machine;
use crate::edge::outcome::{Outcome, Undecided};
use crate::edge::{clock, journal, records, systemd, zfs};

/// [`Outcome::Done`]: run; otherwise skip.
///
/// # Errors
/// [`Undecided`]: a condition cannot be asked for.
pub fn run(job: &Job) -> Result<Outcome> {
    let now = clock::moment();
    let last = records::last_success(job)
        .and_then(|epoch| DateTime::from_timestamp(epoch, 0))
        .map(clock::of);
    let why_not = match (not_now(job, now, last), job.idle()) {
        (Some(why), _) => Some(why),
        (None, Some(idle)) if idle.run_at_last && is_last_slot(job, now) => None,
        (None, Some(idle)) => {
            not_idle(job, idle, now.epoch).map_err(|e| Undecided(format!("{e:#}")))?
        }
        (None, None) => None,
    };
    match why_not {
        None => Ok(Outcome::Done),
        Some(why) => {
            journal::print(format!("not now: {why}"));
            Ok(Outcome::Failed)
        }
    }
}

fn not_idle(job: &Job, idle: &Idle, now: i64) -> Result<Option<String>> {
    if let Some(span) = idle.user_idle {
        match systemd::idle_for(now)? {
            None => return Ok(Some("the machine is in use".into())),
            Some(seconds) if seconds < span.seconds() => {
                return Ok(Some(format!(
                    "the machine was in use {} min ago, and is idle after {span}",
                    seconds / 60
                )));
            }
            Some(_) => {}
        }
    }
    if idle.on_ac_power && !systemd::is_on_mains()? {
        return Ok(Some("the machine runs on battery".into()));
    }
    if idle.unmetered && systemd::is_metered()? {
        return Ok(Some("the network is metered".into()));
    }
    if idle.pool {
        let source = (Machine::new(job.entry.host.as_ref()), &job.entry.dataset);
        let replica = job
            .destination
            .map(|to| (Machine::new(to.host.as_ref()), &to.root));
        for (machine, dataset) in [source].into_iter().chain(replica) {
            let scanning = zfs::is_scanning(&machine, dataset.pool());
            machine.close();
            if scanning? {
                return Ok(Some(format!(
                    "the pool {}{} is being scrubbed or resilvered",
                    dataset.pool(),
                    machine.place()
                )));
            }
        }
    }
    Ok(None)
}
