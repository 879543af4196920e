//! How dense the snapshots of a side are with age: what could be restored, and how far back. Measured on what was played.

use crate::core::span::{DAY, Epoch, MONTH, Rough, Span, WEEK};

/// As far `back` as this (seconds before the newest snapshot), neighbours are nowhere further apart than `every` says.
struct Tier {
    every: String,
    back: i64,
    /// In seconds.
    widest_gap: i64,
    /// How many gaps are as `every` says.
    count: usize,
}

/// The tiers from the newest snapshot back (`holds` is oldest first). A single wider gap that leads to still wider ones is
/// no tier of its own, but belongs to theirs.
fn tiers(holds: &[Epoch]) -> Vec<Tier> {
    let newest = holds.last().copied().unwrap_or_default();
    let mut tiers: Vec<Tier> = Vec::new();
    for pair in holds.windows(2).rev() {
        let gap = pair[1] - pair[0];
        let back = newest - pair[0];
        let next = Tier {
            every: distance(gap),
            back,
            widest_gap: gap,
            count: 1,
        };
        match tiers.last_mut() {
            Some(tier) if next.every == tier.every => {
                tier.count += 1;
                tier.back = back;
            }
            Some(tier) if gap <= tier.widest_gap => tier.back = back,
            Some(tier) if tier.count == 1 => *tier = next,
            _ => tiers.push(next),
        }
    }
    tiers
}

/// `one per 10min back to 2d, one per 1h to 1w`
pub(super) fn restorable(holds: &[Epoch]) -> String {
    match holds.len() {
        0 => return "nothing".into(),
        1 => return "the newest alone".into(),
        _ => {}
    }
    let mut words = Vec::new();
    for tier in tiers(holds) {
        let back = if words.is_empty() { "back " } else { "" };
        words.push(format!(
            "one per {} {back}to {}",
            tier.every,
            Rough(tier.back)
        ));
    }
    words.join(", ")
}

/// The distance of two snapshots. Months and years, which are not all alike, get the calendar's names.
fn distance(seconds: i64) -> String {
    let months = (seconds as f64 / MONTH as f64).round() as i64;
    let none = Span::of_seconds(0);
    let span = if months >= 1 && (seconds - months * MONTH).abs() <= 3 * DAY {
        let months = months as u32;
        Span { months, ..none }
    } else if seconds % WEEK == 0 {
        let weeks = (seconds / WEEK) as u32;
        Span { weeks, ..none }
    } else {
        Span::of_seconds(seconds)
    };
    span.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_runs_of_one_distance() {
        let holds = |gaps: &[(i64, usize)]| {
            let gaps = gaps
                .iter()
                .flat_map(|(gap, times)| std::iter::repeat_n(*gap, *times));
            let mut ages = Vec::from_iter(gaps.scan(0, |age, gap| {
                Some(std::mem::replace(age, *age - gap)).map(|_| *age)
            }));
            ages.insert(0, 0);
            ages.reverse();
            ages
        };
        let tell = |gaps: &[(i64, usize)]| restorable(&holds(gaps));
        assert_eq!(
            [tell(&[]), restorable(&[])],
            ["the newest alone", "nothing"]
        );
        assert_eq!(tell(&[(600, 6)]), "one per 10min back to 1h");
        // what is left between two windows is no tier
        assert_eq!(
            tell(&[(600, 288), (1200, 1), (3600, 120)]),
            "one per 10min back to 2d, one per 1h to 1w"
        );
        assert_eq!(
            tell(&[(3600, 3), (600, 1), (3600, 20)]),
            "one per 1h back to 23h"
        );
        // months are of one kind, and the last may be alone
        assert_eq!(
            tell(&[(DAY, 30), (31 * DAY, 1), (28 * DAY, 1), (30 * DAY, 3)]),
            "one per 1d back to 1mo, one per 1mo to 6mo"
        );
        assert_eq!(
            tell(&[(DAY, 14), (7 * DAY, 1)]),
            "one per 1d back to 2w, one per 1w to 3w"
        );
    }
}
