//! What the destinations of a source may have, beside what their bookmarks on it say.

use crate::core::arrived::{Arrived, JobDone, Replicated, name, replications};
use crate::core::config::Verb;
use crate::core::name::Dataset;
use crate::core::unit_name::instance;
use crate::edge::arrived;
use crate::edge::records::Records;
use crate::verbs::Run;

pub(super) struct Sent {
    arrived: Vec<Arrived>,
    jobs: Vec<JobDone>,
}

impl Sent {
    /// Reads it while the lock of the source keeps replications from planning to send more.
    pub(super) fn of(run: &Run) -> Sent {
        Sent {
            arrived: arrived::all(),
            jobs: successes(run),
        }
    }

    pub(super) fn of_source(&self, dataset: &Dataset) -> Vec<Replicated> {
        replications(&self.arrived, &self.jobs, dataset)
    }
}

fn successes(run: &Run) -> Vec<JobDone> {
    let mut successes = Vec::new();
    let prefix = &run.config.prefix;
    for job in run.entry.jobs() {
        let records = Records::of(run.config.user_of(&job));
        if let (Verb::Replicate, Some(to)) = (job.verb, job.destination)
            && let Some(success) = records.last(&instance(&job))
        {
            // Its second pass may have brought what was taken while it ran.
            let seconds = success.seconds.unwrap_or_default();
            let snapshot = prefix.snapshot(success.time.saturating_add_unsigned(seconds));
            let time = prefix.time_of(&snapshot).unwrap_or_default().into();
            let name = name(run.entry, to);
            successes.push(JobDone { name, time });
        }
    }
    successes
}
