//! How tests start programs.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Any program, which inherits the environment of the test.
#[expect(clippy::disallowed_methods, reason = "a test, not the program")]
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    Command::new(name)
}

/// zam as it was built for the test, as a person would start it: not as a unit, even where systemd runs the test.
pub(crate) fn zam() -> Command {
    let mut zam = program(env!("CARGO_BIN_EXE_zam"));
    zam.env_remove("ZAM_INSTANCE").env_remove("JOURNAL_STREAM");
    zam
}

/// A PATH that finds the programs of `directory` before all others.
pub(crate) fn path_with(directory: &Path) -> String {
    let path = std::env::var("PATH").expect("PATH");
    format!("{}:{path}", directory.display())
}
