//! The transfer of one dataset: its plan, the bookmarks that mark it, and the rounds of streams that bring its replica up
//! to date. Each stream stands between bookmarks, so that a run killed anywhere is continued by the next (invariant 7),
//! and pruning the source breaks nothing.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::core::arrived::Newest;
use crate::core::listing::{State, TREE_COLUMNS};
use crate::core::name::{Dataset, Prefix};
use crate::core::replication::{Kind, Plan, Stream, TokenUse};
use crate::edge::command::Machine;
use crate::edge::outcome::is_later;
use crate::edge::stop;
use crate::edge::zfs::{self, First};
use crate::verbs::replicate::bookmarks::Bookmarks;
use crate::verbs::replicate::encryption::is_below_raw;
use crate::verbs::replicate::remembering::remember;
use crate::verbs::replicate::replication::Replication;
use crate::verbs::replicate::stream::Sending;
use crate::verbs::replicate::telling::{Total, tell_what_arrived, tell_why_nothing_is_sent};
use crate::verbs::replicate::token::{check_source, discard, foreign};
use crate::verbs::replicate::warnings;

pub(super) struct Transfer<'t> {
    pub(super) replication: &'t Replication<'t>,
    pub(super) dataset: &'t Dataset,
    source: &'t State,
    replica: Dataset,
    plan: Plan,
    /// The replica's resume token when it was last listed.
    token: Option<String>,
    bookmarks: Bookmarks<'t>,
    /// A stream was begun, so that something may have arrived, however it ended.
    has_begun: bool,
}

impl<'t> Transfer<'t> {
    /// Plans the transfer of a dataset and marks it with bookmarks.
    pub(super) fn mark(
        replication: &'t Replication<'t>,
        dataset: &'t Dataset,
        source: &'t State,
    ) -> Result<Self> {
        replication.go_on()?;
        let listed = &replication.listed;
        let replica = replication.to.replica(dataset);
        let plan = replication.plan(dataset, source)?;
        let mut bookmarks = Bookmarks::of(replication, dataset, source);
        let state = listed.replicas.get(&replica);
        if plan.kind == Kind::Full {
            replication.parents.check(dataset, &listed.source)?;
            if let (None, Some(bookmark)) = (state, bookmarks.first()) {
                warnings::tell_of_an_earlier_replica(replication, dataset, bookmark);
            }
        }
        if let Some(base) = &plan.base {
            if plan.kind != Kind::Diverged {
                warnings::tell_of_snapshots_taken_there(replication, &replica, base);
            }
            let aside = bookmarks.set_aside(base)?;
            warnings::tell_what_was_set_aside(replication, dataset, &aside);
        }
        bookmarks.mark_start_and_end(&plan)?;
        Ok(Transfer {
            token: state.and_then(|state| state.resume_token.clone()),
            replication,
            dataset,
            source,
            replica,
            plan,
            bookmarks,
            has_begun: false,
        })
    }

    /// No bookmark could mark it, since the pool of the source is read-only.
    pub(super) fn is_unmarked(&self) -> bool {
        self.bookmarks.is_read_only
    }

    /// Brings the replica up to date. A run of which nothing can have arrived leaves no bookmarks, since those of many
    /// such runs would pile up.
    pub(super) fn bring_or_unmark(&mut self) -> Result<()> {
        let result = self.bring();
        match &result {
            Err(error) if self.has_left_nothing(error) => {
                // The first error says more than that a bookmark stays.
                let base = self.plan.base.as_ref();
                let _ = self.bookmarks.unmark(base);
                if base.is_some_and(|base| !self.bookmarks.has_newer(base)) {
                    self.remember(Newest::of_base(self.prefix(), &self.plan, self.source));
                }
            }
            // A stream may have arrived that ended with an error.
            Err(_) if self.has_begun => self.remember(self.newest_then()),
            _ => {}
        }
        result
    }

    /// Whether certainly nothing has arrived. Waits for no machine that may not answer, nor while somebody waits for the
    /// end of the run.
    fn has_left_nothing(&self, error: &anyhow::Error) -> bool {
        let is_late = is_later(error);
        if stop::is_wanted() || is_late && self.replication.run.entry.host.is_some() {
            return false;
        }
        if !self.has_begun {
            return true;
        }
        !is_late
            && self.plan.base.is_none()
            && matches!(zfs::exists(self.there(), &self.replica), Ok(false))
    }

    fn there(&self) -> &Machine {
        &self.replication.listed.there
    }

    /// Takes as many rounds as are needed: a token brings one snapshot, and a stale token is discarded once.
    fn bring(&mut self) -> Result<()> {
        let mut has_discarded = false;
        loop {
            self.replication.go_on()?;
            self.check_plan()?;
            if self.has_nothing_to_send() {
                tell_why_nothing_is_sent(self.replication, self.dataset, self.source);
                return Ok(());
            }
            if self.plan.token != TokenUse::Discard {
                let is_resumed = self.plan.kind == Kind::Resume && self.token.is_some();
                match self.send_streams(is_resumed) {
                    Err(error) if is_resumed && zfs::cannot_resume(&error) => {
                        let wanted = self.plan.streams.first().map(|stream| stream.guid);
                        check_source(self.replication, self.dataset, wanted, error)?;
                        self.plan.token = TokenUse::Discard;
                    }
                    // Nothing after this snapshot was marked, so pruning may have destroyed some of it: a second pass lists
                    // again.
                    Ok(()) if is_resumed && self.ends_with_first() => return Ok(()),
                    Ok(()) if is_resumed => {}
                    ended => return ended,
                }
            }
            if self.plan.token == TokenUse::Discard {
                if has_discarded {
                    let replica = &self.replica;
                    bail!(
                        "{replica} shows a new resume token right after the old one was discarded"
                    );
                }
                let listed = self.token.as_deref();
                discard(self.replication, &self.replica, listed, self.plan.kind)?;
                has_discarded = true;
            }
            self.plan_again()?;
        }
    }

    /// Whether the first stream brings all that was marked, and there is more after it.
    fn ends_with_first(&self) -> bool {
        self.plan.has_more && self.plan.streams.len() == 1
    }

    /// # Errors
    /// The plan cannot be carried out.
    fn check_plan(&self) -> Result<()> {
        if self.plan.kind == Kind::Diverged {
            let where_to_run =
                warnings::where_to_run(self.replication, self.dataset, &self.replica);
            bail!("the replica diverged: {}{where_to_run}", self.plan.why);
        }
        if self.plan.token == TokenUse::Foreign {
            bail!(foreign(self.there(), self.dataset, &self.replica));
        }
        Ok(())
    }

    fn has_nothing_to_send(&self) -> bool {
        let plan = &self.plan;
        plan.kind == Kind::UpToDate && plan.base.is_none() && plan.token == TokenUse::None
    }

    /// A new plan, from what the replica is after a round.
    fn plan_again(&mut self) -> Result<()> {
        let replica = zfs::list_one(self.there(), TREE_COLUMNS, &self.replica)?;
        if self.plan.kind == Kind::Resume
            && let Some(state) = &replica
            && state.resume_token == self.token
        {
            let replica = &self.replica;
            let on_host = self.there().on_host();
            bail!("{replica}{on_host} shows the same resume token after that stream was received");
        }
        self.plan = self
            .replication
            .plan_from(self.dataset, self.source, replica.as_ref())?;
        self.bookmarks.mark_start_and_end(&self.plan)?;
        self.remember(self.continued());
        self.token = replica.and_then(|state| state.resume_token);
        Ok(())
    }

    /// Sends the streams of the plan; if the first one is resumed, that one alone.
    fn send_streams(&mut self, is_resumed: bool) -> Result<()> {
        let first = self.first(is_resumed)?;
        if self.plan.kind == Kind::Full {
            let parents = &self.replication.parents;
            parents.make(self.there(), self.dataset)?;
        }
        let started = Instant::now();
        let mut arrived = Total::default();
        let at_most = if is_resumed { 1 } else { usize::MAX };
        for stream in self.plan.streams.iter().take(at_most) {
            self.replication.go_on()?;
            self.bookmarks.mark_end_of(stream)?;
            self.has_begun = true;
            arrived.bytes += self.send(stream, is_resumed, first)?;
            arrived.snapshots += stream.snapshots.len();
            let end = self.plan.streams.last().unwrap_or(stream);
            // Until a new replica holds all of it, an earlier replica may come back under its old name, and would need
            // the bookmarks that are there.
            if self.plan.base.is_some() && stream.guid != end.guid {
                self.bookmarks.keep_only(&[stream.guid, end.guid])?;
            }
        }
        self.finish(&arrived, started.elapsed())
    }

    /// The plan is carried out, or its resumed stream has arrived.
    fn finish(&mut self, arrived: &Total, elapsed: Duration) -> Result<()> {
        if arrived.snapshots == 0 {
            return Ok(());
        }
        if let Some(base) = &self.plan.base {
            self.bookmarks.drop_what_was_set_aside(base)?;
        }
        self.replication.sent.fetch_add(1, Ordering::Relaxed);
        tell_what_arrived(self.replication, self.dataset, arrived, elapsed);
        Ok(())
    }

    /// The newest snapshot that the destination will have, if it has something already.
    pub(super) fn continued(&self) -> Option<Newest> {
        self.plan.base.as_ref()?;
        self.newest_then()
    }

    fn newest_then(&self) -> Option<Newest> {
        Newest::after(self.prefix(), &self.plan, self.source)
    }

    fn prefix(&self) -> &'t Prefix {
        &self.replication.run.config.prefix
    }

    fn remember(&self, newest: Option<Newest>) {
        if let Some(newest) = newest {
            remember(self.replication, &[(self.dataset, newest)]);
        }
    }

    /// Gives up all bookmarks but that of the newest snapshot of the replica, once everything has arrived.
    pub(super) fn sweep(&mut self) -> Result<()> {
        let last = self.plan.streams.last().map(|stream| stream.guid);
        if let Some(newest) = last.or(self.plan.base.as_ref().map(|base| base.guid)) {
            self.bookmarks.keep_only(&[newest])?;
        }
        if self.plan.has_more {
            self.replication.has_more.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Sends one stream and checks what has arrived. Returns how many bytes went over.
    fn send(&self, stream: &Stream, is_resumed: bool, first: Option<First>) -> Result<u64> {
        let token = self.token.as_deref();
        let sending = Sending {
            replication: self.replication,
            dataset: self.dataset,
            source: self.source,
            replica: &self.replica,
            stream,
            raw: self.plan.raw,
            token: token.filter(|_| is_resumed),
            first: first.filter(|_| stream.from.is_none()),
        };
        let bytes = sending.send()?;
        self.replication.parents.arrived(&self.replica);
        if stream.from.is_none() {
            self.remember(self.newest_then());
        }
        sending.check()?;
        Ok(bytes)
    }

    /// The settings of a new replica's first stream. A stream that is resumed has its encryption already, and ZFS refuses
    /// to be told again.
    fn first(&self, is_resumed: bool) -> Result<Option<First>> {
        if self.plan.base.is_some() || self.plan.streams.is_empty() {
            return Ok(None);
        }
        let is_plain = self.source.encryption_root.is_none() && !is_resumed;
        let unencrypted = is_plain && is_below_raw(self.replication, self.dataset, &self.replica)?;
        Ok(Some(First { unencrypted }))
    }
}
