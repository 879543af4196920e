//! An alert: a unit that failed and has not succeeded since. What makes two failures the same, who is told of it when, and
//! in which words. Pure.

use std::fmt;

use chrono::{DateTime, Utc};
use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use crate::core::span::{DAY, Rough};

/// In seconds: how long after it was last told a failure that goes on is told again.
const REMINDER: i64 = DAY;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Alert {
    pub unit: String,
    /// How it failed, in systemd's word: `exit-code`, `watchdog`, ...
    pub result: String,
    /// The exit code, or the signal's name.
    pub status: String,
    /// When it failed last.
    pub time: DateTime<Utc>,
    /// When it first failed in this way.
    pub since: Option<DateTime<Utc>>,
    /// How often it has failed in this way.
    #[serde(default)]
    pub count: u64,
    /// When the commands of `notify` last told it.
    #[serde(default)]
    pub told: Option<DateTime<Utc>>,
    /// What the failed run said last; never empty.
    pub lines: Vec<String>,
}

/// How an alert ends.
#[derive(Clone, Copy)]
pub enum End {
    /// The unit has succeeded.
    Success,
    /// The configuration does not have the job any more.
    Removal,
}

impl Alert {
    /// Goes on where the alert that was open before this failure stood, if this is the same failure. Returns whether it is.
    pub fn follow(&mut self, known: &Alert) -> bool {
        let repeats = self.repeats(known);
        if repeats {
            self.since = known.since.or(Some(known.time));
            self.count = known.count.max(1) + 1;
            self.told = known.told;
        }
        repeats
    }

    /// Whether it says nothing that `known` has not said. Its last line may be any line of that, because datasets that
    /// fail side by side do so in any order.
    fn repeats(&self, known: &Alert) -> bool {
        let last = self.lines.last().map(|line| gist(line));
        (&self.result, &self.status) == (&known.result, &known.status)
            && known.lines.iter().any(|line| Some(gist(line)) == last)
    }

    /// Whether it is time to tell it: for the first time, or again. One told in the future was told under another clock.
    pub fn is_to_be_told(&self) -> bool {
        let told = self.told.filter(|told| *told <= self.time);
        told.is_none_or(|told| (self.time - told).num_seconds() >= REMINDER)
    }

    /// Since when it has failed in this way.
    pub fn begun(&self) -> DateTime<Utc> {
        self.since.unwrap_or(self.time)
    }

    /// What is said once it is over, at `now`.
    pub fn end(&self, end: End, now: DateTime<Utc>) -> String {
        let how = match end {
            End::Success => "works again",
            End::Removal => "is no job of the configuration any more",
        };
        let times = match self.count {
            0 | 1 => "once".into(),
            count => format!("{count} times"),
        };
        let ago = Rough((now - self.begun()).num_seconds());
        format!(
            "{} {how}; it had failed {times}, first {ago} ago",
            self.unit
        )
    }

    /// The text of a message to a person.
    pub fn message(&self) -> String {
        let mut text = format!("{self}\n\nWhat it said last:\n");
        for line in &self.lines {
            text += &format!("  {line}\n");
        }
        text + &format!(
            "\nHow everything stands: zam status\nAll that it said: journalctl -u '{}'\n",
            self.unit
        )
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} failed ({}, {})", self.unit, self.result, self.status)?;
        if let (2.., Some(since)) = (self.count, self.since) {
            let since = since.format("%F %T UTC");
            write!(f, " {} times since {since}", self.count)?;
        }
        let last = self.lines.last().map_or("see its journal", String::as_str);
        write!(f, ": {last}")
    }
}

/// A line without what differs from run to run: the times in the names of snapshots, numbers that stand alone or behind a
/// `=`, such as dates, amounts and percentages, and those in brackets, such as process IDs.
fn gist(line: &str) -> String {
    let time = Regex::new(r"[0-9]{8}T[0-9]{6}Z|\[[0-9]+\]|=[0-9.]+").expect("a regular expression");
    let line = time.replace_all(line, "");
    let words = line.split_whitespace().filter(|word| !is_number(word));
    words.collect::<Vec<_>>().join(" ")
}

/// Whether a word begins as a number, but could not be the name of a dataset, of a snapshot or of a file.
fn is_number(word: &str) -> bool {
    let word = word.trim_start_matches(['(', '[', '<', '~', '+', '-', '"', '\'']);
    word.starts_with(|c: char| c.is_ascii_digit()) && !word.contains(['/', '@', '#', '_'])
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn alert(hour: i64) -> Alert {
        let time = DateTime::UNIX_EPOCH + TimeDelta::hours(hour);
        Alert {
            unit: "zam@prune-tank.service".into(),
            result: "exit-code".into(),
            status: "1".into(),
            time,
            since: Some(time),
            count: 1,
            told: None,
            lines: vec!["tank: busy".into()],
        }
    }

    #[test]
    fn a_failure_that_goes_on_is_told_once_a_day() {
        let mut open = alert(0);
        let mut told = Vec::new();
        for hour in 0..72 {
            let mut next = alert(hour);
            next.follow(&open);
            if next.is_to_be_told() {
                told.push(hour);
                next.told = Some(next.time);
            }
            open = next;
        }
        assert_eq!(told, [0, 24, 48]);
        assert_eq!((open.count, open.begun()), (73, DateTime::UNIX_EPOCH));
        let mut set_back = alert(-5);
        set_back.follow(&open);
        assert!(set_back.is_to_be_told());
    }

    #[test]
    fn what_differs_from_run_to_run_makes_no_other_failure() {
        for (before, after) in [
            (
                "2026-11-27 10:00:01 rsync failed",
                "2026-11-27 11:00:02 rsync failed",
            ),
            (
                "2026-11-27T10:00:01.5+01:00 rsync failed",
                "2026-11-27T11:00:02.25+01:00 rsync failed",
            ),
            ("[10:00:01] no route", "[11:00:02] no route"),
            (
                "tank/a: 1.1 GiB of 20GiB (5%) left",
                "tank/a: 1.2 GiB of 20GiB (4.9%) left",
            ),
            ("backup.sh[4711]: no route", "backup.sh[12]: no route"),
            (
                "level=error took=1.25 no route",
                "level=error took=7 no route",
            ),
            (
                "tank@zam_20261127T100000Z: busy",
                "tank@zam_20261127T110000Z: busy",
            ),
        ] {
            assert_eq!(gist(before), gist(after));
        }
        for (one, other) in [
            ("tank/vm-100: busy", "tank/vm-101: busy"),
            ("1tank/a: busy", "2tank/a: busy"),
            ("sda1: no medium", "sda2: no medium"),
            (
                "2026-11-27 10:00:01 rsync failed",
                "2026-11-27 10:00:01 ssh failed",
            ),
        ] {
            assert_ne!(gist(one), gist(other));
        }
    }

    #[test]
    fn another_failure_is_told_at_once() {
        let mut open = alert(0);
        open.told = Some(open.time);
        let mut other = alert(1);
        other.lines = vec!["tank: no room".into()];
        assert!(!other.follow(&open) && other.is_to_be_told());
    }
}
