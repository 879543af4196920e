//! One entry on its way to one destination: both sides listed once, and each dataset brought along. Each stream is
//! bracketed by bookmarks, so that a run killed anywhere is continued by the next (invariant 7), and pruning the source
//! breaks nothing. What to send is decided in `core/replication`.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::words::{does_not_exist, progress, size, snapshots};
use super::{Run, report, side_by_side};
use crate::core::config::{Destination, Entry};
use crate::core::listing::{State, TREE_COLUMNS, Tree};
use crate::core::name::{Dataset, destination_id};
use crate::core::replication::{Kind, Mark, Plan, Side, Stream, Wish, plan};
use crate::core::selection::{governing, governs};
use crate::edge::command::Machine;
use crate::edge::outcome::{Later, Outcome};
use crate::edge::pipe::{Limit, Watch, transfer};
use crate::edge::zfs::{self, Depth};
use crate::edge::{journal, lock, systemd};

const TYPES: &str = "filesystem,volume,snapshot,bookmark";
/// Datasets side by side, unless `parallel` says otherwise.
const AT_ONCE: usize = 2;

/// One entry on its way to one destination.
pub(super) struct Replication<'r> {
    pub(super) run: &'r Run<'r>,
    pub(super) to: &'r Destination,
    here: Machine,
    there: Machine,
    source: Tree,
    replicas: Tree,
    /// The GUID of the destination's root, which names our bookmarks.
    root: u64,
    /// What exists at the destination; grows as datasets arrive.
    existing: Mutex<BTreeSet<Dataset>>,
    stop: &'r AtomicBool,
    /// Datasets to which something was sent.
    busy: AtomicUsize,
    limit: Option<Arc<Limit>>,
    _lock: Option<lock::Lock>,
}

impl<'r> Replication<'r> {
    pub(super) fn begin(run: &'r Run, to: &'r Destination, stop: &'r AtomicBool) -> Result<Self> {
        let lock = if run.dry { None } else { Some(lock::take(&format!("replica:{}/{}", to.name, run.entry.key))?) };
        let (here, there) = (Machine::new(run.entry.host.as_ref()), Machine::new(to.host.as_ref()));
        let replica = to.replica(&run.dataset);
        let list = |machine: &Machine, roots: &[&Dataset]| zfs::list(machine, TREE_COLUMNS, TYPES, Depth::All, roots);
        let (mut source, absent, replicas): (Tree, Vec<Dataset>, Tree);
        if here.is_same(&there) {
            let both = list(&here, &[&run.dataset, &replica])?;
            (replicas, source) = both.tree.into_iter().partition(|(dataset, _)| dataset.is_within(&replica));
            absent = both.absent;
        } else {
            let listing = list(&here, &[&run.dataset])?;
            (source, absent) = (listing.tree, listing.absent);
            replicas = list(&there, &[&replica])?.tree;
        }
        if absent.contains(&run.dataset) {
            return Err(does_not_exist(&run.dataset, &here.place()));
        }
        let above: Vec<Dataset> = replica.and_above().skip(1).take_while(|d| d.is_within(&to.root)).collect();
        let above =
            zfs::list(&there, "name,guid,createtxg", "filesystem,volume", Depth::Roots, &above.iter().collect::<Vec<_>>())?;
        let root = above.tree.get(&to.root).map(|state| state.guid);
        let root = root.ok_or_else(|| {
            anyhow!("{}; the replicas go below it (zfs create {})", does_not_exist(&to.root, &there.place()), to.root)
        })?;
        let existing = Mutex::new(replicas.keys().chain(above.tree.keys()).cloned().collect());
        let limit = to.rate_limit.map(|rate| Arc::new(Limit::new(rate.0)));
        source.retain(|dataset, _| governs(run.config, run.entry, dataset));
        Ok(Replication {
            run,
            to,
            here,
            there,
            source,
            replicas,
            root,
            existing,
            stop,
            busy: AtomicUsize::new(0),
            limit,
            _lock: lock,
        })
    }

    /// Every dataset, its replica, and the plan for it as things stand.
    pub(super) fn plans(&self) -> Result<Vec<(Dataset, Dataset, Plan)>> {
        let plan = |(dataset, source): (&Dataset, &State)| {
            let place = self.to.replica(dataset);
            let plan = self.plan(dataset, source, self.replicas.get(&place))?;
            Ok((dataset.clone(), place, plan))
        };
        self.source.iter().map(plan).collect()
    }

    fn plan(&self, dataset: &Dataset, source: &State, replica: Option<&State>) -> Result<Plan> {
        let token = replica.and_then(|replica| replica.resume_token.as_ref());
        let token = token.map(|token| zfs::decode_token(token)).transpose()?.flatten();
        let wish =
            Wish { prefix: &self.run.config.prefix, windows: &self.to.windows, decrypt: self.to.decrypt, now: self.run.now };
        let replica = replica.map(|state| Side { name: self.to.replica(dataset).to_string(), state });
        Ok(plan(&wish, &Side { name: dataset.to_string(), state: source }, replica.as_ref(), token.as_ref()))
    }

    /// Parents before children, so that each has a place; what has the same depth goes side by side.
    pub(super) fn bring_up_to_date(&self) -> Outcome {
        let depth = |dataset: &Dataset| dataset.and_above().count();
        let depths: BTreeSet<usize> = self.source.keys().map(depth).collect();
        let at_once = self.to.parallel.map_or(AT_ONCE, usize::from);
        let mut outcomes = Vec::new();
        for level in depths {
            let datasets: Vec<_> = self.source.iter().filter(|(dataset, _)| depth(dataset) == level).collect();
            outcomes.extend(side_by_side(datasets, at_once, |(dataset, source)| {
                self.bring(dataset, source)
                    .map_or_else(|e| report(&format!("{dataset} to {}", self.to.name), &e), |()| Outcome::Done)
            }));
        }
        let outcome = outcomes.into_iter().max().unwrap_or(Outcome::Done);
        if outcome == Outcome::Done && self.busy.load(Ordering::Relaxed) == 0 {
            self.say(format!("{} to {}: up to date", self.run.dataset, self.to.name));
        }
        outcome
    }

    /// One dataset: as many rounds as it takes, since a token brings one snapshot and a stale one is discarded once.
    fn bring(&self, dataset: &Dataset, source: &State) -> Result<()> {
        let place = self.to.replica(dataset);
        let mut replica = self.replicas.get(&place).cloned();
        let mut discarded = false;
        let mut cursors = self.cursors(source);
        loop {
            self.go_on()?;
            let plan = self.plan(dataset, source, replica.as_ref())?;
            if plan.kind == Kind::Diverged {
                bail!("the replica diverged: {}", plan.why);
            }
            if plan.kind == Kind::UpToDate && plan.base.is_none() && !plan.discard_token {
                let why = format!("{dataset} has no snapshot of zam's yet, so there is nothing to send");
                // Its timer will take one; where there is none, somebody has to.
                return Err(if self.run.entry.snapshot_period.is_some() { Later(why).into() } else { anyhow!(why) });
            }
            if plan.discard_token {
                if discarded {
                    bail!("{place} shows a new resume token right after the old one was discarded");
                }
                zfs::discard_token(&self.there, &place)?;
                discarded = true;
            } else {
                let resume = if plan.kind == Kind::Resume { replica.as_ref().and_then(|r| r.resume_token.clone()) } else { None };
                self.follow(dataset, source.volume, &place, &plan, resume.as_deref(), &mut cursors)?;
                if resume.is_none() {
                    return Ok(());
                }
            }
            replica = zfs::list(&self.there, TREE_COLUMNS, TYPES, Depth::One, &[&place])?.tree.remove(&place);
        }
    }

    /// Sends what the plan says; of a plan that begins with a resumed stream, that one alone.
    fn follow(
        &self,
        dataset: &Dataset,
        volume: bool,
        place: &Dataset,
        plan: &Plan,
        resume: Option<&str>,
        cursors: &mut BTreeSet<String>,
    ) -> Result<()> {
        let prefix = &self.run.config.prefix;
        if plan.kind == Kind::Full {
            self.make_room(dataset, place)?;
        }
        // The end of the way is marked with its start: pruning keeps what lies between, however long it takes.
        if let Some(base) = &plan.base {
            self.mark(dataset, &base.mark, base.guid, cursors)?;
        }
        let end = plan.streams.last().map(|last| prefix.bookmark(self.root, last.guid));
        if let Some(last) = plan.streams.last() {
            self.mark(dataset, &last.last_mark(), last.guid, cursors)?;
        }
        let begun = Instant::now();
        let (mut bytes, mut count) = (0, 0);
        for stream in plan.streams.iter().take(if resume.is_some() { 1 } else { usize::MAX }) {
            self.go_on()?;
            self.mark(dataset, &stream.last_mark(), stream.guid, cursors)?;
            let sender = match resume {
                Some(token) => zfs::send_resumed(&self.here, token),
                None => zfs::send(&self.here, dataset, stream, plan.raw),
            };
            let first = plan.base.is_none() && stream.from.is_none();
            let total =
                if std::io::stderr().is_terminal() && resume.is_none() { self.estimate(dataset, stream, plan.raw) } else { None };
            bytes += self.transfer(dataset, total, sender, zfs::receive(&self.there, place, first.then_some(volume)))?;
            count += stream.snapshots.len();
            if let Ok(mut existing) = self.existing.lock() {
                existing.insert(place.clone());
            }
            if first {
                self.check_properties(place, volume)?;
            }
            self.drop_cursors(dataset, cursors, &[Some(prefix.bookmark(self.root, stream.guid)), end.clone()])?;
        }
        if plan.streams.is_empty()
            && let Some(base) = &plan.base
        {
            self.drop_cursors(dataset, cursors, &[Some(prefix.bookmark(self.root, base.guid))])?;
        }
        if count > 0 {
            self.busy.fetch_add(1, Ordering::Relaxed);
            let seconds = begun.elapsed().as_secs_f64();
            self.say(format!(
                "{dataset} -> {place}{}: {}, {} in {seconds:.1} s",
                self.there.place(),
                snapshots(count),
                size(bytes)
            ));
            tracing::info!(message_id = "7d7b6ac1f0f94a0f8a8f3c4a61d7a003", zam_bytes = bytes, zam_seconds = seconds, zam_destination = %self.to.name, "replicated {dataset}");
        }
        Ok(())
    }

    /// The names of this destination's bookmarks on the source.
    fn cursors(&self, source: &State) -> BTreeSet<String> {
        let ours = Some(destination_id(self.root));
        let owned = source.bookmarks.iter().filter(|b| self.run.config.prefix.owns_bookmark(&b.name, b.guid) == ours);
        owned.map(|b| b.name.to_string()).collect()
    }

    /// Bookmarks a snapshot for this destination, unless that is done already.
    fn mark(&self, dataset: &Dataset, mark: &Mark, guid: u64, cursors: &mut BTreeSet<String>) -> Result<()> {
        let name = self.run.config.prefix.bookmark(self.root, guid);
        if cursors.insert(name.clone()) {
            zfs::bookmark(&self.here, dataset, mark, &name)?;
        }
        Ok(())
    }

    fn drop_cursors(&self, dataset: &Dataset, cursors: &mut BTreeSet<String>, keep: &[Option<String>]) -> Result<()> {
        let (stay, go) = std::mem::take(cursors).into_iter().partition(|name| keep.iter().flatten().any(|k| k == name));
        *cursors = stay;
        let go: BTreeSet<String> = go;
        go.iter().try_for_each(|name| zfs::destroy_bookmark(&self.here, dataset, name))
    }

    /// Sees to it that the parent of a first replica exists: what a job will bring is waited for, what none will is made.
    fn make_room(&self, dataset: &Dataset, place: &Dataset) -> Result<()> {
        // One at a time: siblings share their parents.
        let mut existing = self.existing.lock().map_err(|_| anyhow!("another dataset's thread died"))?;
        let sources: Vec<Dataset> = dataset.and_above().skip(1).collect();
        for above in sources.into_iter().rev() {
            let parent = self.to.replica(&above);
            if existing.contains(&parent) {
                continue;
            }
            let bringer = governing(self.run.config, self.run.entry.host_name(), &above);
            let brings = |entry: &Entry| entry.destinations.iter().any(|to| to.name == self.to.name && to.root == self.to.root);
            if let Some(entry) = bringer.filter(|entry| brings(entry)) {
                return Err(
                    Later(format!("{place} waits for its parent {parent}, which `zam replicate {}` brings", entry.key)).into()
                );
            }
            if self.run.config.is_dropped(self.run.entry.host_name(), &above) {
                return Err(Later(format!("{place} waits for its parent {parent}: the entry of that is at fault")).into());
            }
            zfs::create_parent(&self.there, &parent)?;
            existing.insert(parent);
        }
        Ok(())
    }

    fn go_on(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Later("stopped; the next run goes on".into()).into()) } else { Ok(()) }
    }

    /// With --json, standard output belongs to that.
    fn say(&self, line: String) {
        if !self.run.json {
            journal::print(line);
        }
    }

    /// The bytes that a stream would have, as far as zfs can tell.
    pub(super) fn estimate(&self, dataset: &Dataset, stream: &Stream, raw: bool) -> Option<u64> {
        zfs::estimate(&self.here, dataset, stream, raw)
    }

    fn transfer(
        &self,
        dataset: &Dataset,
        total: Option<u64>,
        sender: (Command, String),
        receiver: (Command, String),
    ) -> Result<u64> {
        let begun = Instant::now();
        let progress = |bytes: u64| {
            let text = format!("{dataset} to {}: {}", self.to.name, progress(bytes, total, begun.elapsed()));
            systemd::status(&text);
            if std::io::stderr().is_terminal() {
                eprint!("\r\x1b[K{text}");
            }
        };
        let stall = Duration::from_secs(self.to.stall_timeout.seconds());
        let result =
            transfer(sender, receiver, &Watch { stall, limit: self.limit.clone(), stop: self.stop, progress: &progress });
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        result
    }

    /// A receiver that lacks the permission for a property sets nothing and exits 0 (tried on 2.1 and 2.3).
    fn check_properties(&self, place: &Dataset, volume: bool) -> Result<()> {
        let (names, wanted) = if volume { ("readonly,volmode", ["on", "none"]) } else { ("readonly,canmount", ["on", "noauto"]) };
        let found = zfs::properties(&self.there, place, names)?;
        if found != wanted {
            let set = names.split(',').zip(wanted).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
            bail!(
                "{place} arrived, but its properties could not be set{}; let somebody who may run: zfs set {set} {place}",
                self.there.place()
            );
        }
        Ok(())
    }
}

impl Drop for Replication<'_> {
    /// The one ssh connection of the run ends with it.
    fn drop(&mut self) {
        self.here.close();
        self.there.close();
    }
}

impl Stream {
    fn last_mark(&self) -> Mark {
        Mark::Snapshot(self.to.clone())
    }
}
