//! The windows of a job merged into one week of minutes from Monday 00:00, and what a moment of the week means in it. No
//! clock, no zone, no date.

use std::ops::Range;

use chrono::Weekday;

use crate::core::schedule::window::{DAY_MINUTES, Window};

pub(super) const WEEK_MINUTES: u32 = 7 * DAY_MINUTES;

/// The windows of a job as one: those that overlap or touch are merged, so that slots are counted from the moment at
/// which waiting ends. The week is always open without windows, or when they cover all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Week {
    /// In minutes of the week, disjoint and sorted; the last may end in the next week. Empty: always open.
    pub(super) openings: Vec<Range<u32>>,
}

/// A window that is open, in minutes by the clock on the wall.
struct Open {
    since: u32,
    left: u32,
}

impl Week {
    pub fn new(windows: &[Window]) -> Week {
        let mut open = [false; WEEK_MINUTES as usize];
        for window in windows {
            for day in &window.days {
                for minute in window.minutes.clone() {
                    open[((day * DAY_MINUTES + minute) % WEEK_MINUTES) as usize] = true;
                }
            }
        }
        let is_open = |minute: u32| open[(minute % WEEK_MINUTES) as usize];
        let mut openings = Vec::new();
        for start in 0..WEEK_MINUTES {
            if is_open(start) && !is_open(start + WEEK_MINUTES - 1) {
                let mut end = start + 1;
                while is_open(end) {
                    end += 1;
                }
                openings.push(start..end);
            }
        }
        Week { openings }
    }

    pub fn is_always_open(&self) -> bool {
        self.openings.is_empty()
    }

    pub fn contains(&self, weekday: Weekday, minute: u32) -> bool {
        self.is_always_open() || self.open(weekday, minute).is_some()
    }

    /// The window that is open at this minute of the day.
    fn open(&self, weekday: Weekday, minute: u32) -> Option<Open> {
        let now = weekday.num_days_from_monday() * DAY_MINUTES + minute;
        for opening in &self.openings {
            for now in [now, now + WEEK_MINUTES] {
                if opening.contains(&now) {
                    return Some(Open {
                        since: now - opening.start,
                        left: opening.end - now,
                    });
                }
            }
        }
        None
    }

    /// The minutes left, by the clock on the wall, from this minute of the day; none outside, and none when always open.
    pub fn ends_after(&self, weekday: Weekday, minute: u32) -> Option<u32> {
        self.open(weekday, minute).map(|open| open.left)
    }

    /// The minutes since the window opened, by the clock on the wall; 0 outside, and when always open.
    pub fn open_for(&self, weekday: Weekday, minute: u32) -> u32 {
        self.open(weekday, minute).map_or(0, |open| open.since)
    }

    /// The most minutes from the last slot in a window to the next window, by the clock on the wall, for slots so many minutes
    /// apart; 0 when always open.
    pub fn longest_gap(&self, step: u32) -> u32 {
        let mut longest = 0;
        for (i, opening) in self.openings.iter().enumerate() {
            let next = match self.openings.get(i + 1) {
                Some(next) => next.start,
                None => self.openings[0].start + WEEK_MINUTES,
            };
            let slots = (opening.end - 1 - opening.start) / step;
            longest = longest.max(next - (opening.start + slots * step));
        }
        longest
    }
}
