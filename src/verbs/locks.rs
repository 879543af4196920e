//! The locks that replication and pruning share: one for each replica tree, one for each source. A dry run takes none.

use anyhow::Result;

use crate::core::config::Destination;
use crate::edge::lock::{self, Lock};
use crate::verbs::Run;

/// Keeps every other run away from the entry's replicas at this destination.
pub(super) fn take_replicas(run: &Run, to: &Destination) -> Result<Option<Lock>> {
    if run.dry {
        return Ok(None);
    }
    lock::take(&format!("replica:{}/{}", to.name, run.entry.key)).map(Some)
}

/// Keeps away from the source every other pruning, and every replication that relies on its listing of the source.
pub(super) fn take_source(run: &Run) -> Result<Option<Lock>> {
    if run.dry {
        return Ok(None);
    }
    lock::take(&source(run)).map(Some)
}

/// Keeps pruning away from the source; other replications may share the lock.
pub(super) fn share_source(run: &Run) -> Result<Lock> {
    lock::share(&source(run))
}

fn source(run: &Run) -> String {
    format!("prune/{}", run.entry.key)
}
