//! What the course of a side amounts to, in the words in which people ask: when does it stop growing? Measured on what was
//! played, not read from the configuration. Pure; knows no drawing.

use crate::core::config::{Entry, Window};
use crate::core::period::Period;
use crate::core::simulate::{Side, is_played};
use crate::core::span::{DAY, Epoch, utc};

/// What is drawn at once: entries with one policy, and the course of each of their datasets.
#[derive(Debug)]
pub struct Course {
    /// Of the entries.
    pub names: Vec<String>,
    /// One line that says what is played, or why nothing is.
    pub note: String,
    pub from: Epoch,
    /// The first moment after the course.
    pub until: Epoch,
    /// The source first.
    pub sides: Vec<Side>,
}

impl Course {
    /// The course of `entries`, which have one policy.
    pub fn new(entries: &[&Entry], from: Epoch, until: Epoch, sides: Vec<Side>) -> Self {
        let names = entries.iter().map(|entry| name(entry)).collect();
        let note = entries.first().map_or(String::new(), |entry| note(entry));
        Course {
            names,
            note,
            from,
            until,
            sides,
        }
    }

    /// The date of a day, counted from the start.
    pub fn date(&self, day: usize) -> String {
        date(self.from + day as i64 * DAY)
    }

    /// In one line, when a side stops growing or how it goes on.
    pub fn growth(&self, side: &Side) -> String {
        let for_ever = "grows for ever: nothing prunes it";
        match growth(side) {
            Growth::Steady(day) => {
                let date = self.date(day);
                let count = number(side.days[day]);
                format!("stops growing on {date}, at {count}")
            }
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

fn name(entry: &Entry) -> String {
    let below = if entry.recursive {
        " and each dataset below it"
    } else {
        ""
    };
    format!("{}{below}", entry.key)
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

/// Whether a side goes on growing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Growth {
    /// After this day (counted from the start) no day ended with more.
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
        return unpruned(&side.days);
    }
    if !side.windows.iter().all(|window| is_full(window, side)) {
        return Growth::Filling;
    }
    let for_ever = side
        .windows
        .iter()
        .filter(|window| window.max_age.is_none());
    if let Some(window) = for_ever.min_by_key(|window| window.period.seconds()) {
        return Growth::OneMorePer(window.period);
    }
    let most = side.most();
    match side.days.iter().position(|count| *count == most) {
        Some(day) if day + 1 < side.days.len() => Growth::Steady(day),
        _ => Growth::Filling,
    }
}

/// Counted over the last four weeks, or as long as there are days.
fn unpruned(counts: &[usize]) -> Growth {
    let Some(last) = counts.len().checked_sub(1) else {
        return Growth::Unpruned { more: 0, days: 0 };
    };
    let days = last.min(28);
    let more = counts[last] - counts[last - days];
    Growth::Unpruned { more, days }
}

/// Whether the first snapshot has left the window by the end, with its bucket.
fn is_full(window: &Window, side: &Side) -> bool {
    let (Some(first), Some(newest)) = (side.first, side.holds.last()) else {
        return false;
    };
    let end = window.period.start(window.period.bucket(first) + 1);
    window.max_age.is_none_or(|age| end <= age.before(*newest))
}

/// `2026-11-24`
pub fn date(at: Epoch) -> String {
    utc(at).format("%Y-%m-%d").to_string()
}

/// Thousands apart: `12 345`.
pub(super) fn number(number: usize) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(number),
            ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
    }
}
