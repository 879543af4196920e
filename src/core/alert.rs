//! An alert: a unit that failed and has not succeeded since. What makes two failures the same, who is told of it when, and
//! in which words. Pure.

use std::collections::HashSet;
use std::fmt;

use chrono::{DateTime, Utc};
use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use crate::core::span::{DAY, HOUR, MINUTE, Rough};

/// In seconds: how long after it was last told a failure that goes on is told again. A daily job may come a little early.
const REMINDER: i64 = DAY - HOUR;

/// In seconds: how long after a failure it is tried again to tell it.
const RETRY: i64 = 10 * MINUTE;
/// How many errors are kept.
pub const ERRORS: usize = 1000;

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Alert {
    pub unit: String,
    /// Whose job it is. Nobody but he and root can say that it has succeeded.
    #[serde(default)]
    pub user: String,
    /// How it failed, in systemd's word: `exit-code`, `watchdog`, ...
    pub result: String,
    /// The exit code, or the signal's name.
    pub status: String,
    /// When it failed last.
    pub time: DateTime<Utc>,
    /// When it had last succeeded before that, in epoch seconds.
    #[serde(default)]
    pub succeeded: Option<i64>,
    /// When it first failed in this way.
    pub since: Option<DateTime<Utc>>,
    /// How often it has failed in this way.
    #[serde(default)]
    pub count: u64,
    /// When it was last told.
    #[serde(default)]
    pub told: Option<DateTime<Utc>>,
    /// Which commands of `notify` have failed to tell it, by their places in the list: they may hold secrets.
    #[serde(default)]
    pub untold: Vec<usize>,
    /// What the failed run said last; never empty.
    pub lines: Vec<String>,
    /// What it called errors.
    #[serde(default)]
    pub errors: Vec<String>,
    /// Other errors of the failures before this one.
    #[serde(default)]
    pub earlier: Vec<String>,
    /// It has ended, but that has not been told by all commands.
    #[serde(default)]
    pub over: Option<Over>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Over {
    pub time: DateTime<Utc>,
    pub how: String,
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
            self.untold.clone_from(&known.untold);
        }
        if known.over.is_none() {
            self.remember(known);
        }
        repeats
    }

    /// Whether it says nothing that `known` has not said, by its errors, or by its last line where it called nothing an
    /// error. In any order, because datasets that fail side by side do so.
    fn repeats(&self, known: &Alert) -> bool {
        let last = self.lines.len().saturating_sub(1);
        let said = match self.errors.is_empty() {
            true => &self.lines[last..],
            false => &self.errors,
        };
        let before = [known.earlier.as_slice(), &known.errors, &known.lines].concat();
        let before: HashSet<String> = before.iter().map(|line| gist(line)).collect();
        known.over.is_none()
            && (&self.result, &self.status) == (&known.result, &known.status)
            && said.iter().all(|line| before.contains(&gist(line)))
    }

    /// Keeps the errors of earlier runs: one that comes and goes is told once.
    fn remember(&mut self, known: &Alert) {
        let own: HashSet<String> = self.errors.iter().map(|line| gist(line)).collect();
        let mut earlier = [known.earlier.as_slice(), &known.errors].concat();
        earlier.retain(|line| !own.contains(&gist(line)));
        let surplus = earlier.len().saturating_sub(ERRORS);
        self.earlier = earlier.split_off(surplus);
    }

    /// The line that says best why it failed.
    pub fn reason(&self) -> &str {
        let line = self.errors.last().or(self.lines.last());
        line.map_or("see its journal", String::as_str)
    }

    /// Whether it is time to tell it: for the first time, or again. One told in the future was told under another clock.
    pub fn is_to_be_told(&self, now: DateTime<Utc>) -> bool {
        let told = self.told.filter(|told| *told <= now);
        told.is_none_or(|told| (now - told).num_seconds() >= REMINDER)
    }

    /// Whether it is still not told to everybody, some time after it should have been.
    pub fn waits_to_be_told(&self, now: DateTime<Utc>) -> bool {
        let is_told = self.told.is_some() && self.untold.is_empty();
        !is_told && self.over.is_none() && (now - self.time).num_seconds() >= RETRY
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
        write!(f, ": {}", self.reason())
    }
}

/// A line without what differs from run to run.
fn gist(line: &str) -> String {
    let inside = Regex::new(CHANGING).expect("a pattern");
    let line = inside.replace_all(line, "");
    let number = Regex::new(NUMBER).expect("a pattern");
    let words = line
        .split_whitespace()
        .filter(|word| !number.is_match(word));
    words.collect::<Vec<_>>().join(" ")
}

/// The times in the names of snapshots, the names of temporary files, and numbers behind a `=` or in brackets, such as
/// process IDs.
const CHANGING: &str = r"[0-9]{8}T[0-9]{6}Z|\.(zam-|tmp)[A-Za-z0-9]{6}|\[[0-9]+\]|=[0-9.]+";

/// A word that is an amount with or without its unit, a date, or a time of day: 12, 1.5GiB, (5%), 2026-11-27T10:00:00Z,
/// [10:00:01.5]. Not an address or a name that begins with a digit.
const NUMBER: &str = concat!(
    r#"^["'(\[<~+-]*("#,
    r"[0-9]+([.,][0-9]+)?([munμ]?s|m|min|h|d|w|mo|y|[kKMGTP]?i?B|[kKMGTP]|%)?(/s)?",
    r"|[0-9]{2,4}[-/.][0-9]{2}[-/.][0-9]{2,4}(T[0-9:.,+-]+Z?)?",
    r"|[0-9]{1,2}(:[0-9]{2})+([.,][0-9]+)?Z?([+-][0-9:]+)?",
    r#")["')\]>,;:.]*$"#,
);

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
            lines: vec!["tank: busy".into()],
            ..Alert::default()
        }
    }

    #[test]
    fn a_failure_that_goes_on_is_told_once_a_day() {
        let mut open = alert(0);
        let mut told = Vec::new();
        for hour in 0..72 {
            let mut next = alert(hour);
            next.follow(&open);
            if next.is_to_be_told(next.time) {
                told.push(hour);
                next.told = Some(next.time);
            }
            open = next;
        }
        assert_eq!(told, [0, 23, 46, 69]);
        assert_eq!((open.count, open.begun()), (73, DateTime::UNIX_EPOCH));
        let mut set_back = alert(-5);
        set_back.follow(&open);
        assert!(set_back.is_to_be_told(set_back.time));
    }

    #[test]
    fn each_error_is_told_once_whatever_else_was_said() {
        let mut open = alert(0);
        open.told = Some(open.time);
        open.errors = vec!["tank/a: no room".into(), "tank/b: busy".into()];
        for (errors, is_known) in [
            (vec!["tank/b: busy"], true),
            (vec!["tank/b: busy", "tank/a: no room"], true),
            (vec!["tank/c: busy", "tank/a: no room"], false),
            (vec!["tank/b: busy"], true),
        ] {
            let mut next = alert(1);
            next.errors = errors.into_iter().map(Into::into).collect();
            next.lines = vec!["another end".into()];
            assert_eq!(next.follow(&open), is_known, "{next}");
            (open.errors, open.earlier) = (next.errors, next.earlier);
        }
        assert_eq!((open.errors.len(), open.earlier.len()), (1, 2));
        open.over = Some(Over {
            time: open.time,
            how: String::new(),
        });
        assert!(!alert(1).follow(&open), "it had ended");
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
                "cannot write /m/.zam-a1B2c3: full",
                "cannot write /m/.zam-d4E5f6: full",
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
            ("10.0.0.5: no route", "10.0.0.6: no route"),
            ("tank to 1st (stale)", "tank to 2nd (stale)"),
            ("3nas:tank is gone", "4nas:tank is gone"),
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
        assert!(!other.follow(&open) && other.is_to_be_told(other.time));
    }
}
