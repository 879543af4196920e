//! What the course of a side amounts to, in the words that people ask in: when it stops growing, what could be restored
//! how far back. Measured on what was played, not read from the configuration. Pure; knows no drawing.

use chrono::{DateTime, Datelike};

use crate::core::config::{Entry, Window};
use crate::core::simulate::{Side, is_played};
use crate::core::span::{DAY, Period, Span};

/// What is drawn at once: entries with one policy, and what becomes of each of their datasets.
#[derive(Debug)]
pub struct Course {
    /// Of the entries.
    pub names: Vec<String>,
    /// One line that says what is played, or why nothing is.
    pub note: String,
    /// Epoch seconds; the end is outside.
    pub from: i64,
    pub until: i64,
    /// The source first.
    pub sides: Vec<Side>,
}

impl Course {
    pub fn new(entries: &[&Entry], from: i64, until: i64, sides: Vec<Side>) -> Self {
        let below = |entry: &Entry| {
            if entry.recursive {
                " and each dataset below it"
            } else {
                ""
            }
        };
        let names = entries
            .iter()
            .map(|entry| entry.key.clone() + below(entry))
            .collect();
        Course {
            names,
            note: entries.first().map(|entry| note(entry)).unwrap_or_default(),
            from,
            until,
            sides,
        }
    }

    /// `2026-11-24`: a day counted from the start.
    pub fn date(&self, day: usize) -> String {
        date(self.from + (day * DAY as usize) as i64)
    }
}

fn note(entry: &Entry) -> String {
    match entry.snapshot_period {
        Some(period) if is_played(entry) => format!("a snapshot every {period}"),
        _ if entry.host.is_some() => {
            "pulled: its own machine takes its snapshots, so there is nothing to play".into()
        }
        _ => "no snapshot-period: zam takes no snapshots of it, so there is nothing to play".into(),
    }
}

/// `2026-11-24`
pub fn date(at: i64) -> String {
    DateTime::from_timestamp(at, 0)
        .unwrap_or_default()
        .format("%Y-%m-%d")
        .to_string()
}

/// Whether a side goes on growing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Growth {
    /// After this day (counted from the start) none ended with more.
    Steady(usize),
    /// A window without max-age takes one more with each period.
    OneMorePer(Period),
    /// Nothing prunes it: so many more in the last so many days.
    Unpruned { more: usize, days: usize },
    /// Some window reaches further back than what was played.
    Filling,
}

/// A side stops growing on the first day that ends with as many snapshots as any day does until the end. To be said of it,
/// something must prune it, every window must have a max-age and be full, and at least one more day must follow.
pub fn growth(side: &Side) -> Growth {
    if side.windows.is_empty() {
        let days = side.days.len().saturating_sub(1).min(28);
        let before = side.days.iter().rev().nth(days).copied().unwrap_or(0);
        return Growth::Unpruned {
            more: side.days.last().map_or(0, |last| last - before),
            days,
        };
    }
    if !side.windows.iter().all(|window| is_full(window, side)) {
        return Growth::Filling;
    }
    let for_ever = side
        .windows
        .iter()
        .filter(|window| window.max_age.is_none())
        .map(|window| window.period);
    if let Some(period) = for_ever.min_by_key(|period| period.span().seconds()) {
        return Growth::OneMorePer(period);
    }
    let most = side.days.iter().max();
    let steady = side
        .days
        .iter()
        .position(|count| Some(count) == most)
        .filter(|day| day + 1 < side.days.len());
    steady.map_or(Growth::Filling, Growth::Steady)
}

/// Whether the first snapshot has left the window by the end, with its bucket.
fn is_full(window: &Window, side: &Side) -> bool {
    let passed = |first: i64, newest: i64| {
        let end = window.period.start(window.period.bucket(first) + 1);
        window.max_age.is_none_or(|age| end <= age.before(newest))
    };
    side.first
        .zip(side.holds.last().copied())
        .is_some_and(|(first, newest)| passed(first, newest))
}

impl Course {
    /// In one line, when a side stops growing or how it goes on.
    pub fn growth(&self, side: &Side) -> String {
        let for_ever = "grows for ever: nothing prunes it";
        match growth(side) {
            Growth::Steady(day) => format!(
                "stops growing on {}, at {}",
                self.date(day),
                number(side.days[day])
            ),
            Growth::OneMorePer(period) => format!("grows for ever: one more per {period}"),
            Growth::Unpruned { days: 0, .. } => for_ever.into(),
            Growth::Unpruned { more, days } if more >= days => {
                format!("{for_ever}, +{} a day", number(more / days))
            }
            Growth::Unpruned { more, days } => format!("{for_ever}, +{more} in {days} days"),
            Growth::Filling => "still fills up: its windows reach further back than this".into(),
        }
    }
}

/// As far `back` as this (seconds before the newest snapshot), neighbours are nowhere further apart than `every` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    pub every: String,
    pub back: i64,
}

/// How dense the snapshots (epoch seconds, oldest first) are, from the newest back. A single wider gap on the way to
/// still wider ones is counted with these.
pub fn tiers(holds: &[i64]) -> Vec<Tier> {
    let newest = holds.last().copied().unwrap_or_default();
    // the tiers, each with its widest gap and how often that came
    let mut tiers: Vec<(Tier, i64, usize)> = Vec::new();
    for pair in holds.windows(2).rev() {
        let (gap, back) = (pair[1] - pair[0], newest - pair[0]);
        let every = distance(gap);
        match tiers.last_mut() {
            Some((tier, widest, times)) if gap <= *widest || every == tier.every => {
                *times += usize::from(every == tier.every);
                tier.back = back;
            }
            Some((tier, widest, times)) if *times == 1 => {
                (*tier, *widest) = (Tier { every, back }, gap)
            }
            _ => tiers.push((Tier { every, back }, gap, 1)),
        }
    }
    tiers.into_iter().map(|(tier, ..)| tier).collect()
}

/// `one per 10min back to 2d, one per 1h to 1w`
pub fn restorable(holds: &[i64]) -> String {
    let tiers = tiers(holds);
    let tell = |(i, tier): (usize, &Tier)| {
        format!(
            "one per {} {}to {}",
            tier.every,
            if i == 0 { "back " } else { "" },
            age(tier.back)
        )
    };
    match (holds.len(), tiers.is_empty()) {
        (0, _) => "nothing".into(),
        (_, true) => "the newest alone".into(),
        _ => Vec::from_iter(tiers.iter().enumerate().map(tell)).join(", "),
    }
}

/// Whole months and years, which are not all alike, by the calendar's names.
fn distance(seconds: i64) -> String {
    let months = (seconds as f64 / 2_629_800.0).round();
    let apart = (seconds as f64 - months * 2_629_800.0).abs();
    let span = match seconds as u64 {
        _ if months >= 1.0 && apart <= 3.0 * DAY as f64 => Span {
            months: months as u32,
            weeks: 0,
            seconds: 0,
        },
        seconds if seconds % (7 * DAY) == 0 => Span {
            months: 0,
            weeks: (seconds / (7 * DAY)) as u32,
            seconds: 0,
        },
        seconds => Span {
            months: 0,
            weeks: 0,
            seconds,
        },
    };
    span.to_string()
}

/// An age in one unit, rounded; in the greatest of which there are two, or just one.
pub fn age(seconds: i64) -> String {
    let units = [
        (31_557_600, "y"),
        (2_629_800, "mo"),
        (7 * DAY as i64, "w"),
        (DAY as i64, "d"),
        (3600, "h"),
        (60, "min"),
    ];
    let fits = |size: i64| {
        seconds * 100 >= size * 195 || (size * 97..=size * 103).contains(&(seconds * 100))
    };
    let unit = units
        .iter()
        .find(|(size, _)| fits(*size))
        .unwrap_or(&(1, "s"));
    format!("{}{}", (seconds as f64 / unit.0 as f64).round(), unit.1)
}

/// Thousands apart: `12 345`.
pub fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Moments for a time axis from `from` to `until` (epoch seconds) with their names, at most `most` of them.
pub fn ticks(from: i64, until: i64, most: usize) -> Vec<(i64, String)> {
    let steps = [
        Period::Days(1),
        Period::Days(2),
        Period::Weeks(1),
        Period::Weeks(2),
        Period::Months(1),
        Period::Months(3),
        Period::Months(6),
        Period::Months(12),
    ];
    let fits = |step: &&Period| (until - from) / step.span().seconds() as i64 <= most as i64;
    let step = steps.iter().find(fits).unwrap_or(&Period::Months(24));
    let starts = (step.bucket(from - 1) + 1..)
        .map(|bucket| step.start(bucket))
        .take_while(|at| *at < until);
    starts.map(|at| (at, tick(at, *step))).collect()
}

fn tick(at: i64, step: Period) -> String {
    let date = DateTime::from_timestamp(at, 0).unwrap_or_default();
    let format = match step {
        Period::Months(_) if date.month() == 1 => "%Y",
        Period::Months(_) => "%b",
        _ => "%b %-d",
    };
    date.format(format).to_string()
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
        let day = DAY as i64;
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
            tell(&[(day, 30), (31 * day, 1), (28 * day, 1), (30 * day, 3)]),
            "one per 1d back to 1mo, one per 1mo to 6mo"
        );
        assert_eq!(
            tell(&[(day, 14), (7 * day, 1)]),
            "one per 1d back to 2w, one per 1w to 3w"
        );
    }

    #[test]
    fn ticks_are_as_close_as_there_is_room() {
        let names = |days: i64, most| {
            Vec::from_iter(
                ticks(0, days * DAY as i64, most)
                    .into_iter()
                    .map(|(_, name)| name),
            )
        };
        assert_eq!(names(3, 3), ["Jan 1", "Jan 2", "Jan 3"]);
        assert_eq!(names(14, 3), ["Jan 5", "Jan 12"]); // Mondays
        assert_eq!(names(120, 6), ["1970", "Feb", "Mar", "Apr"]);
        assert_eq!(names(366, 4), ["1970", "Apr", "Jul", "Oct", "1971"]);
        assert_eq!(names(10 * 365, 6), ["1970", "1972", "1974", "1976", "1978"]);
    }

    #[test]
    fn numbers_and_ages_are_short() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(number),
            ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
        let day = DAY as i64;
        let ages = [
            45,
            600,
            3600,
            47 * 3600,
            2 * day,
            7 * day,
            13 * day,
            42 * day,
            183 * day,
            366 * day,
            2200 * day,
        ];
        assert_eq!(
            ages.map(age),
            [
                "45s", "10min", "1h", "2d", "2d", "1w", "13d", "6w", "6mo", "1y", "6y"
            ]
        );
    }
}
