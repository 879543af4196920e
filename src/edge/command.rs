//! The one door to other programs, on this machine or over ssh. Whether a program went well is judged by its exit status,
//! never by what it printed.

use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::core::config::Host;
use crate::core::{said, shell};
use crate::edge::outcome::Exit::Later;
use crate::edge::outcome::is_later;
use crate::edge::process::{self, Process};
use crate::edge::sockets;

/// Directories to look for `zfs` in after those of PATH: an ordinary user's PATH has no sbin.
const SBIN: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// How long the end of an ssh connection may take.
const PATIENCE: Duration = Duration::from_secs(2);

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

impl Pipeline {
    pub fn called(self, name: &str) -> Self {
        Pipeline {
            name: name.into(),
            ..self
        }
    }
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
    pub fn pipeline(&self, argvs: &[&[&str]]) -> Pipeline {
        Pipeline {
            commands: self.commands(argvs),
            name: String::new(),
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
    /// [`Failure`] for a bad exit; [`Later`] when the machine cannot be reached, or the run is to stop.
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

    fn failure(&self, argv: &[&str], output: Output) -> anyhow::Error {
        let failure = Failure {
            command: argv.join(" "),
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        match &self.0 {
            // ssh(1): 255 is ssh's own.
            Some(host) if output.status.code() == Some(255) => Later(format!(
                "cannot reach {} ({}): {}",
                host.name,
                host.ssh,
                failure.reason()
            ))
            .into(),
            _ => failure.into(),
        }
    }
}

/// Ends the connections of this run, and removes their sockets.
///
/// On a network that went silent the master of a connection does not hear of this before its keepalives fail. That is
/// not waited for, whatever the number of hosts; systemd ends the masters with the job.
pub fn disconnect() {
    let Some(sockets) = sockets::take() else {
        return;
    };
    let begun = Instant::now();
    for (host, socket) in sockets.all() {
        if begun.elapsed() < PATIENCE {
            end_connection(host, &socket, begun);
        }
    }
}

fn end_connection(host: &Host, socket: &Path, begun: Instant) {
    let mut exit = local(&["ssh"]);
    exit.args(options(host, socket))
        .args(["-O", "exit", "--", &host.ssh])
        .stdin(Stdio::null());
    let Ok(mut asking) = Process::start(&mut exit) else {
        return;
    };
    while !asking.has_ended() && begun.elapsed() < PATIENCE {
        asking.wait();
    }
    process::end([&mut asking].into_iter());
}

/// The line by which a shell on another machine runs the program.
fn line(argv: &[&str]) -> Result<String> {
    shell::line(argv).map_err(|why| anyhow!(why))
}

pub fn not_started(program: &str, error: &io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::NotFound {
        return anyhow!(
            "there is no `{program}` on this machine; install it (Debian: zfsutils-linux, openssh-client, zstd)"
        );
    }
    anyhow!("cannot start {program}: {error}")
}

#[expect(clippy::disallowed_methods, reason = "the one door")]
pub(super) fn new(program: &str) -> Command {
    Command::new(program)
}

fn local(argv: &[&str]) -> Command {
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

fn ssh(host: &Arc<Host>, line: &str) -> Result<Command> {
    let socket = sockets::of(host);
    let socket = socket.with_context(|| format!("cannot reach {}", host.name))?;
    let mut ssh = local(&["ssh"]);
    // ssh_config's SendEnv would take the language of this machine to a far side that may not have it.
    for (name, _) in std::env::vars_os() {
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"LANG") || bytes.starts_with(b"LC_") {
            ssh.env_remove(name);
        }
    }
    ssh.env("LC_ALL", "C")
        .args(options(host, &socket))
        .arg("--")
        .arg(&host.ssh)
        .arg(line);
    Ok(ssh)
}

/// Options that a stream of bytes between two programs needs. ssh_config(5) may say otherwise for a person at a terminal.
const NEEDED: [&str; 21] = [
    "BatchMode=yes",
    "LogLevel=ERROR",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
    "ConnectTimeout=30",
    "ControlMaster=auto",
    "ControlPersist=60",
    "RequestTTY=no",
    "RemoteCommand=none",
    "SessionType=default",
    "StdinNull=no",
    "ForkAfterAuthentication=no",
    "EscapeChar=none",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "ExitOnForwardFailure=no",
    "Tunnel=no",
    "PermitLocalCommand=no",
    "VisualHostKey=no",
    // ssh uses only the first SetEnv that it is given.
    "SetEnv=LC_ALL=C",
];

fn options(host: &Host, socket: &Path) -> Vec<String> {
    let mut options = Vec::new();
    // ssh takes the first value that it is given, so the configuration's come first.
    for option in host.options.iter().map(String::as_str).chain(NEEDED) {
        options.push(format!("-o{option}"));
    }
    // ssh_config(5), TOKENS: a single % would begin one.
    let socket = socket.display().to_string().replace('%', "%%");
    options.push(format!("-oControlPath={socket}"));
    options.extend(identity(host).map(|file| format!("-i{file}")));
    options.extend(host.port.map(|port| format!("-p{port}")));
    options
}

/// The file with the key of a host: the one that systemd hands to a job that is not root's, if it does.
fn identity(host: &Host) -> Option<String> {
    let identity = host.identity.as_ref()?;
    let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
        return Some(identity.clone());
    };
    let credential = Path::new(&directory).join(host.credential());
    match credential.exists() {
        true => Some(credential.display().to_string()),
        false => Some(identity.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configurations_options_come_before_zams_own() {
        let host = Host {
            name: "nas".parse().expect("a name"),
            ssh: "zam@nas".into(),
            port: Some(2222),
            identity: Some("/etc/zam/key".into()),
            options: vec!["ConnectTimeout=5".into()],
        };
        let options = options(&host, Path::new("/run/zam/100%/c1"));
        assert_eq!(options[..2], ["-oConnectTimeout=5", "-oBatchMode=yes"]);
        assert_eq!(
            options
                .iter()
                .filter(|o| o.contains("ConnectTimeout"))
                .count(),
            2
        );
        let last = [
            "-oControlPath=/run/zam/100%%/c1",
            "-i/etc/zam/key",
            "-p2222",
        ];
        assert_eq!(options[options.len() - 3..], last);
    }

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
