//! The command line: what may be typed, and what each word of it means. Does nothing itself.

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, ColorChoice, Parser, Subcommand};
use clap_complete::ArgValueCandidates;

use crate::complete;
use zam::core::job;
use zam::core::name::{Dataset, Prefix};
use zam::core::span::Span;
use zam::verbs::check::Format;
use zam::verbs::status::Form;

/// ZFS snapshots, replication and pruning as systemd units.
#[derive(Parser)]
#[command(name = "zam", version, about)]
pub(crate) struct Cli {
    /// The configuration (also ZAM_CONFIG) [default: /etc/zam/zam.yaml].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Take one snapshot of an entry, its whole recursion at one moment.
    Snapshot(Common),
    /// Bring the replicas of an entry up to date.
    Replicate(Replicate),
    /// Destroy the snapshots that no window keeps.
    Prune(Prune),
    /// Show what there is, how well the replicas keep up, when jobs run next, and what failed.
    Status(Status),
    /// Play the configuration forward: how many snapshots each side will hold. Needs no ZFS.
    Simulate(Simulate),
    /// Show the settings of every entry, or of one, and where each comes from.
    Config(Config),
    /// Print the units that the configuration gives.
    Units {
        /// Print only what differs from those that systemd has now; exit 1 if anything does.
        #[arg(long)]
        diff: bool,
    },
    /// Check the configuration and put it into force.
    Reload,
    /// Say what is not as promised; exit 1 if a promise is broken.
    Check(Check),
    /// Have your login say nothing of the alerts of now.
    Ack,
    /// Say what there is to say at a login; called by the shell's profile.
    #[command(hide = true)]
    Login,
    /// Print what the users that run the jobs lack on this machine, as a script for root.
    Setup {
        /// What the account on this host lacks, instead, as a script for root there.
        #[arg(long = "on", value_name = "HOST", add = ArgValueCandidates::new(complete::hosts))]
        host: Option<String>,
        /// Only say what is missing; exit 1 if anything is.
        #[arg(long)]
        check: bool,
    },
    /// Run what another machine asks for, if its key may: the forced command of a key in authorized_keys.
    Serve(Serve),
    /// Say whether it is time for a job; called by systemd.
    #[command(hide = true)]
    Gate {
        verb: job::Verb,
        dataset: String,
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
    },
    /// Tell a failure by the commands of `notify`; called by systemd, or with --test.
    Notify(Notify),
}

#[derive(Args)]
pub(crate) struct Status {
    /// This one alone.
    #[arg(add = ArgValueCandidates::new(complete::datasets))]
    pub(crate) dataset: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Colour the words that say how things stand: auto is for a terminal, unless NO_COLOR is set.
    #[arg(long, value_name = "WHEN", default_value_t, conflicts_with = "json")]
    color: ColorChoice,
}

impl Status {
    pub(crate) fn form(&self) -> Form {
        let colored = match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        match self.json {
            true => Form::Json,
            false => Form::Table { colored },
        }
    }
}

#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct Check {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print and exit as a plugin of Nagios or Icinga does.
    #[arg(long)]
    pub(crate) nagios: bool,
    /// Print as a local check of Checkmk does.
    #[arg(long)]
    pub(crate) checkmk: bool,
    /// Keep what is found; called by systemd.
    #[arg(long, hide = true)]
    pub(crate) record: bool,
    /// Tell others what was found; called by systemd.
    #[arg(long, hide = true)]
    pub(crate) publish: bool,
}

impl Check {
    pub(crate) fn format(&self) -> Format {
        match self {
            Check { json: true, .. } => Format::Json,
            Check { nagios: true, .. } => Format::Nagios,
            Check { checkmk: true, .. } => Format::Checkmk,
            _ => Format::Plain,
        }
    }
}

#[derive(Args)]
pub(crate) struct Notify {
    /// The unit that failed, as its template has it.
    #[arg(required_unless_present = "test")]
    pub(crate) instance: Option<String>,
    /// It has succeeded since: take back its alert.
    #[arg(long)]
    pub(crate) recovered: bool,
    /// Only tell that this is a test.
    #[arg(long, conflicts_with_all = ["instance", "recovered"])]
    pub(crate) test: bool,
}

#[derive(Args)]
pub(crate) struct Common {
    /// A dataset of the configuration, or one inside it.
    #[arg(add = ArgValueCandidates::new(complete::datasets))]
    pub(crate) dataset: String,
    /// Print what would be done, and why; change nothing.
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Replicate {
    #[command(flatten)]
    pub(crate) common: Common,
    /// This destination alone.
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::destinations))]
    pub(crate) to: Option<String>,
}

#[derive(Args)]
pub(crate) struct Prune {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Those of the replica at this destination, instead of the source's.
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::destinations))]
    pub(crate) to: Option<String>,
    /// Plan as if it were this time (RFC 3339); with --dry-run.
    #[arg(long, value_name = "TIME", requires = "dry_run")]
    pub(crate) now: Option<DateTime<Utc>>,
    /// Plan from a saved `zfs list -Hp -r -t snapshot,bookmark -o name,guid,createtxg,creation,userrefs,clones`, without ZFS; with --dry-run.
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    pub(crate) snapshots: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Serve {
    /// The key may work on this dataset and what is below; can stand several times.
    #[arg(long = "root", value_name = "DATASET", required = true)]
    pub(crate) roots: Vec<Dataset>,
    /// The key destroys nothing, and discards no part of a stream.
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) append_only: bool,
    /// The key fetches what is here, and keeps bookmarks of that, instead of bringing replicas.
    #[arg(long)]
    pub(crate) read_only: bool,
    /// The prefix of the other machine's snapshots and bookmarks.
    #[arg(long, default_value = "zam")]
    pub(crate) prefix: Prefix,
    /// What the key is called in the journal.
    #[arg(long = "key", value_name = "NAME", default_value = "without a name")]
    pub(crate) name: String,
}

#[derive(Args)]
pub(crate) struct Simulate {
    /// An entry alone, or a dataset inside it.
    #[arg(add = ArgValueCandidates::new(complete::datasets))]
    pub(crate) dataset: Option<String>,
    /// How long, such as 2w or 1y [default: a quarter longer than the longest max-age, from a month to ten years].
    #[arg(long = "for", value_name = "SPAN")]
    pub(crate) span: Option<Span>,
    /// Begin at this time (RFC 3339) [default: 00:00 UTC today].
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<DateTime<Utc>>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw it into this file, as a picture (SVG).
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Config {
    #[arg(add = ArgValueCandidates::new(complete::datasets))]
    pub(crate) dataset: Option<String>,
    /// Only say what is wrong.
    #[arg(long)]
    pub(crate) check: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
