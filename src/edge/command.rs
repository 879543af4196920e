//! Commands on this machine, or on another one over ssh. Whether a program went well is judged by its exit status,
//! never by what it printed.

use std::fmt;
use std::io;
use std::process::{Command, ExitStatus, Output};
use std::sync::Arc;

use anyhow::{Result, anyhow};

use crate::core::host::Host;
use crate::core::{said, shell};
use crate::edge::outcome::Exit::Unreachable;
use crate::edge::outcome::is_later;
use crate::edge::process;
use crate::edge::program::{local, not_started};
use crate::edge::ssh::ssh;

/// A program that did not end well.
#[derive(Debug)]
pub struct Failure {
    pub command: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Failure {
    pub fn reason(&self) -> String {
        said::reason(&self.stderr, self.status)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", abridged(&self.command), self.reason())
    }
}

impl std::error::Error for Failure {}

/// One end of a stream.
pub struct Pipeline {
    /// An error where there can be no such command.
    pub commands: Result<Vec<Command>>,
    /// The name that errors give it.
    pub name: String,
    /// Over ssh, whose own exit code is 255.
    pub is_remote: bool,
}

fn abridged(command: &str) -> String {
    match command.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &command[..at]),
        None => command.into(),
    }
}

/// This machine, or one that is reached over ssh, with one connection for the whole run.
#[derive(Clone, Debug, Default)]
pub struct Machine(Option<Arc<Host>>);

impl Machine {
    pub fn new(host: Option<&Arc<Host>>) -> Self {
        Machine(host.cloned())
    }

    pub fn is_same(&self, other: &Machine) -> bool {
        self.0 == other.0
    }

    /// ` on olympus`, or nothing for this machine.
    pub fn on_host(&self) -> String {
        match &self.0 {
            Some(host) => format!(" on {}", host.name),
            None => String::new(),
        }
    }

    fn command(&self, argv: &[&str]) -> Result<Command> {
        match &self.0 {
            None => Ok(local(argv)),
            Some(host) => ssh(host, &line(argv)?),
        }
    }

    /// Programs that each read what the one before writes; on another machine, one command there.
    pub fn pipeline(&self, name: String, argvs: &[&[&str]]) -> Pipeline {
        Pipeline {
            commands: self.commands(argvs),
            name,
            is_remote: self.0.is_some(),
        }
    }

    fn commands(&self, argvs: &[&[&str]]) -> Result<Vec<Command>> {
        let Some(host) = &self.0 else {
            return Ok(argvs.iter().map(|argv| local(argv)).collect());
        };
        let line = shell::pipeline(argvs).map_err(|why| anyhow!(why))?;
        Ok(vec![ssh(host, &line)?])
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// [`Failure`] for a bad exit; [`Unreachable`] when ssh does not get there;
    /// [`Later`](crate::edge::outcome::Exit::Later) when the run is to stop. A machine that refuses our key, or has another
    /// one than we know, is an error as well.
    pub fn run(&self, argv: &[&str]) -> Result<Output> {
        match process::output(&mut self.command(argv)?) {
            Ok(output) if output.status.success() => Ok(output),
            Ok(output) => Err(self.failure(argv, output)),
            Err(error) if is_later(&error) => Err(error),
            Err(error) => Err(match error.downcast::<io::Error>() {
                Ok(e) => not_started(argv[0], &e),
                Err(e) => e.context(format!("{}{}", abridged(&argv.join(" ")), self.on_host())),
            }),
        }
    }

    /// What it prints; of bytes that are no UTF-8, U+FFFD.
    ///
    /// # Errors
    /// As those of [`Machine::run`].
    pub fn text(&self, argv: &[&str]) -> Result<String> {
        let output = self.run(argv)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn failure(&self, argv: &[&str], output: Output) -> anyhow::Error {
        let failure = Failure {
            command: argv.join(" "),
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        match &self.0 {
            // ssh(1): 255 is ssh's own.
            Some(host)
                if output.status.code() == Some(255) && !said::is_255_of_zfs(&failure.stderr) =>
            {
                unreachable(host, &failure)
            }
            _ => failure.into(),
        }
    }
}

/// A network comes back; a key or an option that is refused waits for a person.
fn unreachable(host: &Host, failure: &Failure) -> anyhow::Error {
    let name = &host.name;
    let ssh = &host.ssh;
    let reason = failure.reason();
    let text = format!("cannot reach {name} ({ssh}): {reason}");
    if said::refuses_key(&failure.stderr) {
        return anyhow!(
            "{text} (zam setup prints what is missing here, zam setup --on {name} what is missing there)"
        );
    }
    if said::refuses_options(&failure.stderr) {
        return anyhow!(text);
    }
    let hint = if said::gives_no_reason(&failure.stderr) {
        WHERE_TO_LOOK
    } else {
        ""
    };
    Unreachable(format!("{text}{hint}")).into()
}

/// sshd_config(5): MaxStartups, and PerSourcePenalties since OpenSSH 9.8.
const WHERE_TO_LOOK: &str = " (ssh does not say why; the journal there does, if its sshd hung up: too many connections, \
                             perhaps, or keys that it refused a moment ago)";

/// The line by which a shell on another machine runs the program.
fn line(argv: &[&str]) -> Result<String> {
    shell::line(argv).map_err(|why| anyhow!(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_for_another_machine_is_one_line_for_its_shell() {
        let line = line(&["zfs", "destroy", "tank/a b@x"]).expect("a line");
        assert!(line.ends_with(" zfs destroy 'tank/a b@x'"), "{line}");
        assert!(super::line(&["zfs", "list", "it's"]).is_err());
    }

    #[test]
    fn a_long_command_is_abridged_between_characters() {
        assert_eq!(abridged("zfs list"), "zfs list");
        let long = "ä".repeat(300);
        assert_eq!(abridged(&long), format!("{}…", "ä".repeat(200)));
    }

    #[test]
    fn a_failure_is_told_by_what_it_said_or_by_its_status() {
        let mut failure = Failure {
            command: "zfs list x".into(),
            status: std::os::unix::process::ExitStatusExt::from_raw(2 << 8),
            stdout: String::new(),
            stderr: "cannot open 'x'\nusage:\n".into(),
        };
        assert_eq!(failure.to_string(), "zfs list x: cannot open 'x'");
        failure.stderr.clear();
        assert_eq!(failure.to_string(), "zfs list x: exit status: 2");
    }
}
