//! Bookmarks that a destination left on its source when an entry was rid of it. Where its last transfer was cut there are
//! several, and pruning keeps what lies between them, for as long as they stand.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::arrived::{Arrived, record_name};
use crate::core::config::{Config, Destination, Entry, key};
use crate::core::listing::{Bookmark, State};
use crate::core::name::{Dataset, Prefix, destination_id};
use crate::core::replication::set_aside;
use crate::core::selection::governs;
use crate::core::shell::quoted;
use crate::core::span::{DAY, Rough};
use crate::core::trouble::Trouble;
use crate::verbs::status::trees::Trees;

/// Another machine that fetches from here has bookmarks of the same form, which move on.
const FORGOTTEN: i64 = 30 * DAY;

/// A line for each place that has bookmarks on the entry's datasets, and is none of its destinations. None while one of
/// these was never reached, since the bookmarks may be its own.
pub(super) fn of_leftovers(
    config: &Config,
    entry: &Entry,
    trees: &Trees,
    arrived: &[Arrived],
) -> Vec<Trouble> {
    let Ok(sources) = trees.at(entry.host_name(), &entry.dataset) else {
        return Vec::new();
    };
    let Some(own) = places(entry, trees, arrived) else {
        return Vec::new();
    };
    let mut left: BTreeMap<u32, Vec<Left>> = BTreeMap::new();
    for (dataset, state) in sources {
        if governs(config, entry, dataset) {
            for (id, bookmarks) in strange(&config.prefix, state, &own) {
                let of_place = left.entry(id).or_default();
                of_place.extend(Left::new(config, dataset, state, bookmarks));
            }
        }
    }
    left.retain(|_, datasets| !datasets.is_empty());
    left.values()
        .map(|datasets| told(entry, datasets))
        .collect()
}

/// The IDs in the bookmarks of the entry's destinations: of what is there now, and of the disks that were there before.
/// None: one of them is not known.
fn places(entry: &Entry, trees: &Trees, arrived: &[Arrived]) -> Option<BTreeSet<u32>> {
    let mut places = BTreeSet::new();
    for to in &entry.destinations {
        let name = record_name(entry, to);
        let before = arrived.iter().filter(|arrived| arrived.name == name);
        let mut known: Vec<u32> = before.map(|arrived| arrived.id).collect();
        known.extend(place_now(to, trees));
        if known.is_empty() {
            return None;
        }
        places.extend(known);
    }
    Some(places)
}

fn place_now(to: &Destination, trees: &Trees) -> Option<u32> {
    let root = trees.at(to.host_name(), &to.root).ok()?.get(&to.root)?;
    Some(destination_id(root.guid))
}

/// The bookmarks of each place that is none of these, by its ID.
fn strange<'s>(
    prefix: &Prefix,
    state: &'s State,
    places: &BTreeSet<u32>,
) -> BTreeMap<u32, Vec<&'s Bookmark>> {
    let mut strange: BTreeMap<u32, Vec<&Bookmark>> = BTreeMap::new();
    for bookmark in &state.bookmarks {
        let is_of = |place: &u32| {
            let aside = set_aside(prefix, u64::from(*place) << 32, bookmark.guid);
            aside == *bookmark.name
        };
        if let Some(id) = prefix.owns_bookmark(&bookmark.name, bookmark.guid)
            && !places.contains(&id)
            && !places.iter().any(is_of)
        {
            strange.entry(id).or_default().push(bookmark);
        }
    }
    strange
}

/// What one place left on a dataset.
struct Left<'s> {
    dataset: &'s Dataset,
    /// Oldest first.
    bookmarks: Vec<&'s Bookmark>,
    /// How much older its newest is than the dataset's newest snapshot; seconds.
    age: i64,
}

impl<'s> Left<'s> {
    /// None: a machine that fetches from here may still go on from them.
    fn new(
        config: &Config,
        dataset: &'s Dataset,
        state: &State,
        bookmarks: Vec<&'s Bookmark>,
    ) -> Option<Self> {
        let newest = state.owned(&config.prefix).next_back()?.creation;
        let age = newest - bookmarks.last()?.creation;
        (age > FORGOTTEN).then_some(Left {
            dataset,
            bookmarks,
            age,
        })
    }
}

fn told(entry: &Entry, left: &[Left]) -> Trouble {
    let first = &left[0];
    let name = key(entry.host_name(), first.dataset);
    let others = match left.len() {
        1 => String::new(),
        count => format!(" and {} others", count - 1),
    };
    let mut commands = Vec::new();
    for bookmark in &first.bookmarks {
        let name = format!("{}#{}", first.dataset, bookmark.name);
        commands.push(format!("zfs destroy {}", quoted(&name)));
    }
    let there = entry.host_name().map(|host| format!(" on {host}"));
    let why = format!(
        "a place that is none of its destinations has bookmarks on {name}{others}, the newest from {} before the newest \
         snapshot; if nothing replicates or fetches {name} to there any more, destroy them{}: {}",
        Rough(first.age),
        there.unwrap_or_default(),
        commands.join(" && ")
    );
    Trouble::warning(entry.key.as_str(), "leftover", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::listing::Snapshot;
    use crate::core::load::config;

    const HERE: u64 = 0x1111_1111_0000_0000;
    const GONE: u64 = 0x2222_2222_0000_0000;
    const TEXT: &str =
        "{destinations: {nas: {root: b}}, datasets: {a: {recursive: true, destinations: [nas]}}}";

    struct Sides {
        config: Config,
        source: State,
        root: State,
        arrived: Vec<Arrived>,
    }

    /// A source whose newest snapshot is of day 40, and a destination that is there.
    fn sides() -> Sides {
        let config = config(TEXT);
        let time = 40 * DAY;
        let newest = Snapshot {
            name: config.prefix.snapshot(time).into(),
            guid: 40,
            createtxg: 40,
            creation: time,
            written: 1,
            held: false,
            cloned: false,
        };
        Sides {
            config,
            source: State {
                guid: 1,
                snapshots: vec![newest],
                ..State::default()
            },
            root: State {
                guid: HERE,
                ..State::default()
            },
            arrived: Vec::new(),
        }
    }

    impl Sides {
        /// A bookmark of the place whose root has this GUID, from the day of this number.
        fn bookmark(&mut self, root: u64, day: u64) {
            let name = self.config.prefix.bookmark(root, day);
            self.named(name, day);
        }

        fn named(&mut self, name: String, day: u64) {
            self.source.bookmarks.push(Bookmark {
                name: name.into(),
                guid: day,
                createtxg: day,
                creation: day as i64 * DAY,
            });
        }

        fn told(self) -> Vec<String> {
            let dataset = |name: &str| name.parse().expect("a dataset");
            let mut tree = BTreeMap::from([(dataset("a"), self.source)]);
            if self.root.guid != 0 {
                tree.insert(dataset("b"), self.root);
            }
            let config = &self.config;
            let trees = Trees::of_this_machine(tree);
            let found = of_leftovers(config, &config.entries[0], &trees, &self.arrived);
            found.iter().map(ToString::to_string).collect()
        }
    }

    #[test]
    fn what_a_removed_destination_left_is_told_with_the_commands_that_destroy_it() {
        let mut sides = sides();
        sides.bookmark(HERE, 1);
        sides.bookmark(GONE, 3);
        sides.bookmark(GONE, 5);
        let told = sides.told();
        assert_eq!(told.len(), 1, "{told:?}");
        let commands = "destroy them: zfs destroy 'a#zam_22222222_0000000000000003' \
                        && zfs destroy 'a#zam_22222222_0000000000000005'";
        assert!(told[0].ends_with(commands), "{told:?}");
    }

    #[test]
    fn bookmarks_that_somebody_may_need_are_no_leftovers() {
        let mut moves_on = sides();
        moves_on.bookmark(GONE, 1);
        moves_on.bookmark(GONE, 12);
        let mut set_aside_for_a_copy = sides();
        let name = set_aside(&set_aside_for_a_copy.config.prefix, HERE, 1);
        set_aside_for_a_copy.named(name, 1);
        let mut of_a_disk_that_is_away = sides();
        of_a_disk_that_is_away.bookmark(GONE, 1);
        let entry = &of_a_disk_that_is_away.config.entries[0];
        of_a_disk_that_is_away.arrived.push(Arrived {
            name: record_name(entry, &entry.destinations[0]),
            id: destination_id(GONE),
            newest: BTreeMap::new(),
        });
        let mut perhaps_of_the_destination = sides();
        perhaps_of_the_destination.bookmark(GONE, 1);
        perhaps_of_the_destination.root.guid = 0;
        let mut by_hand = sides();
        by_hand.named("before".into(), 1);
        for sides in [
            moves_on,
            set_aside_for_a_copy,
            of_a_disk_that_is_away,
            perhaps_of_the_destination,
            by_hand,
        ] {
            let told = sides.told();
            assert!(told.is_empty(), "{told:?}");
        }
    }
}
