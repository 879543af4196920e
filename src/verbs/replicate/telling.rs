//! What a transfer says of itself: what has arrived, or why nothing is sent.

use std::time::Duration;

use crate::core::event;
use crate::core::listing::State;
use crate::core::name::Dataset;
use crate::edge::journal;
use crate::verbs::replicate::replication::Replication;
use crate::verbs::say::{size, snapshots};

/// The sum of what the streams of a plan have brought.
#[derive(Default)]
pub(super) struct Total {
    pub(super) snapshots: usize,
    pub(super) bytes: u64,
}

pub(super) fn tell_why_nothing_is_sent(
    replication: &Replication,
    dataset: &Dataset,
    source: &State,
) {
    let why = if source.resume_token.is_some() {
        "is itself still being received"
    } else {
        "has no snapshot of zam's yet"
    };
    let on_host = replication.listed.here.on_host();
    replication.say(format!(
        "{dataset}{on_host} {why}, so there is nothing to send"
    ));
}

pub(super) fn tell_what_arrived(
    replication: &Replication,
    dataset: &Dataset,
    arrived: &Total,
    elapsed: Duration,
) {
    let to = replication.to;
    let on_host = replication.listed.there.on_host();
    let count = snapshots(arrived.snapshots);
    let bytes = arrived.bytes;
    let amount = size(bytes);
    let seconds = elapsed.as_secs_f64();
    let replica = to.replica(dataset);
    let text = format!("{dataset} -> {replica}{on_host}: {count}, {amount} in {seconds:.1} s");
    if journal::is_journal() {
        tracing::info!(message_id = event::ARRIVED, zam_bytes = bytes, zam_seconds = seconds, zam_destination = %to.name, "{text}");
    } else {
        replication.say(text);
    }
}
