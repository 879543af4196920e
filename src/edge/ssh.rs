//! ssh, with what zam needs of it: one connection a host for the whole run, whatever ssh_config(5) says.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::core::host::Host;
use crate::edge::process::{self, Process};
use crate::edge::program::local;
use crate::edge::sockets;

/// How long the end of an ssh connection may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ends the connections of this run, and removes their sockets.
///
/// On a network that went silent the master of a connection does not hear of this before its keepalives fail. That is
/// not waited for, whatever the number of hosts; systemd ends the masters with the job.
pub fn disconnect() {
    let Some(sockets) = sockets::take() else {
        return;
    };
    let deadline = Instant::now() + PATIENCE;
    for (host, socket) in sockets.all() {
        if Instant::now() < deadline {
            end_connection(host, &socket, deadline);
        }
    }
}

fn end_connection(host: &Host, socket: &Path, deadline: Instant) {
    let mut exit = local(&["ssh"]);
    exit.args(options(host, socket))
        .args(["-O", "exit", "--", &host.ssh])
        .stdin(Stdio::null());
    let Ok(mut asking) = Process::start(&mut exit) else {
        return;
    };
    if !asking.ends_before(deadline) {
        process::end([&mut asking]);
    }
}

/// A command line for the shell of a host.
pub(super) fn ssh(host: &Arc<Host>, line: &str) -> Result<Command> {
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
    "ConnectTimeout=20",
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
    if let Some(file) = identity(host) {
        // Before it ssh would offer the keys of an agent, one of which may open a shell there.
        options.push("-oIdentitiesOnly=yes".into());
        options.push(format!("-i{file}"));
    }
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
            "-oIdentitiesOnly=yes",
            "-i/etc/zam/key",
            "-p2222",
        ];
        assert_eq!(options[options.len() - 4..], last);
    }
}
