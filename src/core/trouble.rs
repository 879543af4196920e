//! What `zam check` finds to be wrong.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gravity {
    /// A person should know of it.
    Warning,
    /// A promise is broken.
    Critical,
}

impl fmt::Display for Gravity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Trouble {
    pub gravity: Gravity,
    /// A dataset, a replica, a unit or a pool.
    pub about: String,
    /// What it is in a word, which stays the same for as long as nothing else is wrong with that.
    #[serde(default)]
    pub kind: String,
    pub why: String,
    /// A failed unit of its own tells it too.
    pub told: bool,
}

impl Trouble {
    pub fn warning(about: impl Into<String>, kind: &str, why: impl Into<String>) -> Self {
        Trouble {
            gravity: Gravity::Warning,
            about: about.into(),
            kind: kind.into(),
            why: why.into(),
            told: false,
        }
    }

    pub fn critical(about: impl Into<String>, kind: &str, why: impl Into<String>) -> Self {
        Trouble {
            gravity: Gravity::Critical,
            ..Trouble::warning(about, kind, why)
        }
    }

    /// Whether it makes the check itself fail: it is grave, and nothing else has failed for it.
    pub fn is_news(&self) -> bool {
        self.gravity == Gravity::Critical && !self.told
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.about, self.why)
    }
}
