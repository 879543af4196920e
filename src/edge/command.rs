//! The one door to other programs, on this machine or over ssh. A program is judged by its exit status, never by what
//! it printed. Knows nothing of ZFS.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::lock;
use super::outcome::Later;
use crate::core::config::Host;

/// Where `zfs` may be, beside what PATH says: an ordinary user's PATH has no sbin.
const SBIN: &str = "/usr/local/sbin:/usr/sbin:/sbin";

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
    let lines =
        stderr.lines().map(str::trim).take_while(|line| !line.starts_with("usage:") && !line.starts_with("For further help"));
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("use '-") && !line.starts_with("must specify -F"));
    let reason = lines.collect::<Vec<_>>().join("; ");
    match reason.as_str() {
        "" => status.to_string(),
        _ if reason.contains("libzfs library") => format!("{reason} (is the kernel's module loaded? modprobe zfs)"),
        _ => reason,
    }
}

/// One end of a stream.
pub struct Pipeline {
    pub commands: Vec<Command>,
    /// As errors call it.
    pub name: String,
    /// Over ssh, whose own exit code is 255.
    pub is_remote: bool,
}

impl Pipeline {
    pub fn called(self, name: &str) -> Self {
        Pipeline { name: name.into(), ..self }
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
        self.0.as_ref().map(|host| format!(" on {}", host.name)).unwrap_or_default()
    }

    pub fn command(&self, argv: &[&str]) -> Command {
        match &self.0 {
            None => local(argv),
            Some(host) => ssh(host, &remote(argv)),
        }
    }

    /// Programs that each read what the one before writes; on another machine, one command there.
    pub fn pipeline<'a>(&self, argvs: impl Iterator<Item = &'a [&'a str]>) -> Pipeline {
        let commands = match &self.0 {
            None => argvs.map(local).collect(),
            Some(host) => vec![ssh(host, &argvs.map(remote).collect::<Vec<_>>().join(" | "))],
        };
        Pipeline { commands, name: String::new(), is_remote: self.0.is_some() }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// [`Failure`] for a bad exit; [`Later`] when the machine cannot be reached.
    pub fn run(&self, argv: &[&str]) -> Result<Output> {
        let output = self.command(argv).stdin(Stdio::null()).output().map_err(|e| not_started(argv[0], &e))?;
        if output.status.success() {
            return Ok(output);
        }
        Err(self.failure(argv, output))
    }

    pub fn failure(&self, argv: &[&str], output: Output) -> anyhow::Error {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let failure = Failure { command: argv.join(" "), status: output.status, stdout, stderr };
        match &self.0 {
            // ssh(1): 255 is ssh's own.
            Some(host) if output.status.code() == Some(255) => {
                Later(format!("cannot reach {} ({}): {}", host.name, host.ssh, failure.reason())).into()
            }
            _ => failure.into(),
        }
    }

    /// Ends the connection, if one was made. On a network that went silent its master does not hear of it before its
    /// keepalives fail, which is not waited for; systemd ends it with the job.
    pub fn close(&self) {
        let Some(host) = &self.0 else { return };
        let mut exit = local(&["ssh"]);
        exit.args(options(host)).args(["-O", "exit", "--", &host.ssh]).stdin(Stdio::null()).stderr(Stdio::null());
        if let Ok(mut asking) = exit.spawn() {
            let begun = Instant::now();
            while matches!(asking.try_wait(), Ok(None)) && begun.elapsed() < PATIENCE {
                sleep(Duration::from_millis(5));
            }
            let _ = asking.kill().and_then(|()| asking.wait());
        }
        let _ = std::fs::remove_file(socket(host));
    }
}

pub fn not_started(program: &str, error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow::anyhow!("there is no `{program}` on this machine; install it (Debian: zfsutils-linux, openssh-client, zstd)")
        }
        _ => anyhow::anyhow!("cannot start {program}: {error}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one door")]
fn local(argv: &[&str]) -> Command {
    let mut command = Command::new(argv[0]);
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(OsString::from(":"));
    path.push(SBIN);
    // A group of its own: Ctrl-C reaches zam alone, which ends a transfer so that it can be resumed.
    command.args(&argv[1..]).env("PATH", path).env("LC_ALL", "C").process_group(0);
    command
}

fn ssh(host: &Host, command: &str) -> Command {
    let mut ssh = local(&["ssh"]);
    ssh.args(options(host)).arg("--").arg(&host.ssh).arg(command);
    ssh
}

fn options(host: &Host) -> Vec<String> {
    let ours = [
        "BatchMode=yes",
        "LogLevel=ERROR",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=4",
        "ConnectTimeout=30",
        "ControlMaster=auto",
        "ControlPersist=60",
    ];
    // ssh takes the first value that it is given, so the configuration's come first.
    let options = host.options.iter().map(String::as_str).chain(ours).map(|option| format!("-o{option}"));
    let options = options.chain([format!("-oControlPath={}", socket(host).display())]);
    let identity = host.identity.iter().map(|file| format!("-i{file}"));
    options.chain(identity).chain(host.port.iter().map(|port| format!("-p{port}"))).collect()
}

/// Of this run alone.
fn socket(host: &Host) -> PathBuf {
    lock::directory().join(format!("ssh-{}-{}", std::process::id(), host.name))
}

/// A command for ssh, whatever shell reads it there; `env` finds zfs in sbin for users who lack it.
fn remote(argv: &[&str]) -> String {
    let words =
        ["env", "LC_ALL=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin"];
    words.iter().chain(argv).map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@#%_-+=:,./".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
