//! Amounts and reasons, as people read them.

use std::time::Duration;

use anyhow::anyhow;
use chrono::{DateTime, Utc};

use crate::core::name::Dataset;
use crate::core::shell::quoted;
use crate::core::span::{Rough, Span};
use crate::edge::command::Machine;

/// `1 snapshot`, `2 snapshots`.
pub(super) fn snapshots(number: usize) -> String {
    counted(number, "snapshot")
}

/// `1 replica`, `2 replicas`.
pub(super) fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// `4min ago`; `-` for what never was. A clock that was wrong leaves times `2d in the future`.
pub(super) fn ago(time: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    let Some(time) = time else { return "-".into() };
    match (now - time).num_seconds() {
        seconds @ ..-60 => format!("{} in the future", Rough(-seconds)),
        seconds => format!("{} ago", Rough(seconds)),
    }
}

pub(super) fn does_not_exist(dataset: &Dataset, machine: &Machine) -> anyhow::Error {
    let pool = dataset.pool();
    anyhow!(
        "{dataset} does not exist{}; if its pool {pool} is not imported, zpool import {} brings it",
        machine.on_host(),
        quoted(pool)
    )
}

/// `12.0 MiB of 300.0 MiB, 50.0 MiB/s, 6 s left`; `total` is none when nobody knows how much there is.
pub(super) fn progress(bytes: u64, total: Option<u64>, elapsed: Duration) -> String {
    let rate = bytes as f64 / elapsed.as_secs_f64().max(0.001);
    let mut text = size(bytes);
    if let Some(total) = total {
        text += &format!(" of {}", size(total));
    }
    text += &format!(", {}/s", size(rate as u64));
    if let Some(total) = total
        && total > bytes
        && rate > 0.0
    {
        let seconds = ((total - bytes) as f64 / rate) as i64;
        let left = Span::of_seconds(seconds.max(1));
        text += &format!(", {left} left");
    }
    text
}

/// `512 B`, `1.5 GiB`: in the largest unit of which there is one.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let step = UNITS.len().min(bytes.ilog2() as usize / 10);
    let number = bytes as f64 / (1u64 << (10 * step)) as f64;
    format!("{number:.1} {}", UNITS[step - 1])
}
