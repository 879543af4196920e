//! `zam prune`: destroys what no window keeps, of a source or of its replica at a destination.

mod destroying;
mod listing;
mod meeting;
mod parts;
mod sent;
mod shown;

use std::path::Path;

use anyhow::{Result, bail};

use crate::core::config::{Destination, Window};
use crate::core::event;
use crate::core::listing::{SKIM_COLUMNS, Snapshot, State};
use crate::core::name::Dataset;
use crate::core::pruning::{self, Keeping};
use crate::edge::command::Machine;
use crate::edge::journal;
use crate::edge::lock::Lock;
use crate::edge::outcome::Exit::{Later, Locked, Waits};
use crate::edge::outcome::{Outcome, is_later};
use crate::edge::zfs;
use crate::verbs::prune::destroying::{Destroying, Found};
use crate::verbs::prune::listing::{Listed, Target};
use crate::verbs::prune::parts::give_up_abandoned_parts;
use crate::verbs::prune::sent::Sent;
use crate::verbs::prune::shown::{Planned, explain, warn_if_suspicious};
use crate::verbs::replicate::give_up_stale_parts;
use crate::verbs::say::snapshots;
use crate::verbs::{Run, locks, print_json, report, side_by_side};

/// `zfs destroy` waits for a transaction group; side by side they share it.
const AT_ONCE: usize = 8;

/// Prunes the source, or the replica at the destination `to`. `saved` is a listing to plan from instead of ZFS.
///
/// # Errors
/// [`Waits`], before anything is read: the configuration may mean something else than it says (invariant 10).
pub fn run(run: &Run, to: Option<&str>, saved: Option<&Path>) -> Result<Outcome> {
    if let Some(why) = &run.config.pruning_waits {
        return Err(Waits(format!("pruning waits: {why}")).into());
    }
    let to = to.map(|name| run.destination(name)).transpose()?;
    if let Some(to) = to
        && saved.is_none()
    {
        meeting::refuse(run, to)?;
    }
    let mut pruning = Pruning::new(run, to)?;
    let parts = match to {
        Some(to) if saved.is_none() && is_for_pruner(run, to) => give_up_stale_parts(run, to)?,
        None if saved.is_none() => give_up_abandoned_parts(run)?,
        _ => Outcome::Done,
    };
    let _lock = pruning.lock()?;
    // It may have waited for the lock for minutes.
    run.still_goes_by_the_configuration()?;
    pruning.sent = to.is_none().then(|| Sent::of(run));
    let listed = match saved {
        Some(file) => Listed::read(run, to, file)?,
        None => Listed::list(run, to)?,
    };
    let mut targets = listed.targets(run, to);
    let misnamed = listed.remove_misnamed(run, &mut targets)?;
    let mut plans = Vec::new();
    for target in &targets {
        plans.push(pruning.plan(&listed, target));
    }
    let waits = listed.remove_renamed(run, &mut plans)?.max(misnamed);
    plans.iter().for_each(warn_if_suspicious);
    if run.json {
        print_json(&plans)?;
    }
    if !run.dry {
        return Ok(pruning.destroy_all(plans).max(waits).max(parts));
    }
    if !run.json {
        plans.iter().for_each(explain);
    }
    Ok(waits)
}

/// Whether replication leaves to this pruning what only a user who may destroy can give up.
fn is_for_pruner(run: &Run, to: &Destination) -> bool {
    to.host.is_none() && run.config.prune_user() != run.config.user()
}

/// The pruning of one source, or of its replicas at one destination.
struct Pruning<'p> {
    run: &'p Run<'p>,
    /// None: the source is pruned.
    to: Option<&'p Destination>,
    windows: &'p [Window],
    /// Of a source: what its destinations may have.
    sent: Option<Sent>,
    /// The machine on which snapshots are destroyed. A source that is pruned is always on this one.
    machine: Machine,
}

impl<'p> Pruning<'p> {
    /// # Errors
    /// Nothing says what to keep, or it is another machine that prunes this.
    fn new(run: &'p Run, to: Option<&'p Destination>) -> Result<Self> {
        let windows = to.map_or(&run.entry.windows, |to| &to.windows);
        let key = &run.entry.key;
        if to.is_none() && run.entry.host.is_some() {
            bail!("{key} is pulled; its own machine prunes it (prune its replica with --to)");
        }
        if windows.is_empty() {
            let at = to.map_or(String::new(), |to| format!(" for {}", to.name));
            bail!("{key} has no `windows`{at}, so nothing of it is pruned");
        }
        Ok(Pruning {
            run,
            to,
            windows,
            sent: None,
            machine: Machine::new(to.and_then(|to| to.host.as_ref())),
        })
    }

    /// # Errors
    /// A replication of the replicas is at work, which may take days, or somebody holds the lock of the source, which should
    /// take moments ([`Locked`]).
    fn lock(&self) -> Result<Option<Lock>> {
        match self.to {
            Some(to) => locks::take_replicas(self.run, to),
            None => locks::take_source(self.run).map_err(|error| match is_later(&error) {
                true => Locked(error.to_string()).into(),
                false => error,
            }),
        }
    }

    fn plan<'a>(&self, listed: &'a Listed, target: &'a Target) -> Planned<'a>
    where
        'p: 'a,
    {
        let state = &listed.pruned()[&target.pruned];
        let is_replica = listed.replicas.is_some();
        let source = listed.source.get(&target.source).filter(|_| is_replica);
        Planned {
            dataset: &target.source,
            destination: self.to.map(|to| to.name.as_str()),
            plan: pruning::plan(&self.wish(&target.source, state), state, source),
            pruned: &target.pruned,
            state,
            source,
        }
    }

    /// The wish for the side that is pruned, as it was `listed`. A source has to keep also what its destinations may need.
    fn wish(&self, source: &Dataset, listed: &State) -> Keeping<'p> {
        let prefix = &self.run.config.prefix;
        let sent = self.sent.as_ref();
        let replicated = sent.map(|sent| sent.of_source(source, listed.creation));
        Keeping {
            prefix,
            windows: self.windows,
            replicated: replicated.unwrap_or_default(),
            now: self.run.now,
        }
    }

    fn destroy_all(&self, plans: Vec<Planned>) -> Outcome {
        let outcomes = side_by_side(plans, AT_ONCE, |planned| self.destroy(&planned));
        outcomes.into_iter().max().unwrap_or(Outcome::Done)
    }

    /// Destroys what the plan gives up, if a plan made of what is there by then gives it up too.
    fn destroy(&self, planned: &Planned) -> Outcome {
        let judged = planned.plan.given_up().count();
        if judged == 0 {
            return Outcome::Done;
        }
        let pruned = planned.pruned;
        let guid = planned.state.guid;
        let mut destroying = Destroying::new(&self.machine, pruned, guid, planned.plan.given_up());
        let found = destroying.run(|state| self.given_up(state, planned));
        let on_host = self.machine.on_host();
        for stays in &destroying.stay {
            let name = &stays.name;
            let reason = &stays.reason;
            journal::error(format!("{pruned}@{name} stays{on_host}: {reason}"));
        }
        self.tell_what_was_destroyed(planned, &destroying, matches!(found, Ok(Found::Same)));
        match found {
            Ok(Found::Same) if destroying.stay.is_empty() => Outcome::Done,
            Ok(Found::Same) => Outcome::Failed,
            Ok(Found::Nothing) => {
                journal::warn(format!("{pruned}{on_host} is gone since it was listed"));
                Outcome::Done
            }
            Ok(Found::Another) => {
                journal::warn(format!(
                    "{pruned}{on_host} was replaced by another since it was listed; the next run judges that one"
                ));
                Outcome::Later
            }
            Err(error) => report(pruned.as_str(), &error),
        }
    }

    /// The snapshots that a plan gives up when it is made from the dataset as it is now.
    fn given_up(&self, state: &State, planned: &Planned) -> Result<Vec<Snapshot>> {
        self.run.still_goes_by_the_configuration()?;
        let source = match planned.source {
            Some(listed) => Some(self.source_now(planned.dataset, listed, state)?),
            None => None,
        };
        let wish = self.wish(planned.dataset, planned.state);
        let plan = pruning::plan(&wish, state, source.as_ref());
        Ok(plan.given_up().cloned().collect())
    }

    /// The source of a replica, which may have been rolled back since it was `listed`: what both have in common is older
    /// then.
    ///
    /// # Errors
    /// It cannot be listed, or there is nothing in common any more ([`Later`]): the next run judges that.
    fn source_now(&self, dataset: &Dataset, listed: &State, replica: &State) -> Result<State> {
        let here = Machine::new(self.run.entry.host.as_ref());
        let source = zfs::list_one(&here, SKIM_COLUMNS, dataset)?;
        let is_same = |now: &State| now.guid == listed.guid && pruning::has_in_common(replica, now);
        source.filter(is_same).ok_or_else(|| {
            let why = format!(
                "{dataset} has changed since it was listed; the next run judges its replica"
            );
            Later(why).into()
        })
    }

    fn tell_what_was_destroyed(
        &self,
        planned: &Planned,
        destroying: &Destroying,
        is_complete: bool,
    ) {
        if destroying.destroyed == 0 && !is_complete {
            return;
        }
        let number = snapshots(destroying.destroyed);
        let mut text = format!("{}: {number} destroyed", planned.pruned);
        if is_complete {
            text += &format!(", {} kept", destroying.kept);
            if destroying.destroyed + destroying.stay.len() < planned.plan.given_up().count() {
                text += " (it has changed since it was listed)";
            }
        }
        if journal::is_journal() {
            let destroyed = destroying.destroyed;
            let kept = destroying.kept;
            tracing::info!(
                message_id = event::PRUNED,
                zam_destroyed = destroyed,
                zam_kept = kept,
                "{text}"
            );
        } else if !self.run.json {
            journal::print(text);
        }
    }
}
