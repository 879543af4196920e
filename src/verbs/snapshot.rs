//! `zam snapshot`: one snapshot of an entry, its whole recursion in one atomic command. What refuses is left out, and the
//! others have theirs (invariant 12). Locks nothing: it never waits for a replication.

use std::collections::HashSet;

use anyhow::{Result, bail};

use crate::core::listing::SKIM_COLUMNS;
use crate::core::name::NAME_MAX;
use crate::core::selection::governs;
use crate::edge::command::Machine;
use crate::edge::journal;
use crate::edge::outcome::Outcome;
use crate::edge::zfs::{self, Depth, Refusal, Taken};
use crate::verbs::say::{does_not_exist, snapshots};
use crate::verbs::{Run, print_json};

/// What one command line holds (Linux allows 2 MiB with the environment).
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
    let ended = if run.dry { Ok(()) } else { taking.take() };
    let names = if run.dry {
        full(&name, &taking.todo)
    } else {
        taking.taken
    };
    if ended.is_ok() || !names.is_empty() {
        say(run, &names)?;
        tracing::info!(message_id = "0c4a3f4b3f5c4d1f8f0d6f3a51b6a001", zam_snapshot = %name, "took {} of {}", snapshots(names.len()), run.dataset);
    }
    ended.map(|()| taking.outcome)
}

fn say(run: &Run, names: &[String]) -> Result<()> {
    if run.json {
        return print_json(&names);
    }
    names.iter().for_each(|name| {
        journal::print(format!(
            "{}{name}",
            if run.dry { "would take " } else { "" }
        ))
    });
    Ok(())
}

fn full(name: &str, datasets: &[String]) -> Vec<String> {
    datasets
        .iter()
        .map(|dataset| format!("{dataset}@{name}"))
        .collect()
}

fn datasets(run: &Run) -> Result<Vec<String>> {
    if !run.entry.recursive {
        return Ok(vec![run.dataset.to_string()]);
    }
    let listing = zfs::list(
        &Machine::default(),
        SKIM_COLUMNS,
        "filesystem,volume",
        Depth::All,
        &[run.dataset.as_str()],
    )?;
    if !listing.absent.is_empty() {
        return Err(does_not_exist(&run.dataset, ""));
    }
    let governed = listing
        .tree
        .into_keys()
        .filter(|dataset| governs(run.config, run.entry, dataset));
    Ok(governed.map(|dataset| dataset.to_string()).collect())
}

struct Taking<'r> {
    run: &'r Run<'r>,
    /// The datasets that have no snapshot yet.
    todo: Vec<String>,
    /// The full names of the snapshots that were taken.
    taken: Vec<String>,
    outcome: Outcome,
}

impl Taking<'_> {
    fn leave_out_long_names(&mut self, name: &str) {
        let fits = |dataset: &String| dataset.len() + 1 + name.len() <= NAME_MAX;
        let (todo, too_long): (Vec<String>, Vec<String>) =
            std::mem::take(&mut self.todo).into_iter().partition(fits);
        self.todo = todo;
        for dataset in too_long {
            self.refused(
                &dataset,
                &format!("its name leaves no room for @{name}, since ZFS allows {NAME_MAX} bytes"),
            );
        }
    }

    fn refused(&mut self, dataset: &str, reason: &str) {
        journal::error(format!("{dataset} gets no snapshot: {reason}"));
        self.outcome = Outcome::Failed;
    }

    /// All at one moment, in as many attempts as it takes: each goes without those that ZFS refused in the one before. If a
    /// name exists, that of the next second is tried for all.
    fn take(&mut self) -> Result<()> {
        let (mut time, at_once) = (self.run.now, self.at_once());
        while !self.todo.is_empty() {
            let name = self.run.config.prefix.snapshot(time);
            let batch: Vec<&str> = self.todo.iter().take(at_once).map(String::as_str).collect();
            let number = batch.len();
            match zfs::snapshot(&batch, &name)? {
                Taken::Yes => {
                    let done: Vec<String> = self.todo.drain(..number).collect();
                    self.taken.extend(full(&name, &done));
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

    /// A tree that no command line can name goes in several commands, each atomic by itself.
    fn at_once(&self) -> usize {
        let longest = self.todo.iter().map(String::len).max().unwrap_or(0)
            + self.run.config.prefix.snapshot(self.run.now).len()
            + 2;
        let at_once = (ARGUMENTS_MAX / longest).max(1);
        if self.todo.len() > at_once {
            let number = self.todo.len();
            journal::warn(format!(
                "{number} datasets are too many for one command: their snapshots are not all of one moment"
            ));
        }
        at_once
    }

    fn leave_out(&mut self, refusals: &[Refusal]) -> Result<()> {
        for Refusal { dataset, reason } in refusals {
            match reason.contains("does not exist") {
                true => self.gone(dataset)?,
                false => self.refused(dataset, reason),
            }
        }
        let refused: HashSet<&str> = refusals
            .iter()
            .map(|refusal| refusal.dataset.as_str())
            .collect();
        self.todo
            .retain(|dataset| !refused.contains(dataset.as_str()));
        Ok(())
    }

    /// ZFS said that a dataset is gone, but not which: a new listing tells.
    fn leave_out_gone(&mut self, error: anyhow::Error) -> Result<()> {
        if !self.run.entry.recursive {
            return Err(does_not_exist(&self.run.dataset, ""));
        }
        let existing: HashSet<String> = datasets(self.run)?.into_iter().collect();
        let (todo, gone): (Vec<String>, Vec<String>) = std::mem::take(&mut self.todo)
            .into_iter()
            .partition(|dataset| existing.contains(dataset));
        self.todo = todo;
        if gone.is_empty() {
            return Err(error);
        }
        gone.iter().try_for_each(|dataset| self.gone(dataset))
    }

    fn gone(&self, dataset: &str) -> Result<()> {
        if dataset == self.run.dataset.as_str() {
            return Err(does_not_exist(&self.run.dataset, ""));
        }
        journal::warn(format!(
            "{dataset} is gone since it was listed; it is left out"
        ));
        Ok(())
    }
}

fn exists(refusal: &Refusal) -> bool {
    refusal.reason.contains("already exists")
}
