//! A model of ZFS: a source and its replicas as lists of snapshots, on which the real planners' plans are carried out. Every
//! stream arrives, and a run takes no time. It also records the course of each side.

use crate::core::config::{Destination, Entry, Window};
use crate::core::job::{Job, Verb};
use crate::core::listing::{Bookmark, Snapshot, State};
use crate::core::name::{Prefix, destination_id};
use crate::core::pruning::{self, Keeping};
use crate::core::replication::{self, Stream, Wish};
use crate::core::retention::Verdict;
use crate::core::span::Epoch;

/// What one side held over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// None: the source.
    pub destination: Option<String>,
    /// The windows by which it is pruned. Empty: nothing prunes it.
    pub windows: Vec<Window>,
    /// The number of snapshots at the end of each day (UTC), from the day of the start on.
    pub days: Vec<usize>,
    /// The most at any moment.
    pub peak: usize,
    /// When the first snapshot that it ever had was taken.
    pub first: Option<Epoch>,
    /// When those that it has at the end were taken, oldest first.
    pub holds: Vec<Epoch>,
}

impl Side {
    pub fn name(&self) -> &str {
        self.destination.as_deref().unwrap_or("source")
    }

    /// The most snapshots at the end of a day.
    pub(super) fn most(&self) -> usize {
        self.days.iter().copied().max().unwrap_or(0)
    }
}

pub(super) struct Model<'c> {
    prefix: &'c Prefix,
    /// The source first, then its replicas.
    sides: Vec<ModelSide<'c>>,
    /// Counts GUIDs and transaction groups.
    count: u64,
}

/// The source's dataset or a replica of it.
struct ModelSide<'c> {
    /// None: the source.
    to: Option<&'c Destination>,
    state: State,
    /// The newest snapshot when it was last pruned.
    pruned: Option<u64>,
    course: Side,
}

impl<'c> ModelSide<'c> {
    fn new(to: Option<&'c Destination>, windows: &[Window]) -> Self {
        let course = Side {
            destination: to.map(|to| to.name.to_string()),
            windows: windows.into(),
            days: Vec::new(),
            peak: 0,
            first: None,
            holds: Vec::new(),
        };
        ModelSide {
            to,
            state: State::default(),
            pruned: None,
            course,
        }
    }

    fn add(&mut self, snapshot: Snapshot) {
        self.course.first.get_or_insert(snapshot.creation);
        self.state.snapshots.push(snapshot);
        self.course.peak = self.course.peak.max(self.state.snapshots.len());
    }

    fn end(mut self) -> Side {
        let snapshots = self.state.snapshots.iter();
        self.course.holds = snapshots.map(|s| s.creation).collect();
        self.course
    }
}

impl<'c> Model<'c> {
    pub(super) fn new(prefix: &'c Prefix, entry: &'c Entry) -> Self {
        let mut sides = vec![ModelSide::new(None, &entry.windows)];
        for to in &entry.destinations {
            if to.replication_period.is_some() {
                let windows = if to.is_pruned() { &to.windows[..] } else { &[] };
                sides.push(ModelSide::new(Some(to), windows));
            }
        }
        Model {
            prefix,
            sides,
            count: 0,
        }
    }

    pub(super) fn run(&mut self, job: &Job, at: Epoch) {
        self.count += 1;
        let name = job.destination.map(|to| &to.name);
        let mut sides = self.sides.iter();
        let side = sides.position(|side| side.to.map(|to| &to.name) == name);
        match (job.verb, side) {
            (Verb::Snapshot, _) => self.snapshot(at),
            (Verb::Replicate, Some(side)) => self.replicate(side, at),
            (Verb::Prune, Some(side)) => self.prune(side, at),
            // No job here makes the replica.
            (_, None) => {}
        }
    }

    fn snapshot(&mut self, at: Epoch) {
        self.sides[0].add(Snapshot {
            name: self.prefix.snapshot(at).into(),
            guid: self.count,
            createtxg: self.count,
            creation: at,
            written: 0,
            held: false,
            cloned: false,
        });
    }

    /// Afterwards one bookmark stands on the replica's newest snapshot, as verbs/replicate/bookmarks.rs leaves it.
    fn replicate(&mut self, side: usize, at: Epoch) {
        let streams = self.streams_to(side, at);
        let (source, replicas) = self.sides.split_at_mut(side);
        let source = &mut source[0].state;
        let replica = &mut replicas[0];
        for name in streams.iter().flat_map(|stream| &stream.snapshots) {
            if let Some(sent) = source.snapshots.iter().rfind(|s| *s.name == **name) {
                self.count += 1;
                replica.add(Snapshot {
                    createtxg: self.count,
                    ..sent.clone()
                });
            }
        }
        let last = streams.last();
        if let Some(newest) = last.and_then(|stream| source.snapshot(stream.guid)) {
            let root = (side as u64) << 32;
            let cursor = Bookmark {
                name: self.prefix.bookmark(root, newest.guid).into(),
                guid: newest.guid,
                createtxg: newest.createtxg,
            };
            let id = Some(destination_id(root));
            let bookmarks = &mut source.bookmarks;
            bookmarks.retain(|b| self.prefix.owns_bookmark(&b.name, b.guid) != id);
            bookmarks.push(cursor);
        }
    }

    fn streams_to(&self, side: usize, now: Epoch) -> Vec<Stream> {
        let replica = &self.sides[side];
        let wish = Wish {
            prefix: self.prefix,
            windows: replica.to.map_or(&[], |to| &to.windows),
            decrypt: false,
            now,
            root: None,
        };
        let [source, replica] = [&self.sides[0], replica].map(|side| replication::Side {
            name: String::new(),
            state: &side.state,
        });
        let exists = !replica.state.snapshots.is_empty();
        replication::plan(&wish, &source, exists.then_some(&replica), None).streams
    }

    fn prune(&mut self, side: usize, now: Epoch) {
        let newest = self.sides[side].state.snapshots.last().map(|s| s.guid);
        // The plan depends on the snapshots and on the newest's age alone: without a new one it would be the same.
        if self.sides[side].pruned == newest {
            return;
        }
        let source = &self.sides[0].state;
        let pruned = &self.sides[side];
        let wish = Keeping {
            prefix: self.prefix,
            windows: &pruned.course.windows,
            replicated: Vec::new(),
            now,
        };
        let plan = pruning::plan(&wish, &pruned.state, (side > 0).then_some(source));
        let keep: Vec<bool> = plan.verdicts.iter().map(Verdict::keep).collect();
        let pruned = &mut self.sides[side];
        // The plan goes by createtxg, and so does the model.
        let mut keep = keep.into_iter();
        pruned.state.snapshots.retain(|_| keep.next() == Some(true));
        pruned.pruned = newest;
    }

    pub(super) fn end_day(&mut self) {
        for side in &mut self.sides {
            side.course.days.push(side.state.snapshots.len());
        }
    }

    /// The source first.
    pub(super) fn end(self) -> Vec<Side> {
        self.sides.into_iter().map(ModelSide::end).collect()
    }
}
