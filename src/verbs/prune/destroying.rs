//! Destroys what was judged, and nothing else (invariant 11). `zfs destroy` goes by name, and since the listing a name may
//! have come to mean something else: the dataset renamed and another put in its place, rolled back, a snapshot renamed,
//! held, or needed by a replication that has begun. So the dataset is listed once more right before, and what goes is
//! what a plan made of that gives up as well, compared by GUID.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::core::listing::{ALL_TYPES, SNAPSHOT_COLUMNS, Snapshot, State};
use crate::core::name::Dataset;
use crate::edge::command::Machine;
use crate::edge::zfs::{self, DESTROY_MAX, Depth};

/// For how long a look at a dataset is believed while one command follows another.
const BELIEVED: Duration = Duration::from_secs(2);
/// Or for so many times as long as the look took: where ZFS is slow, looking is not to take the most of the time.
const TIMES: u32 = 4;

/// What stands under the name that was listed.
pub(super) enum Found {
    Same,
    Another,
    Nothing,
}

pub(super) struct Destroying<'d> {
    machine: &'d Machine,
    dataset: &'d Dataset,
    /// The dataset's own, as it was listed.
    guid: u64,
    /// The GUIDs of what is still to go.
    todo: HashSet<u64>,
    /// What ZFS refused to destroy together, and why.
    refused: Option<(HashSet<u64>, String)>,
    pub(super) destroyed: usize,
    /// How many snapshots the dataset has now.
    pub(super) kept: usize,
    /// What ZFS does not destroy, and why.
    pub(super) stay: Vec<(Box<str>, String)>,
}

impl<'d> Destroying<'d> {
    pub(super) fn new<'s>(
        machine: &'d Machine,
        dataset: &'d Dataset,
        guid: u64,
        judged: impl Iterator<Item = &'s Snapshot>,
    ) -> Self {
        let todo = judged.map(|snapshot| snapshot.guid).collect();
        Destroying {
            machine,
            dataset,
            guid,
            todo,
            refused: None,
            destroyed: 0,
            kept: 0,
            stay: Vec::new(),
        }
    }

    /// `given_up` plans anew: of what is there now, what nothing keeps, oldest first.
    ///
    /// # Errors
    /// The dataset cannot be listed, or its machine cannot be asked. What was done until then stands in the fields.
    pub(super) fn run(&mut self, given_up: impl Fn(&State) -> Vec<Snapshot>) -> Result<Found> {
        while !self.todo.is_empty() {
            let begun = Instant::now();
            let listing = zfs::list(
                self.machine,
                SNAPSHOT_COLUMNS,
                ALL_TYPES,
                Depth::One,
                &[self.dataset.as_str()],
            )?;
            let state = match listing.tree.get(self.dataset) {
                None => return Ok(Found::Nothing),
                Some(state) if state.guid != self.guid => return Ok(Found::Another),
                Some(state) => state,
            };
            let mut goes = given_up(state);
            goes.retain(|s| self.todo.contains(&s.guid));
            self.todo = goes.iter().map(|s| s.guid).collect();
            self.kept = state.snapshots.len();
            let singly = self.after_a_refusal(state, &goes);
            self.destroy(&goes, singly, BELIEVED.max(begun.elapsed() * TIMES))?;
        }
        Ok(Found::Same)
    }

    /// Who was held or cloned in the meantime is the reason that ZFS refused all; the others, the first of `goes`, are to be
    /// tried one by one. Returns how many they are.
    fn after_a_refusal(&mut self, state: &State, goes: &[Snapshot]) -> usize {
        let Some((refused, reason)) = self.refused.take() else {
            return 0;
        };
        let to_blame = state
            .snapshots
            .iter()
            .filter(|s| refused.contains(&s.guid) && (s.held || s.cloned));
        self.stay
            .extend(to_blame.map(|s| (s.name.clone(), reason.clone())));
        goes.iter().filter(|s| refused.contains(&s.guid)).count()
    }

    /// As many of `goes` as `time` allows, or up to what ZFS refuses.
    fn destroy(&mut self, goes: &[Snapshot], mut singly: usize, time: Duration) -> Result<()> {
        let (begun, mut rest) = (Instant::now(), goes);
        while !rest.is_empty() && begun.elapsed() < time {
            let (batch, after) =
                rest.split_at(rest.len().min(if singly > 0 { 1 } else { DESTROY_MAX }));
            let names: Vec<&str> = batch.iter().map(|s| &*s.name).collect();
            match zfs::destroy_snapshots(self.machine, self.dataset, &names) {
                Ok(were_there) => {
                    self.destroyed += if were_there { batch.len() } else { 0 };
                    self.kept -= batch.len();
                }
                Err(error) if !zfs::is_refusal(&error) => return Err(error),
                Err(error) if batch.len() > 1 => {
                    self.refused =
                        Some((batch.iter().map(|s| s.guid).collect(), format!("{error:#}")));
                    return Ok(());
                }
                Err(error) => self
                    .stay
                    .push((batch[0].name.clone(), format!("{error:#}"))),
            }
            for snapshot in batch {
                self.todo.remove(&snapshot.guid);
            }
            (rest, singly) = (after, singly.saturating_sub(1));
        }
        Ok(())
    }
}
