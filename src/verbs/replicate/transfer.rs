//! One entry on its way to one destination: both sides listed, the ways marked, and each dataset brought along. Each
//! stream is bracketed by bookmarks, so that a run killed anywhere is continued by the next (invariant 7), and pruning
//! the source breaks nothing. What to send is decided in `core/replication`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use crate::core::config::Destination;
use crate::core::listing::{ALL_TYPES, DATASETS, SKIM_COLUMNS, State, TREE_COLUMNS};
use crate::core::name::Dataset;
use crate::core::replication::{Kind, Plan, Side, Stream, TokenUse, Wish, plan};
use crate::core::shell::quoted;
use crate::edge::command::{Machine, Pipeline};
use crate::edge::outcome::{Exit::Later, Outcome, is_later};
use crate::edge::pipe::{Limit, Watch, transfer};
use crate::edge::zfs::{self, Depth, First, Landing};
use crate::edge::{journal, lock, systemd};
use crate::verbs::replicate::bookmarks::Cursors;
use crate::verbs::replicate::listing::Sides;
use crate::verbs::replicate::parents::Parents;
use crate::verbs::say::{progress, size, snapshots};
use crate::verbs::{Run, parallel, report, side_by_side};

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
    /// A stream was begun, so that something may have arrived, however it ended.
    has_begun: bool,
}

impl<'r> Replication<'r> {
    pub(super) fn begin(run: &'r Run, to: &'r Destination, stop: &'r AtomicBool) -> Result<Self> {
        let lock = if run.dry {
            None
        } else {
            Some(lock::take(&format!(
                "replica:{}/{}",
                to.name, run.entry.key
            ))?)
        };
        let is_pruned_here = !run.dry && run.entry.host.is_none();
        if is_pruned_here && to.host.is_some() {
            // An unreachable destination must not keep the source from being pruned.
            Sides::reach(to)?;
        }
        let unpruned = is_pruned_here
            .then(|| lock::share(&format!("prune/{}", run.entry.key)))
            .transpose()?;
        let mut sides = Sides::read(run, to)?;
        let parents = Parents::new(std::mem::take(&mut sides.existing));
        let limit = to.rate_limit.map(|rate| Arc::new(Limit::new(rate.0)));
        Ok(Replication {
            run,
            to,
            sides,
            parents,
            stop,
            busy: AtomicUsize::new(0),
            limit,
            unpruned,
            _lock: lock,
        })
    }

    /// Every dataset, its replica, and the plan for it as things stand.
    pub(super) fn plans(&self) -> Result<Vec<(Dataset, Dataset, Plan)>> {
        let plan = |(dataset, source)| {
            Ok((
                Dataset::clone(dataset),
                self.to.replica(dataset),
                self.plan(dataset, source)?,
            ))
        };
        self.sides.source.iter().map(plan).collect()
    }

    fn plan(&self, dataset: &Dataset, source: &State) -> Result<Plan> {
        self.plan_for(
            dataset,
            source,
            self.sides.replicas.get(&self.to.replica(dataset)),
        )
    }

    fn plan_for(&self, dataset: &Dataset, source: &State, replica: Option<&State>) -> Result<Plan> {
        let token = replica.and_then(|replica| replica.resume_token.as_ref());
        let token = token
            .map(|token| zfs::decode_token(token))
            .transpose()?
            .flatten();
        let wish = Wish {
            prefix: &self.run.config.prefix,
            windows: &self.to.windows,
            decrypt: self.to.decrypt,
            now: self.run.now,
        };
        let replica = replica.map(|state| Side {
            name: self.to.replica(dataset).to_string(),
            state,
        });
        Ok(plan(
            &wish,
            &Side {
                name: dataset.to_string(),
                state: source,
            },
            replica.as_ref(),
            token.as_ref(),
        ))
    }

    /// Parents before children, so that each has a place; what has the same depth goes side by side.
    pub(super) fn bring_up_to_date(&mut self) -> Outcome {
        self.tell_what_is_odd();
        let unpruned = self.unpruned.take();
        let this = &*self;
        let (mut levels, mut outcomes) = (BTreeMap::<usize, Vec<Way>>::new(), Vec::new());
        outcomes.extend(
            this.sides
                .unsteady
                .iter()
                .map(|dataset| this.failed(dataset, &unsteady(dataset))),
        );
        for (dataset, way) in side_by_side(
            this.sides.source.iter().collect(),
            MARKS_AT_ONCE,
            |(d, source)| (d, this.mark(d, source)),
        ) {
            match way {
                Ok(way) => levels
                    .entry(dataset.and_above().count())
                    .or_default()
                    .push(way),
                Err(error) => outcomes.push(this.failed(dataset, &error)),
            }
        }
        drop(unpruned);
        if levels
            .values()
            .flatten()
            .any(|way| way.cursors.is_read_only)
        {
            let pool = this.run.dataset.pool();
            journal::warn(format!(
                "the pool {pool}{} is read-only, so no bookmark can mark what is sent: as soon as it can be written to, replicate \
                 once more before its snapshots are pruned",
                this.sides.here.place()
            ));
        }
        let at_once = parallel(this.to);
        for ways in levels.into_values() {
            outcomes.extend(side_by_side(ways, at_once, |way| {
                let dataset = way.dataset;
                this.bring_or_unmark(way)
                    .map_or_else(|error| this.failed(dataset, &error), |()| Outcome::Done)
            }));
        }
        let outcome = outcomes.into_iter().max().unwrap_or(Outcome::Done);
        if outcome == Outcome::Done && this.busy.load(Ordering::Relaxed) == 0 {
            this.say(format!(
                "{} to {}: up to date",
                this.run.dataset, this.to.name
            ));
        }
        outcome
    }

    /// A dataset that is gone by now is no failure, but for the one that was asked for.
    fn failed(&self, dataset: &Dataset, error: &anyhow::Error) -> Outcome {
        let is_late = is_later(error);
        if *dataset != self.run.dataset && !is_late && is_absent(&self.sides.here, dataset) {
            self.say(format!(
                "{dataset}{} is gone since this run began",
                self.sides.here.place()
            ));
            return Outcome::Done;
        }
        report(&format!("{dataset} to {}", self.to.name), error)
    }

    /// What no plan changes, and a person should know.
    fn tell_what_is_odd(&self) {
        let there = self.sides.there.place();
        for place in &self.sides.orphans {
            self.say(format!(
                "{place}{there} stays as it is: what it is the replica of is gone"
            ));
        }
        for place in &self.sides.strays {
            journal::warn(format!(
                "{place}{there} is there, and no entry of the configuration brings it: a stream of {} may have; look at it, \
                 and destroy it if nobody needs it",
                self.run.entry.key
            ));
        }
        for place in self
            .sides
            .source
            .keys()
            .map(|dataset| self.to.replica(dataset))
        {
            if self
                .sides
                .replicas
                .get(&place)
                .is_some_and(|replica| replica.writable && !replica.snapshots.is_empty())
            {
                journal::warn(format!(
                    "{place}{there} is writable, and a write to it would end its replication; to prevent that: \
                     zfs set readonly=on {}",
                    quoted(place.as_str())
                ));
            }
        }
    }

    fn mark<'w>(&'w self, dataset: &'w Dataset, source: &'w State) -> Result<Way<'w>> {
        self.go_on()?;
        let plan = self.plan(dataset, source)?;
        let mut cursors = Cursors::of(
            &self.sides.here,
            dataset,
            source,
            &self.run.config.prefix,
            self.sides.root,
        );
        if plan.kind == Kind::Full {
            self.parents.look(self.run, self.to, dataset, |above| {
                self.sides.source.contains_key(above)
            })?;
            self.tell_of_an_earlier_replica(dataset, &cursors);
        }
        if let Some(base) = &plan.base {
            let aside = cursors.set_aside(base)?;
            self.tell_what_was_set_aside(dataset, &aside);
        }
        cursors.mark_way(&plan)?;
        Ok(Way {
            dataset,
            source,
            plan,
            cursors,
            has_begun: false,
        })
    }

    /// A cursor is proof of a replica, or of a first stream that was cut and given up.
    fn tell_of_an_earlier_replica(&self, dataset: &Dataset, cursors: &Cursors) {
        let place = self.to.replica(dataset);
        if let (None, Some(cursor)) = (self.sides.replicas.get(&place), cursors.first()) {
            journal::warn(format!(
                "{place}{} is not there, although {dataset}#{cursor} says that something was sent there: it is gone, or has another \
                 name. The history is sent anew; if that was not meant, stop this run and rename it back",
                self.sides.there.place()
            ));
        }
    }

    fn tell_what_was_set_aside(&self, dataset: &Dataset, aside: &[String]) {
        if aside.is_empty() {
            return;
        }
        let commands: Vec<String> = aside
            .iter()
            .map(|name| format!("zfs destroy {}", quoted(name)))
            .collect();
        journal::warn(format!(
            "{}{} ends before what {dataset} has sent there: it was rolled back, or it is another copy, such as half of a split \
             mirror. It goes on from where it ends, and a bookmark is kept for the other copy; if there is none: {}",
            self.to.replica(dataset),
            self.sides.there.place(),
            commands.join(" && ")
        ));
    }

    /// A run of which nothing can have arrived leaves no marks, or those of many such runs would pile up.
    fn bring_or_unmark(&self, mut way: Way) -> Result<()> {
        let result = self.bring(&mut way);
        if result
            .as_ref()
            .is_err_and(|error| self.has_left_nothing(&way, error))
        {
            let base = way.plan.base.as_ref().map(|base| base.guid);
            // What went wrong before says more than that a mark stays.
            let _ = way.cursors.unmark(base);
        }
        result
    }

    /// As far as can be told without waiting for a machine that may not answer, or while somebody waits for the end.
    fn has_left_nothing(&self, way: &Way, error: &anyhow::Error) -> bool {
        let is_late = is_later(error);
        if self.stop.load(Ordering::Relaxed) || is_late && self.run.entry.host.is_some() {
            return false;
        }
        let is_untouched = || is_absent(&self.sides.there, &self.to.replica(way.dataset));
        !way.has_begun || !is_late && way.plan.base.is_none() && is_untouched()
    }

    /// One dataset: as many rounds as it takes, since a token brings one snapshot and a stale one is discarded once.
    fn bring(&self, way: &mut Way) -> Result<()> {
        let place = self.to.replica(way.dataset);
        let mut token = self
            .sides
            .replicas
            .get(&place)
            .and_then(|replica| replica.resume_token.clone());
        let mut discarded = false;
        loop {
            self.go_on()?;
            if self.has_nothing_to_send(way)? {
                return Ok(());
            }
            if way.plan.token == TokenUse::Discard {
                if discarded {
                    bail!("{place} shows a new resume token right after the old one was discarded");
                }
                let shown = self
                    .list_replica(&place)?
                    .and_then(|replica| replica.resume_token);
                if shown != token {
                    return Err(Later(format!(
                        "{place} shows another resume token than when it was listed"
                    ))
                    .into());
                }
                zfs::discard_token(&self.sides.there, &place)?;
                discarded = true;
            } else {
                let resume = token.as_deref().filter(|_| way.plan.kind == Kind::Resume);
                self.follow(way, &place, resume)?;
                if resume.is_none() {
                    return Ok(());
                }
            }
            let replica = self.list_replica(&place)?;
            if way.plan.kind == Kind::Resume
                && replica
                    .as_ref()
                    .is_some_and(|replica| replica.resume_token == token)
            {
                bail!(
                    "{place}{} shows the same resume token after that stream was received",
                    self.sides.there.place()
                );
            }
            way.plan = self.plan_for(way.dataset, way.source, replica.as_ref())?;
            way.cursors.mark_way(&way.plan)?;
            token = replica.and_then(|replica| replica.resume_token);
        }
    }

    fn list_replica(&self, place: &Dataset) -> Result<Option<State>> {
        Ok(zfs::list(
            &self.sides.there,
            TREE_COLUMNS,
            ALL_TYPES,
            Depth::One,
            &[place.as_str()],
        )?
        .tree
        .remove(place))
    }

    /// # Errors
    /// The plan is none that can be carried out.
    fn has_nothing_to_send(&self, way: &Way) -> Result<bool> {
        let Way {
            dataset,
            source,
            plan,
            ..
        } = way;
        let place = self.to.replica(dataset);
        if plan.kind == Kind::Diverged {
            bail!(
                "the replica diverged: {}{}",
                plan.why,
                self.where_to_run(dataset, &place)
            );
        }
        if plan.token == TokenUse::Foreign {
            bail!(
                "{place}{} holds part of a stream whose snapshot {dataset} does not know, perhaps from another machine that sends \
                 there too, and takes no other stream until that is given up; if nobody needs it: zfs receive -A {}",
                self.sides.there.place(),
                quoted(place.as_str())
            );
        }
        let nothing =
            plan.kind == Kind::UpToDate && plan.base.is_none() && plan.token == TokenUse::None;
        if nothing {
            let why = if source.resume_token.is_some() {
                "is itself still being received"
            } else {
                "has no snapshot of zam's yet"
            };
            self.say(format!(
                "{dataset}{} {why}, so there is nothing to send",
                self.sides.here.place()
            ));
        }
        Ok(nothing)
    }

    /// A command that mends something may name a dataset that another machine, or another copy, has too.
    fn where_to_run(&self, dataset: &Dataset, place: &Dataset) -> String {
        let sides = [(place, &self.sides.there), (dataset, &self.sides.here)];
        let remote = sides
            .iter()
            .filter(|(_, machine)| !machine.place().is_empty());
        let line = |(name, machine): &(&Dataset, &Machine)| {
            format!(". {name} is{}: run there what names it", machine.place())
        };
        remote.map(line).collect()
    }

    /// Sends what the plan says; of a plan that begins with a resumed stream, that one alone.
    fn follow(&self, way: &mut Way, place: &Dataset, resume: Option<&str>) -> Result<()> {
        let (dataset, plan) = (way.dataset, &way.plan);
        let is_new = plan.base.is_none() && !plan.streams.is_empty();
        let first = if is_new {
            Some(self.first(way.source, dataset, resume)?)
        } else {
            None
        };
        if plan.kind == Kind::Full {
            self.parents
                .make(self.run, self.to, &self.sides.there, dataset)?;
        }
        let begun = Instant::now();
        let (mut bytes, mut count) = (0, 0);
        for stream in plan
            .streams
            .iter()
            .take(if resume.is_some() { 1 } else { usize::MAX })
        {
            self.go_on()?;
            way.cursors.mark_end_of(stream)?;
            way.has_begun = true;
            let first = first.filter(|_| stream.from.is_none());
            let is_pulled = self.run.entry.host.is_some();
            let landing = Landing {
                replica: place,
                is_volume: way.source.volume,
                first,
                is_pulled,
            };
            let receiver = zfs::receive(&self.sides.there, &landing, self.compressor());
            let sent = self.transfer(dataset, stream, plan.raw, resume, receiver);
            bytes += sent.map_err(|error| self.with_key(error, place))?;
            count += stream.snapshots.len();
            self.parents.arrived(place);
            if self.compressor().is_some() {
                self.check_arrival(place, stream)?;
            }
            if first.is_some() {
                self.check_properties(place, way.source.volume, plan.raw)?;
            }
            let end = plan.streams.last().unwrap_or(stream);
            // Until a new replica holds it all, an earlier one may come back under its old name.
            if plan.base.is_some() || stream.guid == end.guid {
                way.cursors.keep_only(&[stream.guid, end.guid])?;
            }
        }
        if let (true, Some(base)) = (plan.streams.is_empty(), &plan.base) {
            way.cursors.keep_only(&[base.guid])?;
        }
        if count > 0 {
            if let Some(base) = &plan.base {
                way.cursors.drop_what_was_set_aside(base)?;
            }
            self.busy.fetch_add(1, Ordering::Relaxed);
            self.tell_what_arrived(dataset, place, count, bytes, begun.elapsed());
        }
        Ok(())
    }

    /// What the first stream of a dataset sets. One that is continued has its encryption already, and ZFS refuses to be
    /// told again.
    fn first(&self, source: &State, dataset: &Dataset, resume: Option<&str>) -> Result<First> {
        let is_plain = source.encryption_root.is_none() && resume.is_none();
        Ok(First {
            unencrypted: is_plain && self.is_below_raw(dataset)?,
        })
    }

    /// Whether the replica's parent is there, or will be, as it was received raw: nobody has its key there, and a plain
    /// child would inherit it. What is encrypted with the key of the root or of what is above is no replica.
    fn is_below_raw(&self, dataset: &Dataset) -> Result<bool> {
        let (Some(above), Some(parent)) = (dataset.parent(), self.to.replica(dataset).parent())
        else {
            return Ok(false);
        };
        if let Some(source) = self.sides.source.get(&above) {
            return Ok(source.encryption_root.is_some() && !self.to.decrypt);
        }
        let mut known = parent
            .and_above()
            .filter_map(|above| self.sides.replicas.get(&above));
        // What is there and no replica of this entry has come with another.
        let is_strange = !self.sides.replicas.contains_key(&parent) && self.parents.has(&parent);
        let root = if is_strange {
            zfs::properties(&self.sides.there, parent.as_str(), "encryptionroot")?.pop()
        } else {
            known.next().and_then(|state| state.encryption_root.clone())
        };
        let root = root.and_then(|root| root.parse::<Dataset>().ok());
        Ok(root.is_some_and(|root| root != self.to.root && root.is_within(&self.to.root)))
    }

    /// A plain stream below what is locked: the message says what unlocks it.
    fn with_key(&self, error: anyhow::Error, place: &Dataset) -> anyhow::Error {
        if is_later(&error) || !zfs::lacks_key(&error) {
            return error;
        }
        let above = place
            .and_above()
            .skip(1)
            .find_map(|above| self.sides.replicas.get(&above));
        let Some(root) = above.and_then(|state| state.encryption_root.as_deref()) else {
            return error;
        };
        anyhow!(
            "{error:#}; to unlock what it lies in: zfs load-key {}{}",
            quoted(root),
            self.sides.there.place()
        )
    }

    fn go_on(&self) -> Result<()> {
        systemd::alive();
        if self.stop.load(Ordering::Relaxed) {
            Err(Later("stopped; the next run goes on".into()).into())
        } else {
            Ok(())
        }
    }

    /// With --json, standard output belongs to that.
    fn say(&self, line: String) {
        if !self.run.json {
            journal::print(line);
        }
    }

    fn tell_what_arrived(
        &self,
        dataset: &Dataset,
        place: &Dataset,
        count: usize,
        bytes: u64,
        elapsed: Duration,
    ) {
        let seconds = elapsed.as_secs_f64();
        let there = self.sides.there.place();
        let text = format!(
            "{dataset} -> {place}{there}: {}, {} in {seconds:.1} s",
            snapshots(count),
            size(bytes)
        );
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
        self.to
            .compress
            .filter(|_| !self.sides.here.is_same(&self.sides.there))
            .map(|compression| compression.program())
    }

    fn transfer(
        &self,
        dataset: &Dataset,
        stream: &Stream,
        raw: bool,
        resume: Option<&str>,
        receiver: Pipeline,
    ) -> Result<u64> {
        let sender = match resume {
            Some(token) => zfs::send_resumed(&self.sides.here, token, raw, self.compressor()),
            None => zfs::send(&self.sides.here, dataset, stream, raw, self.compressor()),
        };
        let terminal = std::io::stderr().is_terminal();
        // Of a stream that is compressed on its way nobody knows how much is left.
        let is_known = terminal && resume.is_none() && self.compressor().is_none();
        let total = if is_known {
            self.estimate(dataset, stream, raw)
        } else {
            None
        };
        let (begun, seen) = (Instant::now(), AtomicU64::new(0));
        let progress = |bytes: u64| {
            if seen.swap(bytes, Ordering::Relaxed) != bytes {
                systemd::alive();
            }
            let text = format!(
                "{dataset} to {}: {}",
                self.to.name,
                progress(bytes, total, begun.elapsed())
            );
            systemd::status(&text);
            if terminal {
                journal::progress(&text);
            }
        };
        let stall = Duration::from_secs(self.to.stall_timeout.seconds());
        let result = transfer(
            sender,
            receiver,
            &Watch {
                stall,
                limit: self.limit.clone(),
                stop: self.stop,
                progress: &progress,
            },
        );
        if terminal {
            journal::progress("");
        }
        result
    }

    /// Over ssh the exit status of `zfs send | zstd` is that of zstd, and a stream that fails between two snapshots ends
    /// as a whole one does (libzfs: send_conclusion_record).
    fn check_arrival(&self, place: &Dataset, stream: &Stream) -> Result<()> {
        let snapshot = format!("{place}@{}", stream.to);
        let guid = zfs::properties(&self.sides.there, &snapshot, "guid");
        let guid = guid.or_else(|error| {
            if is_later(&error) {
                Err(error)
            } else {
                Ok(Vec::new())
            }
        })?;
        if guid != [stream.guid.to_string()] {
            bail!(
                "the stream ended before {snapshot}{}; the next run goes on from what has arrived",
                self.sides.there.place()
            );
        }
        Ok(())
    }

    /// A receiver that lacks the permission for a property sets nothing and exits 0 (tried on 2.1 and 2.3).
    fn check_properties(&self, place: &Dataset, volume: bool, raw: bool) -> Result<()> {
        let there = self.sides.there.place();
        let (name, value) = if volume {
            ("volmode", "none")
        } else {
            ("canmount", "noauto")
        };
        let found = zfs::properties(
            &self.sides.there,
            place.as_str(),
            &format!("readonly,{name},encryptionroot"),
        )?;
        let [readonly, other, encryption_root] = found.as_slice() else {
            bail!(
                "zfs get {place}{there} printed {} values, not 3",
                found.len()
            )
        };
        if encryption_root != "-" && !raw {
            self.say(format!(
                "{place}{there} is encrypted by its parent, with the key of {encryption_root}"
            ));
        }
        if (readonly.as_str(), other.as_str()) != ("on", value) {
            bail!(
                "{place} arrived, but its properties could not be set{there}; let somebody who may run: \
                 zfs set readonly=on {name}={value} {}",
                quoted(place.as_str())
            );
        }
        Ok(())
    }
}

/// Whether the machine says that there is no such dataset; asked after something failed.
fn is_absent(machine: &Machine, dataset: &Dataset) -> bool {
    let listed = zfs::list(
        machine,
        SKIM_COLUMNS,
        DATASETS,
        Depth::Roots,
        &[dataset.as_str()],
    );
    listed.is_ok_and(|listing| {
        listing
            .absent
            .iter()
            .any(|absent| absent == dataset.as_str())
    })
}

fn unsteady(dataset: &Dataset) -> anyhow::Error {
    Later(format!("{dataset}, or its replica, was renamed or replaced while they were listed; the next run looks again")).into()
}

impl Drop for Replication<'_> {
    /// The one ssh connection of the run ends with it.
    fn drop(&mut self) {
        self.sides.here.close();
        self.sides.there.close();
    }
}
