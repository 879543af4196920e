//! What zfs and ssh say on stderr when they fail: the reason in it, and which of the two says it. Shells and what they start
//! put lines of their own there.

use std::fmt::Display;

/// Why a program failed, in one line: without the usage text that zfs adds to some errors, and without advice that would
/// destroy more. `status` stands in where it said nothing.
pub fn reason(stderr: &str, status: impl Display) -> String {
    let mut reasons = Vec::new();
    for line in stderr.lines().map(str::trim) {
        if line.starts_with("usage:") || line.starts_with("For further help") {
            break;
        }
        let is_advice = line.starts_with("use '-") || line.starts_with("must specify -F");
        // A stream's property that nobody wants.
        let is_aside = line.starts_with("cannot receive ") && line.contains(" property on ");
        if !line.is_empty() && !is_advice && !is_aside {
            reasons.push(line);
        }
    }
    if reasons.is_empty() {
        return status.to_string();
    }
    let is_denied = reasons.iter().any(|line| says(line, "permission denied"));
    let mut reason = reasons.join("; ");
    if reason.contains("libzfs library") {
        reason += " (is the kernel's module loaded? modprobe zfs)";
    }
    if is_denied {
        reason += " (zam setup prints what is missing here, zam setup --on HOST what is there)";
    }
    reason
}

/// How lines begin that zfs itself writes.
const OF_ZFS: [&str; 5] = [
    "cannot ",
    // zfs send
    "warning: cannot ",
    "could not find any snapshots to destroy",
    "bookmark '",
    "no snapshots were created",
];

/// Whether zfs itself says `text`. Only what follows the last quote counts: before it stands a name, which may contain
/// anything. A dataset may be called `read-only`.
pub fn says(stderr: &str, text: &str) -> bool {
    stderr.lines().any(|line| {
        let is_of_zfs = OF_ZFS.iter().any(|beginning| line.starts_with(beginning));
        let after_names = line.rsplit('\'').next().unwrap_or(line);
        is_of_zfs && after_names.contains(text)
    })
}

/// Whether ssh says that one side does not accept the other's key (OpenSSH's sshconnect.c and sshconnect2.c).
pub fn refuses_key(stderr: &str) -> bool {
    stderr.lines().any(|line| {
        line == "Host key verification failed."
            || line.contains(": Permission denied (")
            || line.ends_with(": Too many authentication failures")
    })
}

/// What ssh says when no further try can go better: it was told what it cannot do, or the two sides have no algorithm in
/// common (OpenSSH's readconf.c, ssh.c and kex.c).
const OF_OPTIONS: [&str; 4] = [
    "command-line",
    "Bad SSH2 ",
    "Bad owner or permissions on ",
    "Unable to negotiate with ",
];

pub fn refuses_options(stderr: &str) -> bool {
    stderr.lines().any(|line| {
        let is_refused = OF_OPTIONS
            .iter()
            .any(|beginning| line.starts_with(beginning));
        // Of some options it only says each time that it does without.
        let is_fatal = !line.contains("Unsupported option");
        is_fatal && is_refused || line.contains("Bad configuration option")
    })
}

/// Whether ssh does not say why it ended. At LogLevel=ERROR it says little or nothing when sshd hangs up before it asks for
/// a key, when keepalives fail, and when something kills the command there (OpenSSH's kex.c, clientloop.c and log.c).
pub fn gives_no_reason(stderr: &str) -> bool {
    let mut lines = stderr.lines();
    stderr.trim().is_empty() || lines.any(|line| line.starts_with("kex_exchange_identification: "))
}

/// Whether 255, ssh's own exit code, came from zfs: of a stale token, or because libzfs aborts at what it does not know,
/// and ssh gives that for a program that a signal ended.
pub fn is_255_of_zfs(stderr: &str) -> bool {
    stderr.lines().any(|line| {
        line.starts_with("internal error: ") || line.starts_with("cannot resume send: ")
    })
}

/// Whether zfs says that there is no dataset or snapshot `name`. The line before it may lack its end.
pub fn is_absent(stderr: &str, name: &str) -> bool {
    let absent = format!("cannot open '{name}': dataset does not exist");
    stderr.lines().any(|line| line.ends_with(&absent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_refused_is_no_network_that_comes_back() {
        for refused in [
            "zam@nas: Permission denied (publickey,password).\r\n",
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\r\nHost key verification failed.\r\n",
            "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\r\nDisconnected",
        ] {
            assert!(refuses_key(refused), "{refused}");
        }
        for away in [
            "ssh: connect to host nas port 22: Connection refused\r\n",
            "ssh: connect to host nas port 22: Permission denied\r\n",
            "kex_exchange_identification: Connection closed by remote host",
        ] {
            assert!(!refuses_key(away), "{away}");
        }
    }

    #[test]
    fn an_sshd_that_hangs_up_is_no_reason() {
        let reset = "kex_exchange_identification: read: Connection reset by peer\r\n";
        assert!(gives_no_reason("\n") && gives_no_reason(reset));
        assert!(!gives_no_reason(
            "ssh: connect to host nas port 22: Connection refused\r\n"
        ));
    }

    #[test]
    fn what_ssh_cannot_do_is_no_network_that_comes_back() {
        for refused in [
            "command-line: line 0: Bad configuration option: complession\r\n",
            "/root/.ssh/config: line 3: Bad configuration option: foo\r\n",
            "Bad SSH2 cipher spec 'foo'.\r\n",
            "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa\r\n",
            "Bad owner or permissions on /root/.ssh/config\r\n",
        ] {
            assert!(refuses_options(refused), "{refused}");
        }
        for away in [
            "ssh: connect to host nas port 22: Connection refused\r\n",
            "command-line line 0: Unsupported option \"gssapiauthentication\"\r\n",
        ] {
            assert!(!refuses_options(away), "{away}");
        }
    }

    #[test]
    fn zfs_that_ssh_gives_255_for_is_no_network() {
        for of_zfs in [
            "internal error: Invalid argument\nAborted (core dumped)\n",
            "cannot resume send: 'a@x' used in the initial send no longer exists\n",
        ] {
            assert!(is_255_of_zfs(of_zfs), "{of_zfs}");
        }
        // The network went away afterwards. ssh says nothing of that where its master is another process.
        for of_ssh in ["", "cannot open 'a': dataset does not exist\n"] {
            assert!(!is_255_of_zfs(of_ssh), "{of_ssh}");
        }
    }

    #[test]
    fn the_reason_is_what_was_said_without_usage_and_dangerous_advice() {
        for (stderr, expected) in [
            (
                "cannot open 'a': dataset does not exist\n",
                "cannot open 'a': dataset does not exist",
            ),
            ("one\n\n  two\n", "one; two"),
            (
                "missing snapshot\nusage:\n\tsend [-v]\n",
                "missing snapshot",
            ),
            ("bad option\nFor further help on a command\n", "bad option"),
            (
                "cannot destroy 'a': it has children\nuse '-r' to destroy them\n",
                "cannot destroy 'a': it has children",
            ),
            (
                "destination has snapshots\nmust specify -F to overwrite it\n",
                "destination has snapshots",
            ),
            (
                "The ZFS modules are not loaded.\nTry running the libzfs library\n",
                "The ZFS modules are not loaded.; Try running the libzfs library (is the kernel's module loaded? modprobe zfs)",
            ),
            (
                "cannot receive quota property on a: permission denied\ncannot receive: out of space\n",
                "cannot receive: out of space",
            ),
            (
                "warning: cannot send 'tank/a@x': permission denied\n",
                "warning: cannot send 'tank/a@x': permission denied (zam setup prints what is missing here, zam setup --on HOST what is there)",
            ),
            (
                "cannot create snapshots : permission denied\n",
                "cannot create snapshots : permission denied (zam setup prints what is missing here, zam setup --on HOST what is there)",
            ),
            ("", "exit status: 1"),
            ("\n \n", "exit status: 1"),
            ("usage:\n\tsend\n", "exit status: 1"),
        ] {
            assert_eq!(reason(stderr, "exit status: 1"), expected);
        }
    }

    #[test]
    fn only_a_line_of_zfs_itself_counts() {
        let stderr = "Welcome!\ncannot create bookmark 'a#b': bookmark exists\n";
        assert!(says(stderr, "exists"));
        assert!(says("bookmark 'a#b' does not exist.\n", "does not exist"));
        for name in ["preexists", "read-only", "does not exist"] {
            let stderr = format!("cannot create bookmark 'tank/{name}#b': permission denied\n");
            for text in ["exists", "does not exist", "read-only"] {
                assert!(!says(&stderr, text), "{stderr}");
            }
        }
        let greeting =
            "/etc/profile: line 3: /opt/x does not exist\ncannot destroy 'a@b': dataset is busy\n";
        assert!(!says(greeting, "does not exist"));
    }

    #[test]
    fn absent_is_the_dataset_that_is_named() {
        let stderr = "Welcome!cannot open 'tank/a': dataset does not exist\n";
        assert!(is_absent(stderr, "tank/a"));
        for other in ["tank", "tank/a/b", "a"] {
            assert!(!is_absent(stderr, other), "{other}");
        }
        assert!(!is_absent(
            "cannot open 'tank/a': permission denied\n",
            "tank/a"
        ));
    }
}
