//! What a removed entry or destination left: the replica, bookmarks on the source, and the record of what was sent, by
//! which pruning keeps that. Without such a record nobody can tell them from those of a machine that fetches from here.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::arrived::{Arrived, record_name};
use crate::core::config::{Config, Destination, Entry};
use crate::core::listing::{Bookmark, State};
use crate::core::name::{Dataset, destination_id};
use crate::core::selection::governing;
use crate::core::shell::quoted;
use crate::core::trouble::Trouble;
use crate::edge::arrived;
use crate::verbs::status::trees::Trees;

/// So many commands are told.
const SHOWN: usize = 5;

/// By the ID of each of its disks, what went to a destination: the createtxg of the newest snapshot of each dataset.
type Sent<'l> = BTreeMap<u32, BTreeMap<&'l Dataset, u64>>;

/// A line for each entry and destination of which there is a record, and that the configuration has no more.
pub(super) fn of_leftovers(config: &Config, trees: &Trees, known: &[Arrived]) -> Vec<Trouble> {
    let mut names = BTreeSet::new();
    for entry in &config.entries {
        names.extend(entry.destinations.iter().map(|to| record_name(entry, to)));
    }
    let mut old: BTreeMap<&str, Sent> = BTreeMap::new();
    for record in known.iter().filter(|record| !names.contains(&record.name)) {
        let sent = old.entry(&record.name).or_default();
        let newest = sent.entry(record.id).or_default();
        // Another user may have sent more.
        for (dataset, sent) in &record.newest {
            let createtxg = newest.entry(dataset).or_default();
            *createtxg = sent.createtxg.max(*createtxg);
        }
    }
    let look = Look {
        config,
        trees,
        known,
    };
    old.iter()
        .filter_map(|(name, sent)| look.leftover(name, sent))
        .collect()
}

struct Look<'l> {
    config: &'l Config,
    trees: &'l Trees<'l>,
    known: &'l [Arrived],
}

impl Look<'_> {
    /// None: something may still go there, under another name.
    fn leftover(&self, name: &str, sent: &Sent) -> Option<Trouble> {
        let mut datasets = BTreeSet::new();
        for (id, newest) in sent {
            for (dataset, createtxg) in newest {
                if self.is_place_of(dataset, *id) || self.has_moved_on(dataset, *id, *createtxg) {
                    return None;
                }
                datasets.insert(*dataset);
            }
        }
        let first = datasets.first()?;
        let others = match datasets.len() {
            1 => String::new(),
            2 => " (as was another)".into(),
            count => format!(" (as were {} others)", count - 1),
        };
        let how = match self.commands(name, sent) {
            Some(commands) => format!("this forgets it here: {}", commands.join(" && ")),
            None => "zam(8), Renaming and removing, says how to forget it here".into(),
        };
        let why = format!(
            "it was sent{others} to a destination that the configuration has no more for it (arrived-{name}); the replica \
             stays there. If nothing is sent or fetched to there any more, {how}"
        );
        Some(Trouble::warning(first.as_str(), "leftover", why))
    }

    /// Whether a destination of this dataset is the place with this ID, or was never reached, so that it may be.
    fn is_place_of(&self, dataset: &Dataset, id: u32) -> bool {
        let Some(entry) = governing(self.config, None, dataset) else {
            return false;
        };
        let mut destinations = entry.destinations.iter();
        destinations.any(|to| {
            let places = self.places(entry, to);
            places.is_empty() || places.contains(&id)
        })
    }

    /// The IDs in the bookmarks of a destination: of what is there now, and of the disks that have had its name.
    fn places(&self, entry: &Entry, to: &Destination) -> BTreeSet<u32> {
        let name = record_name(entry, to);
        let before = self.known.iter().filter(|record| record.name == name);
        let mut places: BTreeSet<u32> = before.map(|record| record.id).collect();
        if let Ok(there) = self.trees.at(to.host_name(), &to.root)
            && let Some(root) = there.get(&to.root)
        {
            places.insert(destination_id(root.guid));
        }
        places
    }

    /// Whether a bookmark of the place is newer than what was sent from here: its own machine fetches now.
    fn has_moved_on(&self, dataset: &Dataset, id: u32, createtxg: u64) -> bool {
        let state = self.trees.here().and_then(|here| here.get(dataset));
        state.is_some_and(|state| {
            let mut cursors = self.cursors(state, id);
            cursors.any(|cursor| cursor.createtxg > createtxg)
        })
    }

    /// An ID is the first half of its root's GUID.
    fn cursors<'s>(&self, state: &'s State, id: u32) -> impl Iterator<Item = &'s Bookmark> {
        state.cursors_of(&self.config.prefix, u64::from(id) << 32)
    }

    /// Destroys the bookmarks, then removes the records: without them, nobody would hear of bookmarks that are left. None: there
    /// are many, or not all are known, since the bookmarks of a dataset without an entry are not listed.
    fn commands(&self, name: &str, sent: &Sent) -> Option<Vec<String>> {
        let mut commands = Vec::new();
        for (id, newest) in sent {
            for dataset in newest.keys() {
                governing(self.config, None, dataset)?;
                let state = self.trees.here()?.get(dataset)?;
                for cursor in self.cursors(state, *id) {
                    let name = quoted(&format!("{dataset}#{}", cursor.name));
                    commands.push(format!("zfs destroy {name}"));
                }
            }
        }
        for id in sent.keys() {
            for file in arrived::files(&format!("{name}@{id:08x}")) {
                commands.push(format!("rm {}", quoted(&file)));
            }
        }
        (commands.len() <= SHOWN).then_some(commands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::arrived::Newest;
    use crate::core::listing::Tree;
    use crate::core::load::config;

    const PLACE: u64 = 0x1234_5678_0000_0000;
    const OTHER_DISK: u64 = 0x8765_4321_0000_0000;

    /// The record of what went from this entry to this destination, up to createtxg 5.
    fn sent(entry: &str, to: &str, place: u64, datasets: &[&str]) -> Arrived {
        let then = config(&format!(
            "{{destinations: {{{to}: {{root: b}}}}, datasets: {{{entry}: {{destinations: [{to}]}}}}}}"
        ));
        let mut record = Arrived {
            name: record_name(&then.entries[0], &then.entries[0].destinations[0]),
            id: destination_id(place),
            newest: BTreeMap::new(),
        };
        for dataset in datasets {
            let newest = Newest {
                createtxg: 5,
                time: "-".into(),
            };
            record.set(&dataset.parse().expect("a dataset"), newest);
        }
        record
    }

    /// What is told with this configuration: t and t/a have a bookmark of the place from this createtxg, and the place is at
    /// `b`, or nothing is.
    fn told(text: &str, createtxg: u64, is_there: bool, known: &[Arrived]) -> Vec<String> {
        let config = config(text);
        let bookmark = Bookmark {
            name: config.prefix.bookmark(PLACE, 7).into(),
            guid: 7,
            createtxg,
        };
        let source = State {
            bookmarks: vec![bookmark],
            ..State::default()
        };
        let root = State {
            guid: PLACE,
            ..State::default()
        };
        let mut tree = Tree::new();
        for (name, state) in [("t", &source), ("t/a", &source), ("b", &root)] {
            if name != "b" || is_there {
                tree.insert(name.parse().expect("a dataset"), state.clone());
            }
        }
        let trees = Trees::of_this_machine(tree);
        let found = of_leftovers(&config, &trees, known);
        found.iter().map(ToString::to_string).collect()
    }

    const NO_DESTINATION: &str = "{datasets: {t: {recursive: true, snapshot-period: 1h}}}";
    const NO_ENTRY: &str = "{destinations: {nas: {root: b}}, datasets: {u: {destinations: [nas]}}}";
    const RENAMED: &str =
        "{destinations: {box: {root: b}}, datasets: {t: {recursive: true, destinations: [box]}}}";

    #[test]
    fn what_a_destination_left_is_told_with_the_commands_that_forget_it() {
        // Two users have run the replication.
        let known = [
            sent("t", "nas", PLACE, &["t"]),
            sent("t", "nas", PLACE, &["t/a"]),
        ];
        let told = told(NO_DESTINATION, 5, true, &known);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("t: it was sent (as was another) to"),
            "{told:?}"
        );
        let commands = ": zfs destroy 't#zam_12345678_0000000000000007' \
                        && zfs destroy 't/a#zam_12345678_0000000000000007'";
        assert!(told[0].ends_with(commands), "{told:?}");
    }

    #[test]
    fn no_command_is_told_for_bookmarks_that_nobody_has_listed() {
        let known = [sent("t", "nas", PLACE, &["t"])];
        let told = told(NO_ENTRY, 5, true, &known);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].ends_with("says how to forget it here"), "{told:?}");
    }

    #[test]
    fn what_goes_on_is_no_leftover() {
        let known = [
            sent("t", "nas", PLACE, &["t", "t/a"]),
            sent("t", "nas", OTHER_DISK, &["t"]),
        ];
        assert!(
            told(RENAMED, 5, true, &known).is_empty(),
            "and the disk that is away"
        );
        assert!(told(RENAMED, 5, false, &known).is_empty(), "never reached");
        assert!(told(NO_DESTINATION, 6, true, &known).is_empty(), "fetched");
        let same = [sent("u", "nas", PLACE, &["u"])];
        assert!(told(NO_ENTRY, 5, true, &same).is_empty());
    }
}
