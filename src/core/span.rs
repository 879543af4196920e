//! Spans of time as systemd.time(7) writes them, and the fixed buckets that retention cuts time into.
//! Everything is UTC; months and years are the calendar's. Knows nothing of windows, snapshots or clocks.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Months, NaiveDate};

pub const DAY: u64 = 86_400;
/// 1970-01-05 was a Monday.
const FIRST_MONDAY: i64 = 4;

/// A length of time. The units that mean different buckets (days, weeks, months) stay apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub months: u32,
    pub weeks: u32,
    pub seconds: u64,
}

/// The units of systemd.time(7), in microseconds; `mo` is ours.
const UNITS: [(&str, &[&str], u64); 7] = [
    ("us", &["usec", "us", "µs", "μs"], 1),
    ("ms", &["msec", "ms"], 1_000),
    ("s", &["seconds", "second", "sec", "s"], 1_000_000),
    ("min", &["minutes", "minute", "min", "m"], 60_000_000),
    ("h", &["hours", "hour", "hr", "h"], 3_600_000_000),
    ("d", &["days", "day", "d"], DAY * 1_000_000),
    ("w", &["weeks", "week", "w"], 7 * DAY * 1_000_000),
];

impl FromStr for Span {
    type Err = String;

    /// `1h 30min`, `2d`, `1.5h`, `6mo`. At least one number with its unit, whole seconds in all.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: String| {
            format!("`{text}` is not a span of time{why}; write one like 15min, 4h, 2d, 1w or 6mo")
        };
        let (mut months, mut weeks, mut micros) = (0f64, 0f64, 0f64);
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(wrong(String::new()));
        }
        while !rest.is_empty() {
            let (number, tail) = split(rest, |c| c.is_ascii_digit() || c == '.');
            let (unit, tail) = split(tail.trim_start(), char::is_alphabetic);
            let number: f64 = number.parse().map_err(|_| wrong(String::new()))?;
            match unit {
                "" => return Err(wrong(format!(" (`{number}` has no unit)"))),
                "months" | "month" | "mo" | "M" => months += number,
                "years" | "year" | "y" => months += 12.0 * number,
                _ => match UNITS.iter().find(|(_, names, _)| names.contains(&unit)) {
                    Some(("w", ..)) if number.fract() == 0.0 => weeks += number,
                    Some((.., size)) => micros += number * *size as f64,
                    None => return Err(wrong(format!(" (`{unit}` is no unit)"))),
                },
            }
            rest = tail.trim_start();
        }
        let (seconds, limit) = (micros / 1e6, 1e11);
        if [months, weeks, seconds]
            .iter()
            .any(|n| n.fract() != 0.0 || *n > limit)
            || months > 12_000.0
            || weeks > 60_000.0
        {
            return Err(wrong(
                " (only whole seconds and months are, below a thousand years)".into(),
            ));
        }
        if months + weeks + seconds == 0.0 {
            return Err(wrong(" (it is empty)".into()));
        }
        Ok(Span {
            months: months as u32,
            weeks: weeks as u32,
            seconds: seconds as u64,
        })
    }
}

fn split(text: &str, inside: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !inside(c)).unwrap_or(text.len()))
}

impl Span {
    /// Epoch seconds of the moment this long before `time`; a month's day is clamped (31 March − 1mo = 28 February).
    pub fn before(self, time: i64) -> i64 {
        let back = |t: DateTime<chrono::Utc>| t.checked_sub_months(Months::new(self.months));
        let time = DateTime::from_timestamp(time, 0)
            .and_then(back)
            .map_or(i64::MIN / 2, |t| t.timestamp());
        time - (u64::from(self.weeks) * 7 * DAY + self.seconds) as i64
    }

    /// Epoch seconds of the moment this long after `time`, with the day clamped likewise.
    pub fn after(self, time: i64) -> i64 {
        let on = |t: DateTime<chrono::Utc>| t.checked_add_months(Months::new(self.months));
        let time = DateTime::from_timestamp(time, 0)
            .and_then(on)
            .map_or(i64::MAX / 2, |t| t.timestamp());
        time + (u64::from(self.weeks) * 7 * DAY + self.seconds) as i64
    }

    /// In seconds, a month being 30.4375 days: for comparing and for waiting, never for retention.
    pub fn seconds(self) -> u64 {
        u64::from(self.months) * 2_629_800 + u64::from(self.weeks) * 7 * DAY + self.seconds
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut parts = Vec::new();
        let mut part = |n: u64, unit: &str| {
            if n > 0 {
                parts.push(format!("{n}{unit}"));
            }
        };
        part(u64::from(self.months / 12), "y");
        part(u64::from(self.months % 12), "mo");
        part(u64::from(self.weeks), "w");
        part(self.seconds / DAY, "d");
        part(self.seconds % DAY / 3600, "h");
        part(self.seconds % 3600 / 60, "min");
        part(self.seconds % 60, "s");
        f.write_str(&parts.join(" "))
    }
}

/// A span that time can be cut by: part of a day, or whole days, weeks or months.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    Seconds(u64),
    Days(u64),
    Weeks(u32),
    Months(u32),
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse()? {
            Span {
                months,
                weeks: 0,
                seconds: 0,
            } => Ok(Period::Months(months)),
            Span {
                months: 0,
                weeks,
                seconds: 0,
            } => Ok(Period::Weeks(weeks)),
            span @ Span { months: 0, .. } => match span.seconds() {
                seconds if seconds < DAY => Ok(Period::Seconds(seconds)),
                seconds if seconds % DAY == 0 => Ok(Period::Days(seconds / DAY)),
                _ => Err(Self::wrong(text)),
            },
            _ => Err(Self::wrong(text)),
        }
    }
}

impl Period {
    fn wrong(text: &str) -> String {
        format!(
            "`{text}` is no period: it must be less than a day, or whole days, whole weeks, or whole months and years"
        )
    }

    /// The number of the bucket that `time` (epoch seconds) lies in.
    pub fn bucket(self, time: i64) -> i64 {
        let days = time.div_euclid(DAY as i64);
        match self {
            Period::Seconds(n) => time.div_euclid(n as i64),
            Period::Days(n) => days.div_euclid(n as i64),
            Period::Weeks(n) => (days - FIRST_MONDAY).div_euclid(7 * i64::from(n)),
            Period::Months(n) => month(time).div_euclid(i64::from(n)),
        }
    }

    /// Epoch seconds of the bucket's first moment; its end is the next one's start.
    pub fn start(self, bucket: i64) -> i64 {
        let day = DAY as i64;
        match self {
            Period::Seconds(n) => bucket * n as i64,
            Period::Days(n) => bucket * n as i64 * day,
            Period::Weeks(n) => (bucket * 7 * i64::from(n) + FIRST_MONDAY) * day,
            Period::Months(n) => {
                let months = bucket * i64::from(n);
                let first = NaiveDate::from_ymd_opt(
                    1970 + months.div_euclid(12) as i32,
                    months.rem_euclid(12) as u32 + 1,
                    1,
                );
                first.map_or(i64::MAX, |d| {
                    d.and_time(Default::default()).and_utc().timestamp()
                })
            }
        }
    }

    pub fn span(self) -> Span {
        let none = Span {
            months: 0,
            weeks: 0,
            seconds: 0,
        };
        match self {
            Period::Seconds(seconds) => Span { seconds, ..none },
            Period::Days(n) => Span {
                seconds: n * DAY,
                ..none
            },
            Period::Weeks(weeks) => Span { weeks, ..none },
            Period::Months(months) => Span { months, ..none },
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.span().fmt(f)
    }
}

/// Months since 1970-01.
fn month(time: i64) -> i64 {
    let date = DateTime::from_timestamp(time, 0).unwrap_or_default();
    i64::from(date.year() - 1970) * 12 + i64::from(date.month0())
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
    fn periods_are_parts_of_a_day_or_whole_days_weeks_months() {
        assert_eq!("24h".parse(), Ok(Period::Days(1)));
        assert_eq!("7d".parse(), Ok(Period::Days(7)));
        assert_eq!("1w 1d".parse(), Ok(Period::Days(8)));
        assert_eq!("1w".parse(), Ok(Period::Weeks(1)));
        assert_eq!("1y".parse(), Ok(Period::Months(12)));
        for text in ["36h", "1mo 1d", "1w 1h"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn buckets_start_where_the_calendar_says() {
        let start = |period: &str, time: &str| {
            let period: Period = period.parse().expect(period);
            period.start(period.bucket(at(time)))
        };
        assert_eq!(
            start("1w", "2026-11-22T12:00:00Z"),
            at("2026-11-16T00:00:00Z")
        ); // a Sunday: its Monday
        assert_eq!(
            start("1mo", "2026-02-28T23:59:59Z"),
            at("2026-02-01T00:00:00Z")
        );
        assert_eq!(
            start("3mo", "2026-12-31T00:00:00Z"),
            at("2026-10-01T00:00:00Z")
        );
        assert_eq!(
            start("1y", "2024-02-29T00:00:00Z"),
            at("2024-01-01T00:00:00Z")
        );
        assert_eq!(
            start("1d", "1969-12-31T23:00:00Z"),
            at("1969-12-31T00:00:00Z")
        );
        assert_eq!(start("7h", "1970-01-01T08:00:00Z"), 7 * 3600);
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
}
