//! `zam`: parses the command line, sets up the log, runs one verb, reports its error once, and exits with a code that
//! says how it went.

mod cli;
mod complete;

use std::process::ExitCode;

use anyhow::Result;
use chrono::DateTime;
use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;

use cli::{Cli, Common, Verb};
use zam::core::config::{Job, Verb as JobVerb};
use zam::core::selection::find;
use zam::core::span::DAY;
use zam::core::unit_name::instance;
use zam::edge::clock::now;
use zam::edge::configuration::{self, Loaded};
use zam::edge::journal;
use zam::edge::outcome::{self, Misconfigured, Outcome, Undecided, Usage};
use zam::edge::sockets;
use zam::verbs::settle::settle;
use zam::verbs::simulate::Simulation;
use zam::verbs::{Run, config, gate, notify, prune, reload, replicate, snapshot, status, units};

fn main() -> ExitCode {
    // What shells run is `zam` alone, or `zam -- WORD...`: a COMPLETE that was left in the environment stops no job.
    if std::env::args_os().nth(1).is_none_or(|word| word == "--") {
        CompleteEnv::with_factory(Cli::command).complete(); // ends here when a shell asks
    }
    let cli = Cli::parse();
    journal::start();
    let result = run(cli);
    sockets::remove();
    match result {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            journal::error(format!("{error:#}"));
            outcome::code(&error)
        }
    }
}

fn run(cli: Cli) -> Result<Outcome> {
    let path = configuration::path(cli.config);
    let load = || {
        let loaded = configuration::read(&path).map_err(Misconfigured)?;
        loaded.ok_or_else(|| {
            Misconfigured(format!(
                "there is no configuration at {}; zam.yaml(5) shows one",
                path.display()
            ))
        })
    };
    match cli.verb {
        Verb::Notify { instance } => {
            notify::run(&instance, now().timestamp()).map(|()| Outcome::Done)
        }
        Verb::Reload => {
            if path != configuration::path_of_generator() {
                return Err(Usage(format!(
                    "systemd's generator reads {} alone; put the configuration there",
                    configuration::path_of_generator().display()
                ))
                .into());
            }
            loop {
                let loaded = load()?;
                loaded.faults.iter().for_each(journal::error);
                reload::run(&loaded, &path)?;
                // What was saved meanwhile, zam-reload.path has not seen.
                if configuration::is_unchanged(&path, &loaded) {
                    return Ok(Outcome::Done);
                }
            }
        }
        Verb::Config {
            dataset,
            check,
            json,
        } => {
            let loaded = load()?;
            loaded.faults.iter().for_each(journal::error);
            let only = dataset
                .map(|dataset| find(&loaded.config, &dataset))
                .transpose()
                .map_err(|why| nothing_governs(&loaded, why))?;
            loaded.config.notes.iter().for_each(journal::warn);
            if let Some(why) = &loaded.config.pruning_waits {
                journal::warn(format!("pruning waits: {why}"));
            }
            if !check {
                config::explain(&loaded, only.as_ref(), json)?;
            }
            if loaded.faults.is_empty() {
                Ok(Outcome::Done)
            } else {
                Err(loaded.wrong().into())
            }
        }
        Verb::Status { dataset, json } => {
            let loaded = load()?;
            say_faults(&loaded);
            let only = dataset
                .map(|dataset| find(&loaded.config, &dataset))
                .transpose();
            status::run(
                &loaded.config,
                only.map_err(|why| nothing_governs(&loaded, why))?,
                json,
                now(),
            )
            .map(|()| Outcome::Done)
        }
        Verb::Simulate {
            dataset,
            span,
            from,
            json,
            svg,
        } => {
            let loaded = load()?;
            loaded.faults.iter().for_each(journal::error);
            let only = dataset
                .map(|dataset| find(&loaded.config, &dataset))
                .transpose()
                .map_err(|why| nothing_governs(&loaded, why))?;
            let today = now().timestamp().div_euclid(DAY as i64) * DAY as i64;
            let from = from.map_or(today, |from| from.timestamp());
            let only = only.map(|(entry, _)| entry);
            Simulation {
                config: &loaded.config,
                only,
                from,
                span,
                json,
                svg: svg.as_deref(),
            }
            .run()?;
            if loaded.faults.is_empty() {
                Ok(Outcome::Done)
            } else {
                Err(loaded.wrong().into())
            }
        }
        Verb::Units { diff } => {
            let loaded = load()?;
            loaded.faults.iter().for_each(journal::error);
            let units = units::units(&loaded.config, &loaded.sources, !loaded.faults.is_empty());
            if diff {
                units::diff(&units)
            } else {
                Ok(units::print(&units))
            }
        }
        Verb::Gate { verb, dataset, to } => {
            let loaded = load().map_err(|e| Undecided(format!("{e:#}")))?;
            let job = loaded.config.jobs().find(|job| {
                let name = job.destination.map(|to| to.name.as_str());
                job.verb == verb && job.entry.key == dataset && name == to.as_deref()
            });
            gate::run(&job.ok_or_else(|| {
                Undecided(format!("the configuration has no job {verb} for {dataset}"))
            })?)
        }
        Verb::Snapshot(common) => act(
            &load()?,
            &common,
            (JobVerb::Snapshot, None),
            now(),
            snapshot::run,
        ),
        Verb::Replicate { common, to } => {
            let to = to.as_deref();
            act(&load()?, &common, (JobVerb::Replicate, to), now(), |run| {
                replicate::run(run, to)
            })
        }
        Verb::Prune {
            common,
            to,
            now: then,
            snapshots,
        } => {
            let (to, now) = (to.as_deref(), then.unwrap_or_else(now));
            act(&load()?, &common, (JobVerb::Prune, to), now, |run| {
                prune::run(run, to, snapshots.as_deref())
            })
        }
    }
}

/// A slip of the hand, or of the configuration if that is known to be wrong.
fn nothing_governs(loaded: &Loaded, why: String) -> anyhow::Error {
    if loaded.faults.is_empty() {
        Usage(why).into()
    } else {
        Misconfigured(why).into()
    }
}

/// What is wrong elsewhere in the configuration is said every time, in one line.
fn say_faults(loaded: &Loaded) {
    if loaded.is_last_good {
        loaded.faults.iter().for_each(journal::warn);
    } else if !loaded.faults.is_empty() {
        journal::warn(format!("{}; zam config tells them", loaded.wrong()));
    }
}

/// Runs a verb on the entry that governs the dataset. A dataset without a sound entry is told everything that is wrong.
fn act(
    loaded: &Loaded,
    common: &Common,
    (name, to): (JobVerb, Option<&str>),
    now: DateTime<chrono::Utc>,
    verb: impl FnOnce(&Run) -> Result<Outcome>,
) -> Result<Outcome> {
    let (entry, dataset) = find(&loaded.config, &common.dataset).map_err(|why| {
        loaded.faults.iter().for_each(journal::error);
        nothing_governs(loaded, why)
    })?;
    // One line is enough for pruning that waits, and it names the fault.
    if name != JobVerb::Prune || loaded.config.pruning_waits.is_none() {
        say_faults(loaded);
    }
    let run = Run {
        config: &loaded.config,
        entry,
        dataset,
        now: now.timestamp(),
        dry: common.dry_run,
        json: common.json,
    };
    let result = verb(&run);
    match instance_that_ran(&run, name, to) {
        Some(instance) if !run.dry => settle(result, &instance, run.now),
        _ => result,
    }
}

/// The job that systemd started, if this run was that job: a hook inherits the variable, and runs what it likes.
fn instance_that_ran(run: &Run, verb: JobVerb, to: Option<&str>) -> Option<String> {
    let is_this = |job: &Job| {
        let name = job.destination.map(|to| to.name.as_str());
        job.verb == verb && name == to && run.dataset == run.entry.dataset
    };
    let instance = run
        .entry
        .jobs()
        .into_iter()
        .find(is_this)
        .map(|job| instance(&job))?;
    std::env::var("ZAM_INSTANCE")
        .is_ok_and(|told| told == instance)
        .then_some(instance)
}
