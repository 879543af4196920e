//! `zam simulate`: the configuration played forward on a model of ZFS, and drawn. Needs neither ZFS nor systemd, and
//! writes nothing but the picture that it was asked for.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};
use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::core::config::{Config, Entry, Window};
use crate::core::gate::Moment;
use crate::core::simulate::summary::{Course, Growth, date, growth};
use crate::core::simulate::{Side, picture, play, policy, timeline};
use crate::core::span::{DAY, Span, utc};
use crate::edge::{clock, journal};
use crate::verbs::{print_json, side_by_side};

/// A simulation, and how it is shown.
pub struct Simulation<'c> {
    pub config: &'c Config,
    /// None: every entry.
    pub only: Option<&'c Entry>,
    /// Epoch seconds.
    pub from: i64,
    /// None: as long as the windows ask for.
    pub span: Option<Span>,
    pub json: bool,
    /// The file for a picture, if one is wanted.
    pub svg: Option<&'c Path>,
}

impl Simulation<'_> {
    pub fn run(&self) -> Result<()> {
        let mut entries: Vec<&Entry> = self.config.entries.iter().collect();
        entries.retain(|entry| self.only.is_none_or(|only| only.key == entry.key));
        let span = self.span.unwrap_or_else(|| long_enough(&entries));
        let until = span.after(self.from);
        let played = self.play(&entries, until);
        if self.json {
            print_json(&as_json(&played))?;
        }
        let courses: Vec<Course> = played.into_iter().map(|played| played.course).collect();
        if let Some(file) = self.svg {
            std::fs::write(file, picture::draw(&courses))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        if !self.json {
            self.print(&courses, until);
        }
        Ok(())
    }

    fn print(&self, courses: &[Course], until: i64) {
        let first = date(self.from);
        let last = date(until - 1);
        journal::print(format!(
            "{first} to {last}, if every job runs when it is due\n"
        ));
        for course in courses {
            journal::print(timeline::draw(course, journal::columns()));
        }
    }

    /// Plays entries of one policy once.
    fn play<'e>(&self, entries: &[&'e Entry], until: i64) -> Vec<Played<'e>> {
        let mut alike: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            alike.entry(policy(entry)).or_default().push(entry);
        }
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let alike = alike.into_values().collect();
        let mut played = side_by_side(alike, workers, |entries: Vec<&'e Entry>| {
            let sides = play(&self.config.prefix, entries[0], self.from, until, &wall);
            let course = Course::new(&entries, self.from, until, sides);
            Played { entries, course }
        });
        played.sort_by(|a, b| a.entries[0].key.cmp(&b.entries[0].key));
        played
    }
}

/// The course of entries that are alike.
struct Played<'e> {
    entries: Vec<&'e Entry>,
    course: Course,
}

/// The clock on the wall at a moment in epoch seconds.
fn wall(at: i64) -> Moment {
    clock::of(utc(at))
}

/// A quarter longer than the longest max-age, so that every window is full: at least a month, at most ten years.
fn long_enough(entries: &[&Entry]) -> Span {
    let mut windows: Vec<&Window> = Vec::new();
    for entry in entries {
        windows.extend(&entry.windows);
        for to in &entry.destinations {
            windows.extend(&to.windows);
        }
    }
    let ages = windows.iter().filter_map(|window| window.max_age);
    let longest = ages.map(Span::seconds).max().unwrap_or(0);
    Span::of_seconds((longest * 5 / 4 / DAY).clamp(31, 3653) * DAY)
}

/// One object for each entry, by their names.
fn as_json(played: &[Played]) -> Vec<Value> {
    let mut courses = BTreeMap::new();
    for Played { entries, course } in played {
        for entry in entries {
            courses.insert(&entry.key, course);
        }
    }
    let mut objects = Vec::new();
    for (key, course) in courses {
        let sides: Vec<Value> = course.sides.iter().map(|s| side(course, s)).collect();
        objects.push(json!({"dataset": key, "sides": sides}));
    }
    objects
}

fn side(course: &Course, side: &Side) -> Value {
    let mut days = Vec::new();
    for (day, count) in side.days.iter().enumerate() {
        days.push(json!({"date": course.date(day), "count": count}));
    }
    let steady = match growth(side) {
        Growth::Steady(day) => Some(course.date(day)),
        _ => None,
    };
    let time = |at: &i64| utc(*at).to_rfc3339_opts(SecondsFormat::Secs, true);
    json!({
        "destination": side.destination,
        "snapshots_at_end": side.holds.len(),
        "peak": side.peak,
        "steady_from": steady,
        "days": days,
        "holds": side.holds.iter().map(time).collect::<Vec<_>>(),
    })
}
