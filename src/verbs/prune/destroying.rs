//! Destroys what was judged, and nothing else (invariant 11). `zfs destroy` goes by name, and since the listing a name may
//! have come to mean something else: the dataset renamed and another put in its place, rolled back, a snapshot renamed,
//! held, or needed by a replication that has begun. So the dataset is listed once more right before, and a snapshot goes
//! only if a plan made from that listing gives it up as well, compared by GUID.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::core::listing::{SNAPSHOT_COLUMNS, Snapshot, State};
use crate::core::name::Dataset;
use crate::edge::command::Machine;
use crate::edge::zfs::{self, DESTROY_MAX};

/// For how long a look at a dataset is believed while one command follows another.
const BELIEVED: Duration = Duration::from_secs(2);
/// A look is believed for at least so many times as long as it took: where ZFS is slow, looking is not to take most of
/// the time.
const TIMES: u32 = 4;
/// But never for longer than this, since the name may come to mean something else.
const LONGEST: Duration = Duration::from_secs(30);

/// The dataset that now has the name of the one that was listed.
pub(super) enum Found {
    Same,
    Another,
    Nothing,
}

pub(super) struct Destroying<'d> {
    machine: &'d Machine,
    dataset: &'d Dataset,
    /// The GUID of the dataset itself, as it was listed.
    guid: u64,
    /// The GUIDs of the snapshots that are still to go.
    todo: HashSet<u64>,
    refused: Option<Refused>,
    pub(super) destroyed: usize,
    /// How many snapshots the dataset has now.
    pub(super) kept: usize,
    pub(super) stay: Vec<Stays>,
}

/// Snapshots that ZFS refused to destroy together.
struct Refused {
    guids: HashSet<u64>,
    reason: String,
}

/// A snapshot that ZFS does not destroy.
pub(super) struct Stays {
    pub(super) name: Box<str>,
    pub(super) reason: String,
}

impl<'d> Destroying<'d> {
    /// `guid` is the dataset's own as it was listed, `judged` are the snapshots that the plan gives up.
    pub(super) fn new<'s>(
        machine: &'d Machine,
        dataset: &'d Dataset,
        guid: u64,
        judged: impl Iterator<Item = &'s Snapshot>,
    ) -> Self {
        Destroying {
            machine,
            dataset,
            guid,
            todo: judged.map(|snapshot| snapshot.guid).collect(),
            refused: None,
            destroyed: 0,
            kept: 0,
            stay: Vec::new(),
        }
    }

    /// `given_up` plans anew: the snapshots of the dataset, as it is now, that nothing keeps, oldest first.
    ///
    /// # Errors
    /// The dataset cannot be listed, its machine cannot be asked, or there is no new plan. What was done until then stands in
    /// the fields.
    pub(super) fn run(
        &mut self,
        given_up: impl Fn(&State) -> Result<Vec<Snapshot>>,
    ) -> Result<Found> {
        while !self.todo.is_empty() {
            let begun = Instant::now();
            let state = match zfs::list_one(self.machine, SNAPSHOT_COLUMNS, self.dataset)? {
                None => return Ok(Found::Nothing),
                Some(state) if state.guid != self.guid => return Ok(Found::Another),
                Some(state) => state,
            };
            let mut goes = given_up(&state)?;
            goes.retain(|s| self.todo.contains(&s.guid));
            self.todo = goes.iter().map(|s| s.guid).collect();
            self.kept = state.snapshots.len();
            let singly = self.after_a_refusal(&state, &goes);
            let time = (begun.elapsed() * TIMES).clamp(BELIEVED, LONGEST);
            self.destroy(&goes, singly, time)?;
        }
        Ok(Found::Same)
    }

    /// ZFS refuses all because of some: those that were held or cloned in the meantime stay. The others, which are the
    /// first of `goes`, are to be tried one by one; returns how many they are.
    fn after_a_refusal(&mut self, state: &State, goes: &[Snapshot]) -> usize {
        let Some(Refused { guids, reason }) = self.refused.take() else {
            return 0;
        };
        for snapshot in &state.snapshots {
            if guids.contains(&snapshot.guid) && (snapshot.held || snapshot.cloned) {
                self.stays(snapshot, reason.clone());
            }
        }
        goes.iter().filter(|s| guids.contains(&s.guid)).count()
    }

    /// Destroys as many of `goes` as `time` allows, the first `singly` of them one by one. Ends early where ZFS refuses
    /// several together.
    fn destroy(&mut self, goes: &[Snapshot], singly: usize, time: Duration) -> Result<()> {
        let begun = Instant::now();
        let (alone, together) = goes.split_at(singly);
        for batch in alone.chunks(1).chain(together.chunks(DESTROY_MAX)) {
            if begun.elapsed() >= time || !self.destroy_batch(batch)? {
                break;
            }
        }
        Ok(())
    }

    /// False: ZFS refused several together, and a new look must tell which of them are the reason.
    fn destroy_batch(&mut self, batch: &[Snapshot]) -> Result<bool> {
        let names: Vec<&str> = batch.iter().map(|s| &*s.name).collect();
        match zfs::destroy_snapshots(self.machine, self.dataset, &names) {
            Ok(were_there) => {
                self.destroyed += if were_there { batch.len() } else { 0 };
                self.kept -= batch.len();
            }
            Err(error) if !zfs::is_refusal(&error) => return Err(error),
            Err(error) if batch.len() > 1 => {
                self.refused = Some(Refused {
                    guids: batch.iter().map(|s| s.guid).collect(),
                    reason: format!("{error:#}"),
                });
                return Ok(false);
            }
            Err(error) => self.stays(&batch[0], format!("{error:#}")),
        }
        for snapshot in batch {
            self.todo.remove(&snapshot.guid);
        }
        Ok(true)
    }

    fn stays(&mut self, snapshot: &Snapshot, reason: String) {
        self.stay.push(Stays {
            name: snapshot.name.clone(),
            reason,
        });
    }
}
