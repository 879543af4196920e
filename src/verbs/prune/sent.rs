//! What the destinations of a source may have, beside what their bookmarks on it say.

use crate::core::arrived::{Arrived, Replicated, Replicating, record_name, replications};
use crate::core::job::Job;
use crate::core::name::{Dataset, Prefix};
use crate::core::span::Epoch;
use crate::core::unit_name::instance;
use crate::edge::arrived;
use crate::edge::records::Records;
use crate::verbs::Run;

pub(super) struct Sent {
    arrived: Vec<Arrived>,
    replicating: Vec<Replicating>,
}

impl Sent {
    /// Reads it while the lock of the source keeps replications from planning to send more.
    pub(super) fn of(run: &Run) -> Sent {
        Sent {
            arrived: arrived::all(),
            replicating: replicating(run),
        }
    }

    /// `made` is when the dataset was made.
    pub(super) fn of_source(&self, dataset: &Dataset, made: Epoch) -> Vec<Replicated> {
        replications(&self.arrived, &self.replicating, dataset, made)
    }
}

/// Those by hand too, which have no job.
fn replicating(run: &Run) -> Vec<Replicating> {
    let mut replicating = Vec::new();
    for to in &run.entry.destinations {
        let job = run.entry.replication(to);
        replicating.push(Replicating {
            name: record_name(run.entry, to),
            done: job.and_then(|job| done(run, &job)),
        });
    }
    replicating
}

/// By when the job had brought everything: its second pass may have brought what was taken while it ran.
fn done(run: &Run, job: &Job) -> Option<String> {
    let success = Records::of(run.config.user_of(job)).last(&instance(job))?;
    let seconds = success.seconds.unwrap_or_default();
    let end = success.time.saturating_add_unsigned(seconds);
    Some(in_name(&run.config.prefix, end))
}

/// The time as it stands in the name of a snapshot.
fn in_name(prefix: &Prefix, time: Epoch) -> String {
    let snapshot = prefix.snapshot(time);
    prefix.time_of(&snapshot).unwrap_or_default().into()
}
