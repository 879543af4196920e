//! `zam replicate`: brings an entry's replicas up to date, each destination on its own. What goes wrong with one
//! destination stops no other. `order` brings the datasets along, `transfer` each of them.

mod bookmarks;
mod encryption;
mod listing;
mod machines;
mod order;
mod parents;
mod remembering;
mod replication;
mod shown;
mod stale;
mod stream;
mod telling;
mod token;
mod transfer;
mod warnings;

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::core::config::{Destination, Idle};
use crate::core::schedule::Week;
use crate::core::span::DAY;
use crate::edge::outcome::{Exit::Later, Outcome, is_unreachable};
use crate::edge::{clock, journal, stop};
use crate::verbs::replicate::replication::Replication;
use crate::verbs::replicate::shown::ShownPlan;
use crate::verbs::scans::{self, Where};
use crate::verbs::{Run, print_json, report};

pub use stale::give_up_stale_parts;

/// Brings up to date the destination `to`, or all of them.
pub fn run(run: &Run, to: Option<&str>) -> Result<Outcome> {
    let destinations = match to {
        Some(name) => vec![run.destination(name)?],
        None => run.entry.destinations.iter().collect(),
    };
    if destinations.is_empty() {
        bail!(
            "{} has no `destinations`, so there is nowhere to replicate it to",
            run.entry.key
        );
    }
    stop::watch().context("cannot watch for signals")?;
    let mut shown = Vec::new();
    let mut outcome = Outcome::Done;
    for to in destinations {
        if stop::is_wanted() {
            outcome = outcome.max(Outcome::Later);
            break;
        }
        let done = match replicate(run, to, &mut shown) {
            Ok(done) => done,
            Err(error) => report(&format!("{} to {}", run.dataset, to.name), &error),
        };
        outcome = outcome.max(done);
    }
    if run.json {
        print_json(&shown)?;
    }
    Ok(outcome)
}

fn replicate(run: &Run, to: &Destination, shown: &mut Vec<ShownPlan>) -> Result<Outcome> {
    let mut replication = begin(run, to)?;
    if is_of_systemd() {
        look_for_scans(run, to)?;
    }
    if run.dry || run.json {
        shown::show(&replication, shown)?;
    }
    stop_at_the_windows_end(to);
    if run.dry {
        return Ok(Outcome::Done);
    }
    let outcome = order::bring_up_to_date(&mut replication);
    if !replication.has_more.into_inner() {
        return Ok(outcome);
    }
    // Only what earlier runs had begun has arrived yet.
    drop(replication.lock);
    let second = match Replication::begin(run, to) {
        Ok(mut replication) => order::bring_up_to_date(&mut replication),
        Err(error) => report(&format!("{} to {}", run.dataset, to.name), &error),
    };
    Ok(outcome.max(second))
}

/// Begins, at last when a machine that has just woken up has its network: until the next slot of a rare job it may sleep
/// again.
fn begin<'r>(run: &'r Run, to: &'r Destination) -> Result<Replication<'r>> {
    const PAUSES: [u64; 3] = [10, 30, 60];
    let is_polled = to.idle.as_ref().is_some_and(Idle::is_polled);
    let period = to.replication_period.filter(|_| !is_polled);
    let is_rare = period.is_some_and(|period| period.seconds() >= DAY);
    for seconds in PAUSES {
        match Replication::begin(run, to) {
            Err(error) if is_rare && is_of_systemd() && is_unreachable(&error) => {
                journal::print(format!("{error:#}; trying again in {seconds} s"));
                stop::sleep(seconds);
            }
            begun => return begun,
        }
        if stop::is_wanted() {
            return Err(stop::stopped());
        }
    }
    Replication::begin(run, to)
}

/// Looks for scrubs on other machines, where the gate does not go.
///
/// # Errors
/// There is one ([`Later`]), or that machine cannot be asked.
fn look_for_scans(run: &Run, to: &Destination) -> Result<()> {
    let Some(idle) = to.idle.as_ref().filter(|idle| idle.pool) else {
        return Ok(());
    };
    let job = run.entry.replication(to);
    let now = clock::moment();
    let is_last = job.is_some_and(|job| job.timing().is_last_slot(now.weekday, now.minute));
    if idle.run_at_last && is_last {
        return Ok(());
    }
    match scans::look(run.entry, to, Where::Elsewhere)? {
        Some(why) => Err(Later(format!("not now: {why}")).into()),
        None => Ok(()),
    }
}

fn is_of_systemd() -> bool {
    std::env::var_os("ZAM_INSTANCE").is_some()
}

/// Has a run that systemd started end with its windows; a run by hand may leave them.
fn stop_at_the_windows_end(to: &Destination) {
    let Some(idle) = &to.idle else {
        return;
    };
    if idle.windows.is_empty() || !is_of_systemd() {
        return;
    }
    let week = Week::new(&idle.windows);
    std::thread::spawn(move || {
        // By the clock on the wall, which may be set meanwhile, or have stood still with the machine.
        while is_open(&week) {
            std::thread::sleep(Duration::from_secs(1));
        }
        journal::print("the window has closed; what is under way goes on in the next");
        stop::ask();
    });
}

fn is_open(week: &Week) -> bool {
    let now = clock::moment();
    week.contains(now.weekday, now.minute)
}
