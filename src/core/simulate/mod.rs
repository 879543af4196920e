//! The configuration played forward: one dataset of an entry and its replicas on a model of ZFS, with the real planners
//! at the real slots. Everything else that decides when a job runs is assumed: the machine is on, idle and reachable, and a
//! run takes no time. Pure: the clock on the wall comes in as a function.

mod axis;
mod density;
mod model;
pub mod picture;
pub mod summary;
pub mod timeline;
mod timers;

use crate::core::config::{Entry, Idle};
use crate::core::gate::Moment;
use crate::core::name::Prefix;
use crate::core::simulate::model::Model;
pub use crate::core::simulate::model::Side;
use crate::core::simulate::timers::{Firing, firings, timers_of};
use crate::core::span::{DAY, Epoch};

/// All that the course of an entry depends on: entries with the same policy have the same course.
pub fn policy(entry: &Entry) -> String {
    let mut destinations = Vec::new();
    for to in &entry.destinations {
        let is_polled = to.idle.as_ref().map(Idle::is_polled);
        let periods = (to.replication_period, to.prune_period);
        destinations.push((&to.name, periods, &to.windows, to.idle_windows(), is_polled));
    }
    let periods = (entry.snapshot_period, entry.prune_period);
    format!(
        "{:?}",
        (is_played(entry), periods, &entry.windows, destinations)
    )
}

/// Whether the simulation can play this entry. It cannot if zam takes no snapshots of it here: the entry has no
/// snapshot-period, or it is pulled, and its own machine takes them.
pub fn is_played(entry: &Entry) -> bool {
    entry.host.is_none() && entry.snapshot_period.is_some()
}

/// The source, and each destination to which it is replicated, from `from` until before `until`, beginning with no snapshot
/// at all. `clock` says what the clock on the wall shows at a moment.
pub fn play(
    prefix: &Prefix,
    entry: &Entry,
    from: Epoch,
    until: Epoch,
    clock: &dyn Fn(Epoch) -> Moment,
) -> Vec<Side> {
    if !is_played(entry) {
        return Vec::new();
    }
    let mut model = Model::new(prefix, entry);
    let mut timers = timers_of(entry);
    for day in from.div_euclid(DAY)..=(until - 1).div_euclid(DAY) {
        for Firing { at, timer } in firings(&timers, day, clock) {
            let timer = &mut timers[timer];
            if (from..until).contains(&at) && timer.is_let(at, clock) {
                model.run(&timer.job, at);
            }
        }
        model.end_day();
    }
    model.end()
}
