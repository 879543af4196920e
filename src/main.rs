//! `zam`: parses the command line, sets up the log, runs one verb, reports its error once, and exits with a code that
//! says how it went.

mod cli;
mod complete;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use chrono::{DateTime, NaiveTime, Utc};
use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;
use rustix::process::geteuid;

use cli::{Cli, Common, Verb};
use zam::core::job::{Job, Verb as JobVerb};
use zam::core::serve::{Key, Role};
use zam::core::unit_name::instance;
use zam::edge::clock::now;
use zam::edge::configuration::Loaded;
use zam::edge::outcome::Outcome;
use zam::edge::records::{Records, Success};
use zam::edge::ssh::disconnect;
use zam::edge::{configuration, journal, outcome, pipe};
use zam::verbs::check::Format;
use zam::verbs::loading::{load, load_and_report};
use zam::verbs::settle::settle;
use zam::verbs::simulate::Simulation;
use zam::verbs::{
    JobName, Run, check, config, gate, login, notify, prune, reload, replicate, serve, setup,
    snapshot, status, units,
};

fn main() -> ExitCode {
    // Shells run `zam` alone, or `zam -- WORD...`: a COMPLETE that was left in the environment stops no job.
    if std::env::args_os().nth(1).is_none_or(|word| word == "--") {
        CompleteEnv::with_factory(Cli::command).complete(); // ends here when a shell asks
    }
    let cli = Cli::parse();
    journal::start();
    let result = run(cli);
    disconnect();
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
    match cli.verb {
        Verb::Snapshot(common) => take_snapshot(&path, &common),
        Verb::Replicate(asked) => replicate(&path, &asked),
        Verb::Prune(asked) => prune(&path, &asked),
        Verb::Status(asked) => show_status(&path, &asked),
        Verb::Simulate(asked) => simulate(&path, &asked),
        Verb::Config(asked) => explain(&path, &asked),
        Verb::Units { diff: false } => Ok(units::print(&load_and_report(&path)?)),
        Verb::Units { diff: true } => units::diff(&load_and_report(&path)?),
        Verb::Reload => reload::run(&path),
        Verb::Check(asked) => check(&path, &asked),
        Verb::Ack => login::acknowledge(now()),
        Verb::Login => Ok(login::greet(now())),
        Verb::Setup { host, check } => set_up(&path, host.as_deref(), check),
        Verb::Serve(asked) => serve(asked),
        Verb::Gate { verb, dataset, to } => {
            gate::run(&path, &dataset, JobName::new(verb, to.as_deref()))
        }
        Verb::Notify(asked) => tell(&path, &asked),
    }
}

fn take_snapshot(path: &Path, common: &Common) -> Result<Outcome> {
    let job = JobName::new(JobVerb::Snapshot, None);
    act(path, common, job, now(), snapshot::run)
}

fn replicate(path: &Path, asked: &cli::Replicate) -> Result<Outcome> {
    let destination = asked.to.as_deref();
    let job = JobName::new(JobVerb::Replicate, destination);
    act(path, &asked.common, job, now(), |run| {
        replicate::run(run, destination)
    })
}

fn prune(path: &Path, asked: &cli::Prune) -> Result<Outcome> {
    let destination = asked.to.as_deref();
    let job = JobName::new(JobVerb::Prune, destination);
    let now = asked.now.unwrap_or_else(now);
    act(path, &asked.common, job, now, |run| {
        prune::run(run, destination, asked.snapshots.as_deref())
    })
}

fn show_status(path: &Path, asked: &cli::Status) -> Result<Outcome> {
    let loaded = load(path)?;
    loaded.mention_faults();
    let only = loaded.find_if_given(asked.dataset.as_deref())?;
    status::run(&loaded.config, only, asked.form(), now())?;
    Ok(Outcome::Done)
}

fn simulate(path: &Path, asked: &cli::Simulate) -> Result<Outcome> {
    let loaded = load_and_report(path)?;
    let only = loaded.find_if_given(asked.dataset.as_deref())?;
    let today = now().date_naive().and_time(NaiveTime::MIN).and_utc();
    let simulation = Simulation {
        config: &loaded.config,
        only: only.map(|(entry, _)| entry),
        from: asked.from.unwrap_or(today).timestamp(),
        span: asked.span,
        json: asked.json,
        svg: asked.svg.as_deref(),
    };
    simulation.run()?;
    loaded.finish()
}

fn explain(path: &Path, asked: &cli::Config) -> Result<Outcome> {
    let loaded = load_and_report(path)?;
    let only = loaded.find_if_given(asked.dataset.as_deref())?;
    loaded.warn_if_pruning_waits();
    if !asked.check {
        config::explain(&loaded, only.as_ref(), asked.json)?;
    }
    loaded.finish()
}

/// What a configuration with a fault needs is not clear.
fn set_up(path: &Path, host: Option<&str>, check: bool) -> Result<Outcome> {
    let loaded = load_and_report(path)?;
    loaded.finish()?;
    setup::run(&loaded.config, path, host, check)
}

/// A monitoring system takes whatever keeps zam from looking for an answer, too.
fn check(path: &Path, asked: &cli::Check) -> Result<Outcome> {
    if asked.publish {
        return check::publish(path, now());
    }
    let format = asked.format();
    let result = look(path, asked, format);
    match result {
        Err(error) if [Format::Nagios, Format::Checkmk].contains(&format) => {
            Ok(check::unknown(format, &error))
        }
        result => result,
    }
}

fn look(path: &Path, asked: &cli::Check, format: Format) -> Result<Outcome> {
    let loaded = load(path)?;
    if asked.record {
        return record_check(&loaded);
    }
    // Only root and the job have the keys of the other machines.
    let is_local = loaded.config.jobs().all(|job| !job.timing().is_remote);
    if is_local || geteuid().is_root() {
        check::run(&loaded, format, now())
    } else {
        check::show_last(&loaded.config, format, now())
    }
}

fn record_check(loaded: &Loaded) -> Result<Outcome> {
    let begun = Instant::now();
    let time = now();
    let result = check::record(loaded, time);
    let records = Records::of(loaded.config.user());
    let done = Success {
        time: time.timestamp(),
        seconds: Some(begun.elapsed().as_secs()),
        bytes: None,
    };
    settle(result, &records, "check", done)
}

fn tell(path: &Path, asked: &cli::Notify) -> Result<Outcome> {
    match &asked.instance {
        None => notify::test(path, now()),
        Some(instance) if asked.recovered => notify::recovered(path, instance, now()),
        Some(instance) => notify::failed(path, instance, now()),
    }
}

fn serve(asked: cli::Serve) -> Result<Outcome> {
    let role = match (asked.append_only, asked.read_only) {
        (true, _) => Role::AppendOnly,
        (_, true) => Role::ReadOnly,
        _ => Role::Push,
    };
    let key = Key {
        roots: asked.roots,
        role,
        prefix: asked.prefix,
    };
    serve::run(&key, &asked.name)
}

/// Runs a verb on the entry that governs the dataset. Who names a dataset without a sound entry is told everything that
/// is wrong with the configuration.
fn act(
    path: &Path,
    common: &Common,
    job: JobName,
    now: DateTime<Utc>,
    verb: impl FnOnce(&Run) -> Result<Outcome>,
) -> Result<Outcome> {
    let loaded = load(path)?;
    let found = loaded.find(&common.dataset);
    let (entry, dataset) = found.inspect_err(|_| loaded.report_faults())?;
    // One line is enough for pruning that waits, and it names the fault.
    if job.verb != JobVerb::Prune || loaded.config.pruning_waits.is_none() {
        loaded.mention_faults();
    }
    let run = Run {
        config: &loaded.config,
        is_current: &|| configuration::is_unchanged(path, &loaded),
        entry,
        dataset,
        now: now.timestamp(),
        dry: common.dry_run,
        json: common.json,
    };
    let begun = Instant::now();
    let result = verb(&run);
    match job_that_ran(&run, job) {
        Some(job) if !run.dry => {
            let records = Records::of(run.config.user_of(&job));
            let done = Success {
                time: run.now,
                seconds: Some(begun.elapsed().as_secs()),
                bytes: (job.verb == JobVerb::Replicate).then(pipe::bytes),
            };
            settle(result, &records, &instance(&job), done)
        }
        _ => result,
    }
}

/// The job that systemd started, if this run was that job. A hook inherits the variable, and runs what it likes.
fn job_that_ran<'c>(run: &Run<'c>, job: JobName) -> Option<Job<'c>> {
    if run.dataset != run.entry.dataset {
        return None;
    }
    let job = job.find_in(run.entry)?;
    let told = std::env::var("ZAM_INSTANCE").ok()?;
    (told == instance(&job)).then_some(job)
}
