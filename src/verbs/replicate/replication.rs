//! One entry on its way to one destination: its locks, both sides as they were listed, the plan for each dataset, and
//! what the transfers of the datasets share. What to send is decided in `core/replication`.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use anyhow::Result;

use crate::core::config::Destination;
use crate::core::listing::State;
use crate::core::name::Dataset;
use crate::core::replication::{Plan, Side, Wish, plan};
use crate::edge::command::Machine;
use crate::edge::lock::Lock;
use crate::edge::pipe::Limit;
use crate::edge::{journal, stop, systemd, zfs};
use crate::verbs::replicate::listing::SourceAndReplicas;
use crate::verbs::replicate::parents::Parents;
use crate::verbs::{Run, locks};

pub(super) struct Replication<'r> {
    pub(super) run: &'r Run<'r>,
    pub(super) to: &'r Destination,
    pub(super) listed: SourceAndReplicas,
    pub(super) parents: Parents<'r>,
    pub(super) limit: Option<Arc<Limit>>,
    /// How many datasets something was sent from.
    pub(super) sent: AtomicUsize,
    /// The lock that keeps pruning away from the source, until every dataset is marked with bookmarks: pruning between
    /// the listing and the bookmarks could take the snapshot that a replica is about to end with.
    pub(super) unpruned: Option<Lock>,
    /// Something has arrived that earlier runs had begun, and there is more after it.
    pub(super) has_more: AtomicBool,
    /// Held while what has arrived is remembered.
    pub(super) remembering: Mutex<()>,
    pub(super) lock: Option<Lock>,
}

impl<'r> Replication<'r> {
    pub(super) fn begin(run: &'r Run<'r>, to: &'r Destination) -> Result<Self> {
        let lock = locks::take_replicas(run, to)?;
        let unpruned = keep_from_pruning(run, to)?;
        let mut listed = SourceAndReplicas::list(run, to)?;
        let existing = std::mem::take(&mut listed.existing);
        Ok(Replication {
            run,
            to,
            listed,
            parents: Parents::new(run, to, existing),
            limit: to.rate_limit.map(|rate| Arc::new(Limit::new(rate.0))),
            sent: AtomicUsize::new(0),
            unpruned,
            has_more: AtomicBool::new(false),
            remembering: Mutex::new(()),
            lock,
        })
    }

    /// The plan for a dataset, from its replica as it was listed at the beginning.
    pub(super) fn plan(&self, dataset: &Dataset, source: &State) -> Result<Plan> {
        let replica = self.listed.replicas.get(&self.to.replica(dataset));
        self.plan_from(dataset, source, replica)
    }

    /// The plan for a dataset, from what its replica is now.
    pub(super) fn plan_from(
        &self,
        dataset: &Dataset,
        source: &State,
        replica: Option<&State>,
    ) -> Result<Plan> {
        let token = match replica.and_then(|replica| replica.resume_token.as_ref()) {
            Some(token) => zfs::decode_token(token)?,
            None => None,
        };
        let wish = Wish {
            prefix: &self.run.config.prefix,
            windows: &self.to.windows,
            decrypt: self.to.decrypt,
            now: self.run.now,
            root: Some(self.listed.root),
        };
        let source = Side {
            name: dataset.to_string(),
            state: source,
        };
        let replica = replica.map(|state| Side {
            name: self.to.replica(dataset).to_string(),
            state,
        });
        Ok(plan(&wish, &source, replica.as_ref(), token.as_ref()))
    }

    /// # Errors
    /// The run is to stop.
    pub(super) fn go_on(&self) -> Result<()> {
        systemd::alive();
        if stop::is_wanted() {
            return Err(stop::stopped());
        }
        Ok(())
    }

    /// With --json, standard output belongs to the JSON text alone.
    pub(super) fn say(&self, line: String) {
        if !self.run.json {
            journal::print(line);
        }
    }

    /// The program that packs streams for the way. Within one machine there is no link that compression would relieve.
    pub(super) fn compressor(&self) -> Option<&'static str> {
        if self.listed.here.is_same(&self.listed.there) {
            return None;
        }
        self.to.compress.map(|compression| compression.program())
    }
}

/// Shares the lock of the source's pruning, when it is this machine that prunes the source.
fn keep_from_pruning(run: &Run, to: &Destination) -> Result<Option<Lock>> {
    if run.dry || run.entry.host.is_some() {
        return Ok(None);
    }
    if to.host.is_some() {
        // An unreachable destination must not keep the source from being pruned.
        zfs::exists(&Machine::new(to.host.as_ref()), &to.root)?;
    }
    locks::share_source(run).map(Some)
}
