//! `zam`: parses the command line, sets up the log, runs one verb, reports its error once, and exits with a code that
//! says how it went.

mod complete;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use chrono::DateTime;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::{ArgValueCandidates, CompleteEnv};

use zam::core::config;
use zam::core::selection::find;
use zam::core::span::{DAY, Span};
use zam::edge::clock::now;
use zam::edge::configuration::{self, Loaded};
use zam::edge::outcome::{self, Misconfigured, Outcome, Undecided, Usage};
use zam::edge::{journal, state};
use zam::verbs::simulate::Simulation;
use zam::verbs::{Run, explain, gate, notify, prune, reload, replicate, snapshot, status, units};

/// ZFS snapshots, replication and pruning as systemd units.
#[derive(Parser)]
#[command(name = "zam", version, about)]
struct Cli {
    /// The configuration (also ZAM_CONFIG) [default: /etc/zam/zam.yaml].
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Take one snapshot of an entry, its whole recursion at one moment.
    Snapshot(Common),
    /// Bring the replicas of an entry up to date.
    Replicate {
        #[command(flatten)]
        common: Common,
        /// This destination alone.
        #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::destinations))]
        to: Option<String>,
    },
    /// Destroy the snapshots that no window keeps.
    Prune {
        #[command(flatten)]
        common: Common,
        /// Those of the replica at this destination, instead of the source's.
        #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::destinations))]
        to: Option<String>,
        /// Plan as if it were this time (RFC 3339); with --dry-run.
        #[arg(long, value_name = "TIME", requires = "dry_run")]
        now: Option<DateTime<chrono::Utc>>,
        /// Plan from a saved `zfs list -Hp -r -t snapshot,bookmark -o name,guid,createtxg,creation,userrefs,clones`, without ZFS; with --dry-run.
        #[arg(long, value_name = "FILE", requires = "dry_run")]
        snapshots: Option<PathBuf>,
    },
    /// Show what there is, how well the replicas keep up, when jobs run next, and what failed.
    Status {
        /// This one alone.
        #[arg(add = ArgValueCandidates::new(complete::datasets))]
        dataset: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Play the configuration forward: how many snapshots each side will hold. Needs no ZFS.
    Simulate {
        /// An entry alone, or a dataset inside it.
        #[arg(add = ArgValueCandidates::new(complete::datasets))]
        dataset: Option<String>,
        /// How long, such as 2w or 1y [default: a quarter longer than the longest max-age, from a month to ten years].
        #[arg(long = "for", value_name = "SPAN")]
        span: Option<Span>,
        /// Begin at this time (RFC 3339) [default: 00:00 UTC today].
        #[arg(long, value_name = "TIME")]
        from: Option<DateTime<chrono::Utc>>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Draw it into this file, as a picture (SVG).
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// Show the settings of every entry, or of one, and where each comes from.
    Config {
        #[arg(add = ArgValueCandidates::new(complete::datasets))]
        dataset: Option<String>,
        /// Only say what is wrong.
        #[arg(long)]
        check: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the units that the configuration gives.
    Units {
        /// Print only what differs from those that systemd has now; exit 1 if anything does.
        #[arg(long)]
        diff: bool,
    },
    /// Check the configuration and put it into force.
    Reload,
    /// Say whether it is time for a job; called by systemd.
    #[command(hide = true)]
    Gate {
        verb: config::Verb,
        dataset: String,
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
    },
    /// Record the failure of a job; called by systemd.
    #[command(hide = true)]
    Notify { instance: String },
}

#[derive(Args)]
struct Common {
    /// A dataset of the configuration, or one inside it.
    #[arg(add = ArgValueCandidates::new(complete::datasets))]
    dataset: String,
    /// Print what would be done, and why; change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    CompleteEnv::with_factory(Cli::command).complete(); // ends here when a shell asks
    let cli = Cli::parse();
    journal::start();
    match run(cli) {
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
        loaded.ok_or_else(|| Misconfigured(format!("there is no configuration at {}; zam.yaml(5) shows one", path.display())))
    };
    match cli.verb {
        Verb::Notify { instance } => notify::run(&instance, now().timestamp()).map(|()| Outcome::Done),
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
        Verb::Config { dataset, check, json } => {
            let loaded = load()?;
            loaded.faults.iter().for_each(journal::error);
            let only =
                dataset.map(|dataset| find(&loaded.config, &dataset)).transpose().map_err(|why| nothing_governs(&loaded, why))?;
            if !check {
                explain::config(&loaded, only.as_ref(), json)?;
            }
            if loaded.faults.is_empty() { Ok(Outcome::Done) } else { Err(loaded.wrong().into()) }
        }
        Verb::Status { dataset, json } => {
            let loaded = load()?;
            say_faults(&loaded);
            let only = dataset.map(|dataset| find(&loaded.config, &dataset)).transpose();
            status::run(&loaded.config, only.map_err(|why| nothing_governs(&loaded, why))?, json, now()).map(|()| Outcome::Done)
        }
        Verb::Simulate { dataset, span, from, json, svg } => {
            let loaded = load()?;
            loaded.faults.iter().for_each(journal::error);
            let only =
                dataset.map(|dataset| find(&loaded.config, &dataset)).transpose().map_err(|why| nothing_governs(&loaded, why))?;
            let today = now().timestamp().div_euclid(DAY as i64) * DAY as i64;
            let from = from.map_or(today, |from| from.timestamp());
            let only = only.map(|(entry, _)| entry);
            Simulation { config: &loaded.config, only, from, span, json, svg: svg.as_deref() }.run()?;
            if loaded.faults.is_empty() { Ok(Outcome::Done) } else { Err(loaded.wrong().into()) }
        }
        Verb::Units { diff } => {
            let loaded = load()?;
            loaded.faults.iter().for_each(journal::error);
            let units = units::units(&loaded.config, &loaded.sources, !loaded.faults.is_empty());
            if diff { units::diff(&units) } else { Ok(units::print(&units)) }
        }
        Verb::Gate { verb, dataset, to } => {
            let loaded = load().map_err(|e| Undecided(format!("{e:#}")))?;
            let job = loaded.config.jobs().find(|job| {
                let name = job.destination.map(|to| to.name.as_str());
                job.verb == verb && job.entry.key == dataset && name == to.as_deref()
            });
            gate::run(&job.ok_or_else(|| Undecided(format!("the configuration has no job {verb} for {dataset}")))?)
        }
        Verb::Snapshot(common) => act(&load()?, &common, now(), snapshot::run),
        Verb::Replicate { common, to } => act(&load()?, &common, now(), |run| replicate::run(run, to.as_deref())),
        Verb::Prune { common, to, now: then, snapshots } => {
            act(&load()?, &common, then.unwrap_or_else(now), |run| prune::run(run, to.as_deref(), snapshots.as_deref()))
        }
    }
}

/// A slip of the hand, or of the configuration if that is known to be wrong.
fn nothing_governs(loaded: &Loaded, why: String) -> anyhow::Error {
    if loaded.faults.is_empty() { Usage(why).into() } else { Misconfigured(why).into() }
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
    now: DateTime<chrono::Utc>,
    verb: impl FnOnce(&Run) -> Result<Outcome>,
) -> Result<Outcome> {
    let (entry, dataset) = find(&loaded.config, &common.dataset).map_err(|why| {
        loaded.faults.iter().for_each(journal::error);
        nothing_governs(loaded, why)
    })?;
    say_faults(loaded);
    let run = Run { config: &loaded.config, entry, dataset, now: now.timestamp(), dry: common.dry_run, json: common.json };
    let outcome = verb(&run)?;
    if let (Outcome::Done, false, Ok(instance)) = (outcome, run.dry, std::env::var("ZAM_INSTANCE")) {
        notify::withdraw(&instance);
        state::record_success(&instance, run.now);
    }
    Ok(outcome)
}
