//! `zam snapshot`: one snapshot of an entry, its whole recursion in one atomic command. A dataset that refuses is left
//! out, and the others get theirs (invariant 12). Locks nothing: it never waits for a replication.

use std::collections::HashSet;

use anyhow::{Result, bail};

use crate::core::complaint::Complaint;
use crate::core::event;
use crate::core::listing::{DATASETS, SKIM_COLUMNS};
use crate::core::name::NAME_MAX;
use crate::core::selection::governs;
use crate::edge::command::Machine;
use crate::edge::journal;
use crate::edge::outcome::Outcome;
use crate::edge::zfs::{self, Depth, Taken};
use crate::verbs::say::{does_not_exist, snapshots};
use crate::verbs::{Run, print_json};

/// Bytes of names in one command line (Linux allows 2 MiB with the environment).
const ARGUMENTS_MAX: usize = 1 << 20;

pub fn run(run: &Run) -> Result<Outcome> {
    if let Some(host) = &run.entry.host {
        bail!(
            "{} is pulled from {}, which takes its snapshots itself",
            run.entry.key,
            host.name
        );
    }
    let name = run.config.prefix.snapshot(run.now);
    let mut taking = Taking {
        run,
        todo: datasets(run)?,
        taken: Vec::new(),
        outcome: Outcome::Done,
    };
    taking.leave_out_long_names(&name);
    let ended = if run.dry {
        taking.taken = full_names(&name, &taking.todo);
        Ok(())
    } else {
        taking.take()
    };
    if ended.is_ok() || !taking.taken.is_empty() {
        say(run, &taking.taken)?;
        tracing::info!(message_id = event::TAKEN, zam_snapshot = %name, "took {} of {}", snapshots(taking.taken.len()), run.dataset);
    }
    ended.map(|()| taking.outcome)
}

fn say(run: &Run, names: &[String]) -> Result<()> {
    if run.json {
        return print_json(&names);
    }
    let verb = if run.dry { "would take " } else { "" };
    for name in names {
        journal::print(format!("{verb}{name}"));
    }
    Ok(())
}

fn full_names(name: &str, datasets: &[String]) -> Vec<String> {
    let full_name = |dataset| format!("{dataset}@{name}");
    datasets.iter().map(full_name).collect()
}

/// The datasets that the entry governs, at and below the dataset of the run.
fn datasets(run: &Run) -> Result<Vec<String>> {
    let here = Machine::default();
    if !run.entry.recursive {
        // Without -n zfs says so itself.
        if run.dry && !zfs::exists(&here, &run.dataset)? {
            return Err(does_not_exist(&run.dataset, &here));
        }
        return Ok(vec![run.dataset.to_string()]);
    }
    let root = [run.dataset.as_str()];
    let mut listing = zfs::list(&here, SKIM_COLUMNS, DATASETS, Depth::All, &root)?;
    if !listing.absent.is_empty() {
        return Err(does_not_exist(&run.dataset, &here));
    }
    listing
        .tree
        .retain(|dataset, _| governs(run.config, run.entry, dataset));
    let governed = listing.tree.keys();
    Ok(governed.map(|dataset| dataset.to_string()).collect())
}

struct Taking<'r> {
    run: &'r Run<'r>,
    /// The datasets that have no snapshot yet.
    todo: Vec<String>,
    /// The full names of the snapshots that were taken; in a dry run, of those that would be.
    taken: Vec<String>,
    outcome: Outcome,
}

impl Taking<'_> {
    /// Removes from `todo` the datasets for which this is false, and returns them.
    fn keep(&mut self, stays: impl Fn(&str) -> bool) -> Vec<String> {
        let todo = std::mem::take(&mut self.todo);
        let (todo, others) = todo.into_iter().partition(|dataset| stays(dataset));
        self.todo = todo;
        others
    }

    fn leave_out_long_names(&mut self, name: &str) {
        let reason =
            format!("its name leaves no room for @{name}, since ZFS allows {NAME_MAX} bytes");
        for dataset in self.keep(|dataset| dataset.len() + 1 + name.len() <= NAME_MAX) {
            self.refused(&dataset, &reason);
        }
    }

    fn refused(&mut self, dataset: &str, reason: &str) {
        journal::error(format!("{dataset} gets no snapshot: {reason}"));
        self.outcome = Outcome::Failed;
    }

    /// Takes all at one moment, in as many attempts as it needs: each attempt leaves out the datasets that ZFS refused in
    /// the one before. If a name exists, that of the next second is tried for all.
    fn take(&mut self) -> Result<()> {
        let mut time = self.run.now;
        let at_once = self.at_once();
        while !self.todo.is_empty() {
            let name = self.run.config.prefix.snapshot(time);
            let batch: Vec<&str> = self.todo.iter().take(at_once).map(String::as_str).collect();
            let number = batch.len();
            match zfs::snapshot(&batch, &name)? {
                Taken::Yes => {
                    let done: Vec<String> = self.todo.drain(..number).collect();
                    self.taken.extend(full_names(&name, &done));
                }
                Taken::Refused(refusals) if time == self.run.now && refusals.iter().any(exists) => {
                    time += 1
                }
                Taken::Refused(refusals)
                    if refusals.len() == number && refusals.iter().all(exists) =>
                {
                    let first = self.run.config.prefix.snapshot(self.run.now);
                    bail!(
                        "{}@{first} exists already, and so does the next second's; nothing was taken",
                        self.run.dataset
                    )
                }
                Taken::Refused(refusals) => self.leave_out(&refusals)?,
                Taken::SomeGone(error) => self.leave_out_gone(error)?,
            }
        }
        Ok(())
    }

    /// How many datasets one command can name. A larger tree takes several commands, each atomic by itself.
    fn at_once(&self) -> usize {
        let number = self.todo.len();
        let longest = self.todo.iter().map(String::len).max().unwrap_or(0);
        let name = self.run.config.prefix.snapshot(self.run.now);
        // With the `@`, and the end of the argument.
        let at_once = (ARGUMENTS_MAX / (longest + name.len() + 2)).max(1);
        if number > at_once {
            journal::warn(format!(
                "{number} datasets are too many for one command: their snapshots are not all of one moment"
            ));
        }
        at_once
    }

    fn leave_out(&mut self, refusals: &[Complaint]) -> Result<()> {
        for Complaint { name, reason } in refusals {
            if reason.contains("does not exist") {
                self.gone(name)?;
            } else {
                self.refused(name, reason);
            }
        }
        let refused: HashSet<&str> = refusals.iter().map(|r| r.name.as_str()).collect();
        self.keep(|dataset| !refused.contains(dataset));
        Ok(())
    }

    /// ZFS said that a dataset is gone, but not which one: a new listing tells.
    fn leave_out_gone(&mut self, error: anyhow::Error) -> Result<()> {
        if !self.run.entry.recursive {
            return Err(does_not_exist(&self.run.dataset, &Machine::default()));
        }
        let existing: HashSet<String> = datasets(self.run)?.into_iter().collect();
        let gone = self.keep(|dataset| existing.contains(dataset));
        if gone.is_empty() {
            return Err(error);
        }
        gone.iter().try_for_each(|dataset| self.gone(dataset))
    }

    fn gone(&self, dataset: &str) -> Result<()> {
        if dataset == self.run.dataset.as_str() {
            return Err(does_not_exist(&self.run.dataset, &Machine::default()));
        }
        journal::warn(format!(
            "{dataset} is gone since it was listed; it is left out"
        ));
        Ok(())
    }
}

fn exists(refusal: &Complaint) -> bool {
    refusal.reason.contains("already exists")
}
