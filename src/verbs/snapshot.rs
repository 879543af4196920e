//! `zam snapshot`: one snapshot of an entry, its whole recursion in one atomic command. Locks nothing: it never waits
//! for a replication.

use anyhow::{Result, bail};

use super::words::{does_not_exist, snapshots};
use super::{Run, print_json};
use crate::core::listing::Tree;
use crate::core::selection::governs;
use crate::edge::command::Machine;
use crate::edge::journal;
use crate::edge::outcome::Outcome;
use crate::edge::zfs::{self, Depth, Taken};

/// What one command line holds (Linux allows 2 MiB with the environment).
const ARGUMENTS_MAX: usize = 1 << 20;

pub fn run(run: &Run) -> Result<Outcome> {
    if let Some(host) = &run.entry.host {
        bail!("{} is pulled from {}, which takes its snapshots itself", run.entry.key, host.name);
    }
    let (name, datasets) = (run.config.prefix.snapshot(run.now), datasets(run)?);
    let names = if run.dry { full(&name, &datasets) } else { take(run, datasets)? };
    if run.json {
        print_json(&names)?;
    } else {
        names.iter().for_each(|name| journal::print(format!("{}{name}", if run.dry { "would take " } else { "" })));
    }
    tracing::info!(message_id = "0c4a3f4b3f5c4d1f8f0d6f3a51b6a001", zam_snapshot = %name, "took {} of {}", snapshots(names.len()), run.dataset);
    Ok(Outcome::Done)
}

fn full(name: &str, datasets: &[String]) -> Vec<String> {
    datasets.iter().map(|dataset| format!("{dataset}@{name}")).collect()
}

fn datasets(run: &Run) -> Result<Vec<String>> {
    if !run.entry.recursive {
        return Ok(vec![run.dataset.to_string()]);
    }
    let listing =
        zfs::list(&Machine::default(), "name,guid,createtxg", "filesystem,volume", Depth::All, &[run.dataset.as_str()])?;
    if !listing.absent.is_empty() {
        return Err(does_not_exist(&run.dataset, ""));
    }
    let governed = |tree: Tree| tree.into_keys().filter(|dataset| governs(run.config, run.entry, dataset));
    Ok(governed(listing.tree).map(|dataset| dataset.to_string()).collect())
}

/// Tries once more with the next second's name when one exists, and with a fresh list when a dataset has vanished.
fn take(run: &Run, mut datasets: Vec<String>) -> Result<Vec<String>> {
    let mut time = run.now;
    for attempt in 0..3 {
        let names = full(&run.config.prefix.snapshot(time), &datasets);
        match take_all(&names)? {
            Taken::Yes => return Ok(names),
            Taken::NameExists if time == run.now => time += 1,
            Taken::NameExists => break,
            Taken::DatasetGone(_) if attempt == 0 && run.entry.recursive => datasets = self::datasets(run)?,
            Taken::DatasetGone(e) => return Err(if run.entry.recursive { e } else { does_not_exist(&run.dataset, "") }),
        }
    }
    bail!(
        "{}@{} exists already, and so does the next second's; nothing was taken",
        run.dataset,
        run.config.prefix.snapshot(run.now)
    )
}

/// In one command; a tree that no command line can name goes in several, each atomic by itself.
fn take_all(names: &[String]) -> Result<Taken> {
    let longest = names.iter().map(|name| name.len() + 1).max().unwrap_or(1);
    let batches = names.chunks((ARGUMENTS_MAX / longest).max(1));
    if batches.len() > 1 {
        journal::warn(format!(
            "{} datasets are too many for one command: their snapshots are not all of one moment",
            names.len()
        ));
    }
    for batch in batches {
        match zfs::snapshot(batch)? {
            Taken::Yes => {}
            other => return Ok(other),
        }
    }
    Ok(Taken::Yes)
}
