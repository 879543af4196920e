//! The one door to other programs, on this machine or over ssh. A program is judged by its exit status, never by what
//! it printed. Knows nothing of ZFS.

use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::core::config::Host;
use crate::core::shell;
use crate::edge::outcome::Exit::Later;
use crate::edge::outcome::is_later;
use crate::edge::{process, sockets};

/// Where `zfs` may be, beside what PATH says: an ordinary user's PATH has no sbin.
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
        reason(&self.stderr, self.status)
    }
}

/// What a program said, without the usage text that zfs adds to some errors, and without advice that would destroy more.
pub fn reason(stderr: &str, status: ExitStatus) -> String {
    let lines = stderr
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("usage:") && !line.starts_with("For further help"));
    let lines = lines.filter(|line| {
        !line.is_empty() && !line.starts_with("use '-") && !line.starts_with("must specify -F")
    });
    let reason = lines.collect::<Vec<_>>().join("; ");
    match reason.as_str() {
        "" => status.to_string(),
        _ if reason.contains("libzfs library") => {
            format!("{reason} (is the kernel's module loaded? modprobe zfs)")
        }
        _ => reason,
    }
}

/// One end of a stream.
pub struct Pipeline {
    /// An error where there can be no such command.
    pub commands: Result<Vec<Command>>,
    /// As errors call it.
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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", abridged(&self.command), self.reason())
    }
}

impl std::error::Error for Failure {}

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
    pub fn place(&self) -> String {
        self.0
            .as_ref()
            .map(|host| format!(" on {}", host.name))
            .unwrap_or_default()
    }

    fn command(&self, argv: &[&str]) -> Result<Command> {
        match &self.0 {
            None => Ok(local(argv)),
            Some(host) => ssh(host, &shell::line(argv).map_err(|why| anyhow!(why))?),
        }
    }

    /// Programs that each read what the one before writes; on another machine, one command there.
    pub fn pipeline<'a>(&self, argvs: impl Iterator<Item = &'a [&'a str]>) -> Pipeline {
        let commands = match &self.0 {
            None => Ok(argvs.map(local).collect()),
            Some(host) => {
                let lines: Result<Vec<String>, String> = argvs.map(shell::line).collect();
                lines
                    .map_err(|why| anyhow!(why))
                    .and_then(|lines| Ok(vec![ssh(host, &lines.join(" | "))?]))
            }
        };
        Pipeline {
            commands,
            name: String::new(),
            is_remote: self.0.is_some(),
        }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// [`Failure`] for a bad exit; [`Later`] when the machine cannot be reached, or the run is to stop.
    pub fn run(&self, argv: &[&str]) -> Result<Output> {
        let output = process::output(&mut self.command(argv)?).map_err(|e| {
            match e.downcast::<io::Error>() {
                Ok(e) => not_started(argv[0], &e),
                Err(e) if is_later(&e) => e,
                Err(e) => e.context(format!("{}{}", abridged(&argv.join(" ")), self.place())),
            }
        })?;
        if output.status.success() {
            return Ok(output);
        }
        Err(self.failure(argv, output))
    }

    pub fn failure(&self, argv: &[&str], output: Output) -> anyhow::Error {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let failure = Failure {
            command: argv.join(" "),
            status: output.status,
            stdout,
            stderr,
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

    /// Ends the connection, if one was made. On a network that went silent its master does not hear of it before its
    /// keepalives fail, which is not waited for; systemd ends it with the job.
    pub fn close(&self) {
        let Some(host) = self
            .0
            .as_ref()
            .filter(|host| sockets::is_open(host.name.as_str()))
        else {
            return;
        };
        let Ok(socket) = sockets::of(host.name.as_str()) else {
            return;
        };
        let mut exit = local(&["ssh"]);
        exit.args(options(host, &socket))
            .args(["-O", "exit", "--", &host.ssh])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        if let Ok(mut asking) = exit.spawn() {
            let begun = Instant::now();
            while matches!(asking.try_wait(), Ok(None)) && begun.elapsed() < PATIENCE {
                sleep(Duration::from_millis(5));
            }
            let _ = asking.kill().and_then(|()| asking.wait());
        }
        sockets::close(host.name.as_str());
    }
}

pub fn not_started(program: &str, error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow::anyhow!(
                "there is no `{program}` on this machine; install it (Debian: zfsutils-linux, openssh-client, zstd)"
            )
        }
        _ => anyhow::anyhow!("cannot start {program}: {error}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one door")]
fn local(argv: &[&str]) -> Command {
    let mut command = Command::new(argv[0]);
    // An empty part of PATH would be the working directory.
    let path = std::env::var_os("PATH").filter(|path| !path.is_empty());
    let path = path.map_or(SBIN.into(), |mut path| {
        path.push(":");
        path.push(SBIN);
        path
    });
    // A group of its own: Ctrl-C reaches zam alone, which ends a transfer so that it can be resumed.
    command
        .args(&argv[1..])
        .env("PATH", path)
        .env("LC_ALL", "C")
        .process_group(0);
    command
}

fn ssh(host: &Host, line: &str) -> Result<Command> {
    let socket =
        sockets::of(host.name.as_str()).with_context(|| format!("cannot reach {}", host.name))?;
    let mut ssh = local(&["ssh"]);
    // ssh_config's SendEnv would take the language of this machine to a far side that may not have it.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"LANG")
            || name.as_encoded_bytes().starts_with(b"LC_")
        {
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

/// What a stream of bytes between two programs needs, whatever ssh_config(5) says for a person at a terminal.
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
    // The first SetEnv counts alone.
    "SetEnv=LC_ALL=C",
];

fn options(host: &Host, socket: &Path) -> Vec<String> {
    // ssh takes the first value that it is given, so the configuration's come first.
    let options = host
        .options
        .iter()
        .map(String::as_str)
        .chain(NEEDED)
        .map(|option| format!("-o{option}"));
    // ssh_config(5), TOKENS.
    let socket = socket.display().to_string().replace('%', "%%");
    let options = options.chain([format!("-oControlPath={socket}")]);
    let identity = host.identity.iter().map(|file| format!("-i{file}"));
    options
        .chain(identity)
        .chain(host.port.iter().map(|port| format!("-p{port}")))
        .collect()
}
