//! What the jobs of a configuration need: on this machine (`here`) and on another one (`host`). Finds what is missing, and
//! the commands that mend it; runs nothing.

pub mod grant;
pub mod here;
pub mod host;
pub mod reach;

/// Something that is missing.
#[derive(Debug, PartialEq)]
pub struct Step {
    pub why: String,
    /// The commands by which root mends it.
    pub commands: String,
}
