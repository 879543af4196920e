//! The configuration played forward: one dataset of an entry and its replicas on a model of ZFS, with the real planners
//! at the real slots. Whatever else decides when a job runs is taken to be fulfilled: the machine is on, idle and
//! reachable, and a run takes no time. Pure: the clock on the wall comes in as a function, and knows no drawing.

pub mod picture;
pub mod summary;
pub mod timeline;

use crate::core::config::{Destination, Entry, Idle, Job, Verb, Window};
use crate::core::gate::{Moment, is_due, is_gated};
use crate::core::listing::{Bookmark, Snapshot, State};
use crate::core::name::{Prefix, destination_id};
use crate::core::pruning::{self, Keeping};
use crate::core::replication::{self, Wish};
use crate::core::schedule::Slots;
use crate::core::span::DAY;

const DAY_SECONDS: i64 = DAY as i64;

/// What one side held over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// None: the source.
    pub destination: Option<String>,
    /// What prunes it. Empty: nothing does.
    pub windows: Vec<Window>,
    /// The number of snapshots at the end of each day (UTC), from the day of the start on.
    pub days: Vec<usize>,
    /// The most at any moment.
    pub peak: usize,
    /// When the first snapshot that it ever had was taken, in epoch seconds.
    pub first: Option<i64>,
    /// When those that it has at the end were taken, in epoch seconds, oldest first.
    pub holds: Vec<i64>,
}

impl Side {
    pub fn name(&self) -> &str {
        self.destination.as_deref().unwrap_or("source")
    }
}

/// All that the course of an entry depends on: entries with the same policy have the same course.
pub fn policy(entry: &Entry) -> String {
    let of = |to: &Destination| {
        let idle = to
            .idle
            .as_ref()
            .map(|idle| (&idle.windows, idle.is_polled()));
        format!(
            "{:?}",
            (
                &to.name,
                to.replication_period,
                to.prune_period,
                &to.windows,
                idle
            )
        )
    };
    let destinations: Vec<String> = entry.destinations.iter().map(of).collect();
    format!(
        "{:?}",
        (
            is_played(entry),
            entry.snapshot_period,
            entry.prune_period,
            &entry.windows,
            destinations
        )
    )
}

/// Of what has no snapshots of ours nothing can be said: a pulled entry's come from its own machine.
pub fn is_played(entry: &Entry) -> bool {
    entry.host.is_none() && entry.snapshot_period.is_some()
}

/// From `from` until before `until` (epoch seconds), beginning with no snapshot at all: the source and each destination
/// that it is replicated to. `clock` says what the clock on the wall shows at a moment in epoch seconds.
pub fn play(
    prefix: &Prefix,
    entry: &Entry,
    from: i64,
    until: i64,
    clock: &dyn Fn(i64) -> Moment,
) -> Vec<Side> {
    if !is_played(entry) {
        return Vec::new();
    }
    let mut model = Model::new(prefix, entry);
    let mut timers = timers(entry);
    for day in from.div_euclid(DAY_SECONDS)..=(until - 1).div_euclid(DAY_SECONDS) {
        let wall = if timers.iter().any(|timer| timer.slots.is_local()) {
            wall(day, clock)
        } else {
            Vec::new()
        };
        let of = |(i, timer): (usize, &Timer)| {
            timer.on(day, &wall).map(|at| (at, i)).collect::<Vec<_>>()
        };
        let mut slots: Vec<(i64, usize)> = timers.iter().enumerate().flat_map(of).collect();
        slots.sort_unstable();
        for (at, i) in slots
            .into_iter()
            .filter(|(at, _)| (from..until).contains(at))
        {
            if timers[i].is_let(at, clock) {
                model.run(&timers[i].job, at);
            }
        }
        model.end_day();
    }
    model.places.into_iter().map(Place::end).collect()
}

struct Timer<'c> {
    job: Job<'c>,
    slots: Slots,
    /// The minutes of every day (UTC), where no clock on the wall is asked.
    minutes: Vec<i64>,
    last: Option<Moment>,
}

/// In the order in which the jobs that fire together run: the snapshot, replications, pruning.
fn timers(entry: &Entry) -> Vec<Timer<'_>> {
    let mut jobs = entry.jobs();
    jobs.sort_by_key(|job| (job.verb, job.destination.is_some()));
    jobs.into_iter().map(Timer::new).collect()
}

impl<'c> Timer<'c> {
    fn new(job: Job<'c>) -> Self {
        let windows = job
            .idle()
            .map(|idle| idle.windows.as_slice())
            .unwrap_or_default();
        let slots = Slots::new(job.period, windows, job.idle().is_some_and(Idle::is_polled));
        let fires = |minute: &i64| {
            !slots.is_local() && slots.contains(chrono::Weekday::Mon, *minute as u32)
        };
        Timer {
            job,
            minutes: (0..DAY_SECONDS / 60).filter(fires).collect(),
            slots,
            last: None,
        }
    }

    /// Its slots on a day (since 1970, UTC), in epoch seconds; `wall` is [`wall`]'s for that day.
    fn on(&self, day: i64, wall: &[Moment]) -> impl Iterator<Item = i64> {
        let utc = self
            .minutes
            .iter()
            .map(move |minute| day * DAY_SECONDS + minute * 60);
        let local = wall
            .iter()
            .filter(|at| self.slots.is_local() && self.slots.contains(at.weekday, at.minute));
        let minutes = utc.chain(local.map(|at| at.epoch));
        minutes.flat_map(|minute| {
            self.slots
                .seconds
                .iter()
                .map(move |second| minute + i64::from(*second))
        })
    }

    /// What `zam gate` says, once it has let the job run.
    fn is_let(&mut self, at: i64, clock: &dyn Fn(i64) -> Moment) -> bool {
        if !is_gated(&self.job) {
            return true;
        }
        let now = clock(at);
        let due = is_due(self.job.period, &self.slots.week, now, self.last);
        self.last = if due { Some(now) } else { self.last };
        due
    }
}

/// The minutes of a day (since 1970, UTC) as the clock on the wall shows them. Of those that it shows twice, in autumn,
/// the first alone: so does systemd, whose timers pass over the second.
fn wall(day: i64, clock: &dyn Fn(i64) -> Moment) -> Vec<Moment> {
    let minutes: Vec<Moment> = (-60..DAY_SECONDS / 60)
        .map(|minute| clock(day * DAY_SECONDS + minute * 60))
        .collect();
    let shown = |i: usize| (minutes[i].weekday, minutes[i].minute);
    (60..minutes.len())
        .filter(|i| [30, 60].iter().all(|back| shown(i - back) != shown(*i)))
        .map(|i| minutes[i])
        .collect()
}

/// The source comes first, then its replicas.
struct Model<'c> {
    prefix: &'c Prefix,
    places: Vec<Place<'c>>,
    /// Counts GUIDs and transaction groups.
    count: u64,
}

struct Place<'c> {
    to: Option<&'c Destination>,
    state: State,
    /// The newest snapshot when it was last pruned.
    pruned: Option<u64>,
    side: Side,
}

impl<'c> Place<'c> {
    fn new(to: Option<&'c Destination>, windows: &[Window]) -> Self {
        let destination = to.map(|to| to.name.to_string());
        let side = Side {
            destination,
            windows: windows.into(),
            days: Vec::new(),
            peak: 0,
            first: None,
            holds: Vec::new(),
        };
        Place {
            to,
            state: State::default(),
            pruned: None,
            side,
        }
    }

    fn add(&mut self, snapshot: Snapshot) {
        self.side.first.get_or_insert(snapshot.creation);
        self.state.snapshots.push(snapshot);
        self.side.peak = self.side.peak.max(self.state.snapshots.len());
    }

    fn end(self) -> Side {
        Side {
            holds: self.state.snapshots.iter().map(|s| s.creation).collect(),
            ..self.side
        }
    }
}

impl<'c> Model<'c> {
    fn new(prefix: &'c Prefix, entry: &'c Entry) -> Self {
        let replicas = entry
            .destinations
            .iter()
            .filter(|to| to.replication_period.is_some());
        let pruned_by = |to: &'c Destination| {
            if to.prune_period.is_some() {
                to.windows.as_slice()
            } else {
                &[]
            }
        };
        let replicas = replicas.map(|to| Place::new(Some(to), pruned_by(to)));
        Model {
            prefix,
            places: std::iter::once(Place::new(None, &entry.windows))
                .chain(replicas)
                .collect(),
            count: 0,
        }
    }

    fn run(&mut self, job: &Job, at: i64) {
        self.count += 1;
        let name = |to: Option<&Destination>| to.map(|to| to.name.clone());
        let place = self
            .places
            .iter()
            .position(|place| name(place.to) == name(job.destination));
        match (job.verb, place) {
            (Verb::Snapshot, _) => self.snapshot(at),
            (Verb::Replicate, Some(place)) => self.replicate(place, at),
            (Verb::Prune, Some(place)) => self.prune(place, at),
            // the replica is made by nobody here
            (_, None) => {}
        }
    }

    fn snapshot(&mut self, at: i64) {
        let (name, guid) = (self.prefix.snapshot(at).into(), self.count);
        let snapshot = Snapshot {
            name,
            guid,
            createtxg: guid,
            creation: at,
            written: 0,
            held: false,
            cloned: false,
        };
        self.places[0].add(snapshot);
    }

    /// Every stream arrives. Then one bookmark stands on the newest snapshot of the replica, as verbs/replicate/bookmarks.rs leaves it.
    fn replicate(&mut self, place: usize, at: i64) {
        let (source, replicas) = self.places.split_at_mut(place);
        let (source, replica) = (&mut source[0].state, &mut replicas[0]);
        let windows = replica
            .to
            .map(|to| to.windows.as_slice())
            .unwrap_or_default();
        let wish = Wish {
            prefix: self.prefix,
            windows,
            decrypt: false,
            now: at,
        };
        let there = replication::Side {
            name: String::new(),
            state: &replica.state,
        };
        let there = Some(there).filter(|there| !there.state.snapshots.is_empty());
        let here = replication::Side {
            name: String::new(),
            state: source,
        };
        let plan = replication::plan(&wish, &here, there.as_ref(), None);
        for name in plan.streams.iter().flat_map(|stream| &stream.snapshots) {
            if let Some(sent) = source.snapshots.iter().rev().find(|s| *s.name == **name) {
                self.count += 1;
                replica.add(Snapshot {
                    createtxg: self.count,
                    ..sent.clone()
                });
            }
        }
        let root = (place as u64) << 32;
        if let Some(newest) = plan
            .streams
            .last()
            .and_then(|stream| source.snapshot(stream.guid))
        {
            let name = self.prefix.bookmark(root, newest.guid).into();
            let cursor = Bookmark {
                name,
                guid: newest.guid,
                createtxg: newest.createtxg,
            };
            source.bookmarks.retain(|b| {
                self.prefix.owns_bookmark(&b.name, b.guid) != Some(destination_id(root))
            });
            source.bookmarks.push(cursor);
        }
    }

    fn prune(&mut self, place: usize, at: i64) {
        let newest = self.places[place].state.snapshots.last().map(|s| s.guid);
        // The plan depends on the snapshots and on the newest's age alone: without a new one it would be the same.
        if self.places[place].pruned == newest {
            return;
        }
        let (source, pruned) = (&self.places[0], &self.places[place]);
        let source = (place > 0).then_some(&source.state);
        let wish = Keeping {
            prefix: self.prefix,
            windows: &pruned.side.windows,
            replicated: Vec::new(),
            now: at,
        };
        let plan = pruning::plan(&wish, &pruned.state, source);
        let mut keep = Vec::from_iter(plan.verdicts.iter().map(|v| v.keep())).into_iter();
        let pruned = &mut self.places[place];
        pruned
            .state
            .snapshots
            .retain(|_| keep.next().unwrap_or(true));
        pruned.pruned = newest;
    }

    fn end_day(&mut self) {
        for place in &mut self.places {
            place.side.days.push(place.state.snapshots.len());
        }
    }
}
