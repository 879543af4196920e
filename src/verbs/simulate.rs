//! `zam simulate`: the configuration played forward on a model of ZFS, and drawn. Needs neither ZFS nor systemd, and
//! writes nothing but the picture that it was asked for.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat};
use serde_json::json;

use crate::core::config::{Config, Entry};
use crate::core::simulate::summary::{Course, Growth, date, growth};
use crate::core::simulate::{Side, play, policy};
use crate::core::simulate::{picture, timeline};
use crate::core::span::{DAY, Span};
use crate::edge::{clock, journal};
use crate::verbs::{print_json, side_by_side};

/// What is played, and how it is shown.
pub struct Simulation<'c> {
    pub config: &'c Config,
    /// None: every entry.
    pub only: Option<&'c Entry>,
    /// Epoch seconds.
    pub from: i64,
    /// None: as long as the windows ask for.
    pub span: Option<Span>,
    pub json: bool,
    /// Where a picture is written.
    pub svg: Option<&'c Path>,
}

impl Simulation<'_> {
    pub fn run(&self) -> Result<()> {
        let entries = self
            .config
            .entries
            .iter()
            .filter(|entry| self.only.is_none_or(|only| only.key == entry.key));
        let entries: Vec<&Entry> = entries.collect();
        let until = self
            .span
            .unwrap_or_else(|| long_enough(&entries))
            .after(self.from);
        let courses = self.play(&entries, until);
        if self.json {
            let mut lines: Vec<_> = courses
                .iter()
                .flat_map(|(entries, course)| entries.iter().map(move |e| (e, course)))
                .collect();
            lines.sort_by_key(|(entry, _)| &entry.key);
            print_json(
                &lines
                    .into_iter()
                    .map(|(entry, course)| as_json(entry, course))
                    .collect::<Vec<_>>(),
            )?;
        }
        let courses: Vec<Course> = courses.into_iter().map(|(_, course)| course).collect();
        if let Some(file) = self.svg {
            std::fs::write(file, picture::draw(&courses))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        if !self.json {
            journal::print(format!(
                "{} to {}, if every job runs when it is due\n",
                date(self.from),
                date(until - 1)
            ));
            courses
                .iter()
                .for_each(|course| journal::print(timeline::draw(course, journal::columns())));
        }
        Ok(())
    }

    /// Entries that are alike are played once.
    fn play<'e>(&self, entries: &[&'e Entry], until: i64) -> Vec<(Vec<&'e Entry>, Course)> {
        let mut alike: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            alike.entry(policy(entry)).or_default().push(entry);
        }
        let wall = |at: i64| clock::of(DateTime::from_timestamp(at, 0).unwrap_or_default());
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let mut courses = side_by_side(
            alike.into_values().collect(),
            workers,
            |entries: Vec<&'e Entry>| {
                let sides = play(&self.config.prefix, entries[0], self.from, until, &wall);
                let course = Course::new(&entries, self.from, until, sides);
                (entries, course)
            },
        );
        courses.sort_by(|(a, _), (b, _)| a[0].key.cmp(&b[0].key));
        courses
    }
}

/// A quarter longer than the longest max-age, so that every window is full: at least a month, at most ten years.
fn long_enough(entries: &[&Entry]) -> Span {
    let there = entries
        .iter()
        .flat_map(|entry| entry.destinations.iter().flat_map(|to| &to.windows));
    let windows = entries.iter().flat_map(|entry| &entry.windows).chain(there);
    let days = windows
        .filter_map(|window| window.max_age)
        .map(|age| age.seconds() * 5 / 4 / DAY)
        .max()
        .unwrap_or(0);
    Span {
        months: 0,
        weeks: 0,
        seconds: days.clamp(31, 3653) * DAY,
    }
}

fn as_json(entry: &Entry, course: &Course) -> serde_json::Value {
    let time = |at: &i64| {
        DateTime::from_timestamp(*at, 0)
            .unwrap_or_default()
            .to_rfc3339_opts(SecondsFormat::Secs, true)
    };
    let side = |side: &Side| {
        let days = side
            .days
            .iter()
            .enumerate()
            .map(|(day, count)| json!({"date": course.date(day), "count": count}));
        let steady = if let Growth::Steady(day) = growth(side) {
            Some(course.date(day))
        } else {
            None
        };
        json!({"destination": side.destination, "snapshots_at_end": side.holds.len(), "peak": side.peak,
               "steady_from": steady, "days": days.collect::<Vec<_>>(), "holds": side.holds.iter().map(time).collect::<Vec<_>>()})
    };
    json!({"dataset": entry.key, "sides": course.sides.iter().map(side).collect::<Vec<_>>()})
}
