//! Remembers, for each dataset, the newest snapshot that a destination may have. Bookmarks say so too, but a rollback of the
//! source destroys them, and a clone that was promoted in its place, or a copy that was restored from the replica, has
//! none. Pruning keeps what both sides may have in common (invariant 2).

use std::collections::BTreeMap;

use crate::core::config::{Destination, Entry};
use crate::core::listing::{Snapshot, State};
use crate::core::name::{Dataset, Prefix};
use crate::core::replication::{Plan, TokenUse};
use crate::core::span::Epoch;
use crate::core::unit_name::escape;

/// How many datasets that are gone are still remembered: one may come back, restored from its replica.
const GONE_MAX: usize = 1000;

/// A snapshot that a destination has, or will have once what is on its way has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    pub createtxg: u64,
    /// The latest time in the names of our snapshots up to this one, as [`Prefix::time_of`] gives it. A copy that was
    /// restored from the replica has other transaction groups and the same names.
    pub time: String,
}

impl Newest {
    /// The newest snapshot that both sides have.
    pub fn of_base(prefix: &Prefix, plan: &Plan, source: &State) -> Option<Newest> {
        let base = plan.base.as_ref()?;
        Some(Newest::at(prefix, source, base.createtxg))
    }

    /// The newest snapshot that the destination has when a plan is carried out. None: it then has nothing.
    pub fn after(prefix: &Prefix, plan: &Plan, source: &State) -> Option<Newest> {
        // Nothing is sent past a token that is not ours.
        let is_sent = plan.token != TokenUse::Foreign;
        let end = plan.streams.last().filter(|_| is_sent);
        match end.and_then(|stream| source.snapshot(stream.guid)) {
            Some(end) => Some(Newest::at(prefix, source, end.createtxg)),
            None => Newest::of_base(prefix, plan, source),
        }
    }

    fn at(prefix: &Prefix, source: &State, createtxg: u64) -> Newest {
        let until = source.owned(prefix).filter(|s| s.createtxg <= createtxg);
        let time = until.filter_map(|s| prefix.time_of(&s.name)).max();
        Newest {
            createtxg,
            time: time.unwrap_or(BEFORE_EVERY_TIME).into(),
        }
    }
}

/// What one destination of an entry may have. It is kept as a file of this name and text.
#[derive(Debug, PartialEq)]
pub struct Arrived {
    /// Which entry and destination, as [`record_name`] says it.
    pub name: String,
    /// What the destination's bookmarks are named after: the disk behind its name may be another the next time.
    pub id: u32,
    pub newest: BTreeMap<Dataset, Newest>,
}

/// A name for the replicas of an entry at a destination.
pub fn record_name(entry: &Entry, to: &Destination) -> String {
    escape(&format!("{}/{}", to.name, entry.key))
}

impl Arrived {
    pub fn file_name(&self) -> String {
        format!("{}@{:08x}", self.name, self.id)
    }

    /// What such a file says; lines that say nothing are left out. None: it is no such file.
    pub fn parse(file_name: &str, text: &str) -> Option<Arrived> {
        if file_name.contains(char::is_control) {
            return None; // it is to be printed
        }
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
            text += &format!("{} {} {dataset}\n", newest.createtxg, newest.time);
        }
        text
    }

    pub fn set(&mut self, dataset: &Dataset, mut newest: Newest) {
        // Its snapshots may have been pruned since, so that only its bookmark is left, which says no time.
        if let Some(known) = self.newest.get(dataset)
            && known.createtxg == newest.createtxg
        {
            newest.time = newest.time.max(known.time.clone());
        }
        self.newest.insert(dataset.clone(), newest);
    }

    /// The latest time of any dataset.
    pub fn latest(&self) -> &str {
        let times = self.newest.values().map(|newest| newest.time.as_str());
        times.max().unwrap_or(BEFORE_EVERY_TIME)
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
        time: words.next()?.into(),
    };
    Some((words.next()?.parse().ok()?, newest))
}

/// What a destination may have of one source.
#[derive(Clone, Debug)]
pub struct Replicated {
    /// None: nobody knows which bookmarks are of this destination, so that none counts.
    pub id: Option<u32>,
    pub newest: Newest,
    /// Only of what was taken before: it came with a stream.
    pub before: Option<Epoch>,
}

impl Replicated {
    /// Whether the destination may have a snapshot, with this time in its name, although no bookmark of it stands at that
    /// or after it. `marked` has the createtxg of each destination's newest bookmark.
    pub fn may_have_unmarked(
        &self,
        snapshot: &Snapshot,
        time: &str,
        marked: &BTreeMap<u32, u64>,
    ) -> bool {
        let marked = self.id.and_then(|id| marked.get(&id));
        let newest = &self.newest;
        let is_unmarked = marked.is_none_or(|marked| {
            snapshot.createtxg > *marked && snapshot.createtxg <= newest.createtxg
        });
        let is_before = self.before.is_none_or(|made| snapshot.creation < made);
        is_unmarked && is_before && time <= newest.time.as_str()
    }
}

/// The replication of an entry to one destination.
pub struct Replicating {
    /// Which entry and destination, as in [`Arrived`].
    pub name: String,
    /// By when its job had brought everything, as [`Prefix::time_of`] gives it. None: it never has.
    pub done: Option<String>,
}

/// What all destinations may have of a source that was `made` then, as far as is known. A source under a new name is in no
/// record of a destination, nor is what an earlier zam has sent; but a job that succeeded had sent it. A machine that was
/// installed anew knows of no success either; but snapshots that are older than their dataset came with a stream, and where
/// from, if not from a destination, nobody knows.
pub fn replications(
    all: &[Arrived],
    jobs: &[Replicating],
    dataset: &Dataset,
    made: Epoch,
) -> Vec<Replicated> {
    let mut replications = Vec::new();
    for arrived in all {
        let id = Some(arrived.id);
        if let Some(newest) = arrived.newest.get(dataset).cloned() {
            let before = None;
            replications.push(Replicated { id, newest, before });
        } else if let Some(job) = jobs.iter().find(|job| job.name == arrived.name) {
            replications.push(by_job(job, id, arrived.latest(), made));
        }
    }
    for job in jobs {
        if !all.iter().any(|arrived| arrived.name == job.name) {
            replications.push(by_job(job, None, AFTER_EVERY_TIME, made));
        }
    }
    replications
}

/// What stands before the times in all names, and what follows them.
const BEFORE_EVERY_TIME: &str = "-";
const AFTER_EVERY_TIME: &str = "~";

/// What the job has brought, at most until `latest`. If it never has, what is older than a source that was `made` then,
/// whatever its name.
fn by_job(job: &Replicating, id: Option<u32>, latest: &str, made: Epoch) -> Replicated {
    let (time, before) = match &job.done {
        Some(done) => (done.as_str().min(latest), None),
        None => (AFTER_EVERY_TIME, Some(made)),
    };
    // No bookmark goes before it: all may be there that was taken by then.
    let newest = Newest {
        createtxg: 0,
        time: time.into(),
    };
    Replicated { id, newest, before }
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
        let text =
            "7 20240101T000000Z tank\nnonsense\n\n9 - tank/with a space\nx - tank/b\n1 - tank@c\n";
        let arrived = Arrived::parse(file, text).expect("a record");
        assert_eq!(arrived.file_name(), file);
        let text = arrived.text();
        assert_eq!(text, "7 20240101T000000Z tank\n9 - tank/with a space\n");
        assert_eq!(Arrived::parse(file, &text), Some(arrived));
        assert_eq!(Arrived::parse("nas-tank", &text), None);
        assert_eq!(Arrived::parse("nas\ntank@0000abcd", &text), None);
    }

    /// Each disk on its own: the record of one says nothing of another, nor does a job that succeeded after it went away.
    #[test]
    fn a_job_tells_what_records_do_not() {
        let records = [
            ("nas-tank@1", "7 20240103T000000Z tank/b\n"),
            ("usb-tank@2", "7 20240102T000000Z tank/other\n"),
            ("usb-tank@3", "7 20240109T000000Z tank/other\n"),
            ("old-tank@4", "5 20240101T000000Z tank/b\n"),
            ("old-tank@5", "5 20240101T000000Z tank/other\n"),
            ("other-tank@6", "5 20240101T000000Z tank/other\n"),
        ];
        let all = records.iter();
        let all: Vec<Arrived> = all
            .filter_map(|(file, text)| Arrived::parse(file, text))
            .collect();
        let done = Some("20240105T000000Z");
        let jobs = [
            ("nas-tank", done),
            ("usb-tank", done),
            ("tape-tank", done),
            ("new-tank", None),
            ("other-tank", None),
        ];
        let jobs = jobs.map(|(name, done)| Replicating {
            name: name.into(),
            done: done.map(Into::into),
        });
        let mut found = String::new();
        for it in replications(&all, &jobs, &dataset("tank/b"), 77) {
            let Newest { createtxg, time } = it.newest;
            let before = it
                .before
                .map_or(String::new(), |made| format!(" before {made}"));
            let time = time.split('T').next().unwrap_or_default();
            found += &format!("{:?} {createtxg} {time}{before}, ", it.id);
        }
        assert_eq!(
            found,
            "Some(1) 7 20240103, Some(2) 0 20240102, Some(3) 0 20240105, Some(4) 5 20240101, \
             Some(6) 0 ~ before 77, None 0 20240105, None 0 ~ before 77, "
        );
    }

    #[test]
    fn the_time_of_a_snapshot_that_was_pruned_is_not_forgotten() {
        let mut arrived = Arrived::parse("a@1", "7 20240105T000000Z tank\n").expect("a record");
        for (createtxg, time, known) in [
            (7, "20240101T000000Z", "20240105T000000Z"),
            (7, "-", "20240105T000000Z"),
            (5, "20240101T000000Z", "20240101T000000Z"),
        ] {
            let time = time.into();
            arrived.set(&dataset("tank"), Newest { createtxg, time });
            assert_eq!(arrived.text(), format!("{createtxg} {known} tank\n"));
        }
    }

    #[test]
    fn of_the_gone_the_oldest_are_forgotten() {
        let mut text = "1 - tank\n".to_owned();
        for i in 0..GONE_MAX + 2 {
            text += &format!("{} - tank/gone{i}\n", 10 + i);
        }
        let mut arrived = Arrived::parse("a@1", &text).expect("a record");
        arrived.forget_gone(|known| *known == dataset("tank"));
        assert_eq!(arrived.newest.len(), GONE_MAX + 1);
        let is_known = |name: &str| arrived.newest.contains_key(&dataset(name));
        assert!(is_known("tank") && is_known("tank/gone2"));
        assert!(!is_known("tank/gone0") && !is_known("tank/gone1"));
    }
}
