//! Gives up parts of streams that fit nothing any more, for pruning. Who may do that may destroy a replica, so where the
//! jobs are not root's, replication cannot do it itself.

use anyhow::Result;

use crate::core::config::Destination;
use crate::core::listing::{DATASETS, State, TREE_COLUMNS};
use crate::core::name::Dataset;
use crate::core::replication::TokenUse;
use crate::edge::command::Machine;
use crate::edge::journal;
use crate::edge::outcome::Outcome;
use crate::edge::zfs::{self, Depth};
use crate::verbs::replicate::replication::Replication;
use crate::verbs::{Run, report};

/// Gives them up on the replicas of the entry at a destination on this machine.
///
/// # Errors
/// One of the two sides cannot be listed, or a replication is at work.
pub fn give_up_stale_parts(run: &Run, to: &Destination) -> Result<Outcome> {
    let here = Machine::default();
    let top = to.replica(&run.dataset);
    let root = [top.as_str()];
    let listing = zfs::list(&here, TREE_COLUMNS, DATASETS, Depth::All, &root)?;
    // Most replicas hold none, and then one listing is enough.
    if listing
        .tree
        .values()
        .all(|state| state.resume_token.is_none())
    {
        return Ok(Outcome::Done);
    }
    let replication = Replication::begin(run, to)?;
    run.still_goes_by_the_configuration()?;
    let mut worst = Outcome::Done;
    for (dataset, source) in &replication.listed.source {
        if let Err(error) = give_up(&replication, dataset, source) {
            worst = worst.max(report(dataset.as_str(), &error));
        }
    }
    Ok(worst)
}

fn give_up(replication: &Replication, dataset: &Dataset, source: &State) -> Result<()> {
    let replica = replication.to.replica(dataset);
    let listed = replication.listed.replicas.get(&replica);
    let Some(token) = listed.and_then(|state| state.resume_token.as_ref()) else {
        return Ok(());
    };
    let there = &replication.listed.there;
    if replication.plan(dataset, source)?.token != TokenUse::Discard {
        return Ok(());
    }
    if replication.run.dry {
        let what = format!("{replica} holds part of a stream that fits nothing any more");
        journal::warn(format!("{what}: it would be given up"));
        return Ok(());
    }
    let now = zfs::list_one(there, TREE_COLUMNS, &replica)?;
    if now.and_then(|state| state.resume_token).as_ref() == Some(token) {
        zfs::discard_token(there, &replica)?;
        journal::warn(format!(
            "{replica}: gave up part of a stream that fits nothing any more"
        ));
    }
    Ok(())
}
