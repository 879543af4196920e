//! What a removed entry or destination left: the replica, bookmarks on the source, and the record of what was sent, by
//! which pruning keeps that. Only such a record shows that they are ours, since other machines may fetch from here.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::arrived::{Arrived, record_name};
use crate::core::config::{Config, Destination, Entry};
use crate::core::name::{Dataset, destination_id};
use crate::core::selection::governing;
use crate::core::shell::quoted;
use crate::core::trouble::Trouble;
use crate::edge::arrived;
use crate::verbs::status::trees::Trees;

/// A line for each entry and destination of which there is a record, and that the configuration has no more.
pub(super) fn of_leftovers(config: &Config, trees: &Trees, known: &[Arrived]) -> Vec<Trouble> {
    let mut names = BTreeSet::new();
    for entry in &config.entries {
        names.extend(entry.destinations.iter().map(|to| record_name(entry, to)));
    }
    let mut sent: BTreeMap<String, Sent> = BTreeMap::new();
    for arrived in known {
        if !names.contains(&arrived.name) {
            let old = sent.entry(arrived.file_name()).or_default();
            old.id = arrived.id;
            old.datasets.extend(arrived.newest.keys());
        }
    }
    let look = Look {
        config,
        trees,
        known,
    };
    sent.iter()
        .filter_map(|(file, sent)| look.leftover(file, sent))
        .collect()
}

/// What went to one place, as the records of all users say it.
#[derive(Default)]
struct Sent<'l> {
    id: u32,
    datasets: BTreeSet<&'l Dataset>,
}

struct Look<'l> {
    config: &'l Config,
    trees: &'l Trees<'l>,
    known: &'l [Arrived],
}

impl Look<'_> {
    /// None: all that was sent may still go to the same place, under another name.
    fn leftover(&self, file: &str, sent: &Sent) -> Option<Trouble> {
        let mut left = sent.datasets.clone();
        left.retain(|dataset| !self.may_go_on(dataset, sent.id));
        let first = left.first()?;
        let others = match left.len() {
            1 => String::new(),
            count => format!(" (as were {} others)", count - 1),
        };
        let why = format!(
            "it was sent{others} to a place to which the configuration sends it no more; the replica stays there. If nothing \
             is to go there again, this forgets it here: {}",
            self.mend(file, sent, &left)
        );
        Some(Trouble::warning(first.as_str(), "leftover", why))
    }

    /// Whether a destination of this dataset is the place with this ID, or was never reached, so that it may be.
    fn may_go_on(&self, dataset: &Dataset, id: u32) -> bool {
        let Some(entry) = governing(self.config, None, dataset) else {
            return false;
        };
        let mut destinations = entry.destinations.iter();
        destinations.any(|to| {
            let places = self.places(entry, to);
            places.is_empty() || places.contains(&id)
        })
    }

    /// The IDs in the bookmarks of a destination: of what is there now, and of the disks that were there before.
    fn places(&self, entry: &Entry, to: &Destination) -> BTreeSet<u32> {
        let name = record_name(entry, to);
        let before = self.known.iter().filter(|sent| sent.name == name);
        let mut places: BTreeSet<u32> = before.map(|sent| sent.id).collect();
        if let Ok(there) = self.trees.at(to.host_name(), &to.root)
            && let Some(root) = there.get(&to.root)
        {
            places.insert(destination_id(root.guid));
        }
        places
    }

    /// Destroys the bookmarks below the topmost of these datasets, unless others there still need theirs.
    fn mend(&self, file: &str, sent: &Sent, left: &BTreeSet<&Dataset>) -> String {
        let mut tops: Vec<&Dataset> = Vec::new();
        for dataset in left {
            if !tops.iter().any(|top| dataset.is_within(top)) {
                tops.push(dataset);
            }
        }
        let here = self.trees.here().into_iter().flatten();
        let mut all = here
            .map(|(dataset, _)| dataset)
            .chain(sent.datasets.iter().copied());
        let is_needed = |dataset: &Dataset| {
            let is_below = tops.iter().any(|top| dataset.is_within(top));
            is_below && self.may_go_on(dataset, sent.id)
        };
        if all.any(is_needed) {
            return "zam(8), Renaming and removing".into();
        }
        let tops: Vec<String> = tops.iter().map(|top| quoted(top.as_str())).collect();
        let records = arrived::files(file);
        let records: Vec<String> = records.iter().map(|record| quoted(record)).collect();
        format!(
            "zfs list -Hr -o name -t bookmark {} | grep -E '#{}_{:08x}_[0-9a-f]{{16}}$' | xargs -rd '\\n' -n 1 zfs destroy; \
             rm {}",
            tops.join(" "),
            self.config.prefix,
            sent.id,
            records.join(" ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::arrived::Newest;
    use crate::core::listing::{State, Tree};
    use crate::core::load::config;

    const PLACE: u64 = 0x1234_5678_0000_0000;

    fn dataset(name: &str) -> Dataset {
        name.parse().expect("a dataset")
    }

    /// The record of what went to the place: from this entry to this destination, these datasets.
    fn sent(entry: &str, to: &str, datasets: &[&str]) -> Arrived {
        let text = format!(
            "{{destinations: {{{to}: {{root: b}}}}, datasets: {{{entry}: {{destinations: [{to}]}}}}}}"
        );
        let then = config(&text);
        let newest = Newest {
            createtxg: 1,
            time: "-".into(),
        };
        Arrived {
            name: record_name(&then.entries[0], &then.entries[0].destinations[0]),
            id: destination_id(PLACE),
            newest: datasets
                .iter()
                .map(|name| (dataset(name), newest.clone()))
                .collect(),
        }
    }

    /// What is told with this configuration while the place is at `b`, or has nothing there.
    fn told(text: &str, is_there: bool, known: &[Arrived]) -> Vec<String> {
        let mut tree = Tree::from([(dataset("t"), State::default())]);
        tree.insert(dataset("t/a"), State::default());
        if is_there {
            let root = State {
                guid: PLACE,
                ..State::default()
            };
            tree.insert(dataset("b"), root);
        }
        let trees = Trees::of_this_machine(tree);
        let found = of_leftovers(&config(text), &trees, known);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_was_removed_is_told_with_the_command_that_forgets_it() {
        let destination_gone =
            "{destinations: {c: {root: c}}, datasets: {t: {snapshot-period: 1h}}}";
        let entry_gone = "{destinations: {nas: {root: b}}, datasets: {u: {destinations: [nas]}}}";
        // Two users have run the replication.
        let known = [
            sent("t", "nas", &["t", "t/a"]),
            sent("t", "nas", &["t/x y"]),
        ];
        for text in [destination_gone, entry_gone] {
            let told = told(text, true, &known);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(
                told[0].starts_with("t: it was sent (as were 2 others) to a place"),
                "{told:?}"
            );
            let command = r"zfs list -Hr -o name -t bookmark t | grep -E '#zam_12345678_[0-9a-f]{16}$' | xargs -rd";
            assert!(told[0].contains(command), "{told:?}");
        }
    }

    #[test]
    fn what_still_goes_there_is_no_leftover() {
        let known = [sent("t", "nas", &["t", "t/a"])];
        let renamed = "{destinations: {box: {root: b}}, datasets: {t: {recursive: true, destinations: [box]}}}";
        assert!(told(renamed, true, &known).is_empty());
        assert!(told(renamed, false, &known).is_empty(), "never reached");
        let same = "{destinations: {nas: {root: b}}, datasets: {t: {destinations: [nas]}}}";
        assert!(told(same, true, &known).is_empty());
    }

    #[test]
    fn bookmarks_that_a_child_needs_are_not_destroyed_with_the_others() {
        let known = [sent("t", "nas", &["t", "t/a"])];
        let child = "{destinations: {box: {root: b}}, datasets: {t/a: {destinations: [box]}}}";
        let told = told(child, true, &known);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].ends_with("forgets it here: zam(8), Renaming and removing"),
            "{told:?}"
        );
    }
}
