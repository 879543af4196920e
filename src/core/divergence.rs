//! Why a replica cannot be continued: what was found on both sides, and the command that mends it. zam reports a
//! divergence and never decides what is to be given up (invariant 4). Pure.

use std::fmt;

use crate::core::shell::quoted;

/// How many names a message shows of many.
const SHOWN: usize = 5;

/// What was found, on a replica and the source that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    pub source: String,
    pub replica: String,
    pub cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Both have snapshots, and none of them is the same.
    NoCommon {
        /// The source's oldest and newest.
        of_source: Option<(String, String)>,
        newest: String,
        /// A bookmark of zam's on the source: some replica has been continued.
        has_cursor: bool,
    },
    /// The replica has snapshots of its own after the newest in common.
    ForeignSnapshots {
        common: String,
        foreign: Vec<String>,
    },
    /// What is to be sent would have the name of another snapshot of the replica.
    TakenNames {
        taken: Vec<String>,
    },
    Written {
        common: String,
        bytes: u64,
    },
    /// It exists, and a first stream makes a dataset.
    NoSnapshots {
        raw: bool,
    },
    MixedKinds {
        was_raw: bool,
    },
    /// One side is a volume, the other a filesystem.
    WrongType {
        volume: bool,
    },
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

    /// The replica keeps all that it has, under another name.
    fn aside(&self) -> String {
        format!(
            "zfs rename {} {}",
            quoted(&self.replica),
            quoted(&format!("{}-old", self.replica))
        )
    }

    fn rollback(&self, common: &str) -> String {
        let to = quoted(&format!("{}@{common}", self.replica));
        format!(
            "zfs rollback -r {to} (or keep it, and begin again beside it: {})",
            self.aside()
        )
    }

    fn rename(&self, name: &str) -> String {
        let (from, to) = (
            format!("{}@{name}", self.replica),
            format!("{}@{name}-foreign", self.replica),
        );
        format!("zfs rename {} {}", quoted(&from), quoted(&to))
    }

    fn write_no_common(
        &self,
        f: &mut fmt::Formatter,
        of_source: Option<&(String, String)>,
        newest: &str,
    ) -> fmt::Result {
        let range = of_source.map_or_else(
            || "no snapshot".into(),
            |(first, last)| format!("@{first} to @{last}"),
        );
        write!(
            f,
            "{} (newest @{newest}) and {} ({range}) have no snapshot in common, nor a bookmark of one; nothing was changed. ",
            self.replica, self.source
        )
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Divergence {
            source,
            replica,
            cause,
        } = self;
        match cause {
            Cause::NoCommon {
                of_source,
                newest,
                has_cursor,
            } => {
                self.write_no_common(f, of_source.as_ref(), newest)?;
                if *has_cursor {
                    f.write_str(
                        "A bookmark of zam's stands there, so another replica was continued since, perhaps another copy of this \
                         one (half of a split mirror needs a root dataset of its own). ",
                    )?;
                }
                write!(f, "To begin again beside it: {}", self.aside())
            }
            Cause::ForeignSnapshots { common, foreign } => write!(
                f,
                "{replica} has snapshots that {source} has not ({}), newer than the newest in common, @{common}; to give them up: {}",
                some(foreign),
                self.rollback(common)
            ),
            Cause::TakenNames { taken } => {
                let mends: Vec<String> = taken
                    .iter()
                    .take(SHOWN)
                    .map(|name| self.rename(name))
                    .collect();
                write!(
                    f,
                    "{replica} has other snapshots under names that are to be sent ({}); to keep both: {}",
                    some(taken),
                    mends.join(" && ")
                )
            }
            Cause::Written { common, bytes } => write!(
                f,
                "{replica} was written to since its newest snapshot, or a newer snapshot of it was destroyed ({bytes} bytes); to \
                 give that up: {}",
                self.rollback(common)
            ),
            Cause::NoSnapshots { raw } => {
                let (flags, first) = (
                    if *raw { "-Lcw" } else { "-Lc" },
                    quoted(&format!("{source}@FIRST")),
                );
                write!(
                    f,
                    "{replica} exists and holds no snapshot, so that a first stream cannot be received into it. If nothing was \
                     ever written to it (what lies below it is not touched): zfs send {flags} {first} | zfs receive -F -u -o \
                     readonly=on {}, with the oldest snapshot of zam's as FIRST; otherwise give the destination another root",
                    quoted(replica)
                )
            }
            Cause::MixedKinds { was_raw: true } => write!(
                f,
                "{replica} was received raw, and `decrypt: true` would mix the kinds; take the setting back, or choose another root"
            ),
            Cause::MixedKinds { was_raw: false } => write!(
                f,
                "{replica} was received decrypted (or its key was changed to inherit), and a raw stream would mix the kinds; if \
                 `decrypt: true` was set before, set it again, otherwise choose another root"
            ),
            Cause::WrongType { volume } => {
                let (theirs, ours) = if *volume {
                    ("filesystem", "volume")
                } else {
                    ("volume", "filesystem")
                };
                write!(
                    f,
                    "{replica} is a {theirs}, and {source} is a {ours}; nothing was changed. To begin again beside it: {}",
                    self.aside()
                )
            }
        }
    }
}

/// The first few of the names, and how many more there are.
fn some(names: &[String]) -> String {
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        format!("{shown} and {} more", names.len() - SHOWN)
    } else {
        shown
    }
}
