//! The plans of a replication as they stand before anything is done: as lines for people, and as `--json` prints them.

use anyhow::Result;
use serde::Serialize;

use crate::core::name::Dataset;
use crate::core::replication::{Kind, Mark, Plan, Stream, TokenUse};
use crate::edge::{journal, zfs};
use crate::verbs::replicate::replication::Replication;
use crate::verbs::replicate::token::foreign;
use crate::verbs::say::{size, snapshots};

#[derive(Serialize)]
pub(super) struct ShownPlan {
    dataset: Dataset,
    destination: String,
    replica: Dataset,
    state: Kind,
    /// Why it diverged, in a word.
    cause: Option<&'static str>,
    base: Option<String>,
    why: String,
    /// Why nothing can be sent until somebody, or another job, has done something.
    obstacle: Option<String>,
    /// Whether the replica holds part of a stream that fits nothing any more, and has to be given up first.
    has_stale_part: bool,
    streams: Vec<ShownStream>,
    /// Then all that is newer follows, by a plan of its own.
    has_more: bool,
}

#[derive(Serialize)]
struct ShownStream {
    from: Option<String>,
    to: String,
    intermediates: bool,
    snapshots: Vec<String>,
    /// An estimate; none where zfs gives none.
    bytes: Option<u64>,
}

/// Adds the plan for every dataset to `shown`, and prints it unless JSON is wanted.
pub(super) fn show(replication: &Replication, shown: &mut Vec<ShownPlan>) -> Result<()> {
    let mut plans = Vec::new();
    for (dataset, source) in &replication.listed.source {
        plans.push((dataset, replication.plan(dataset, source)?));
    }
    for (dataset, plan) in plans {
        let plan = shown_plan(replication, dataset, plan);
        if !replication.run.json {
            print(&plan);
        }
        shown.push(plan);
    }
    Ok(())
}

fn shown_plan(replication: &Replication, dataset: &Dataset, plan: Plan) -> ShownPlan {
    let mut streams = Vec::new();
    for stream in &plan.streams {
        streams.push(shown_stream(replication, dataset, stream, plan.raw));
    }
    ShownPlan {
        obstacle: obstacle(replication, dataset, &plan),
        has_stale_part: plan.token == TokenUse::Discard,
        dataset: dataset.clone(),
        destination: replication.to.name.to_string(),
        replica: replication.to.replica(dataset),
        state: plan.kind,
        cause: plan.divergence.map(|divergence| divergence.word()),
        base: plan.base.map(|base| base.mark.to_string()),
        why: plan.why,
        streams,
        has_more: plan.has_more,
    }
}

fn obstacle(replication: &Replication, dataset: &Dataset, plan: &Plan) -> Option<String> {
    let listed = &replication.listed;
    if plan.token == TokenUse::Foreign {
        return Some(foreign(
            &listed.there,
            dataset,
            &replication.to.replica(dataset),
        ));
    }
    if plan.kind != Kind::Full {
        return None;
    }
    let error = replication.parents.check(dataset, &listed.source).err()?;
    Some(format!("{error:#}"))
}

fn shown_stream(
    replication: &Replication,
    dataset: &Dataset,
    stream: &Stream,
    raw: bool,
) -> ShownStream {
    ShownStream {
        from: stream.from.as_ref().map(Mark::to_string),
        to: stream.to.clone(),
        intermediates: stream.has_intermediates(),
        snapshots: stream.snapshots.clone(),
        bytes: zfs::estimate(&replication.listed.here, dataset, stream, raw),
    }
}

fn print(plan: &ShownPlan) {
    journal::print(format!(
        "{} -> {}: {} ({})",
        plan.dataset, plan.replica, plan.state, plan.why
    ));
    if let Some(obstacle) = &plan.obstacle {
        journal::print(format!("  not yet: {obstacle}"));
    }
    if plan.has_stale_part {
        journal::print(format!(
            "  {} holds part of a stream that fits nothing any more: that is given up first",
            plan.replica
        ));
    }
    for stream in &plan.streams {
        let from = match &stream.from {
            Some(mark) => format!("from {mark}"),
            None => "everything".into(),
        };
        let bytes = match stream.bytes {
            Some(bytes) => format!(", about {}", size(bytes)),
            None => String::new(),
        };
        let to = &stream.to;
        let count = snapshots(stream.snapshots.len());
        journal::print(format!("  {from} to @{to}, {count}{bytes}"));
    }
    if plan.has_more {
        journal::print(
            "  then on from there: an earlier run had begun no more, and that is confirmed first",
        );
    }
}
