//! Until when a destination has had each dataset. A rollback of a source takes along the bookmarks that say what its
//! destinations have, and a clone that was promoted in its place has none. Pruning then keeps what was taken until that
//! time, so that what both have in common stays (invariant 2).

use std::collections::{BTreeMap, BTreeSet};

use crate::core::config::{Destination, Entry};
use crate::core::name::Dataset;
use crate::core::pruning::Replicated;
use crate::core::span::{DAY, Epoch};
use crate::core::unit_name::escape;

/// A dataset that is gone may come back, restored from its replica.
const GONE_MAX: i64 = 90 * DAY;

/// What has arrived of one entry at one destination. It is kept as a file of this name and text.
#[derive(Debug, PartialEq)]
pub struct Arrived {
    /// Which entry and destination, as [`name`] says it.
    pub name: String,
    /// What the destination's bookmarks are named after: the disk behind its name may be another the next time.
    pub id: u32,
    pub until: BTreeMap<Dataset, Epoch>,
}

/// A name for the replicas of an entry at a destination, without `@`.
pub fn name(entry: &Entry, to: &Destination) -> String {
    escape(&format!("{}/{}", to.name, entry.key))
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
            until: text.lines().filter_map(parse_line).collect(),
        })
    }

    pub fn text(&self) -> String {
        let lines = self.until.iter();
        lines
            .map(|(dataset, time)| format!("{time} {dataset}\n"))
            .collect()
    }

    /// Everything that these datasets had until `now` has arrived. A clock that is behind takes nothing back.
    pub fn add<'d>(&mut self, datasets: impl IntoIterator<Item = &'d Dataset>, now: Epoch) {
        for dataset in datasets {
            let until = self.until.entry(dataset.clone()).or_insert(now);
            *until = now.max(*until);
        }
    }

    /// Forgets the datasets that are gone, and have been for long.
    pub fn forget_gone(&mut self, is_there: impl Fn(&Dataset) -> bool, now: Epoch) {
        self.until
            .retain(|dataset, until| is_there(dataset) || *until > now - GONE_MAX);
    }
}

fn parse_line(line: &str) -> Option<(Dataset, Epoch)> {
    let (time, dataset) = line.split_once(' ')?;
    Some((dataset.parse().ok()?, time.parse().ok()?))
}

/// When the destinations of the entry that governs a dataset had everything of it, as far as is known.
pub fn replications(all: &[Arrived], entry: &Entry, dataset: &Dataset) -> Vec<Replicated> {
    let mut replications = Vec::new();
    let mut known = BTreeSet::new();
    for arrived in all {
        if let Some(time) = arrived.until.get(dataset) {
            known.insert(arrived.name.as_str());
            replications.push((arrived, *time));
        }
    }
    let mut names: BTreeSet<String> = BTreeSet::new();
    names.extend(entry.destinations.iter().map(|to| name(entry, to)));
    // A destination of which nothing is known may have had another name, or another entry, when it got the dataset.
    if names.iter().all(|name| known.contains(name.as_str())) {
        replications.retain(|(arrived, _)| names.contains(&arrived.name));
    }
    let replicated = |(arrived, time): (&Arrived, Epoch)| Replicated {
        time,
        id: arrived.id,
    };
    replications.into_iter().map(replicated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(name: &str) -> Dataset {
        name.parse().expect("a dataset")
    }

    #[test]
    fn what_is_written_is_read_and_a_clock_that_is_behind_takes_nothing_back() {
        let file = "nas-tank@0000abcd";
        let text = "100 tank\nnonsense\n\n300 tank/with a space\nx tank/b\n100 tank@c\n";
        let mut arrived = Arrived::parse(file, text).expect("a record");
        assert_eq!(arrived.file_name(), file);
        assert_eq!(arrived.text(), "100 tank\n300 tank/with a space\n");
        let names = ["tank", "tank/with a space", "tank/new"].map(dataset);
        arrived.add(&names, 200);
        let text = arrived.text();
        assert_eq!(text, "200 tank\n200 tank/new\n300 tank/with a space\n");
        assert_eq!(Arrived::parse(file, &text), Some(arrived));
        assert_eq!(Arrived::parse("nas-tank", &text), None);
    }

    #[test]
    fn what_is_gone_is_forgotten_after_a_while() {
        let text = format!("0 tank\n0 tank/gone\n{} tank/lately\n", GONE_MAX);
        let mut arrived = Arrived::parse("a@1", &text).expect("a record");
        arrived.forget_gone(|known| *known == dataset("tank"), GONE_MAX + 1);
        assert_eq!(arrived.text(), format!("0 tank\n{GONE_MAX} tank/lately\n"));
    }
}
