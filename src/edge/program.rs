//! The one door to other programs: how they are found and started.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::anyhow;

/// Directories to look for `zfs` in after those of PATH: an ordinary user's PATH has no sbin.
const SBIN: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

#[expect(clippy::disallowed_methods, reason = "the one door")]
pub(super) fn new(program: &str) -> Command {
    Command::new(program)
}

/// A program on this machine, in English, whose messages are read.
pub(super) fn local(argv: &[&str]) -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    // An empty part of PATH would be the working directory.
    if !path.is_empty() {
        path.push(":");
    }
    path.push(SBIN);
    let mut command = new(argv[0]);
    command
        .args(&argv[1..])
        .env("PATH", path)
        .env("LC_ALL", "C")
        // A group of its own: Ctrl-C reaches zam alone, which ends a transfer so that it can be resumed.
        .process_group(0);
    command
}

pub(super) fn not_started(program: &str, error: &io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::NotFound {
        return anyhow!(
            "there is no `{program}` on this machine; install it (Debian: zfsutils-linux, openssh-client, zstd)"
        );
    }
    anyhow!("cannot start {program}: {error}")
}
