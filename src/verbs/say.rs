//! Amounts and reasons, as people read them.

use std::time::Duration;

use anyhow::anyhow;

use crate::core::name::Dataset;
use crate::core::shell::quoted;
use crate::core::span::Span;

/// `1 snapshot`, `2 snapshots`.
pub(super) fn snapshots(number: usize) -> String {
    format!("{number} snapshot{}", if number == 1 { "" } else { "s" })
}

pub(super) fn does_not_exist(dataset: &Dataset, place: &str) -> anyhow::Error {
    let pool = dataset.pool();
    anyhow!(
        "{dataset} does not exist{place}; if its pool {pool} is not imported, zpool import {} brings it",
        quoted(pool)
    )
}

/// `4 min`, `3 h`, `2 d`: how long something is ago, or ahead, at a glance.
pub(super) fn rough(seconds: i64) -> String {
    const UNITS: [(i64, &str); 6] = [
        (1, "s"),
        (60, "min"),
        (3600, "h"),
        (86_400, "d"),
        (30 * 86_400, "mo"),
        (365 * 86_400, "y"),
    ];
    let seconds = seconds.max(0);
    // From two on: `90 min` says more than `1 h`.
    let (size, unit) = UNITS
        .into_iter()
        .rfind(|(size, _)| seconds >= 2 * size)
        .unwrap_or(UNITS[0]);
    format!("{} {unit}", seconds / size)
}

/// `12.0 MiB of 300.0 MiB, 50.0 MiB/s, 6 s left`
pub(super) fn progress(bytes: u64, total: Option<u64>, elapsed: Duration) -> String {
    let rate = bytes as f64 / elapsed.as_secs_f64().max(0.001);
    let of = total
        .map(|total| format!(" of {}", size(total)))
        .unwrap_or_default();
    let left = total
        .filter(|total| *total > bytes && rate > 0.0)
        .map(|total| ((total - bytes) as f64 / rate) as u64);
    let left = left
        .map(|seconds| {
            format!(
                ", {} left",
                Span {
                    months: 0,
                    weeks: 0,
                    seconds: seconds.max(1)
                }
            )
        })
        .unwrap_or_default();
    format!("{}{of}, {}/s{left}", size(bytes), size(rate as u64))
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let step = (0..units.len() - 1)
        .find(|step| bytes >> (10 * (step + 1)) == 0)
        .unwrap_or(units.len() - 1);
    if step == 0 {
        format!("{bytes} B")
    } else {
        format!(
            "{:.1} {}",
            bytes as f64 / (1u64 << (10 * step)) as f64,
            units[step]
        )
    }
}
