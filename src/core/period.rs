//! The fixed buckets into which retention cuts time, as UTC and its calendar have them.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};

use crate::core::span::{DAY, Epoch, Span, WEEK, utc};

/// 1970-01-05 was a Monday.
const FIRST_MONDAY: i64 = 4;

/// A span by which time can be cut: part of a day, or whole days, weeks or months.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    Seconds(i64),
    Days(i64),
    Weeks(u32),
    Months(u32),
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span: Span = text.parse()?;
        let seconds = span.seconds();
        match (span.months, span.weeks, span.seconds) {
            (months, 0, 0) => Ok(Period::Months(months)),
            (0, weeks, 0) => Ok(Period::Weeks(weeks)),
            (0, ..) if seconds < DAY => Ok(Period::Seconds(seconds)),
            (0, ..) if seconds % DAY == 0 => Ok(Period::Days(seconds / DAY)),
            _ => Err(format!(
                "`{text}` is not a period: it must be less than a day, or whole days, whole weeks, or whole months and years"
            )),
        }
    }
}

impl Period {
    /// The number of the bucket in which `time` lies.
    pub fn bucket(self, time: Epoch) -> i64 {
        let days = time.div_euclid(DAY);
        match self {
            Period::Seconds(n) => time.div_euclid(n),
            Period::Days(n) => days.div_euclid(n),
            Period::Weeks(n) => (days - FIRST_MONDAY).div_euclid(7 * i64::from(n)),
            Period::Months(n) => month(time).div_euclid(i64::from(n)),
        }
    }

    /// The bucket's first moment; its end is the next one's start.
    pub fn start(self, bucket: i64) -> Epoch {
        match self {
            Period::Seconds(n) => bucket * n,
            Period::Days(n) => bucket * n * DAY,
            Period::Weeks(n) => bucket * i64::from(n) * WEEK + FIRST_MONDAY * DAY,
            Period::Months(n) => first_of(bucket * i64::from(n)),
        }
    }

    pub fn span(self) -> Span {
        let none = Span::of_seconds(0);
        match self {
            Period::Seconds(n) => Span::of_seconds(n),
            Period::Days(n) => Span::of_seconds(n * DAY),
            Period::Weeks(weeks) => Span { weeks, ..none },
            Period::Months(months) => Span { months, ..none },
        }
    }

    /// In seconds, as [`Span::seconds`].
    pub fn seconds(self) -> i64 {
        self.span().seconds()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.span().fmt(f)
    }
}

/// The months since 1970-01.
fn month(time: Epoch) -> i64 {
    let date = utc(time);
    i64::from(date.year() - 1970) * 12 + i64::from(date.month0())
}

/// The first moment of a month, counted from 1970-01.
fn first_of(month: i64) -> Epoch {
    let year = 1970 + month.div_euclid(12);
    let month = month.rem_euclid(12) + 1;
    let first = NaiveDate::from_ymd_opt(year as i32, month as u32, 1);
    first.map_or(Epoch::MAX, |day| {
        day.and_time(Default::default()).and_utc().timestamp()
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).expect(text).timestamp()
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
}
