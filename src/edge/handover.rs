//! Programs that run in place of zam, for another machine that asked for them (`zam serve`).

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::core::shell;
use crate::edge::program::{new, not_started};

/// Runs `programs`, the second reading what the first writes, with our standard input, output and errors, and nothing of
/// our environment, which came from the other machine. A single one takes our place.
///
/// # Errors
/// It cannot be started, or one of two has failed, which says itself why.
pub fn hand_over(programs: &[Vec<String>]) -> Result<()> {
    let mut commands: Vec<Command> = programs.iter().map(|argv| command(argv)).collect();
    match commands.as_mut_slice() {
        [one] => Err(not_started(&programs[0][0], &one.exec())),
        [first, second] => join(first, second),
        _ => bail!("zam joins two programs at most"),
    }
}

fn command(argv: &[String]) -> Command {
    let settings = [shell::PATH, shell::LOCALE].into_iter();
    let mut command = new(&argv[0]);
    command.args(&argv[1..]).env_clear();
    command.envs(settings.filter_map(|setting| setting.split_once('=')));
    command
}

fn join(first: &mut Command, second: &mut Command) -> Result<()> {
    let mut writing = first.stdout(Stdio::piped()).spawn()?;
    let pipe = writing.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let mut reading = second.stdin(pipe).spawn()?;
    // Ours of the pipe would keep the first one from seeing that the second has ended.
    second.stdin(Stdio::null());
    let read = reading.wait()?;
    let written = writing.wait()?;
    if read.success() && written.success() {
        return Ok(());
    }
    bail!("the two programs ended with {written} and {read}")
}
