//! Gives up parts of streams that nobody continues, on a machine that only receives: a key that is to add and never to
//! destroy cannot do that itself, and until it is done nothing more arrives.

use std::collections::BTreeMap;

use anyhow::{Error, Result};

use crate::core::job::{Job, Verb};
use crate::core::listing::{DATASETS, TREE_COLUMNS};
use crate::core::name::Dataset;
use crate::core::parts::{PATIENCE, Part, Parts, look};
use crate::core::selection::governs;
use crate::core::span::{DAY, Rough};
use crate::core::unit_name::instance;
use crate::edge::command::Machine;
use crate::edge::journal;
use crate::edge::outcome::Outcome;
use crate::edge::records::Records;
use crate::edge::zfs::{self, Depth};
use crate::verbs::{JobName, Run, report};

/// Gives up those of the datasets that the run is for. Where snapshots are taken here, a part is not of zam's sending.
///
/// # Errors
/// The datasets cannot be listed.
pub(super) fn give_up_abandoned_parts(run: &Run) -> Result<Outcome> {
    let job = JobName::new(Verb::Prune, None).find_in(run.entry);
    let Some(job) = job.filter(|_| run.entry.snapshot_period.is_none()) else {
        return Ok(Outcome::Done);
    };
    // So that it is seen, and told, at least once before it is given up.
    let between = (2 * job.period.span().seconds()).clamp(DAY, PATIENCE / 2);
    let parts = look(&remembered(run, &job), tokens(run)?, run.now, between);
    let mut worst = Outcome::Done;
    for (dataset, part) in &parts {
        let age = run.now - part.since;
        if age >= PATIENCE && !run.dry {
            if let Err(error) = give_up(dataset, part, age) {
                worst = worst.max(report(dataset, &error));
            }
        } else if age >= DAY {
            journal::warn(format!(
                "{dataset} holds part of a stream that has not grown for {}; after {} it is given up",
                Rough(age),
                Rough(PATIENCE)
            ));
        }
    }
    if !run.dry {
        remember(run, &job, parts);
    }
    Ok(worst)
}

fn tokens(run: &Run) -> Result<BTreeMap<String, String>> {
    let root = [run.dataset.as_str()];
    let listing = zfs::list(
        &Machine::default(),
        TREE_COLUMNS,
        DATASETS,
        Depth::All,
        &root,
    )?;
    let mut tokens = BTreeMap::new();
    for (dataset, state) in listing.tree {
        if governs(run.config, run.entry, &dataset)
            && let Some(token) = state.resume_token
        {
            tokens.insert(dataset.to_string(), token);
        }
    }
    Ok(tokens)
}

fn give_up(name: &str, part: &Part, age: i64) -> Result<()> {
    let here = Machine::default();
    let dataset: Dataset = name.parse().map_err(Error::msg)?;
    let now = zfs::properties(&here, name, "receive_resume_token")?;
    if now == [part.token.as_str()] {
        zfs::discard_token(&here, &dataset)?;
        journal::warn(format!(
            "{dataset}: gave up part of a stream that had not grown for {}",
            Rough(age)
        ));
    }
    Ok(())
}

fn remembered(run: &Run, job: &Job) -> Parts {
    let text = Records::of(run.config.user_of(job)).parts(&instance(job));
    // Without it, each is as new as if it had been seen for the first time.
    text.and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// Remembers those outside of the run's dataset too.
fn remember(run: &Run, job: &Job, parts: Parts) {
    let mut all = remembered(run, job);
    all.retain(|dataset, _| {
        let dataset = dataset.parse::<Dataset>();
        dataset.is_ok_and(|dataset| !dataset.is_within(&run.dataset))
    });
    all.extend(parts);
    if let Ok(text) = serde_json::to_string(&all) {
        Records::of(run.config.user_of(job)).write_parts(&instance(job), &text);
    }
}
