//! A command by which a person wants to be told something.

use std::io::{Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::core::said;
use crate::edge::process::{self, Process};
use crate::edge::program;

/// How long one may take. systemd gives all of them together five minutes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has the shell run `line`, with more variables in its environment and a text on its stdin. What it prints goes where ours
/// goes.
///
/// # Errors
/// It failed, or it took longer than a minute.
pub fn run(line: &str, environment: &[(&str, String)], text: &str) -> Result<()> {
    let mut input = tempfile::tempfile().context("cannot keep its input")?;
    input.write_all(text.as_bytes())?;
    input.rewind()?;
    let mut command = program::new("/bin/sh");
    let variables = environment.iter().map(|(name, value)| (*name, value));
    command.args(["-c", line]).envs(variables).stdin(input);
    end_in_time(&mut command)
}

/// Runs a command to its end, in a process group of its own, so that what it has started can be ended with it.
///
/// # Errors
/// It failed, or it took longer than a minute.
pub(super) fn end_in_time(command: &mut Command) -> Result<()> {
    let mut process = Process::start(command.process_group(0))?;
    if !process.ends_before(Instant::now() + PATIENCE) {
        process.kill_group();
        process::end([&mut process]);
        bail!("it took longer than {} s", PATIENCE.as_secs());
    }
    let ended = process.result();
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        bail!("{}", said::reason(&said, ended.status));
    }
    Ok(())
}
