//! When a job's timer fires: from its period and its idle windows to systemd's OnCalendar= expressions. Every time that an
//! expression names lies in a window, and no slot is left out. The week alone is known here, as minutes from Monday 00:00:
//! no clock, no date, no process (invariant 8).

mod week;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use chrono::Weekday;

use crate::core::period::Period;
use crate::core::schedule::week::WEEK_MINUTES;
pub use crate::core::schedule::week::Week;
pub use crate::core::schedule::window::Window;
use crate::core::schedule::window::{DAY_MINUTES, day_list};
use crate::core::span::{DAY, HOUR, MINUTE};

/// Seconds between the questions of a job that waits for more than the clock.
const POLL: i64 = 15 * MINUTE;
/// Seconds between the tries of a rare job that may find its way barred.
const RETRY: i64 = 4 * HOUR;
/// The longest delay that spreads the jobs of many machines, in seconds.
const DELAY_MAX: i64 = 5 * MINUTE;

/// What decides when a job's timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing<'w> {
    pub period: Period,
    /// Empty: at any time.
    pub windows: &'w [Window],
    /// Something besides the clock decides, so the job is tried more often than once a period.
    pub is_polled: bool,
    /// Another job at the same replicas, or a machine that sleeps, may bar its way, and nobody is told of that: a rare job
    /// does not leave it at one try a day, since at that hour the way may be barred every day.
    pub is_tried_again: bool,
    /// The job talks to another machine, which many jobs of many machines may do: they are spread.
    pub is_remote: bool,
}

/// The timer of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub on_calendar: Vec<String>,
    /// Seconds; 0 is none.
    pub random_delay: i64,
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

impl Timing<'_> {
    /// The seconds between slots.
    fn step(&self) -> i64 {
        let period = self.period.seconds();
        let most = match period {
            _ if self.is_polled => POLL,
            DAY.. if self.is_tried_again => RETRY,
            _ => DAY,
        };
        period.clamp(1, most)
    }

    pub fn schedule(&self) -> Schedule {
        let slots = Slots::new(self);
        let mut random_delay = 0;
        if self.is_remote {
            random_delay = DELAY_MAX.min(self.period.seconds() / 4);
            for opening in &slots.week.openings {
                random_delay = random_delay.min(slots.spare(opening));
            }
        }
        Schedule {
            on_calendar: slots.expressions(),
            random_delay,
        }
    }

    /// Whether a polled job that starts in this minute of the day, delayed as its [`Schedule`] allows, has no other slot
    /// in this window.
    pub fn is_last_slot(&self, weekday: Weekday, minute: u32) -> bool {
        let left = Week::new(self.windows).ends_after(weekday, minute);
        left.is_some_and(|left| {
            i64::from(left) * MINUTE <= self.period.seconds().clamp(MINUTE, POLL)
        })
    }
}

/// The moments at which a timer fires. A job that is always open counts from midnight UTC, where no hour is lost or
/// doubled; one with windows counts from the start of each, in local time.
#[derive(Clone, Debug)]
pub struct Slots {
    pub week: Week,
    /// Of each day in UTC when always open; otherwise of the week in local time.
    minutes: BTreeSet<u32>,
    /// Of each of those minutes.
    pub seconds: Vec<u32>,
}

impl Slots {
    /// A period that [`check`] refuses comes more often than asked.
    pub fn new(timing: &Timing) -> Slots {
        let week = Week::new(timing.windows);
        let step = timing.step();
        let every_day = 0..DAY_MINUTES;
        let openings = if week.is_always_open() {
            std::slice::from_ref(&every_day)
        } else {
            &week.openings
        };
        let mut minutes = BTreeSet::new();
        for opening in openings {
            let starts = opening.clone().step_by((step / MINUTE).max(1) as usize);
            minutes.extend(starts.map(|minute| minute % WEEK_MINUTES));
        }
        Slots {
            minutes,
            week,
            seconds: (0..60).step_by(step.min(MINUTE) as usize).collect(),
        }
    }

    /// Whether the timer goes by the clock on the wall.
    pub fn is_local(&self) -> bool {
        !self.week.is_always_open()
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

    /// The seconds from a window's last slot to its end, which is outside; two are taken off, because systemd may start a
    /// job a second late (AccuracySec=1s).
    fn spare(&self, opening: &Range<u32>) -> i64 {
        let is_slot = |minute: &u32| self.minutes.contains(&(minute % WEEK_MINUTES));
        let last = opening.clone().rfind(is_slot).unwrap_or(opening.start);
        let last_second = self.seconds.last().copied().unwrap_or(0);
        let left = i64::from(opening.end - last) * MINUTE - i64::from(last_second);
        (left - 2).max(0)
    }

    /// As OnCalendar= expressions (systemd.time(7)), with every time enumerated, because systemd's `/` starts again each
    /// hour. Hours with the same minutes share an expression, and so do days with the same hours.
    fn expressions(&self) -> Vec<String> {
        let mut days_by_times: BTreeMap<Times, Vec<u32>> = BTreeMap::new();
        for day in 0..7 {
            for times in self.times(day) {
                days_by_times.entry(times).or_default().push(day);
            }
        }
        let mut expressions = Vec::new();
        for (times, days) in days_by_times {
            let hours = list(&times.hours, 24);
            let minutes = list(&times.minutes, 60);
            let time = format!("*-*-* {hours}:{minutes}:{}", list(&self.seconds, 60));
            expressions.push(match days.len() {
                _ if !self.is_local() => format!("{time} UTC"),
                7 => time,
                _ => format!("{} {time}", day_list(&days, "..")),
            });
        }
        expressions
    }

    /// The slots of a day of the week (0: Monday).
    fn times(&self, day: u32) -> Vec<Times> {
        let mut minutes_by_hour: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for minute in self
            .minutes
            .range(day * DAY_MINUTES..(day + 1) * DAY_MINUTES)
        {
            let minutes = minutes_by_hour.entry(minute / 60 % 24).or_default();
            minutes.push(minute % 60);
        }
        let mut hours_by_minutes: BTreeMap<Vec<u32>, Vec<u32>> = BTreeMap::new();
        for (hour, minutes) in minutes_by_hour {
            hours_by_minutes.entry(minutes).or_default().push(hour);
        }
        let times = hours_by_minutes.into_iter();
        times
            .map(|(minutes, hours)| Times { hours, minutes })
            .collect()
    }
}

/// These minutes of each of these hours.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Times {
    hours: Vec<u32>,
    minutes: Vec<u32>,
}

/// `00,15,30,45`, or `*` for all that there are.
fn list(numbers: &[u32], all: usize) -> String {
    if numbers.len() == all {
        return "*".into();
    }
    let numbers: Vec<String> = numbers.iter().map(|n| format!("{n:02}")).collect();
    numbers.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(texts: &[&str]) -> Vec<Window> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    fn at(period: &str, texts: &[&str], is_polled: bool, is_remote: bool) -> Schedule {
        let timing = Timing {
            period: period.parse().expect(period),
            windows: &windows(texts),
            is_polled,
            is_tried_again: false,
            is_remote,
        };
        timing.schedule()
    }

    #[test]
    fn a_rare_job_whose_way_may_be_barred_is_tried_again_within_the_day() {
        let expressions = |period: &str, texts| {
            let timing = Timing {
                period: period.parse().expect(period),
                windows: &windows(texts),
                is_polled: false,
                is_tried_again: true,
                is_remote: true,
            };
            timing.schedule().on_calendar
        };
        let every_four_hours = ["*-*-* 00,04,08,12,16,20:00:00 UTC"];
        assert_eq!(expressions("1d", &[]), every_four_hours);
        assert_eq!(expressions("1mo", &[]), every_four_hours);
        assert_eq!(expressions("12h", &[]), ["*-*-* 00,12:00:00 UTC"]);
        let night = ["*-*-* 02,22:00:00"];
        assert_eq!(expressions("1w", &["22:00-06:00"]), night);
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
        let evening = Timing {
            period: Period::Days(1),
            windows: &windows(&["22:00-23:00"]),
            is_polled: true,
            is_tried_again: true,
            is_remote: false,
        };
        let last = |minute: u32| evening.is_last_slot(Weekday::Mon, 22 * 60 + minute);
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
