//! One entry on its way to one destination: both sides listed, the ways marked, and each dataset brought along. Each
//! stream is bracketed by bookmarks, so that a run killed anywhere is continued by the next (invariant 7), and pruning
//! the source breaks nothing. What to send is decided in `core/replication`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::cursors::Cursors;
use super::parents::Parents;
use super::sides::{Sides, TYPES};
use super::words::{progress, size, snapshots};
use super::{Run, parallel, report, side_by_side};
use crate::core::config::Destination;
use crate::core::listing::{State, TREE_COLUMNS};
use crate::core::name::Dataset;
use crate::core::replication::{Kind, Plan, Side, Stream, Wish, plan};
use crate::edge::command::Pipeline;
use crate::edge::outcome::{Later, Outcome};
use crate::edge::pipe::{Limit, Watch, transfer};
use crate::edge::zfs::{self, Depth};
use crate::edge::{journal, lock, systemd};

/// Bookmarks side by side: each waits for a transaction group, which they then share.
const MARKS_AT_ONCE: usize = 8;

/// One entry on its way to one destination.
pub(super) struct Replication<'r> {
    pub(super) run: &'r Run<'r>,
    pub(super) to: &'r Destination,
    sides: Sides,
    parents: Parents,
    stop: &'r AtomicBool,
    /// Datasets to which something was sent.
    busy: AtomicUsize,
    limit: Option<Arc<Limit>>,
    /// Held until every way is marked: pruning the source between the listing and the marks could take the snapshot that
    /// a replica is about to end with.
    unpruned: Option<lock::Lock>,
    _lock: Option<lock::Lock>,
}

/// A dataset with its plan, its way marked.
struct Way<'w> {
    dataset: &'w Dataset,
    source: &'w State,
    plan: Plan,
    cursors: Cursors<'w>,
}

impl<'r> Replication<'r> {
    pub(super) fn begin(run: &'r Run, to: &'r Destination, stop: &'r AtomicBool) -> Result<Self> {
        let lock = if run.dry { None } else { Some(lock::take(&format!("replica:{}/{}", to.name, run.entry.key))?) };
        let is_pruned_here = !run.dry && run.entry.host.is_none();
        if is_pruned_here && to.host.is_some() {
            // An unreachable destination must not keep the source from being pruned.
            Sides::reach(to)?;
        }
        let unpruned = is_pruned_here.then(|| lock::share(&format!("prune/{}", run.entry.key))).transpose()?;
        let mut sides = Sides::read(run, to)?;
        let parents = Parents::new(std::mem::take(&mut sides.existing));
        let limit = to.rate_limit.map(|rate| Arc::new(Limit::new(rate.0)));
        Ok(Replication { run, to, sides, parents, stop, busy: AtomicUsize::new(0), limit, unpruned, _lock: lock })
    }

    /// Every dataset, its replica, and the plan for it as things stand.
    pub(super) fn plans(&self) -> Result<Vec<(Dataset, Dataset, Plan)>> {
        let plan = |(dataset, source)| Ok((Dataset::clone(dataset), self.to.replica(dataset), self.plan(dataset, source)?));
        self.sides.source.iter().map(plan).collect()
    }

    fn plan(&self, dataset: &Dataset, source: &State) -> Result<Plan> {
        self.plan_for(dataset, source, self.sides.replicas.get(&self.to.replica(dataset)))
    }

    fn plan_for(&self, dataset: &Dataset, source: &State, replica: Option<&State>) -> Result<Plan> {
        let token = replica.and_then(|replica| replica.resume_token.as_ref());
        let token = token.map(|token| zfs::decode_token(token)).transpose()?.flatten();
        let wish =
            Wish { prefix: &self.run.config.prefix, windows: &self.to.windows, decrypt: self.to.decrypt, now: self.run.now };
        let replica = replica.map(|state| Side { name: self.to.replica(dataset).to_string(), state });
        Ok(plan(&wish, &Side { name: dataset.to_string(), state: source }, replica.as_ref(), token.as_ref()))
    }

    /// Parents before children, so that each has a place; what has the same depth goes side by side.
    pub(super) fn bring_up_to_date(&mut self) -> Outcome {
        self.tell_what_is_odd();
        let unpruned = self.unpruned.take();
        let this = &*self;
        let (mut levels, mut outcomes) = (BTreeMap::<usize, Vec<Way>>::new(), Vec::new());
        for (dataset, way) in
            side_by_side(this.sides.source.iter().collect(), MARKS_AT_ONCE, |(d, source)| (d, this.mark(d, source)))
        {
            match way {
                Ok(way) => levels.entry(dataset.and_above().count()).or_default().push(way),
                Err(error) => outcomes.push(this.failed(dataset, &error)),
            }
        }
        drop(unpruned);
        let at_once = parallel(this.to);
        for ways in levels.into_values() {
            outcomes.extend(side_by_side(ways, at_once, |way| {
                let dataset = way.dataset;
                this.bring(way).map_or_else(|error| this.failed(dataset, &error), |()| Outcome::Done)
            }));
        }
        let outcome = outcomes.into_iter().max().unwrap_or(Outcome::Done);
        if outcome == Outcome::Done && this.busy.load(Ordering::Relaxed) == 0 {
            this.say(format!("{} to {}: up to date", this.run.dataset, this.to.name));
        }
        outcome
    }

    fn failed(&self, dataset: &Dataset, error: &anyhow::Error) -> Outcome {
        report(&format!("{dataset} to {}", self.to.name), error)
    }

    /// What no plan changes, and a person should know.
    fn tell_what_is_odd(&self) {
        let there = self.sides.there.place();
        for place in &self.sides.orphans {
            self.say(format!("{place}{there} stays as it is: what it is the replica of is gone"));
        }
        for place in self.sides.source.keys().map(|dataset| self.to.replica(dataset)) {
            if self.sides.replicas.get(&place).is_some_and(|replica| replica.writable && !replica.snapshots.is_empty()) {
                journal::warn(format!(
                    "{place}{there} is writable, and a write to it would end its replication; to prevent that: \
                     zfs set readonly=on {place}"
                ));
            }
        }
    }

    fn mark<'w>(&'w self, dataset: &'w Dataset, source: &'w State) -> Result<Way<'w>> {
        self.go_on()?;
        let plan = self.plan(dataset, source)?;
        let mut cursors = Cursors::of(&self.sides.here, dataset, source, &self.run.config.prefix, self.sides.root);
        cursors.mark_way(&plan)?;
        Ok(Way { dataset, source, plan, cursors })
    }

    /// One dataset: as many rounds as it takes, since a token brings one snapshot and a stale one is discarded once.
    fn bring(&self, mut way: Way) -> Result<()> {
        let place = self.to.replica(way.dataset);
        let mut token = self.sides.replicas.get(&place).and_then(|replica| replica.resume_token.clone());
        let mut discarded = false;
        loop {
            self.go_on()?;
            let plan = &way.plan;
            if plan.kind == Kind::Diverged {
                bail!("the replica diverged: {}", plan.why);
            }
            if plan.kind == Kind::UpToDate && plan.base.is_none() && !plan.discard_token {
                let why = format!("{} has no snapshot of zam's yet, so there is nothing to send", way.dataset);
                // Its timer will take one; where there is none, somebody has to.
                return Err(if self.run.entry.snapshot_period.is_some() { Later(why).into() } else { anyhow!(why) });
            }
            if plan.discard_token {
                if discarded {
                    bail!("{place} shows a new resume token right after the old one was discarded");
                }
                zfs::discard_token(&self.sides.there, &place)?;
                discarded = true;
            } else {
                let resume = token.as_deref().filter(|_| plan.kind == Kind::Resume);
                self.follow(&mut way, &place, resume)?;
                if resume.is_none() {
                    return Ok(());
                }
            }
            let replica = zfs::list(&self.sides.there, TREE_COLUMNS, TYPES, Depth::One, &[place.as_str()])?.tree.remove(&place);
            way.plan = self.plan_for(way.dataset, way.source, replica.as_ref())?;
            way.cursors.mark_way(&way.plan)?;
            token = replica.and_then(|replica| replica.resume_token);
        }
    }

    /// Sends what the plan says; of a plan that begins with a resumed stream, that one alone.
    fn follow(&self, way: &mut Way, place: &Dataset, resume: Option<&str>) -> Result<()> {
        let (dataset, plan) = (way.dataset, &way.plan);
        if plan.kind == Kind::Full {
            self.parents.make(self.run, self.to, &self.sides.there, dataset)?;
        }
        let begun = Instant::now();
        let (mut bytes, mut count) = (0, 0);
        for stream in plan.streams.iter().take(if resume.is_some() { 1 } else { usize::MAX }) {
            self.go_on()?;
            way.cursors.mark_end_of(stream)?;
            let first = plan.base.is_none() && stream.from.is_none();
            let receiver = zfs::receive(&self.sides.there, place, first.then_some(way.source.volume), self.compressor());
            bytes += self.transfer(dataset, stream, plan.raw, resume, receiver)?;
            count += stream.snapshots.len();
            self.parents.arrived(place);
            if self.compressor().is_some() {
                self.check_arrival(place, stream)?;
            }
            if first {
                self.check_properties(place, way.source.volume, plan.raw)?;
            }
            let end = plan.streams.last().unwrap_or(stream);
            way.cursors.keep_only(&[stream.guid, end.guid])?;
        }
        if let (true, Some(base)) = (plan.streams.is_empty(), &plan.base) {
            way.cursors.keep_only(&[base.guid])?;
        }
        if count > 0 {
            self.busy.fetch_add(1, Ordering::Relaxed);
            self.tell_what_arrived(dataset, place, count, bytes, begun.elapsed());
        }
        Ok(())
    }

    fn go_on(&self) -> Result<()> {
        systemd::alive();
        if self.stop.load(Ordering::Relaxed) { Err(Later("stopped; the next run goes on".into()).into()) } else { Ok(()) }
    }

    /// With --json, standard output belongs to that.
    fn say(&self, line: String) {
        if !self.run.json {
            journal::print(line);
        }
    }

    fn tell_what_arrived(&self, dataset: &Dataset, place: &Dataset, count: usize, bytes: u64, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        let there = self.sides.there.place();
        let text = format!("{dataset} -> {place}{there}: {}, {} in {seconds:.1} s", snapshots(count), size(bytes));
        if journal::is_journal() {
            tracing::info!(message_id = "7d7b6ac1f0f94a0f8a8f3c4a61d7a003", zam_bytes = bytes, zam_seconds = seconds, zam_destination = %self.to.name, "{text}");
        } else {
            self.say(text);
        }
    }

    /// The bytes that a stream would have, as far as zfs can tell.
    pub(super) fn estimate(&self, dataset: &Dataset, stream: &Stream, raw: bool) -> Option<u64> {
        zfs::estimate(&self.sides.here, dataset, stream, raw)
    }

    /// Within one machine there is no link that compression would relieve.
    fn compressor(&self) -> Option<&'static str> {
        self.to.compress.filter(|_| !self.sides.here.is_same(&self.sides.there)).map(|compression| compression.program())
    }

    fn transfer(&self, dataset: &Dataset, stream: &Stream, raw: bool, resume: Option<&str>, receiver: Pipeline) -> Result<u64> {
        let sender = match resume {
            Some(token) => zfs::send_resumed(&self.sides.here, token, self.compressor()),
            None => zfs::send(&self.sides.here, dataset, stream, raw, self.compressor()),
        };
        let terminal = std::io::stderr().is_terminal();
        // Of a stream that is compressed on its way nobody knows how much is left.
        let is_known = terminal && resume.is_none() && self.compressor().is_none();
        let total = if is_known { self.estimate(dataset, stream, raw) } else { None };
        let (begun, seen) = (Instant::now(), AtomicU64::new(0));
        let progress = |bytes: u64| {
            if seen.swap(bytes, Ordering::Relaxed) != bytes {
                systemd::alive();
            }
            let text = format!("{dataset} to {}: {}", self.to.name, progress(bytes, total, begun.elapsed()));
            systemd::status(&text);
            if terminal {
                eprint!("\r\x1b[K{text}");
            }
        };
        let stall = Duration::from_secs(self.to.stall_timeout.seconds());
        let result =
            transfer(sender, receiver, &Watch { stall, limit: self.limit.clone(), stop: self.stop, progress: &progress });
        if terminal {
            eprint!("\r\x1b[K");
        }
        result
    }

    /// Over ssh the exit status of `zfs send | zstd` is that of zstd, and a stream that fails between two snapshots ends
    /// as a whole one does (libzfs: send_conclusion_record).
    fn check_arrival(&self, place: &Dataset, stream: &Stream) -> Result<()> {
        let snapshot = format!("{place}@{}", stream.to);
        let guid = zfs::properties(&self.sides.there, &snapshot, "guid").unwrap_or_default();
        if guid != [stream.guid.to_string()] {
            bail!("the stream ended before {snapshot}{}; the next run goes on from what has arrived", self.sides.there.place());
        }
        Ok(())
    }

    /// A receiver that lacks the permission for a property sets nothing and exits 0 (tried on 2.1 and 2.3).
    fn check_properties(&self, place: &Dataset, volume: bool, raw: bool) -> Result<()> {
        let there = self.sides.there.place();
        let (name, value) = if volume { ("volmode", "none") } else { ("canmount", "noauto") };
        let found = zfs::properties(&self.sides.there, place.as_str(), &format!("readonly,{name},encryptionroot"))?;
        let [readonly, other, encryption_root] = found.as_slice() else { bail!("zfs get {place}{there} printed {found:?}") };
        if encryption_root != "-" && !raw {
            self.say(format!("{place}{there} is encrypted by its parent, with the key of {encryption_root}"));
        }
        if (readonly.as_str(), other.as_str()) != ("on", value) {
            bail!(
                "{place} arrived, but its properties could not be set{there}; let somebody who may run: \
                 zfs set readonly=on {name}={value} {place}"
            );
        }
        Ok(())
    }
}

impl Drop for Replication<'_> {
    /// The one ssh connection of the run ends with it.
    fn drop(&mut self) {
        self.sides.here.close();
        self.sides.there.close();
    }
}
