//! One file a verb, each a short story: read, plan, print or do.

pub mod config;
pub mod gate;
pub mod notify;
pub mod prune;
pub mod reload;
pub mod replicate;
mod say;
pub mod settle;
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
use crate::core::name::Dataset;
use crate::edge::journal;
use crate::edge::outcome::{self, Outcome, Usage};

/// What a verb is given: the entry, the dataset in it, and how to go about it.
pub struct Run<'c> {
    pub config: &'c Config,
    pub entry: &'c Entry,
    /// The entry's dataset, or one inside it.
    pub dataset: Dataset,
    /// Epoch seconds.
    pub now: i64,
    pub dry: bool,
    pub json: bool,
}

impl<'c> Run<'c> {
    /// The destination called `name`.
    fn destination(&self, name: &str) -> Result<&'c Destination> {
        let names: Vec<&str> = self
            .entry
            .destinations
            .iter()
            .map(|to| to.name.as_str())
            .collect();
        let found = self
            .entry
            .destinations
            .iter()
            .find(|to| to.name.as_str() == name);
        found.ok_or_else(|| {
            Usage(format!(
                "{} has no destination `{name}`; it has {}",
                self.entry.key,
                if names.is_empty() {
                    "none".into()
                } else {
                    names.join(", ")
                }
            ))
            .into()
        })
    }
}

/// Says what went wrong with one part of a run, while the others go on.
fn report(what: &str, error: &anyhow::Error) -> Outcome {
    let outcome = outcome::of(error);
    match outcome {
        Outcome::Later | Outcome::Waits => journal::warn(format!("{what}: {error:#}")),
        _ => journal::error(format!("{what}: {error:#}")),
    }
    outcome
}

fn print_json(value: &impl Serialize) -> Result<()> {
    // JSON lets DEL and the C1 controls stand as they are; a terminal obeys them.
    let is_raw = |c: char| c.is_control() && !c.is_ascii_whitespace();
    let mut text = String::new();
    for c in serde_json::to_string(value)?.chars() {
        if is_raw(c) {
            text += &format!("\\u{:04x}", c as u32)
        } else {
            text.push(c)
        }
    }
    match writeln!(io::stdout().lock(), "{text}") {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

/// How many datasets of a job go to a destination side by side. With one processor two gained nothing (small streams, 2.3:
/// 22 to 31 s two by two, 21 to 25 s one by one).
fn parallel(to: &Destination) -> usize {
    to.parallel.map_or_else(
        || {
            thread::available_parallelism()
                .map_or(1, usize::from)
                .min(2)
        },
        usize::from,
    )
}

/// Does `work` on every item, so many at a time; the results come in no order.
fn side_by_side<T: Send, R: Send>(
    items: Vec<T>,
    at_once: usize,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let workers = at_once.min(items.len());
    let (queue, results) = (Mutex::new(items.into_iter()), Mutex::new(Vec::new()));
    let next = || queue.lock().ok()?.next();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(item) = next() {
                    let result = work(item);
                    if let Ok(mut results) = results.lock() {
                        results.push(result);
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_default()
}
