//! Schedules against two judges: the week walked minute by minute, and systemd-analyze.

use std::ops::Range;

use chrono::{NaiveDateTime, TimeDelta, Weekday};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use zam::core::period::Period;
use zam::core::schedule::{Schedule, Timing, Week, Window, check};

use crate::common::program;

const DAY: i64 = 1440;
const WEEK: i64 = 7 * DAY;
const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A window as a test thinks of it: days, and minutes of their day (an end before its start is the next day's).
#[derive(Clone, Debug)]
struct Plain {
    days: Vec<i64>,
    start: i64,
    end: i64,
}

impl Plain {
    fn window(&self) -> Window {
        let days: Vec<&str> = self.days.iter().map(|day| NAMES[*day as usize]).collect();
        let clock = |m: i64| format!("{:02}:{:02}", m / 60, m % 60);
        let text = format!(
            "{} {}-{}",
            days.join(","),
            clock(self.start),
            clock(self.end)
        );
        text.parse().expect("a window")
    }

    fn open(&self, week: &mut [bool]) {
        for day in &self.days {
            let mut fill = |day: i64, minutes: Range<i64>| {
                week[(day % 7 * DAY + minutes.start) as usize
                    ..(day % 7 * DAY + minutes.end) as usize]
                    .fill(true);
            };
            if self.start < self.end {
                fill(*day, self.start..self.end);
            } else {
                fill(*day, self.start..DAY);
                fill(day + 1, 0..self.end);
            }
        }
    }
}

fn a_window() -> impl Strategy<Value = Plain> {
    let time = |first: i64, last: i64| {
        prop_oneof![
            first..=last,
            (first / 60..=last / 60).prop_map(|hour| hour * 60).boxed()
        ]
    };
    let times = prop_oneof![6 => (time(0, DAY - 1), time(1, DAY)), 1 => Just((0, DAY))];
    let days = prop_oneof![
        Just((0..7).collect()),
        subsequence((0..7).collect::<Vec<i64>>(), 1..=7)
    ];
    let window = (days, times).prop_map(|(days, (start, end))| Plain { days, start, end });
    window.prop_filter("an empty window is refused", |window| {
        window.start != window.end
    })
}

fn a_period() -> impl Strategy<Value = Period> {
    let parts: Vec<i64> = (1..60).filter(|n| 60 % n == 0).collect();
    prop_oneof![
        1 => any::<Index>().prop_map(move |i| Period::Seconds(*i.get(&parts))),
        2 => (1i64..1440).prop_map(|n| Period::Seconds(n * 60)),
        4 => any::<Index>().prop_map(|i| Period::Seconds(60 * *i.get(&[5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720]))),
        1 => (1i64..400).prop_map(Period::Days),
        1 => (1u32..60).prop_map(Period::Weeks),
        1 => (1u32..60).prop_map(Period::Months),
    ]
}

#[derive(Clone, Debug)]
struct Case {
    period: Period,
    windows: Vec<Plain>,
    polled: bool,
    tried_again: bool,
}

impl Case {
    fn schedule(&self) -> Schedule {
        self.timing(&self.windows()).schedule()
    }

    fn timing<'w>(&self, windows: &'w [Window]) -> Timing<'w> {
        Timing {
            period: self.period,
            windows,
            is_polled: self.polled,
            is_tried_again: self.tried_again,
            is_remote: true,
        }
    }

    fn windows(&self) -> Vec<Window> {
        self.windows.iter().map(Plain::window).collect()
    }

    fn step(&self) -> i64 {
        match self.period.seconds() {
            period if self.polled => period.min(900),
            86_400.. if self.tried_again => 14_400,
            period => period.min(86_400),
        }
    }

    fn seconds(&self) -> Vec<i64> {
        (0..60).filter(|s| s % self.step() == 0).collect()
    }

    /// Each minute of the week: whether it is in a window.
    fn open(&self) -> Vec<bool> {
        let mut week = vec![false; WEEK as usize];
        self.windows
            .iter()
            .for_each(|window| window.open(&mut week));
        week
    }

    fn always(&self, open: &[bool]) -> bool {
        self.windows.is_empty() || open.iter().all(|open| *open)
    }

    /// The slots of the second of two weeks walked, by when a window that wraps has found its start.
    fn slots(&self, open: &[bool]) -> Vec<bool> {
        let always = self.always(open);
        let step = self.step();
        let mut slots = vec![false; WEEK as usize];
        let mut seconds = 0;
        for minute in 0..2 * WEEK {
            let here = (minute % WEEK) as usize;
            let start = if always {
                minute % DAY == 0
            } else {
                minute == 0 || !open[(here + WEEK as usize - 1) % WEEK as usize]
            };
            seconds = if start { 0 } else { seconds + 60 };
            slots[here] = (always || open[here]) && (step < 60 || seconds % step == 0);
        }
        slots
    }
}

fn moment(minute: i64) -> (Weekday, u32) {
    (
        Weekday::try_from((minute / DAY) as u8).expect("a weekday"),
        (minute % DAY) as u32,
    )
}

fn a_case() -> impl Strategy<Value = Case> {
    let windows = prop_oneof![1 => Just(vec![]), 9 => prop::collection::vec(a_window(), 1..5)];
    let case = (a_period(), windows, any::<bool>(), any::<bool>());
    case.prop_map(|(period, windows, polled, tried_again)| Case {
        period,
        windows,
        polled,
        tried_again,
    })
}

/// `Mon..Wed,Sat *-*-* 00,06:00,30:00`: the minutes of the week, and the seconds.
fn expand(expression: &str) -> (Vec<i64>, Vec<i64>) {
    let (days, times) = expression.split_once("*-*-* ").expect("a date");
    let day = |name: &str| NAMES.iter().position(|n| *n == name).expect("a weekday") as i64;
    let range = |part: &str| {
        let (first, last) = part.split_once("..").unwrap_or((part, part));
        day(first)..=day(last)
    };
    let days: Vec<i64> = if days.is_empty() {
        (0..7).collect()
    } else {
        days.trim().split(',').flat_map(range).collect()
    };
    let number = |text: &str| text.parse().expect("a number");
    let list = |text: &str, all| {
        if text == "*" {
            (0..all).collect()
        } else {
            text.split(',').map(number).collect::<Vec<i64>>()
        }
    };
    let fields: Vec<&str> = times.trim_end_matches(" UTC").split(':').collect();
    let hours = list(fields[0], 24);
    let minutes = list(fields[1], 60);
    let hours = days
        .iter()
        .flat_map(|day| hours.iter().map(move |hour| day * 24 + hour));
    (
        hours
            .flat_map(|hour| minutes.iter().map(move |m| hour * 60 + m))
            .collect(),
        list(fields[2], 60),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(5_000) })]

    #[test]
    fn a_schedule_names_every_slot_and_nothing_else(case in a_case()) {
        prop_assert_eq!(check(case.period), Ok(()));
        let schedule = case.schedule();
        let open = case.open();
        let mut named = vec![false; WEEK as usize];
        for expression in &schedule.on_calendar {
            let (minutes, seconds) = expand(expression);
            prop_assert_eq!(&seconds, &case.seconds(), "{}", expression);
            for minute in minutes {
                prop_assert!(!std::mem::replace(&mut named[minute as usize], true), "named twice: {:?}", schedule);
            }
        }
        prop_assert!(named == case.slots(&open), "{:?}", schedule);
        let always = case.always(&open);
        prop_assert!(schedule.on_calendar.iter().all(|expression| expression.ends_with(" UTC") == always));

        // a delayed start, a second late, is still inside; and a delay that is cut is cut by no more than that
        let wanted = (case.period.span().seconds() / 4).min(300);
        let last = case.seconds().last().copied().unwrap_or(0);
        let inside = |minute: i64| open[(minute % WEEK) as usize];
        let stays = |slot: i64, delay: i64| (slot..=slot + (last + delay + 1) / 60).all(inside);
        let fits = |delay| always || (0..WEEK).all(|slot| !named[slot as usize] || stays(slot, delay));
        let delay = schedule.random_delay;
        prop_assert!(delay <= wanted && (delay == 0 || fits(delay)), "{:?}", schedule);
        prop_assert!(delay == wanted || !fits(delay + 1), "{:?}", schedule);
    }

    #[test]
    fn a_moment_is_judged_as_the_week_walked(case in a_case(), minutes in prop::collection::vec(0..WEEK, 8)) {
        let week = Week::new(&case.windows());
        let open = case.open();
        let always = case.always(&open);
        let slots = case.slots(&open);
        let late = (case.seconds().last().unwrap_or(&0) + case.schedule().random_delay) / 60;
        for minute in minutes {
            let (day, at) = moment(minute);
            let left = (0..WEEK).find(|n| !open[((minute + n) % WEEK) as usize]).filter(|n| *n > 0 && !always);
            prop_assert_eq!(week.contains(day, at), always || left.is_some());
            prop_assert_eq!(week.ends_after(day, at).map(i64::from), left);
            if case.polled && slots[minute as usize] {
                let last = left.is_some_and(|left| !(1..left).any(|n| slots[((minute + n) % WEEK) as usize]));
                let (day, at) = moment((minute + late) % WEEK);
                prop_assert_eq!(case.timing(&case.windows()).is_last_slot(day, at), last);
            }
        }
    }
}

/// What `systemd-analyze calendar` lists for each expression: the next `count` times, local and in UTC.
fn listed(
    zone: &str,
    base: NaiveDateTime,
    count: usize,
    expressions: &[String],
) -> Vec<Vec<(NaiveDateTime, NaiveDateTime)>> {
    let mut command = program("systemd-analyze");
    command
        .args([
            "calendar",
            &format!("--iterations={count}"),
            &format!("--base-time={base}"),
        ])
        .args(expressions);
    let out = command
        .env("TZ", zone)
        .env("LC_ALL", "C")
        .output()
        .expect("systemd-analyze must start: install systemd");
    assert!(
        out.status.success(),
        "systemd-analyze refuses: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    let time = |text: &str| {
        let (time, _zone) = text.rsplit_once(' ').expect("a zone");
        NaiveDateTime::parse_from_str(time, "%a %Y-%m-%d %H:%M:%S").expect(text)
    };
    let mut lists: Vec<Vec<(NaiveDateTime, NaiveDateTime)>> = Vec::new();
    for line in String::from_utf8(out.stdout).expect("UTF-8").lines() {
        match line.trim().split_once(": ") {
            Some(("Normalized form", _)) => lists.push(vec![]),
            Some(("(in UTC)", at)) => {
                lists
                    .last_mut()
                    .and_then(|list| list.last_mut())
                    .expect("a time")
                    .1 = time(at)
            }
            Some((name, at)) if name == "Next elapse" || name.starts_with("Iter. #") => lists
                .last_mut()
                .expect("an expression")
                .push((time(at), time(at))),
            _ => {}
        }
    }
    assert_eq!(lists.len(), expressions.len());
    assert!(lists.iter().all(|list| list.len() == count));
    lists
}

/// What each case should fire at is exactly what systemd lists, for as long as all its expressions are listed (a week at most).
fn compare(
    zone: &str,
    monday: NaiveDateTime,
    ahead: TimeDelta,
    base: i64,
    count: usize,
    cases: &[Case],
) {
    let schedules: Vec<Schedule> = cases.iter().map(Case::schedule).collect();
    let local = monday + TimeDelta::minutes(base);
    let expressions: Vec<String> = schedules
        .iter()
        .flat_map(|schedule| schedule.on_calendar.clone())
        .collect();
    let mut lists = listed(zone, local, count, &expressions).into_iter();
    for (case, schedule) in cases.iter().zip(&schedules) {
        let lists = Vec::from_iter(lists.by_ref().take(schedule.on_calendar.len()));
        assert_eq!(
            lists[0][0].0 - lists[0][0].1,
            ahead,
            "TZ={zone} is unknown: install tzdata"
        );
        let utc = schedule.on_calendar[0].ends_with(" UTC");
        let base = if utc { local - ahead } else { local };
        let pick = |(local, universal): &(NaiveDateTime, NaiveDateTime)| {
            if utc { *universal } else { *local }
        };
        let until = lists
            .iter()
            .filter_map(|list| list.last())
            .map(pick)
            .min()
            .expect("times")
            .min(base + TimeDelta::days(7));
        let mut actual = Vec::from_iter(
            lists
                .iter()
                .flatten()
                .map(pick)
                .filter(|time| *time <= until),
        );
        actual.sort();
        let slots = case.slots(&case.open());
        let seconds = case.seconds();
        let first = (base - monday).num_minutes();
        let minutes =
            (first..=first + WEEK).filter(|minute| slots[minute.rem_euclid(WEEK) as usize]);
        let times = minutes.flat_map(|minute| {
            seconds
                .iter()
                .map(move |s| monday + TimeDelta::seconds(minute * 60 + s))
        });
        let expected: Vec<NaiveDateTime> = times
            .filter(|time| *time > base && *time <= until)
            .collect();
        assert_eq!(
            actual, expected,
            "TZ={zone}, after {base}: {case:?} {schedule:?}"
        );
    }
}

#[test]
fn systemd_reads_a_schedule_as_it_is_meant() {
    let runner = &mut TestRunner::default();
    let mut sample = |count| {
        Vec::from_iter((0..count).map(|_| a_case().new_tree(runner).expect("a case").current()))
    };
    // weeks away from a change of the clocks
    let zones = [
        ("UTC", "2026-01-05", 0),
        ("Europe/Berlin", "2026-01-05", 60),
        ("Europe/Berlin", "2026-07-06", 120),
    ];
    for (zone, monday, ahead) in zones {
        let monday = format!("{monday}T00:00:00").parse().expect("a Monday");
        for (n, cases) in sample(1_700).chunks(34).enumerate() {
            compare(
                zone,
                monday,
                TimeDelta::minutes(ahead),
                n as i64 * 1009 * 7 % WEEK,
                20,
                cases,
            );
        }
        // and some for most of a week
        compare(zone, monday, TimeDelta::minutes(ahead), 0, 700, &sample(30));
    }
}
