//! A window of the week as the configuration writes it: `22:00-06:00`, `Sat,Sun`, `Mon-Fri 20:00-24:00`. The week alone is
//! known here: no zone and no date.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use chrono::Weekday;

pub(super) const DAY_MINUTES: u32 = 24 * 60;
const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A time of the week, local, in which a job may run. A window over midnight carries its weekday with it: `Fri
/// 22:00-06:00` ends on Saturday.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// 0 is Monday.
    pub(super) days: BTreeSet<u32>,
    /// Minutes of its day; the end is at most a day after the start.
    pub(super) minutes: Range<u32>,
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).map_err(|why| {
            format!(
                "`{text}` is not a valid window ({why}); write one like 22:00-06:00, Sat,Sun or Fri 22:00-06:00"
            )
        })
    }
}

fn read(text: &str) -> Result<Window, String> {
    let is_digit = |c: char| c.is_ascii_digit();
    let (days, hours) = text.split_at(text.find(is_digit).unwrap_or(text.len()));
    let days = days.trim();
    let hours = hours.trim();
    let every_day = days.is_empty() && !hours.is_empty();
    Ok(Window {
        days: if every_day {
            (0..7).collect()
        } else {
            weekdays(days)?
        },
        minutes: if hours.is_empty() {
            0..DAY_MINUTES
        } else {
            minutes(hours)?
        },
    })
}

/// `Sat,Sun`, `Mon-Fri`, `Fri..Mon`.
fn weekdays(text: &str) -> Result<BTreeSet<u32>, String> {
    let mut days = BTreeSet::new();
    for part in text.replace("..", "-").split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first = weekday(first)?;
        let last = weekday(last)?;
        days.extend((0..=(7 + last - first) % 7).map(|n| (first + n) % 7));
    }
    Ok(days)
}

fn weekday(text: &str) -> Result<u32, String> {
    let text = text.trim();
    match text.parse::<Weekday>() {
        Ok(day) => Ok(day.num_days_from_monday()),
        Err(_) => Err(format!("`{text}` is not a weekday")),
    }
}

/// `22:00-06:00`: an end before the start is the next day's.
fn minutes(text: &str) -> Result<Range<u32>, String> {
    let Some((start, end)) = text.split_once('-') else {
        return Err(format!("`{text}` has no end"));
    };
    match (minute(start)?, minute(end)?) {
        (DAY_MINUTES, _) => Err("24:00 is an end only, as a start it is 00:00".into()),
        (start, end) if start < end => Ok(start..end),
        (start, end) if start > end => Ok(start..end + DAY_MINUTES),
        _ => Err(
            "it is empty: for whole days write the days alone, for any time no window at all"
                .into(),
        ),
    }
}

/// The minute of the day.
fn minute(text: &str) -> Result<u32, String> {
    let text = text.trim();
    time_of_day(text)
        .ok_or_else(|| format!("`{text}` is not a time of day between 00:00 and 24:00"))
}

fn time_of_day(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let has_two_digits = minute.len() == 2;
    let hour = digits(hour)?;
    let minute = digits(minute)?;
    let is_time = (hour < 24 && minute < 60) || (hour, minute) == (24, 0);
    (has_two_digits && is_time).then_some(hour * 60 + minute)
}

/// std's parser would also take a sign.
fn digits(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Range { start, end } = self.minutes;
        let end = if end > DAY_MINUTES {
            end - DAY_MINUTES
        } else {
            end
        };
        let hours = format!("{}-{}", clock(start), clock(end));
        let days: Vec<u32> = self.days.iter().copied().collect();
        match (days.len() == 7, self.minutes == (0..DAY_MINUTES)) {
            (true, _) => f.write_str(&hours),
            (false, true) => f.write_str(&day_list(&days, "-")),
            (false, false) => write!(f, "{} {hours}", day_list(&days, "-")),
        }
    }
}

fn clock(minute: u32) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// `Mon-Wed,Sat,Sun`, with the given dash. Three neighbours or more become a range.
pub(super) fn day_list(days: &[u32], dash: &str) -> String {
    let mut parts = Vec::new();
    for run in days.chunk_by(|a, b| a + 1 == *b) {
        match run {
            [first, _, .., last] => parts.push(format!("{}{dash}{}", name(*first), name(*last))),
            _ => parts.extend(run.iter().map(|day| name(*day).to_owned())),
        }
    }
    parts.join(",")
}

fn name(day: u32) -> &'static str {
    NAMES[day as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_reads_back_as_it_prints() {
        for (text, printed) in [
            ("22:00-06:00", "22:00-06:00"),
            (" sat, SUNDAY ", "Sat,Sun"),
            ("Fri 22:00 - 6:00", "Fri 22:00-06:00"),
            ("Mon..Fri 20:00-24:00", "Mon-Fri 20:00-24:00"),
            ("Fri-Mon 22:00-00:00", "Mon,Fri-Sun 22:00-24:00"),
            ("Sat,Sun 00:00-24:00", "Sat,Sun"),
            ("Mon-Sun", "00:00-24:00"),
        ] {
            let window: Window = text.parse().expect(text);
            assert_eq!(window.to_string(), printed);
            assert_eq!(printed.parse(), Ok(window));
        }
    }

    #[test]
    fn a_wrong_window_says_what_is_wrong() {
        for (text, why) in [
            ("25:00-26:00", "`25:00` is not a time of day"),
            ("22:60-23:00", "`22:60` is not a time of day"),
            ("22-06", "`22` is not a time of day"),
            ("22:00-+6:00", "`+6:00` is not a time of day"),
            ("22:00-06:00 Fri", "`06:00 Fri` is not a time of day"),
            ("Fri 22:00", "`22:00` has no end"),
            ("22:00-22:00", "for whole days write the days alone"),
            ("24:00-06:00", "as a start it is 00:00"),
            ("Funday", "`Funday` is not a weekday"),
            ("Sat,", "`` is not a weekday"),
            ("Mon-", "`` is not a weekday"),
            ("", "`` is not a weekday"),
        ] {
            let error = text.parse::<Window>().expect_err(text);
            assert!(
                error.contains(why) && error.contains("write one like"),
                "{error}"
            );
        }
    }
}
