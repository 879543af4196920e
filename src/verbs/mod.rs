//! One file or folder a verb, each a short story: read, plan, print or do. Beside them stand `loading` (the configuration
//! that a verb works with), `locks`, `scans` (whether a pool is scrubbed), `settle` (what a job leaves behind), `last_check`
//! (what the last check saw), `say` (amounts in words), and here what verbs share.

pub mod check;
pub mod config;
pub mod gate;
mod last_check;
pub mod loading;
mod locks;
pub mod login;
pub mod notify;
pub mod prune;
pub mod reload;
pub mod replicate;
mod say;
mod scans;
pub mod serve;
pub mod settle;
pub mod setup;
pub mod simulate;
pub mod snapshot;
pub mod status;
pub mod units;

use std::io::{self, Write};
use std::sync::Mutex;
use std::thread;

use anyhow::Result;
use serde::Serialize;

use crate::core::config::{Config, Destination, Entry};
use crate::core::job::{Job, Verb};
use crate::core::name::Dataset;
use crate::edge::journal;
use crate::edge::mutex::{into_inner, lock};
use crate::edge::outcome::Exit::{Later, Usage};
use crate::edge::outcome::Outcome;

/// What a verb is given: the entry, the dataset in it, and how to go about it.
pub struct Run<'c> {
    pub config: &'c Config,
    /// Whether the files still say what `config` does.
    pub is_current: &'c (dyn Fn() -> bool + Sync),
    pub entry: &'c Entry,
    /// The entry's dataset, or one inside it.
    pub dataset: Dataset,
    /// Epoch seconds.
    pub now: i64,
    pub dry: bool,
    pub json: bool,
}

impl<'c> Run<'c> {
    /// # Errors
    /// [`Later`]: somebody has changed the configuration since it was read, perhaps because it was wrong.
    fn still_goes_by_the_configuration(&self) -> Result<()> {
        if self.dry || (self.is_current)() {
            return Ok(());
        }
        let why = "the configuration was changed meanwhile; the next run goes by the new one";
        Err(Later(why.into()).into())
    }

    /// The destination called `name`.
    fn destination(&self, name: &str) -> Result<&'c Destination> {
        let destinations = &self.entry.destinations;
        if let Some(to) = destinations.iter().find(|to| to.name.as_str() == name) {
            return Ok(to);
        }
        let names: Vec<&str> = destinations.iter().map(|to| to.name.as_str()).collect();
        let known = match names.is_empty() {
            true => "none".into(),
            false => names.join(", "),
        };
        let key = &self.entry.key;
        Err(Usage(format!("{key} has no destination `{name}`; it has {known}")).into())
    }
}

/// Which of an entry's jobs a command line means.
#[derive(Clone, Copy)]
pub struct JobName<'a> {
    pub verb: Verb,
    pub destination: Option<&'a str>,
}

impl<'a> JobName<'a> {
    pub fn new(verb: Verb, destination: Option<&'a str>) -> Self {
        JobName { verb, destination }
    }

    /// The entry's job of this name, if it has one.
    pub fn find_in(self, entry: &Entry) -> Option<Job<'_>> {
        entry.jobs().into_iter().find(|job| {
            let destination = job.destination.map(|to| to.name.as_str());
            job.verb == self.verb && destination == self.destination
        })
    }
}

/// Says what went wrong with one part of a run, while the others go on.
fn report(what: &str, error: &anyhow::Error) -> Outcome {
    let outcome = Outcome::of(error);
    match outcome {
        Outcome::Later | Outcome::Waits => journal::warn(format!("{what}: {error:#}")),
        _ => journal::error(format!("{what}: {error:#}")),
    }
    outcome
}

fn print_json(value: &impl Serialize) -> Result<()> {
    let mut text = String::new();
    for c in serde_json::to_string(value)?.chars() {
        // JSON lets DEL and the C1 controls stand as they are, and a terminal obeys them.
        if c.is_control() && !c.is_ascii_whitespace() {
            text += &format!("\\u{:04x}", c as u32);
        } else {
            text.push(c);
        }
    }
    match writeln!(io::stdout().lock(), "{text}") {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

/// How many datasets of a job go to a destination side by side: as configured, or two, or one on a machine with one
/// processor, where two gained nothing (small streams, 2.3: 22 to 31 s two by two, 21 to 25 s one by one).
fn parallel(to: &Destination) -> usize {
    match to.parallel {
        Some(parallel) => parallel.into(),
        None => thread::available_parallelism().map_or(1, |processors| processors.get().min(2)),
    }
}

/// Does `work` on every item, so many at a time; the results come in no order.
fn side_by_side<T: Send, R: Send>(
    items: Vec<T>,
    at_once: usize,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let workers = at_once.min(items.len());
    let queue = Mutex::new(items.into_iter());
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(item) = next(&queue) {
                    let result = work(item);
                    lock(&results).push(result);
                }
            });
        }
    });
    into_inner(results)
}

/// The queue is locked no longer than it takes to fetch one item.
fn next<T>(queue: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    lock(queue).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_however_many_at_a_time() {
        for at_once in [1, 3, 200] {
            let mut results = side_by_side((0..100).collect(), at_once, |item| item * 2);
            results.sort_unstable();
            let expected: Vec<i32> = (0..100).map(|item| item * 2).collect();
            assert_eq!(results, expected, "{at_once}");
        }
        assert!(side_by_side(Vec::<u8>::new(), 3, |item| item).is_empty());
    }
}
