//! When a job's timer fires: from its period and its idle windows to systemd's OnCalendar= expressions, and whether a
//! moment lies in a window. The week alone is known here, as minutes from Monday 00:00: no clock, no zone, no date, no
//! process (invariant 8). Every time that an expression names lies in a window, and no slot is left out; so times are
//! enumerated, because systemd's `/` starts again each hour.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use chrono::Weekday;

use crate::core::span::{DAY, Period};

const DAY_MINUTES: u32 = 24 * 60;
const WEEK_MINUTES: u32 = 7 * DAY_MINUTES;
const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A time of the week, local, in which a job may run: `22:00-06:00`, `Sat,Sun`, `Mon-Fri 20:00-24:00`. Over midnight it
/// carries its weekday with it: `Fri 22:00-06:00` ends on Saturday.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    days: BTreeSet<u32>, // 0 is Monday
    minutes: Range<u32>, // of its day, the end at most a day after the start
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why| {
            format!(
                "`{text}` is no window ({why}); write one like 22:00-06:00, Sat,Sun or Fri 22:00-06:00"
            )
        };
        let hours = text
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(text.len());
        let (days, hours) = (text[..hours].trim(), text[hours..].trim());
        let minutes = if hours.is_empty() {
            Ok(0..DAY_MINUTES)
        } else {
            minutes(hours)
        };
        let days = if days.is_empty() && !hours.is_empty() {
            Ok((0..7).collect())
        } else {
            weekdays(days)
        };
        Ok(Window {
            days: days.map_err(wrong)?,
            minutes: minutes.map_err(wrong)?,
        })
    }
}

/// `Sat,Sun`, `Mon-Fri`, `Fri..Mon`.
fn weekdays(text: &str) -> Result<BTreeSet<u32>, String> {
    let mut days = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part
            .split_once("..")
            .or_else(|| part.split_once('-'))
            .unwrap_or((part, part));
        let (first, last) = (weekday(first)?, weekday(last)?);
        days.extend((0..=(7 + last - first) % 7).map(|n| (first + n) % 7));
    }
    Ok(days)
}

fn weekday(text: &str) -> Result<u32, String> {
    let day = text
        .trim()
        .parse::<Weekday>()
        .map_err(|_| format!("`{}` is no weekday", text.trim()))?;
    Ok(day.num_days_from_monday())
}

/// `22:00-06:00`: an end before the start is the next day's.
fn minutes(text: &str) -> Result<Range<u32>, String> {
    let (start, end) = text
        .split_once('-')
        .ok_or_else(|| format!("`{text}` has no end"))?;
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

fn minute(text: &str) -> Result<u32, String> {
    let number = |digits: &str| {
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse::<u32>().ok())
            .flatten()
    };
    let time = text
        .trim()
        .split_once(':')
        .filter(|(_, minute)| minute.len() == 2);
    let time = time.and_then(|(hour, minute)| number(hour).zip(number(minute)));
    match time {
        Some((hour, minute)) if (hour < 24 && minute < 60) || (hour, minute) == (24, 0) => {
            Ok(hour * 60 + minute)
        }
        _ => Err(format!(
            "`{}` is no time of day between 00:00 and 24:00",
            text.trim()
        )),
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
        let hours = format!(
            "{:02}:{:02}-{:02}:{:02}",
            start / 60,
            start % 60,
            end / 60,
            end % 60
        );
        let days = day_list(&Vec::from_iter(self.days.iter().copied()), "-");
        match (self.days.len() == 7, self.minutes == (0..DAY_MINUTES)) {
            (true, _) => f.write_str(&hours),
            (false, true) => f.write_str(&days),
            (false, false) => write!(f, "{days} {hours}"),
        }
    }
}

/// The windows of a job as one: what overlaps or touches is merged, so that slots are counted from where a wait ends.
/// Without windows, or when they cover all of it, the week is always open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Week {
    /// Disjoint and sorted; the last may end in the next week. None: always open.
    runs: Vec<Range<u32>>,
}

impl Week {
    pub fn new(windows: &[Window]) -> Week {
        if windows.is_empty() {
            return Week { runs: Vec::new() };
        }
        let mut open = vec![false; (WEEK_MINUTES + DAY_MINUTES) as usize];
        for window in windows {
            for start in window
                .days
                .iter()
                .map(|day| day * DAY_MINUTES + window.minutes.start)
            {
                open[start as usize..][..window.minutes.len()].fill(true);
            }
        }
        // what reaches into the next Monday is this Monday's
        let (week, over) = open.split_at_mut(WEEK_MINUTES as usize);
        over.iter()
            .zip(week)
            .for_each(|(over, monday)| *monday |= over);
        let open = |minute: &u32| open[(minute % WEEK_MINUTES) as usize];
        let length = |start: u32| (start..start + WEEK_MINUTES).take_while(open).count() as u32;
        let starts = (0..WEEK_MINUTES).filter(|m| open(m) && !open(&(m + WEEK_MINUTES - 1)));
        Week {
            runs: starts.map(|start| start..start + length(start)).collect(),
        }
    }

    pub fn contains(&self, weekday: Weekday, minute: u32) -> bool {
        self.runs.is_empty() || self.ends_after(weekday, minute).is_some()
    }

    /// The minutes left, by the clock on the wall, from this minute of the day; none outside, and none when always open.
    pub fn ends_after(&self, weekday: Weekday, minute: u32) -> Option<u32> {
        let now = weekday.num_days_from_monday() * DAY_MINUTES + minute;
        let left = |run: &Range<u32>| {
            [now, now + WEEK_MINUTES]
                .iter()
                .find(|m| run.contains(m))
                .map(|m| run.end - m)
        };
        self.runs.iter().find_map(left)
    }

    /// The minutes since the window opened, by the clock on the wall; 0 outside, and when always open.
    pub fn open_for(&self, weekday: Weekday, minute: u32) -> u32 {
        let now = weekday.num_days_from_monday() * DAY_MINUTES + minute;
        let open = |run: &Range<u32>| {
            [now, now + WEEK_MINUTES]
                .iter()
                .find(|m| run.contains(m))
                .map(|m| m - run.start)
        };
        self.runs.iter().find_map(open).unwrap_or(0)
    }

    /// The most minutes that anybody waits for a window, by the clock on the wall; 0 when always open.
    pub fn longest_wait(&self) -> u32 {
        let next = self
            .runs
            .iter()
            .skip(1)
            .map(|run| run.start)
            .chain(self.runs.first().map(|run| run.start + WEEK_MINUTES));
        self.runs
            .iter()
            .zip(next)
            .map(|(run, next)| next - run.end)
            .max()
            .unwrap_or(0)
    }

    /// Whether a polled job that starts now, delayed as its `Schedule` allows, has no other slot in this window.
    pub fn last_slot(&self, weekday: Weekday, minute: u32, period: Period) -> bool {
        self.ends_after(weekday, minute)
            .is_some_and(|left| u64::from(left) * 60 <= step(period, true).max(60))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub on_calendar: Vec<String>,
    /// Seconds; 0 is none.
    pub random_delay: u64,
}

/// Whether a timer can keep this period: evenly spaced, on whole minutes or whole seconds of each minute.
pub fn check(period: Period) -> Result<(), String> {
    match period {
        Period::Seconds(n) if n == 0 || (n % 60 != 0 && 60 % n != 0) => Err(format!(
            "a job cannot run every {period}: write whole minutes (1min, 2min), or a part of one (30s, 20s, 15s, 10s)"
        )),
        _ => Ok(()),
    }
}

/// The seconds between slots. `polled`: something besides the clock decides, so it is asked more often than once a period.
fn step(period: Period, polled: bool) -> u64 {
    let most = if polled { 15 * 60 } else { DAY };
    period.span().seconds().clamp(1, most)
}

/// The moments at which a timer fires. Always open: from midnight UTC, where no hour is lost or doubled. With windows: from
/// each one's start, local time.
#[derive(Clone, Debug)]
pub struct Slots {
    pub week: Week,
    /// Of each day, UTC, where always open; otherwise of the week, local.
    minutes: BTreeSet<u32>,
    /// Of each of those minutes.
    pub seconds: Vec<u32>,
}

impl Slots {
    /// A period that `check` refuses comes more often than asked.
    pub fn new(period: Period, windows: &[Window], polled: bool) -> Slots {
        let (week, step) = (Week::new(windows), step(period, polled));
        let a_day = 0..DAY_MINUTES; // where always open they are alike
        let runs = if week.runs.is_empty() {
            std::slice::from_ref(&a_day)
        } else {
            &week.runs
        };
        let minutes = runs
            .iter()
            .flat_map(|run| run.clone().step_by((step / 60).max(1) as usize))
            .map(|m| m % WEEK_MINUTES);
        Slots {
            minutes: minutes.collect(),
            week,
            seconds: Vec::from_iter((0..60).step_by(step.min(60) as usize)),
        }
    }

    /// Whether the timer goes by the clock on the wall.
    pub fn is_local(&self) -> bool {
        !self.week.runs.is_empty()
    }

    /// Whether it fires in this minute of the day (local, or UTC).
    pub fn contains(&self, weekday: Weekday, minute: u32) -> bool {
        let day = if self.is_local() {
            weekday.num_days_from_monday()
        } else {
            0
        };
        self.minutes.contains(&(day * DAY_MINUTES + minute))
    }

    /// The seconds from a window's last slot to its end, which is outside.
    fn spare(&self, run: &Range<u32>) -> u64 {
        let fires = |m: &u32| self.minutes.contains(&(m % WEEK_MINUTES));
        let last = run.clone().rev().find(fires).unwrap_or(run.start) * 60
            + self.seconds.last().unwrap_or(&0);
        // systemd may start a job a second late (AccuracySec=1s)
        u64::from((run.end * 60 - last).saturating_sub(2))
    }
}

/// The timer of a job. `network`: spread the jobs of many machines.
pub fn slots(period: Period, windows: &[Window], polled: bool, network: bool) -> Schedule {
    let slots = Slots::new(period, windows, polled);
    let delay = (period.span().seconds() / 4).min(5 * 60);
    let random_delay = if network {
        slots
            .week
            .runs
            .iter()
            .map(|run| slots.spare(run))
            .fold(delay, u64::min)
    } else {
        0
    };
    let zone = if slots.is_local() { "" } else { " UTC" };
    Schedule {
        on_calendar: expressions(slots.minutes, &slots.seconds, zone),
        random_delay,
    }
}

/// One expression for the days that share the hours that share a list of minutes.
fn expressions(slots: BTreeSet<u32>, seconds: &[u32], zone: &str) -> Vec<String> {
    let minutes = group(slots.into_iter().map(|slot| (slot / 60, slot % 60)));
    let hours = group(
        minutes
            .into_iter()
            .map(|(hour, minutes)| ((minutes, hour / 24), hour % 24)),
    );
    let days = group(
        hours
            .into_iter()
            .map(|((minutes, day), hours)| ((hours, minutes), day)),
    );
    let line = |((hours, minutes), days): (&(Vec<u32>, Vec<u32>), &Vec<u32>)| {
        let days = if days.len() == 7 || !zone.is_empty() {
            String::new()
        } else {
            day_list(days, "..") + " "
        };
        format!(
            "{days}*-*-* {}:{}:{}{zone}",
            list(hours, 24),
            list(minutes, 60),
            list(seconds, 60)
        )
    };
    days.iter().map(line).collect()
}

fn group<K: Ord, V>(pairs: impl Iterator<Item = (K, V)>) -> BTreeMap<K, Vec<V>> {
    let mut groups: BTreeMap<K, Vec<V>> = BTreeMap::new();
    for (key, value) in pairs {
        groups.entry(key).or_default().push(value);
    }
    groups
}

fn list(numbers: &[u32], all: usize) -> String {
    let numbers: Vec<String> = numbers.iter().map(|n| format!("{n:02}")).collect();
    if numbers.len() == all {
        "*".into()
    } else {
        numbers.join(",")
    }
}

/// `Mon..Wed,Sat,Sun`.
fn day_list(days: &[u32], dash: &str) -> String {
    let name = |day: &u32| NAMES[*day as usize];
    let part = |run: &[u32]| match run {
        [first, _, .., last] => format!("{}{dash}{}", name(first), name(last)),
        _ => Vec::from_iter(run.iter().map(name)).join(","),
    };
    Vec::from_iter(days.chunk_by(|a, b| a + 1 == *b).map(part)).join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(texts: &[&str]) -> Vec<Window> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    fn at(period: &str, texts: &[&str], polled: bool, network: bool) -> Schedule {
        slots(
            period.parse().expect(period),
            &windows(texts),
            polled,
            network,
        )
    }

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
            ("25:00-26:00", "`25:00` is no time of day"),
            ("22:60-23:00", "`22:60` is no time of day"),
            ("22-06", "`22` is no time of day"),
            ("22:00-+6:00", "`+6:00` is no time of day"),
            ("22:00-06:00 Fri", "`06:00 Fri` is no time of day"),
            ("Fri 22:00", "`22:00` has no end"),
            ("22:00-22:00", "for whole days write the days alone"),
            ("24:00-06:00", "as a start it is 00:00"),
            ("Funday", "`Funday` is no weekday"),
            ("Sat,", "`` is no weekday"),
            ("Mon-", "`` is no weekday"),
            ("", "`` is no weekday"),
        ] {
            let error = text.parse::<Window>().expect_err(text);
            assert!(
                error.contains(why) && error.contains("write one like"),
                "{error}"
            );
        }
    }

    #[test]
    fn expressions_are_short() {
        let cases: [(&str, &[&str], &[&str]); 12] = [
            ("6h", &[], &["*-*-* 00,06,12,18:00:00 UTC"]),
            ("15min", &[], &["*-*-* *:00,15,30,45:00 UTC"]),
            ("30s", &[], &["*-*-* *:*:00,30 UTC"]),
            ("1mo", &[], &["*-*-* 00:00:00 UTC"]),
            (
                "6h",
                &["Mon-Fri", "Sat,Sun"],
                &["*-*-* 00,06,12,18:00:00 UTC"],
            ),
            ("1h", &["22:00-03:00"], &["*-*-* 00,01,02,22,23:00:00"]),
            (
                "30s",
                &["Sun 23:59-00:01"],
                &["Mon *-*-* 00:00:00,30", "Sun *-*-* 23:59:00,30"],
            ),
            ("1d", &["Fri 22:00-06:00"], &["Fri *-*-* 22:00:00"]),
            ("1w", &["22:00-02:00", "Sat,Sun"], &["*-*-* 22:00:00"]),
            (
                "3h",
                &["Fri 22:00-06:00"],
                &["Sat *-*-* 01,04:00:00", "Fri *-*-* 22:00:00"],
            ),
            (
                "45min",
                &["22:15-00:00"],
                &["*-*-* 22:15:00", "*-*-* 23:00,45:00"],
            ),
            (
                "1h",
                &["20:00-21:00", "Sat,Sun"],
                &["Sat,Sun *-*-* *:00:00", "Mon..Fri *-*-* 20:00:00"],
            ),
        ];
        for (period, windows, expected) in cases {
            assert_eq!(
                at(period, windows, false, false).on_calendar,
                expected,
                "{period} {windows:?}"
            );
        }
        assert_eq!(
            at("1d", &[], true, false).on_calendar,
            ["*-*-* *:00,15,30,45:00 UTC"]
        );
        assert_eq!(
            at("10min", &["01:00-02:00"], true, false).on_calendar,
            ["*-*-* 01:00,10,20,30,40,50:00"]
        );
    }

    #[test]
    fn a_delay_stays_in_the_window() {
        let delay = |period, windows: &[&str]| at(period, windows, false, true).random_delay;
        assert_eq!(
            [delay("1h", &[]), delay("10min", &[]), delay("1s", &[])],
            [300, 150, 0]
        );
        assert_eq!(
            [
                delay("1h", &["22:00-23:00"]),
                delay("1h", &["22:00-23:01"]),
                delay("4s", &["22:00-23:00"])
            ],
            [300, 58, 1]
        );
        assert_eq!(at("1h", &[], false, false).random_delay, 0);
    }

    #[test]
    fn a_moment_is_in_a_window_or_not() {
        let week = Week::new(&windows(&["22:00-02:00", "Sat,Sun"]));
        let left = |day, hour: u32| week.ends_after(day, hour * 60).map(|minutes| minutes / 60);
        assert_eq!(
            [
                left(Weekday::Mon, 1),
                left(Weekday::Mon, 2),
                left(Weekday::Mon, 22)
            ],
            [Some(1), None, Some(4)]
        );
        assert_eq!(
            [left(Weekday::Fri, 22), left(Weekday::Sun, 0)],
            [Some(52), Some(26)]
        );
        let evening = Week::new(&windows(&["22:00-23:00"]));
        let last = |minute: u32| evening.last_slot(Weekday::Mon, 22 * 60 + minute, Period::Days(1));
        assert_eq!([30, 44, 45, 59].map(last), [false, false, true, true]);
        let always = Week::new(&windows(&["12:00-06:00", "05:00-12:00"]));
        assert_eq!(always, Week::new(&[]));
        assert_eq!(
            (
                always.contains(Weekday::Mon, 0),
                always.ends_after(Weekday::Mon, 0)
            ),
            (true, None)
        );
    }

    #[test]
    fn a_timer_keeps_whole_minutes_and_parts_of_one() {
        let fits = |text: &str| check(text.parse().expect(text)).is_ok();
        assert!(
            ["1s", "12s", "30s", "1min", "7min", "25min", "1d", "1mo"]
                .iter()
                .all(|text| fits(text))
        );
        assert!(!["7s", "45s", "90s", "61s"].iter().any(|text| fits(text)));
    }
}
