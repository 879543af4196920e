//! Spans of time as systemd.time(7) writes them. Everything is UTC; months and years are the calendar's. Knows nothing of
//! windows, snapshots or clocks.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Months, Utc};

/// Seconds since 1970-01-01 00:00 UTC.
pub type Epoch = i64;

/// Lengths of time in seconds.
pub const MINUTE: i64 = 60;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;
pub const WEEK: i64 = 7 * DAY;
/// A mean month: 30.4375 days.
pub const MONTH: i64 = 2_629_800;
/// A mean year: 365.25 days.
pub const YEAR: i64 = 12 * MONTH;

/// The moment in the calendar; 1970-01-01 if it lies beyond what chrono can hold (some 260,000 years from now).
pub fn utc(time: Epoch) -> DateTime<Utc> {
    DateTime::from_timestamp(time, 0).unwrap_or_default()
}

/// A length of time. The units that mean different buckets (days, weeks, months) stay apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub months: u32,
    pub weeks: u32,
    pub seconds: i64,
}

impl FromStr for Span {
    type Err = String;

    /// `1h 30min`, `2d`, `1.5h`, `6mo`: at least one number with its unit, and whole seconds in all.
    fn from_str(text: &str) -> Result<Self, String> {
        Amounts::read(text).and_then(Amounts::whole).map_err(|why| {
            format!("`{text}` is not a span of time{why}; write one like 15min, 4h, 2d, 1w or 6mo")
        })
    }
}

/// The numbers of a span as it is written. Its errors follow "is not a span of time".
#[derive(Default)]
struct Amounts {
    months: f64,
    weeks: f64,
    microseconds: f64,
}

impl Amounts {
    fn read(text: &str) -> Result<Self, String> {
        let mut amounts = Amounts::default();
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(String::new());
        }
        while !rest.is_empty() {
            let (number, tail) = split(rest, |c| c.is_ascii_digit() || c == '.');
            let (unit, tail) = split(tail.trim_start(), char::is_alphabetic);
            amounts.add(number.parse().map_err(|_| String::new())?, unit)?;
            rest = tail.trim_start();
        }
        Ok(amounts)
    }

    fn add(&mut self, number: f64, unit: &str) -> Result<(), String> {
        match unit {
            "" => return Err(format!(" (`{number}` has no unit)")),
            "years" | "year" | "y" => self.months += 12.0 * number,
            "months" | "month" | "mo" | "M" => self.months += number,
            // A part of a week is so many days.
            "weeks" | "week" | "w" if number.fract() == 0.0 => self.weeks += number,
            _ => match microseconds(unit) {
                Some(size) => self.microseconds += number * size as f64,
                None => return Err(format!(" (`{unit}` is not a unit)")),
            },
        }
        Ok(())
    }

    fn whole(self) -> Result<Span, String> {
        let months = self.months;
        let weeks = self.weeks;
        let seconds = self.microseconds / 1e6;
        let is_whole = [months, weeks, seconds].iter().all(|n| n.fract() == 0.0);
        if !is_whole || months > 12_000.0 || weeks > 60_000.0 || seconds > 1e11 {
            return Err(" (use whole seconds or whole months, less than a thousand years)".into());
        }
        if months + weeks + seconds == 0.0 {
            return Err(" (it is empty)".into());
        }
        Ok(Span {
            months: months as u32,
            weeks: weeks as u32,
            seconds: seconds as i64,
        })
    }
}

/// The units of systemd.time(7) whose length is fixed.
fn microseconds(unit: &str) -> Option<i64> {
    const SECOND: i64 = 1_000_000;
    Some(match unit {
        "weeks" | "week" | "w" => WEEK * SECOND,
        "days" | "day" | "d" => DAY * SECOND,
        "hours" | "hour" | "hr" | "h" => HOUR * SECOND,
        "minutes" | "minute" | "min" | "m" => MINUTE * SECOND,
        "seconds" | "second" | "sec" | "s" => SECOND,
        "msec" | "ms" => 1_000,
        "usec" | "us" | "µs" | "μs" => 1,
        _ => return None,
    })
}

fn split(text: &str, inside: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !inside(c)).unwrap_or(text.len()))
}

impl Span {
    pub const fn of_seconds(seconds: i64) -> Self {
        Span {
            months: 0,
            weeks: 0,
            seconds,
        }
    }

    /// The moment this long before `time`; the day of the month is clamped (31 March − 1mo = 28 February).
    pub fn before(self, time: Epoch) -> Epoch {
        let months = Months::new(self.months);
        let earlier = DateTime::from_timestamp(time, 0).and_then(|t| t.checked_sub_months(months));
        earlier.map_or(Epoch::MIN / 2, |t| t.timestamp()) - self.without_months()
    }

    /// The moment this long after `time`, with the day clamped likewise.
    pub fn after(self, time: Epoch) -> Epoch {
        let months = Months::new(self.months);
        let later = DateTime::from_timestamp(time, 0).and_then(|t| t.checked_add_months(months));
        later.map_or(Epoch::MAX / 2, |t| t.timestamp()) + self.without_months()
    }

    fn without_months(self) -> i64 {
        i64::from(self.weeks) * WEEK + self.seconds
    }

    /// In seconds, with mean months: for comparing and for waiting, never for retention.
    pub fn seconds(self) -> i64 {
        i64::from(self.months) * MONTH + self.without_months()
    }

    pub fn duration(self) -> Duration {
        Duration::from_secs(self.seconds().unsigned_abs())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let parts = [
            (i64::from(self.months / 12), "y"),
            (i64::from(self.months % 12), "mo"),
            (i64::from(self.weeks), "w"),
            (self.seconds / DAY, "d"),
            (self.seconds % DAY / HOUR, "h"),
            (self.seconds % HOUR / MINUTE, "min"),
            (self.seconds % MINUTE, "s"),
        ];
        let mut space = "";
        for (number, unit) in parts.into_iter().filter(|(number, _)| *number > 0) {
            write!(f, "{space}{number}{unit}")?;
            space = " ";
        }
        Ok(())
    }
}

/// About so many seconds, at a glance: `45s`, `90min`, `2d`. One unit, rounded: the greatest of which there are two or
/// more, or just one. Nothing for a negative number.
pub struct Rough(pub i64);

impl fmt::Display for Rough {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        const UNITS: [(i64, &str); 6] = [
            (YEAR, "y"),
            (MONTH, "mo"),
            (WEEK, "w"),
            (DAY, "d"),
            (HOUR, "h"),
            (MINUTE, "min"),
        ];
        let seconds = self.0.max(0);
        let is_two = |size: i64| seconds * 100 >= size * 195;
        let is_one = |size: i64| (size * 97..=size * 103).contains(&(seconds * 100));
        let (size, unit) = UNITS
            .into_iter()
            .find(|(size, _)| is_two(*size) || is_one(*size))
            .unwrap_or((1, "s"));
        write!(f, "{}{unit}", (seconds as f64 / size as f64).round())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).expect(text).timestamp()
    }

    #[test]
    fn spans_are_systemds() {
        let seconds = |text: &str| text.parse::<Span>().map(Span::seconds);
        for (text, expected) in [
            ("10min", 600),
            ("1h 30min", 5400),
            ("1h30min", 5400),
            ("2d", 172_800),
            ("1.5h", 5400),
            ("1 week", 604_800),
            ("5 hr", 18_000),
            ("1000ms", 1),
            ("0.5w", 302_400),
            ("1 day 1second", 86_401),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for (text, months) in [
            ("6month", 6),
            ("6mo", 6),
            ("6M", 6),
            ("6y", 72),
            ("1y 1mo", 13),
        ] {
            assert_eq!(text.parse::<Span>().map(|s| s.months), Ok(months), "{text}");
        }
        for text in [
            "",
            "30",
            "1h 30",
            "2 fortnights",
            "-1h",
            "0h",
            "0.1s",
            "1.5mo",
            "h",
            "1e9y",
            "1..5h",
            "infinity",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_reads_back_as_it_prints() {
        for text in ["10min", "1h 30min", "2d", "1w", "6mo", "1y 6mo", "2w 1d"] {
            assert_eq!(text.parse::<Span>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn months_are_taken_off_in_the_calendar() {
        let span: Span = "1mo".parse().expect("a span");
        assert_eq!(
            span.before(at("2026-03-31T10:00:00Z")),
            at("2026-02-28T10:00:00Z")
        );
        assert_eq!(
            span.before(at("2024-03-31T10:00:00Z")),
            at("2024-02-29T10:00:00Z")
        );
        assert_eq!(
            span.after(at("2026-01-31T10:00:00Z")),
            at("2026-02-28T10:00:00Z")
        );
    }

    #[test]
    fn a_rough_span_has_one_unit() {
        for (seconds, text) in [
            (-1, "0s"),
            (45, "45s"),
            (10 * MINUTE, "10min"),
            (HOUR, "1h"),
            (90 * MINUTE, "90min"),
            (47 * HOUR, "2d"),
            (2 * DAY, "2d"),
            (WEEK, "1w"),
            (13 * DAY, "13d"),
            (42 * DAY, "6w"),
            (183 * DAY, "6mo"),
            (366 * DAY, "1y"),
            (2200 * DAY, "6y"),
        ] {
            assert_eq!(Rough(seconds).to_string(), text);
        }
    }
}
