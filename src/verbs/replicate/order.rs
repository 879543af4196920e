//! The order in which the datasets of an entry are brought up to date: first all are planned and marked with bookmarks,
//! then parents go before children, so that every replica finds its parent. Datasets of the same depth go side by side.
//! At last the bookmarks go that are needed no more.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use anyhow::Error;

use crate::core::arrived::Newest;
use crate::core::name::Dataset;
use crate::edge::outcome::{Exit::Later, Outcome, is_later};
use crate::edge::zfs;
use crate::verbs::replicate::remembering::remember;
use crate::verbs::replicate::replication::Replication;
use crate::verbs::replicate::transfer::Transfer;
use crate::verbs::replicate::warnings;
use crate::verbs::{parallel, report, side_by_side};

/// Datasets that get or lose bookmarks side by side: each command waits for a transaction group, which they then share.
const MARKS_AT_ONCE: usize = 8;

/// Transfers by the depth of their datasets.
type Levels<'t> = BTreeMap<usize, Vec<Transfer<'t>>>;

pub(super) fn bring_up_to_date(replication: &mut Replication) -> Outcome {
    warnings::tell_what_is_odd(replication);
    let unpruned = replication.unpruned.take();
    let replication = &*replication;
    let mut outcomes = Vec::new();
    for dataset in &replication.listed.unsteady {
        outcomes.push(failed(replication, dataset, &unsteady(dataset)));
    }
    let levels = mark_all(replication, &mut outcomes);
    remember(replication, &continued(&levels));
    drop(unpruned);
    if levels.values().flatten().any(Transfer::is_unmarked) {
        warnings::tell_that_the_pool_is_read_only(replication);
    }
    let at_once = parallel(replication.to);
    let mut arrived = Vec::new();
    for transfers in levels.into_values() {
        for result in side_by_side(transfers, at_once, carry_out) {
            match result {
                Ok(transfer) => arrived.push(transfer),
                Err(outcome) => outcomes.push(outcome),
            }
        }
    }
    outcomes.extend(side_by_side(arrived, MARKS_AT_ONCE, sweep));
    let outcome = outcomes.into_iter().max().unwrap_or(Outcome::Done);
    if outcome == Outcome::Done && replication.sent.load(Ordering::Relaxed) == 0 {
        let dataset = &replication.run.dataset;
        let to = &replication.to.name;
        replication.say(format!("{dataset} to {to}: up to date"));
    }
    outcome
}

/// What the destination may have when this run has ended, of the datasets of which it has something already.
fn continued<'t>(levels: &Levels<'t>) -> Vec<(&'t Dataset, Newest)> {
    let mut continued = Vec::new();
    for transfer in levels.values().flatten() {
        if let Some(newest) = transfer.continued() {
            continued.push((transfer.dataset, newest));
        }
    }
    continued
}

/// Plans and marks every dataset; `outcomes` gets those of the datasets that cannot be.
fn mark_all<'t>(replication: &'t Replication, outcomes: &mut Vec<Outcome>) -> Levels<'t> {
    let sources = replication.listed.source.iter().collect();
    let marked = side_by_side(sources, MARKS_AT_ONCE, |(dataset, source)| {
        (dataset, Transfer::mark(replication, dataset, source))
    });
    let mut levels = Levels::new();
    for (dataset, transfer) in marked {
        let depth = dataset.and_above().count();
        match transfer {
            Ok(transfer) => levels.entry(depth).or_default().push(transfer),
            Err(error) => outcomes.push(failed(replication, dataset, &error)),
        }
    }
    levels
}

/// Gives back the transfer when everything has arrived.
///
/// # Errors
/// How it ended otherwise, which was reported.
fn carry_out(mut transfer: Transfer) -> Result<Transfer, Outcome> {
    match transfer.bring_or_unmark() {
        Ok(()) => Ok(transfer),
        Err(error) => Err(failed(transfer.replication, transfer.dataset, &error)),
    }
}

fn sweep(mut transfer: Transfer) -> Outcome {
    match transfer.sweep() {
        Ok(()) => Outcome::Done,
        Err(error) => failed(transfer.replication, transfer.dataset, &error),
    }
}

/// Reports what went wrong with a dataset. A dataset that is gone by now is no failure, unless it was asked for by name, or
/// that one is gone too.
fn failed(replication: &Replication, dataset: &Dataset, error: &Error) -> Outcome {
    let here = &replication.listed.here;
    let top = &replication.run.dataset;
    let is_gone = |dataset| matches!(zfs::exists(here, dataset), Ok(false));
    let may_be_gone = dataset != top && !is_later(error);
    if may_be_gone && is_gone(dataset) && !is_gone(top) {
        let on_host = here.on_host();
        replication.say(format!("{dataset}{on_host} is gone since this run began"));
        return Outcome::Done;
    }
    report(&format!("{dataset} to {}", replication.to.name), error)
}

fn unsteady(dataset: &Dataset) -> Error {
    let text = format!(
        "{dataset}, or its replica, was renamed or replaced while they were listed; the next run looks again"
    );
    Later(text).into()
}
