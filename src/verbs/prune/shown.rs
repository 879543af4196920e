//! The plan for one dataset that is pruned: as lines for people, and as `--json` prints it.

use serde::Serialize;
use serde::ser::Serializer;

use crate::core::listing::State;
use crate::core::name::Dataset;
use crate::core::retention::{Plan, Reason};
use crate::edge::journal;

#[derive(Serialize)]
pub(super) struct Planned<'a> {
    /// The source's name, also when it is the replica that is pruned.
    pub(super) dataset: &'a Dataset,
    pub(super) destination: Option<&'a str>,
    #[serde(rename = "snapshots", serialize_with = "verdicts")]
    pub(super) plan: Plan<'a>,
    /// The name of the dataset that loses snapshots.
    #[serde(skip)]
    pub(super) pruned: &'a Dataset,
    /// That dataset as it was listed.
    #[serde(skip)]
    pub(super) state: &'a State,
    /// Its source as it was listed, if it is a replica.
    #[serde(skip)]
    pub(super) source: Option<&'a State>,
}

#[derive(Serialize)]
struct ShownVerdict<'a> {
    name: &'a str,
    keep: bool,
    reasons: &'a [Reason],
}

fn verdicts<S: Serializer>(plan: &Plan, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(plan.verdicts.iter().map(|verdict| ShownVerdict {
        name: &verdict.snapshot.name,
        keep: verdict.keep(),
        reasons: &verdict.reasons,
    }))
}

pub(super) fn explain(planned: &Planned) {
    for verdict in &planned.plan.verdicts {
        let (verb, why) = if verdict.keep() {
            let reasons: Vec<String> = verdict.reasons.iter().map(Reason::to_string).collect();
            ("keep   ", reasons.join("; "))
        } else {
            ("destroy", "no window wants it".into())
        };
        let pruned = planned.pruned;
        let name = &verdict.snapshot.name;
        journal::print(format!("{verb} {pruned}@{name}  ({why})"));
    }
}

pub(super) fn warn_if_suspicious(planned: &Planned) {
    if planned.plan.suspicious {
        journal::warn(format!(
            "{}: more than half of the snapshots would go just after a gap of more than 30 days; if the clock is right, \
             they go once 20 snapshots follow the gap. Nothing was destroyed",
            planned.pruned
        ));
    }
}
