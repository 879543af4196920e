//! Remembers what the destination may have. The bookmarks say so too, but a rollback of the source takes them along.

use rustix::process::geteuid;

use crate::core::arrived::{Newest, record_name};
use crate::core::config::ROOT;
use crate::core::name::{Dataset, destination_id};
use crate::edge::mutex::lock;
use crate::edge::{arrived, journal};
use crate::verbs::replicate::replication::Replication;

/// Remembers that of each of these sources the destination has this snapshot, or will have it.
pub(super) fn remember(replication: &Replication, snapshots: &[(&Dataset, Newest)]) {
    let Replication { run, to, .. } = replication;
    // A source on another machine is pruned there.
    if snapshots.is_empty() || run.entry.host.is_some() {
        return;
    }
    // Root can run by hand what is another user's job, whose place is not for others to write in.
    let user = match geteuid().is_root() {
        true => ROOT,
        false => run.config.user(),
    };
    let name = record_name(run.entry, to);
    let id = destination_id(replication.listed.root);
    let _one_at_a_time = lock(&replication.remembering);
    let changed = arrived::change(user, name, id, |arrived| {
        for (dataset, newest) in snapshots {
            arrived.set(dataset, newest.clone());
        }
        arrived.forget_gone(|dataset| is_there(replication, dataset));
    });
    if let Err(error) = changed {
        journal::warn(format!(
            "cannot remember what {} has of {} ({error}): if that is rolled back, pruning may take what both have in common",
            to.name, run.dataset
        ));
    }
}

/// What this run does not list counts as there.
fn is_there(replication: &Replication, dataset: &Dataset) -> bool {
    let listed = &replication.listed;
    !dataset.is_within(&replication.run.dataset)
        || listed.source.contains_key(dataset)
        || listed.unsteady.contains(dataset)
}
