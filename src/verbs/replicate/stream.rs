//! One stream of a dataset: sent and received, with progress for people and for systemd, and checked when it has arrived.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Result, anyhow, bail};

use crate::core::listing::State;
use crate::core::name::Dataset;
use crate::core::replication::Stream;
use crate::core::shell::quoted;
use crate::edge::command::{Machine, Pipeline};
use crate::edge::outcome::is_later;
use crate::edge::pipe::{self, Watch};
use crate::edge::zfs::{self, First, Landing};
use crate::edge::{journal, stop, systemd};
use crate::verbs::replicate::replication::Replication;
use crate::verbs::say;

/// A stream and what it comes into.
pub(super) struct Sending<'s> {
    pub(super) replication: &'s Replication<'s>,
    pub(super) dataset: &'s Dataset,
    pub(super) source: &'s State,
    pub(super) replica: &'s Dataset,
    pub(super) stream: &'s Stream,
    pub(super) raw: bool,
    /// The replica's resume token, if this is what is left of a stream that was cut.
    pub(super) token: Option<&'s str>,
    /// The settings of a dataset's first stream; none for a later one.
    pub(super) first: Option<First>,
}

impl Sending<'_> {
    /// Sends the stream and returns how many bytes went over. It has arrived then, unless it was compressed on its way:
    /// see [`Sending::check`].
    pub(super) fn send(&self) -> Result<u64> {
        let terminal = std::io::stderr().is_terminal();
        let receiver = self.receiver();
        let sender = self.sender();
        let progress = Progress {
            subject: format!("{} to {}", self.dataset, self.replication.to.name),
            total: if terminal { self.total() } else { None },
            begun: Instant::now(),
            seen: AtomicU64::new(0),
            terminal,
        };
        let watch = Watch {
            stall: self.replication.to.stall_timeout.duration(),
            limit: self.replication.limit.clone(),
            stop: stop::flag(),
            progress: &|bytes| progress.show(bytes),
        };
        let sent = pipe::transfer(sender, receiver, &watch);
        if terminal {
            journal::progress("");
        }
        sent.map_err(|error| self.with_key(error))
    }

    fn receiver(&self) -> Pipeline {
        let landing = Landing {
            replica: self.replica,
            is_volume: self.source.volume,
            first: self.first,
            is_pulled: self.replication.run.entry.host.is_some(),
        };
        zfs::receive(self.there(), &landing, self.replication.compressor())
    }

    fn sender(&self) -> Pipeline {
        let here = &self.replication.listed.here;
        let compressor = self.replication.compressor();
        match self.token {
            Some(token) => zfs::send_resumed(here, token, self.raw, compressor),
            None => zfs::send(here, self.dataset, self.stream, self.raw, compressor),
        }
    }

    /// How many bytes will go over. Nobody knows how much is left of a stream that is resumed or compressed on its way.
    fn total(&self) -> Option<u64> {
        if self.token.is_some() || self.replication.compressor().is_some() {
            return None;
        }
        zfs::estimate(
            &self.replication.listed.here,
            self.dataset,
            self.stream,
            self.raw,
        )
    }

    fn there(&self) -> &Machine {
        &self.replication.listed.there
    }

    /// A plain stream below a dataset that is locked: the error then says what unlocks it.
    fn with_key(&self, error: anyhow::Error) -> anyhow::Error {
        if is_later(&error) || !zfs::lacks_key(&error) {
            return error;
        }
        let above = self.replica.parent();
        let above = above.and_then(|parent| self.replication.listed.replica_at_or_above(&parent));
        let Some(root) = above.and_then(|state| state.encryption_root.as_deref()) else {
            return error;
        };
        let root = quoted(root);
        let on_host = self.there().on_host();
        anyhow!("{error:#}; to unlock what it lies in: zfs load-key {root}{on_host}")
    }

    /// Whether the stream has arrived, as far as its processes alone do not tell, and has set what it should.
    pub(super) fn check(&self) -> Result<()> {
        if self.replication.compressor().is_some() {
            self.check_arrival()?;
        }
        if self.first.is_some() {
            self.check_properties()?;
        }
        Ok(())
    }

    /// Over ssh the exit status of `zfs send | zstd` is that of zstd, and a stream that fails between two snapshots ends
    /// as a whole one does (libzfs: send_conclusion_record).
    fn check_arrival(&self) -> Result<()> {
        let snapshot = format!("{}@{}", self.replica, self.stream.to);
        let guid = match zfs::properties(self.there(), &snapshot, "guid") {
            Err(error) if is_later(&error) => return Err(error),
            guid => guid.unwrap_or_default(),
        };
        if guid != [self.stream.guid.to_string()] {
            bail!(
                "the stream ended before {snapshot}{}; the next run goes on from what has arrived",
                self.there().on_host()
            );
        }
        Ok(())
    }

    /// A receiver that lacks the permission for a property sets nothing and exits 0 (tried on 2.1 and 2.3).
    fn check_properties(&self) -> Result<()> {
        let replica = self.replica;
        let on_host = self.there().on_host();
        let (name, value) = if self.source.volume {
            ("volmode", "none")
        } else {
            ("canmount", "noauto")
        };
        let names = format!("readonly,{name},encryptionroot");
        let values = zfs::properties(self.there(), replica.as_str(), &names)?;
        let [readonly, other, encryption_root] = values.as_slice() else {
            let count = values.len();
            bail!("zfs get {replica}{on_host} printed {count} values, not 3")
        };
        if encryption_root != "-" && !self.raw {
            self.replication.say(format!(
                "{replica}{on_host} is encrypted by its parent, with the key of {encryption_root}"
            ));
        }
        if readonly != "on" || other != value {
            bail!(
                "{replica} arrived, but its properties could not be set{on_host}; let somebody who may run: \
                 zfs set readonly=on {name}={value} {}",
                quoted(replica.as_str())
            );
        }
        Ok(())
    }
}

/// How far a stream is, told to systemd, and to a person at a terminal.
struct Progress {
    /// `tank/home to nas`
    subject: String,
    /// How many bytes there will be, if that is known.
    total: Option<u64>,
    begun: Instant,
    /// The bytes that had passed when this was last told.
    seen: AtomicU64,
    terminal: bool,
}

impl Progress {
    fn show(&self, bytes: u64) {
        if self.seen.swap(bytes, Ordering::Relaxed) != bytes {
            systemd::alive();
        }
        let amount = say::progress(bytes, self.total, self.begun.elapsed());
        let text = format!("{}: {amount}", self.subject);
        systemd::status(&text);
        if self.terminal {
            journal::progress(&text);
        }
    }
}
