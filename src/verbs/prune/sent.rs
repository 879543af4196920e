//! What the destinations of a source may have, beside what their bookmarks on it say.

use crate::core::arrived::{Arrived, Newest, Replicated, replications};
use crate::core::config::Verb;
use crate::core::name::Dataset;
use crate::core::unit_name::instance;
use crate::edge::arrived;
use crate::edge::records::Records;
use crate::verbs::Run;

pub(super) struct Sent {
    arrived: Vec<Arrived>,
    /// What the jobs of the entry have sent, of whichever dataset.
    by_jobs: Vec<Replicated>,
}

impl Sent {
    /// Reads it while the lock of the source keeps replications from sending more.
    pub(super) fn of(run: &Run) -> Sent {
        Sent {
            arrived: arrived::all(),
            by_jobs: last_replications(run),
        }
    }

    /// What the destinations may have of this source. A clone under a new name is in no record, nor is what an earlier zam
    /// has sent; but a job that ended well had sent everything.
    pub(super) fn of_source(&self, dataset: &Dataset) -> Vec<Replicated> {
        let known = replications(&self.arrived, dataset);
        match known.is_empty() {
            true => self.by_jobs.clone(),
            false => known,
        }
    }
}

fn last_replications(run: &Run) -> Vec<Replicated> {
    let mut replicated = Vec::new();
    for job in run.entry.jobs() {
        let records = Records::of(run.config.user_of(&job));
        if job.verb == Verb::Replicate
            && let Some(success) = records.last(&instance(&job))
        {
            // Its second pass may have brought what was taken while it ran.
            let seconds = success.seconds.unwrap_or_default();
            replicated.push(Replicated {
                id: None,
                newest: Newest {
                    createtxg: 0,
                    creation: success.time.saturating_add_unsigned(seconds),
                },
            });
        }
    }
    replicated
}
