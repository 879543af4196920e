//! Why a replica cannot be continued: what was found on both sides, and the command that mends it. zam reports a
//! divergence and never decides what is given up (invariant 4). Pure.

use std::fmt;

use crate::core::shell::quoted;

/// How many names a message shows at most.
const SHOWN: usize = 5;

/// What was found on a replica and on its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    pub source: String,
    pub replica: String,
    pub cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The replica has snapshots, and the source has none of them.
    NoCommon {
        of_source: Option<Ends>,
        /// The replica's newest.
        newest: String,
        /// The source has a bookmark of zam's, so some replica has been continued.
        has_cursor: bool,
    },
    /// The replica has snapshots of its own after the newest in common.
    ForeignSnapshots {
        common: String,
        foreign: Vec<String>,
    },
    /// Snapshots to be sent have the names of other snapshots of the replica.
    TakenNames { taken: Vec<String> },
    /// The replica was written to after its newest snapshot.
    Written { newest: String, bytes: u64 },
    /// The replica exists without a snapshot, and a first stream is received only into a dataset that it makes. It or the
    /// stream may be encrypted.
    NoSnapshots { is_encrypted: bool },
    /// The replica was received raw and would be continued plain, or the other way round.
    MixedKinds { was_raw: bool },
    /// One side is a volume, the other a filesystem.
    WrongType { is_source_volume: bool },
}

/// A source's oldest and newest snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    pub oldest: String,
    pub newest: String,
}

impl Divergence {
    /// The cause in one word, for scripts (design, section 4).
    pub fn word(&self) -> &'static str {
        match self.cause {
            Cause::NoCommon { .. } => "no-common",
            Cause::ForeignSnapshots { .. } | Cause::TakenNames { .. } => "foreign-snapshots",
            Cause::Written { .. } => "written",
            Cause::NoSnapshots { .. } => "no-snapshots",
            Cause::MixedKinds { .. } => "mixed-kinds",
            Cause::WrongType { .. } => "wrong-type",
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&match &self.cause {
            Cause::NoCommon {
                of_source,
                newest,
                has_cursor,
            } => self.no_common(of_source.as_ref(), newest, *has_cursor),
            Cause::ForeignSnapshots { common, foreign } => self.foreign_snapshots(common, foreign),
            Cause::TakenNames { taken } => self.taken_names(taken),
            Cause::Written { newest, bytes } => self.written(newest, *bytes),
            Cause::NoSnapshots { is_encrypted: true } => self.no_snapshots_encrypted(),
            Cause::NoSnapshots {
                is_encrypted: false,
            } => self.no_snapshots(),
            Cause::MixedKinds { was_raw } => self.mixed_kinds(*was_raw),
            Cause::WrongType { is_source_volume } => self.wrong_type(*is_source_volume),
        })
    }
}

/// A sentence for each cause, with the command that mends it.
impl Divergence {
    fn no_common(&self, of_source: Option<&Ends>, newest: &str, has_cursor: bool) -> String {
        let Divergence {
            source, replica, ..
        } = self;
        let range = match of_source {
            Some(Ends { oldest, newest }) => format!("@{oldest} to @{newest}"),
            None => "no snapshot".into(),
        };
        let other_copy = if has_cursor {
            "A bookmark of zam's stands there, so another replica was continued since, perhaps another copy of this one \
             (half of a split mirror needs a root dataset of its own). "
        } else {
            "No bookmark of zam's stands there, so it may be the replica of another machine, with a dataset of the same name: \
             then give the destination another root. "
        };
        format!(
            "{replica} (newest @{newest}) and {source} ({range}) have no snapshot in common, nor a bookmark of one; \
             nothing was changed. {other_copy}To begin again beside it, with all that lies below: {}",
            self.aside()
        )
    }

    fn foreign_snapshots(&self, common: &str, foreign: &[String]) -> String {
        format!(
            "{} has snapshots that {} has not ({}), newer than the newest in common, @{common}; to give them up: {}",
            self.replica,
            self.source,
            some(foreign),
            self.rollback(common)
        )
    }

    fn taken_names(&self, taken: &[String]) -> String {
        let mends: Vec<String> = taken
            .iter()
            .take(SHOWN)
            .map(|name| self.rename(name))
            .collect();
        format!(
            "{} has other snapshots under names that are to be sent ({}); to keep both: {}",
            self.replica,
            some(taken),
            mends.join(" && ")
        )
    }

    fn written(&self, newest: &str, bytes: u64) -> String {
        format!(
            "{} was written to since its newest snapshot, or a newer snapshot of it was destroyed ({bytes} bytes); to give \
             that up: {}",
            self.replica,
            self.rollback(newest)
        )
    }

    fn no_snapshots(&self) -> String {
        format!(
            "{} exists and holds no snapshot, so that a first stream cannot be received into it. If nothing was ever \
             written to it (what lies below it is not touched): zfs send -Lc {} | zfs receive -F -u -o readonly=on {}, \
             with the oldest snapshot of zam's as FIRST; otherwise give the destination another root",
            self.replica,
            quoted(&format!("{}@FIRST", self.source)),
            quoted(&self.replica)
        )
    }

    /// `receive -F` takes no raw stream there, and nothing where the dataset is encrypted (libzfs: zfs_receive_one).
    fn no_snapshots_encrypted(&self) -> String {
        let replica = &self.replica;
        let [child, back] = ["-old/CHILD", "/CHILD"].map(|end| quoted(&format!("{replica}{end}")));
        format!(
            "{replica} exists and holds no snapshot, so that a first stream cannot be received into it; to begin beside it: \
             {}, then replicate, and bring each of what lies below it back: zfs rename {child} {back}",
            self.aside()
        )
    }

    fn mixed_kinds(&self, was_raw: bool) -> String {
        let replica = &self.replica;
        if was_raw {
            format!(
                "{replica} was received raw, and `decrypt: true` would mix the kinds; take the setting back, or choose \
                 another root"
            )
        } else {
            format!(
                "{replica} was received decrypted (or its key was changed to inherit), and a raw stream would mix the kinds; \
                 if `decrypt: true` was set before, set it again, otherwise choose another root"
            )
        }
    }

    fn wrong_type(&self, is_source_volume: bool) -> String {
        let (of_source, of_replica) = if is_source_volume {
            ("volume", "filesystem")
        } else {
            ("filesystem", "volume")
        };
        format!(
            "{} is a {of_replica}, and {} is a {of_source}; nothing was changed. To begin again beside \
             it, with all that lies below: {}",
            self.replica,
            self.source,
            self.aside()
        )
    }

    /// The replica keeps all that it has, under another name.
    fn aside(&self) -> String {
        let from = &self.replica;
        let to = format!("{}-old", self.replica);
        format!("zfs rename {} {}", quoted(from), quoted(&to))
    }

    fn rollback(&self, common: &str) -> String {
        let to = quoted(&format!("{}@{common}", self.replica));
        format!(
            "zfs rollback -r {to}; or keep it, and begin again beside it, with all that lies below: {}",
            self.aside()
        )
    }

    fn rename(&self, name: &str) -> String {
        let from = format!("{}@{name}", self.replica);
        let to = format!("{from}-foreign");
        format!("zfs rename {} {}", quoted(&from), quoted(&to))
    }
}

/// The first few of the names, and how many more there are.
fn some(names: &[String]) -> String {
    match names.get(..SHOWN) {
        Some(shown) if names.len() > SHOWN => {
            format!("{} and {} more", shown.join(", "), names.len() - SHOWN)
        }
        _ => names.join(", "),
    }
}
