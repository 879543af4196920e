//! `zam replicate`: brings an entry's replicas up to date, each destination on its own. What goes wrong with one stops
//! no other. How a dataset is brought along stands in `transfer`.

mod bookmarks;
mod listing;
mod parents;
mod transfer;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::core::config::Destination;
use crate::core::name::Dataset;
use crate::core::replication::{Kind, Mark, Stream};
use crate::core::schedule::Week;
use crate::edge::outcome::Outcome;
use crate::edge::{clock, journal, stop};
use crate::verbs::replicate::transfer::Replication;
use crate::verbs::say::{size, snapshots};
use crate::verbs::{Run, print_json, report};

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
    let (mut shown, mut outcome) = (Vec::new(), Outcome::Done);
    for to in destinations {
        if stop::is_wanted() {
            outcome = outcome.max(Outcome::Later);
            break;
        }
        let done = Replication::begin(run, to, stop::flag()).and_then(|mut replication| {
            if run.dry || run.json {
                show(&replication, &mut shown)?;
            }
            stop_at_the_windows_end(to);
            Ok(if run.dry {
                Outcome::Done
            } else {
                replication.bring_up_to_date()
            })
        });
        outcome =
            outcome.max(done.unwrap_or_else(|error| {
                report(&format!("{} to {}", run.dataset, to.name), &error)
            }));
    }
    if run.json {
        print_json(&shown)?;
    }
    Ok(outcome)
}

/// A run that systemd started stays inside its windows; by hand it may leave them.
fn stop_at_the_windows_end(to: &Destination) {
    let windows = to
        .idle
        .as_ref()
        .map(|idle| idle.windows.clone())
        .unwrap_or_default();
    if windows.is_empty() || std::env::var_os("ZAM_INSTANCE").is_none() {
        return;
    }
    let week = Week::new(&windows);
    std::thread::spawn(move || {
        let is_open = || {
            let now = clock::moment();
            week.contains(now.weekday, now.minute)
        };
        // By the clock, which may be set meanwhile, or have stood still with the machine.
        while is_open() {
            std::thread::sleep(Duration::from_secs(1));
        }
        journal::print("the window has closed; what is under way goes on in the next");
        stop::ask();
    });
}

/// One plan, as `--json` prints it.
#[derive(Serialize)]
struct Shown {
    dataset: Dataset,
    destination: String,
    replica: Dataset,
    state: &'static str,
    /// Why it diverged, in a word.
    cause: Option<&'static str>,
    base: Option<String>,
    why: String,
    streams: Vec<ShownStream>,
}

#[derive(Serialize)]
struct ShownStream {
    from: Option<String>,
    to: String,
    intermediates: bool,
    snapshots: Vec<String>,
    /// An estimate; none where zfs gives none.
    bytes: Option<u64>,
}

/// The plans as they stand before anything is done.
fn show(replication: &Replication, shown: &mut Vec<Shown>) -> Result<()> {
    for (dataset, replica, plan) in replication.plans()? {
        let streams: Vec<ShownStream> = plan
            .streams
            .iter()
            .map(|stream| shown_stream(replication, &dataset, stream, plan.raw))
            .collect();
        let (base, state) = (plan.base.map(|base| base.mark.to_string()), word(plan.kind));
        let cause = plan.divergence.map(|divergence| divergence.word());
        let destination = replication.to.name.to_string();
        let plan = Shown {
            dataset,
            destination,
            replica,
            state,
            cause,
            base,
            why: plan.why,
            streams,
        };
        if !replication.run.json {
            print(&plan);
        }
        shown.push(plan);
    }
    Ok(())
}

fn shown_stream(
    replication: &Replication,
    dataset: &Dataset,
    stream: &Stream,
    raw: bool,
) -> ShownStream {
    ShownStream {
        from: stream.from.as_ref().map(Mark::to_string),
        to: stream.to.clone(),
        intermediates: stream.intermediates,
        snapshots: stream.snapshots.clone(),
        bytes: replication.estimate(dataset, stream, raw),
    }
}

fn print(plan: &Shown) {
    journal::print(format!(
        "{} -> {}: {} ({})",
        plan.dataset, plan.replica, plan.state, plan.why
    ));
    for stream in &plan.streams {
        let from = stream
            .from
            .as_ref()
            .map_or_else(|| "everything".into(), |mark| format!("from {mark}"));
        let bytes = stream
            .bytes
            .map(|bytes| format!(", about {}", size(bytes)))
            .unwrap_or_default();
        journal::print(format!(
            "  {from} to @{}, {}{bytes}",
            stream.to,
            snapshots(stream.snapshots.len())
        ));
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::UpToDate => "up-to-date",
        Kind::Incremental => "incremental",
        Kind::Full => "full",
        Kind::Resume => "resume",
        Kind::Diverged => "diverged",
    }
}
