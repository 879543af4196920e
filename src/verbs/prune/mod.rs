//! `zam prune`: destroys what no window keeps, of a source or of its replica at a destination. Reads the source alone
//! for the source, so that an unreachable destination stops nothing; reads both sides for a replica.

mod destroying;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use serde::ser::Serializer;

use crate::core::config::{Destination, Verb, Window};
use crate::core::listing::{self, ALL_TYPES, SNAPSHOT_COLUMNS, State, Tree};
use crate::core::misnamed::{Misnamed, misnamed};
use crate::core::name::Dataset;
use crate::core::pruning::{self, Keeping};
use crate::core::retention::{Plan, Reason};
use crate::core::selection::governs;
use crate::edge::command::Machine;
use crate::edge::outcome::{Exit::Waits, Outcome};
use crate::edge::zfs::{self, Depth};
use crate::edge::{journal, lock, records};
use crate::verbs::prune::destroying::{Destroying, Found};
use crate::verbs::say::{does_not_exist, snapshots};
use crate::verbs::{Run, print_json, report, side_by_side};

/// `zfs destroy` waits for a transaction group; side by side they share it.
const AT_ONCE: usize = 8;

/// One dataset's plan, as `--json` prints it.
#[derive(Serialize)]
struct Planned<'a> {
    /// The source's name, also when it is the replica that is pruned.
    dataset: &'a Dataset,
    destination: Option<&'a str>,
    #[serde(rename = "snapshots", serialize_with = "verdicts")]
    plan: Plan<'a>,
    /// Where the snapshots are.
    #[serde(skip)]
    place: &'a Dataset,
    /// What was listed there.
    #[serde(skip)]
    pruned: &'a State,
    /// Of a replica, what was listed of its source.
    #[serde(skip)]
    source: Option<&'a State>,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    keep: bool,
    reasons: &'a [Reason],
}

fn verdicts<S: Serializer>(plan: &Plan, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(plan.verdicts.iter().map(|v| Line {
        name: &v.snapshot.name,
        keep: v.keep(),
        reasons: &v.reasons,
    }))
}

/// Prunes the source, or the replica at the destination `to`. `saved` is a listing to plan from instead of ZFS.
///
/// # Errors
/// [`Waits`], before anything is read: the configuration may mean something else than it says (invariant 10).
pub fn run(run: &Run, to: Option<&str>, saved: Option<&Path>) -> Result<Outcome> {
    if let Some(why) = &run.config.pruning_waits {
        return Err(Waits(format!("pruning waits: {why}")).into());
    }
    let to = to.map(|name| run.destination(name)).transpose()?;
    let windows = to.map_or(&run.entry.windows, |to| &to.windows);
    if windows.is_empty() {
        bail!(
            "{} has no `windows`{}, so nothing of it is pruned",
            run.entry.key,
            to.map(|to| format!(" for {}", to.name)).unwrap_or_default()
        );
    }
    if to.is_none() && run.entry.host.is_some() {
        bail!(
            "{} is pulled; its own machine prunes it (prune its replica with --to)",
            run.entry.key
        );
    }
    let _lock = match (run.dry, to) {
        (true, _) => None,
        (false, Some(to)) => Some(lock::take(&format!(
            "replica:{}/{}",
            to.name, run.entry.key
        ))?),
        (false, None) => Some(lock::take(&format!("prune/{}", run.entry.key))?),
    };
    let sides = match saved {
        Some(file) => Sides::from_file(run, to, file)?,
        None => Sides::list(run, to)?,
    };
    let places = sides.of_these_sources(sides.governed(run, to));
    let (places, waits) = sides.without_misnamed(run, places)?;
    let plans: Vec<Planned> = places
        .iter()
        .map(|(dataset, place)| plan(run, to, windows, &sides, dataset, place))
        .collect();
    for planned in plans.iter().filter(|planned| planned.plan.suspicious) {
        journal::warn(format!(
            "{}: more than half of the snapshots would go just after a gap of more than 30 days; if the clock is right, \
             they go once 20 snapshots follow the gap. Nothing was destroyed",
            planned.place
        ));
    }
    if run.json {
        print_json(&plans)?;
    }
    if run.dry {
        if !run.json {
            plans.iter().for_each(explain);
        }
        return Ok(waits);
    }
    let machine = to
        .map(|to| Machine::new(to.host.as_ref()))
        .unwrap_or_default();
    let outcomes = side_by_side(plans, AT_ONCE, |planned| {
        destroy(run, &machine, windows, &planned)
    });
    machine.close();
    Ok(outcomes
        .into_iter()
        .max()
        .unwrap_or(Outcome::Done)
        .max(waits))
}

/// When each destination of a source last had everything, in epoch seconds, as far as is known.
fn replicated(run: &Run) -> Vec<i64> {
    let jobs = run
        .entry
        .jobs()
        .into_iter()
        .filter(|job| job.verb == Verb::Replicate);
    jobs.filter_map(|job| records::last_success(&job)).collect()
}

/// What is known of both sides.
struct Sides {
    source: Tree,
    /// Where pruning takes place: the source again, or the replica.
    pruned: Option<Tree>,
    /// What else a saved listing holds; none when ZFS can be asked.
    others: Option<BTreeSet<Dataset>>,
}

impl Sides {
    fn list(run: &Run, to: Option<&Destination>) -> Result<Self> {
        let here = Machine::new(run.entry.host.as_ref());
        let source = zfs::list(
            &here,
            SNAPSHOT_COLUMNS,
            ALL_TYPES,
            Depth::All,
            &[run.dataset.as_str()],
        )?;
        here.close();
        if !source.absent.is_empty() {
            return Err(does_not_exist(&run.dataset, &here.place()));
        }
        let pruned = to.map(Self::list_replica_of(run)).transpose()?;
        Ok(Sides {
            source: source.tree,
            pruned,
            others: None,
        })
    }

    /// A replica that does not exist yet has nothing to lose, but its root must be there.
    fn list_replica_of(run: &Run) -> impl Fn(&Destination) -> Result<Tree> {
        |to| {
            let there = Machine::new(to.host.as_ref());
            let replica = zfs::list(
                &there,
                SNAPSHOT_COLUMNS,
                ALL_TYPES,
                Depth::All,
                &[to.replica(&run.dataset).as_str()],
            )?;
            let root = if replica.absent.is_empty() {
                None
            } else {
                Some(zfs::list(
                    &there,
                    "name,guid,createtxg",
                    "filesystem,volume",
                    Depth::Roots,
                    &[to.root.as_str()],
                )?)
            };
            match root {
                Some(root) if !root.absent.is_empty() => {
                    Err(does_not_exist(&to.root, &there.place()))
                }
                _ => Ok(replica.tree),
            }
        }
    }

    /// A saved listing may hold both sides, told apart by their names.
    fn from_file(run: &Run, to: Option<&Destination>, file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let tree = listing::parse_saved(SNAPSHOT_COLUMNS, &text)
            .map_err(|e| anyhow!("{}: {e}", file.display()))?;
        let others = Some(tree.keys().cloned().collect());
        Ok(Sides {
            source: tree.clone(),
            pruned: to.map(|_| tree),
            others,
        }
        .within(run, to))
    }

    fn within(mut self, run: &Run, to: Option<&Destination>) -> Self {
        self.source
            .retain(|dataset, _| dataset.is_within(&run.dataset));
        if let (Some(pruned), Some(to)) = (&mut self.pruned, to) {
            pruned.retain(|dataset, _| dataset.is_within(&to.replica(&run.dataset)));
        }
        self
    }

    /// The datasets to prune: by the source's name, and where they are.
    fn governed(&self, run: &Run, to: Option<&Destination>) -> Vec<(Dataset, Dataset)> {
        let has_any = |(_, state): &(&Dataset, &State)| {
            !state.snapshots.is_empty() || !state.bookmarks.is_empty()
        };
        let places = self
            .pruned
            .as_ref()
            .unwrap_or(&self.source)
            .iter()
            .filter(has_any)
            .map(|(place, _)| place);
        let named = places.filter_map(|place| {
            Some((
                to.map_or(Some(place.clone()), |to| place.below(&to.root))?,
                place.clone(),
            ))
        });
        named
            .filter(|(dataset, _)| governs(run.config, run.entry, dataset))
            .collect()
    }

    /// Without the replicas of which this machine is not the source: another machine may send to the same root, or the
    /// source is gone, and what is here is all that is left of it.
    fn of_these_sources(&self, mut places: Vec<(Dataset, Dataset)>) -> Vec<(Dataset, Dataset)> {
        let Some(replicas) = &self.pruned else {
            return places;
        };
        places.retain(|(dataset, place)| {
            let source = self.source.get(dataset);
            let is_its_source = source.is_some_and(|source| pruning::has_in_common(&replicas[place], source));
            if !is_its_source {
                let why = if source.is_some() { "has no snapshot in common with it" } else { "does not exist" };
                journal::warn(format!("{place} is not pruned: {dataset} {why}, so that it may be what is left, or another's"));
            }
            is_its_source
        });
        places
    }

    /// Those of which a misspelt name in the configuration may have meant something else wait for a person.
    fn without_misnamed(
        &self,
        run: &Run,
        mut places: Vec<(Dataset, Dataset)>,
    ) -> Result<(Vec<(Dataset, Dataset)>, Outcome)> {
        let governed: Vec<Dataset> = places.iter().map(|(dataset, _)| dataset.clone()).collect();
        let mut found = misnamed(
            run.config,
            run.entry,
            &self.source.keys().collect(),
            &governed,
        );
        let elsewhere = self.elsewhere(run, &found)?;
        found.retain(|misnamed| !elsewhere.contains(&misnamed.name));
        let waiting: BTreeMap<&Dataset, &Misnamed> = found
            .iter()
            .map(|misnamed| (&misnamed.waits, misnamed))
            .collect();
        for (dataset, misnamed) in &waiting {
            journal::warn(format!("{dataset}: pruning waits: {}", misnamed.why()));
        }
        places.retain(|(dataset, _)| !waiting.contains_key(dataset));
        Ok((
            places,
            if waiting.is_empty() {
                Outcome::Done
            } else {
                Outcome::Waits
            },
        ))
    }

    /// Those of the names outside of what was listed that exist.
    fn elsewhere(&self, run: &Run, found: &[Misnamed]) -> Result<BTreeSet<Dataset>> {
        if let Some(others) = &self.others {
            return Ok(others.clone());
        }
        let outside = found
            .iter()
            .map(|misnamed| &misnamed.name)
            .filter(|name| !name.is_within(&run.dataset));
        let outside: BTreeSet<&str> = outside.map(Dataset::as_str).collect();
        if outside.is_empty() {
            return Ok(BTreeSet::new());
        }
        let here = Machine::new(run.entry.host.as_ref());
        let names: Vec<&str> = outside.into_iter().collect();
        let listing = zfs::list(
            &here,
            "name,guid,createtxg",
            "filesystem,volume",
            Depth::Roots,
            &names,
        );
        here.close();
        Ok(listing?.tree.into_keys().collect())
    }
}

fn plan<'a>(
    run: &Run,
    to: Option<&'a Destination>,
    windows: &[Window],
    sides: &'a Sides,
    dataset: &'a Dataset,
    place: &'a Dataset,
) -> Planned<'a> {
    let pruned = &sides.pruned.as_ref().unwrap_or(&sides.source)[place];
    let source = sides
        .pruned
        .as_ref()
        .and_then(|_| sides.source.get(dataset));
    let plan = pruning::plan(&wish(run, to.is_none(), windows), pruned, source);
    Planned {
        dataset,
        destination: to.map(|to| to.name.as_str()),
        plan,
        place,
        pruned,
        source,
    }
}

/// What is asked of a side: of the source itself, that it keeps what its destinations may need.
fn wish<'w>(run: &'w Run, is_source: bool, windows: &'w [Window]) -> Keeping<'w> {
    let replicated = if is_source {
        replicated(run)
    } else {
        Vec::new()
    };
    Keeping {
        prefix: &run.config.prefix,
        windows,
        replicated,
        now: run.now,
    }
}

fn explain(planned: &Planned) {
    for verdict in &planned.plan.verdicts {
        let reasons = verdict
            .reasons
            .iter()
            .map(Reason::to_string)
            .collect::<Vec<_>>()
            .join("; ");
        let (verb, why) = if verdict.keep() {
            ("keep   ", reasons)
        } else {
            ("destroy", "no window wants it".into())
        };
        journal::print(format!(
            "{verb} {}@{}  ({why})",
            planned.place, verdict.snapshot.name
        ));
    }
}

/// Destroys what the plan gives up, if a plan made of what is there by then does so too.
fn destroy(run: &Run, machine: &Machine, windows: &[Window], planned: &Planned) -> Outcome {
    let judged = planned.plan.given_up().count();
    if judged == 0 {
        return Outcome::Done;
    }
    let plan_again = |state: &State| {
        let plan = pruning::plan(
            &wish(run, planned.destination.is_none(), windows),
            state,
            planned.source,
        );
        plan.given_up().cloned().collect()
    };
    let mut destroying = Destroying::new(
        machine,
        planned.place,
        planned.pruned.guid,
        planned.plan.given_up(),
    );
    let found = destroying.run(plan_again);
    let whole = format!("{}{}", planned.place, machine.place());
    for (name, reason) in &destroying.stay {
        journal::error(format!(
            "{}@{name} stays{}: {reason}",
            planned.place,
            machine.place()
        ));
    }
    let changed = if destroying.destroyed + destroying.stay.len() < judged {
        " (it has changed since it was listed)"
    } else {
        ""
    };
    if destroying.destroyed > 0 || matches!(found, Ok(Found::Same)) {
        let kept = if matches!(found, Ok(Found::Same)) {
            format!(", {} kept{changed}", destroying.kept)
        } else {
            String::new()
        };
        let text = format!(
            "{}: {} destroyed{kept}",
            planned.place,
            snapshots(destroying.destroyed)
        );
        if run.json {
            tracing::info!("{text}")
        } else {
            journal::print(text)
        }
    }
    match found {
        Ok(Found::Same) if destroying.stay.is_empty() => Outcome::Done,
        Ok(Found::Same) => Outcome::Failed,
        Ok(Found::Nothing) => {
            journal::warn(format!("{whole} is gone since it was listed"));
            Outcome::Done
        }
        Ok(Found::Another) => {
            journal::warn(format!(
                "{whole} was replaced by another since it was listed; the next run judges that one"
            ));
            Outcome::Later
        }
        Err(error) => report(planned.place.as_str(), &error),
    }
}
