//! The ticks of a time axis.

use chrono::Datelike;

use crate::core::period::Period;
use crate::core::span::{Epoch, utc};

/// A moment on the axis, and its name.
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) at: Epoch,
    pub(super) name: String,
}

/// The ticks from `from` until before `until`: as close as there is room for at most `most` of them.
pub(super) fn ticks_within(from: Epoch, until: Epoch, most: usize) -> Vec<Tick> {
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
    let fits = |step: &Period| (until - from) / step.seconds() <= most as i64;
    let step = steps.into_iter().find(fits).unwrap_or(Period::Months(24));
    let mut ticks = Vec::new();
    let mut bucket = step.bucket(from - 1) + 1;
    while step.start(bucket) < until {
        let at = step.start(bucket);
        let name = name_of(at, step);
        ticks.push(Tick { at, name });
        bucket += 1;
    }
    ticks
}

fn name_of(at: Epoch, step: Period) -> String {
    let date = utc(at);
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
    use crate::core::span::DAY;

    #[test]
    fn ticks_are_as_close_as_there_is_room() {
        let names = |days: i64, most| {
            let ticks = ticks_within(0, days * DAY, most).into_iter();
            Vec::from_iter(ticks.map(|tick| tick.name))
        };
        assert_eq!(names(3, 3), ["Jan 1", "Jan 2", "Jan 3"]);
        assert_eq!(names(14, 3), ["Jan 5", "Jan 12"]); // Mondays
        assert_eq!(names(120, 6), ["1970", "Feb", "Mar", "Apr"]);
        assert_eq!(names(366, 4), ["1970", "Apr", "Jul", "Oct", "1971"]);
        assert_eq!(names(10 * 365, 6), ["1970", "1972", "1974", "1976", "1978"]);
    }
}
