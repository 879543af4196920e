//! The newest snapshot of each dataset that a destination may have, remembered beside the bookmarks that say so: a rollback
//! of the source takes these along, and a clone that was promoted in its place, or a copy that was restored from the
//! replica, has none. Pruning then keeps what both may have in common (invariant 2).

use std::collections::BTreeMap;

use crate::core::listing::{Snapshot, State};
use crate::core::name::Dataset;
use crate::core::replication::{Plan, TokenUse};
use crate::core::span::Epoch;

/// So many datasets that are gone are remembered: one may come back, restored from its replica.
const GONE_MAX: usize = 1000;

/// A snapshot that a destination has, or will have once what is on its way has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    pub createtxg: u64,
    /// When it was taken; 0: not known.
    pub creation: Epoch,
}

impl Newest {
    /// The newest snapshot that the destination has when a plan is carried out. None: it then has nothing.
    pub fn after(plan: &Plan, source: &State) -> Option<Newest> {
        // Nothing is sent past a token that is not ours.
        let is_sent = plan.token != TokenUse::Foreign;
        let end = plan.streams.last().filter(|_| is_sent);
        let end = end.and_then(|stream| source.snapshot(stream.guid));
        if let Some(end) = end {
            return Some(Newest {
                createtxg: end.createtxg,
                creation: end.creation,
            });
        }
        let base = plan.base.as_ref()?;
        Some(Newest {
            createtxg: base.createtxg,
            creation: source.snapshot(base.guid).map_or(0, |s| s.creation),
        })
    }
}

/// What one destination of an entry may have. It is kept as a file of this name and text.
#[derive(Debug, PartialEq)]
pub struct Arrived {
    /// Which entry and destination, without `@`.
    pub name: String,
    /// What the destination's bookmarks are named after: the disk behind its name may be another the next time.
    pub id: u32,
    pub newest: BTreeMap<Dataset, Newest>,
}

impl Arrived {
    pub fn file_name(&self) -> String {
        format!("{}@{:08x}", self.name, self.id)
    }

    /// What such a file says; lines that say nothing are left out. None: it is no such file.
    pub fn parse(file_name: &str, text: &str) -> Option<Arrived> {
        let (name, id) = file_name.split_once('@')?;
        Some(Arrived {
            name: name.into(),
            id: u32::from_str_radix(id, 16).ok()?,
            newest: text.lines().filter_map(parse_line).collect(),
        })
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for (dataset, newest) in &self.newest {
            text += &format!("{} {} {dataset}\n", newest.createtxg, newest.creation);
        }
        text
    }

    pub fn set(&mut self, dataset: &Dataset, newest: Newest) {
        let known = self.newest.entry(dataset.clone()).or_insert(newest);
        // When it was taken may be known from before alone.
        if known.createtxg != newest.createtxg || newest.creation != 0 {
            *known = newest;
        }
    }

    /// Forgets those that went first of very many datasets that are gone.
    pub fn forget_gone(&mut self, is_there: impl Fn(&Dataset) -> bool) {
        let known = self.newest.iter();
        let mut gone: Vec<(u64, Dataset)> = known
            .filter(|(dataset, _)| !is_there(dataset))
            .map(|(dataset, newest)| (newest.createtxg, dataset.clone()))
            .collect();
        gone.sort();
        for (_, dataset) in gone.iter().rev().skip(GONE_MAX) {
            self.newest.remove(dataset);
        }
    }
}

fn parse_line(line: &str) -> Option<(Dataset, Newest)> {
    let mut words = line.splitn(3, ' ');
    let newest = Newest {
        createtxg: words.next()?.parse().ok()?,
        creation: words.next()?.parse().ok()?,
    };
    Some((words.next()?.parse().ok()?, newest))
}

/// What a destination may have of one source.
#[derive(Clone, Copy, Debug)]
pub struct Replicated {
    /// None: of some destination everything that was taken until then.
    pub id: Option<u32>,
    pub newest: Newest,
}

impl Replicated {
    /// Whether the destination may have a snapshot although no bookmark of it stands at that or after it. `marked` has the
    /// createtxg of each destination's newest bookmark.
    pub fn may_have_unmarked(&self, snapshot: &Snapshot, marked: &BTreeMap<u32, u64>) -> bool {
        let marked = match self.id {
            Some(id) => marked.get(&id),
            None => marked.values().max(),
        };
        let is_sent = snapshot.createtxg <= self.newest.createtxg;
        match marked {
            Some(marked) => is_sent && snapshot.createtxg > *marked,
            // What was restored from the replica was made later, but keeps the time at which it was taken.
            None => is_sent || snapshot.creation <= self.newest.creation,
        }
    }
}

/// What all destinations may have of a source, as far as is known.
pub fn replications(all: &[Arrived], dataset: &Dataset) -> Vec<Replicated> {
    let mut replications = Vec::new();
    for arrived in all {
        if let Some(newest) = arrived.newest.get(dataset) {
            replications.push(Replicated {
                id: Some(arrived.id),
                newest: *newest,
            });
        }
    }
    replications
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(name: &str) -> Dataset {
        name.parse().expect("a dataset")
    }

    #[test]
    fn what_is_written_is_read() {
        let file = "nas-tank@0000abcd";
        let text = "7 100 tank\nnonsense\n\n9 300 tank/with a space\nx 1 tank/b\n1 100 tank@c\n";
        let mut arrived = Arrived::parse(file, text).expect("a record");
        assert_eq!(arrived.file_name(), file);
        assert_eq!(arrived.text(), "7 100 tank\n9 300 tank/with a space\n");
        for (name, createtxg) in [("tank", 7), ("tank/with a space", 8), ("tank/new", 8)] {
            let creation = 0;
            let newest = Newest {
                createtxg,
                creation,
            };
            arrived.set(&dataset(name), newest);
        }
        let text = arrived.text();
        assert_eq!(text, "7 100 tank\n8 0 tank/new\n8 0 tank/with a space\n");
        assert_eq!(Arrived::parse(file, &text), Some(arrived));
        assert_eq!(Arrived::parse("nas-tank", &text), None);
    }

    #[test]
    fn of_the_gone_the_oldest_are_forgotten() {
        let mut text = "1 1 tank\n".to_owned();
        for i in 0..GONE_MAX + 2 {
            text += &format!("{} 1 tank/gone{i}\n", 10 + i);
        }
        let mut arrived = Arrived::parse("a@1", &text).expect("a record");
        arrived.forget_gone(|known| *known == dataset("tank"));
        assert_eq!(arrived.newest.len(), GONE_MAX + 1);
        let is_known = |name: &str| arrived.newest.contains_key(&dataset(name));
        assert!(is_known("tank") && is_known("tank/gone2"));
        assert!(!is_known("tank/gone0") && !is_known("tank/gone1"));
    }
}
