//! A check's result for a person, and for the monitoring systems that have conventions of their own.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::core::health::Health;
use crate::core::span::Rough;
use crate::core::trouble::{Gravity, Trouble};
use crate::edge::journal;
use crate::edge::outcome::Outcome;
use crate::verbs::check::record::Record;
use crate::verbs::last_check;
use crate::verbs::print_json;
use crate::verbs::say::counted;
use crate::verbs::status::shown::{ShownEntry, ShownReplica};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    Plain,
    Json,
    /// One line, more lines, and performance data, as the plugins of Nagios and Icinga print them.
    Nagios,
    /// One line for each replica, as local checks of Checkmk print them.
    Checkmk,
}

/// What the plugins of monitoring systems exit with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Level {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Level::Ok => "OK",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
            Level::Unknown => "UNKNOWN",
        })
    }
}

impl From<Option<Gravity>> for Level {
    fn from(gravest: Option<Gravity>) -> Self {
        match gravest {
            None => Level::Ok,
            Some(Gravity::Warning) => Level::Warning,
            Some(Gravity::Critical) => Level::Critical,
        }
    }
}

/// What a monitoring system is told when zam itself cannot look.
pub fn unknown(format: Format, error: &anyhow::Error) -> Outcome {
    let why = plain(&format!("{error:#}"));
    match format {
        Format::Checkmk => journal::print(format!("3 zam - {why}")),
        _ => journal::print(format!("ZAM {} - {why}", Level::Unknown)),
    }
    Outcome::Level(Level::Unknown as u8)
}

impl Record {
    fn gravest(&self) -> Option<Gravity> {
        self.troubles.iter().map(|trouble| trouble.gravity).max()
    }

    pub(super) fn show(&self, format: Format, now: DateTime<Utc>) -> Outcome {
        match format {
            Format::Plain => self.show_plain(now),
            Format::Json => {
                // A reader that has gone away wants nothing more.
                let _ = print_json(self);
            }
            Format::Nagios => {
                let mut lines = Vec::new();
                let level = self.nagios(now, &mut lines);
                lines.iter().for_each(journal::print);
                return Outcome::Level(level as u8);
            }
            Format::Checkmk => {
                self.checkmk(now).iter().for_each(journal::print);
                return Outcome::Done;
            }
        }
        match self.gravest() {
            Some(Gravity::Critical) => Outcome::Failed,
            // Nobody knows whether all is well now.
            _ if self.is_old(now) => Outcome::Failed,
            _ => Outcome::Done,
        }
    }

    fn show_plain(&self, now: DateTime<Utc>) {
        for trouble in &self.troubles {
            journal::print(trouble);
        }
        if self.troubles.is_empty() {
            journal::print(format!("all is as promised: {}", self.extent()));
        }
        if let Some(age) = self.age(now) {
            journal::print(format!("(as it was {age} ago)"));
        }
        if self.is_old(now) {
            journal::print(
                "that is too old to say how it is now: systemctl status zam-check.timer",
            );
        }
    }

    /// `5 datasets and 12 replicas`, each with what is below it.
    fn extent(&self) -> String {
        let entries = self.datasets.len();
        let replicas = self.replicas().count();
        format!(
            "{} and {}",
            counted(entries, "dataset"),
            counted(replicas, "replica")
        )
    }

    /// How old the record is, unless it was made just now.
    fn age(&self, now: DateTime<Utc>) -> Option<Rough> {
        let age = (now - self.time).num_seconds();
        (age >= 60).then_some(Rough(age))
    }

    /// Whether it says little about now.
    pub(super) fn is_old(&self, now: DateTime<Utc>) -> bool {
        last_check::is_old(self.time, now)
    }

    /// What explains a level that is unknown.
    fn as_of(&self, now: DateTime<Utc>) -> String {
        match self.age(now).filter(|_| self.is_old(now)) {
            Some(age) => format!(" (as it was {age} ago)"),
            None => String::new(),
        }
    }

    /// What was well long ago may not be so now; what was grave has to be looked at in any case.
    fn level(&self, gravest: Option<Gravity>, now: DateTime<Utc>) -> Level {
        match gravest {
            Some(Gravity::Critical) => Level::Critical,
            _ if self.is_old(now) => Level::Unknown,
            gravest => Level::from(gravest),
        }
    }

    /// The level, and what to print.
    fn nagios(&self, now: DateTime<Utc>, lines: &mut Vec<String>) -> Level {
        let level = self.level(self.gravest(), now);
        let first = match self.troubles.split_first() {
            None => self.extent(),
            Some((first, [])) => first.to_string(),
            Some((first, others)) => format!("{first}; and {} more", others.len()),
        };
        let data: Vec<String> = self.replicas().filter_map(performance).collect();
        let first = plain(&first) + &self.as_of(now);
        let data = data.join(" ");
        lines.push(format!("ZAM {level} - {first} | {data}"));
        lines.extend(
            self.troubles
                .iter()
                .map(|trouble| plain(&trouble.to_string())),
        );
        level
    }

    /// A line for each replica, and one for everything else.
    fn checkmk(&self, now: DateTime<Utc>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut others: Vec<&Trouble> = self.troubles.iter().collect();
        for (entry, replica) in self.replicas() {
            let about = format!("{} to {}", entry.dataset, replica.name);
            let found = self.troubles.iter().find(|trouble| trouble.about == about);
            others.retain(|trouble| trouble.about != about);
            let level = self.level(found.map(|trouble| trouble.gravity), now);
            lines.push(checkmk_line(&about, replica, level, found) + &self.as_of(now));
        }
        let gravest = others.iter().map(|trouble| trouble.gravity).max();
        let level = self.level(gravest, now);
        let texts: Vec<String> = others
            .iter()
            .map(|trouble| plain(&trouble.to_string()))
            .collect();
        let text = match texts.is_empty() {
            true => self.extent(),
            false => texts.join("; "),
        };
        lines.push(format!(
            "{} \"zam\" troubles={} {text}{}",
            level as u8,
            others.len(),
            self.as_of(now)
        ));
        lines
    }

    pub(super) fn replicas(&self) -> impl Iterator<Item = (&ShownEntry, &ShownReplica)> {
        let entries = self.datasets.iter();
        entries.flat_map(|entry| {
            entry
                .destinations
                .iter()
                .map(move |replica| (entry, replica))
        })
    }
}

/// `2 "zam tank/home to nas" lag=345600;;259200|snapshots=412 TEXT`; the name may have no quote of its own.
fn checkmk_line(
    about: &str,
    replica: &ShownReplica,
    level: Level,
    found: Option<&Trouble>,
) -> String {
    let level = level as u8;
    let text = found.map_or("as promised".into(), |trouble| plain(&trouble.why));
    let name = about.replace('"', "'");
    let lag = match (replica.lag_seconds, replica.alert_after_seconds) {
        (Some(lag), Some(after)) => Some(format!("lag={lag};;{after}")),
        (Some(lag), None) => Some(format!("lag={lag}")),
        (None, _) => None,
    };
    let snapshots = replica
        .snapshots
        .map(|number| format!("snapshots={number}"));
    let mut values: Vec<String> = lag.into_iter().chain(snapshots).collect();
    if values.is_empty() {
        values.push("-".into());
    }
    let values = values.join("|");
    format!("{level} \"zam {name}\" {values} {text}")
}

/// `'lag tank/home nas'=3600s;;259200;0`: the value, where it warns, where it is critical, and its least.
fn performance((entry, replica): (&ShownEntry, &ShownReplica)) -> Option<String> {
    if replica.state == Health::Unreachable {
        return None;
    }
    let critical = replica.alert_after_seconds.map(|after| after.to_string());
    Some(format!(
        "'lag {} {}'={}s;;{};0",
        entry.dataset.replace('\'', ""),
        replica.name,
        replica.lag_seconds?,
        critical.unwrap_or_default()
    ))
}

/// On one line, and without what begins performance data.
fn plain(text: &str) -> String {
    text.replace(['|', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::verbs::check::example::record;

    #[test]
    fn nagios_gets_one_line_with_performance_data_and_one_for_each_trouble() {
        let record = record();
        let mut lines = Vec::new();
        let level = record.nagios(record.time, &mut lines);
        assert_eq!(level, Level::Critical);
        let expected = [
            "ZAM CRITICAL - tank/my \"data\" to nas: stale: old   new; and 1 more | 'lag tank/my \"data\" nas'=342000s;;259200;0",
            "tank/my \"data\" to nas: stale: old   new",
            "pool tank: 95 % full",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn checkmk_gets_a_line_for_each_replica_and_one_for_the_rest() {
        let record = record();
        let expected = [
            "2 \"zam tank/my 'data' to nas\" lag=342000;;259200|snapshots=3 stale: old   new",
            "0 \"zam tank/my 'data' to usb\" - as promised",
            "1 \"zam\" troubles=1 pool tank: 95 % full",
        ];
        assert_eq!(record.checkmk(record.time), expected);
    }

    #[test]
    fn a_record_that_is_old_says_nothing_about_now() {
        let mut record = record();
        record.troubles.clear();
        let later = record.time + TimeDelta::hours(4);
        assert_eq!(record.nagios(record.time, &mut Vec::new()), Level::Ok);
        assert_eq!(record.nagios(later, &mut Vec::new()), Level::Unknown);
        for format in [Format::Plain, Format::Json] {
            assert_eq!(record.show(format, record.time), Outcome::Done);
            assert_eq!(record.show(format, later), Outcome::Failed);
        }
        for line in record.checkmk(later) {
            let is_explained = line.ends_with(" (as it was 4h ago)");
            assert!(line.starts_with("3 \"zam") && is_explained, "{line}");
        }
    }
}
