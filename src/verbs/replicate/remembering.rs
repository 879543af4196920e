//! Remembers what has arrived. The bookmarks say so too, but a rollback of the source takes them along.

use rustix::process::geteuid;

use crate::core::arrived::name;
use crate::core::config::ROOT;
use crate::core::name::{Dataset, destination_id};
use crate::edge::{arrived, clock, journal};
use crate::verbs::replicate::replication::Replication;

/// Remembers that the destination has what these sources have now, or has had.
pub(super) fn remember(replication: &Replication, datasets: &[&Dataset]) {
    let Replication { run, to, .. } = replication;
    // A source on another machine is pruned there.
    if datasets.is_empty() || run.entry.host.is_some() {
        return;
    }
    // Root can run by hand what is another user's job, whose place is not for others to write in.
    let user = match geteuid().is_root() {
        true => ROOT,
        false => run.config.user(),
    };
    let id = destination_id(replication.listed.root);
    let now = clock::now().timestamp();
    let changed = arrived::change(user, name(run.entry, to), id, |arrived| {
        arrived.add(datasets.iter().copied(), now);
        arrived.forget_gone(|dataset| is_there(replication, dataset), now);
    });
    if let Err(error) = changed {
        journal::warn(format!(
            "cannot remember what has arrived ({error}): if {} is rolled back before the next run, pruning may take what {} has in common with it",
            run.dataset, to.name
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
