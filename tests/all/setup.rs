//! What `zam setup` finds missing on another machine, and the script that mends it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{TempDir, tempdir};
use zam::core::config::Config;
use zam::core::fault::Source;
use zam::core::load::load;
use zam::core::serve::Role;
use zam::core::setup::{Needs, needs};

use crate::common::{path_with, program, zam};

const PUSHED: &str = "hosts: {nas: {ssh: far@nas, identity: KEY}, idle: {ssh: a@b}}
destinations: {there: {host: nas, root: pool/my zam, replication-period: 1h, prune-period: 1d, windows: [{period: 1d}]}}
datasets: {tank/a: {destinations: [there]}, tank/b: {destinations: [there]}}";

fn config(text: &str) -> Config {
    let (path, text) = ("zam.yaml".into(), text.replace("KEY", "/k"));
    let (config, faults) = load(&[Source { path, text }]).expect("a configuration");
    assert!(faults.is_empty());
    config
}

fn needed(text: &str) -> Needs {
    needs(&config(text), "nas").expect("needs")
}

#[test]
fn the_role_follows_from_the_jobs() {
    let appended = PUSHED.replace(" prune-period: 1d,", "");
    let fetched = "hosts: {nas: {ssh: far@nas}}
destinations: {here: {root: backup, replication-period: 1h, prune-period: 1d, windows: [{period: 1d}]}}
datasets: {'nas:tank/a': {destinations: [here]}, 'nas:tank/b c': {recursive: true, destinations: [here]}}";
    for (text, role, roots) in [
        (PUSHED, Role::Push, vec!["pool/my zam"]),
        (&appended, Role::AppendOnly, vec!["pool/my zam"]),
        (fetched, Role::ReadOnly, vec!["tank/a", "tank/b c"]),
    ] {
        let needed = needed(text);
        let names: Vec<&str> = needed.roots.iter().map(|root| root.as_str()).collect();
        assert_eq!((needed.role, names), (role, roots), "{text}");
    }
    let nothing = needs(&config(PUSHED), "idle").expect_err("nothing");
    assert!(nothing.contains("nothing is replicated"), "{nothing}");
    let both = format!("{PUSHED}\n").replace("tank/b: {", "'nas:tank/b': {");
    let both = needs(&config(&both), "nas").expect_err("both");
    assert!(both.contains("with a key each"), "{both}");
    let kept = "destinations: {kept: {host: nas, root: pool/kept, replication-period: 1h}, ";
    let mixed = PUSHED.replace("destinations: {there: {", &format!("{kept}there: {{"));
    let mixed = mixed.replace(
        "tank/b: {destinations: [there]}",
        "tank/b: {destinations: [kept]}",
    );
    let mixed = needs(&config(&mixed), "nas").expect_err("no right to prune both");
    assert!(mixed.contains("with a key each"), "{mixed}");
}

/// As OpenZFS 2.1 and 2.3 print it.
fn printed(permissions: &str) -> String {
    format!(
        "---- Permissions on pool/my zam -----------\nPermission sets:\n\t@x destroy\nLocal permissions:\n\tuser far destroy\n\
         Local+Descendent permissions:\n\tuser near all,destroy\n\tuser far {permissions}\n\teveryone send\n"
    )
}

#[test]
fn each_permission_that_is_taken_away_is_found_missing() {
    for (text, all) in [
        (
            PUSHED,
            "canmount,create,destroy,mount,readonly,receive,volmode",
        ),
        (
            &PUSHED.replace(" prune-period: 1d,", ""),
            "canmount,create,mount,readonly,receive:append,volmode",
        ),
    ] {
        let needed = needed(text);
        assert!(needed.lacking(&printed(all), "far").is_empty());
        for taken in all.split(',') {
            let left: Vec<&str> = all.split(',').filter(|left| *left != taken).collect();
            let lacking = needed.lacking(&printed(&left.join(",")), "far");
            assert_eq!(lacking, [taken]);
            let root = needed.roots.first().expect("a root");
            let commands = needed.allow("far", &lacking, root).commands;
            let expected = format!("zfs allow -u far {taken} 'pool/my zam'");
            assert!(commands.starts_with(&expected), "{commands}");
        }
        // The wider one, before OpenZFS 2.3.2.
        let older = all.replace("receive:append", "receive");
        assert!(needed.lacking(&printed(&older), "far").is_empty());
        assert_eq!(needed.lacking("", "far").len(), all.split(',').count());
    }
}

/// A machine with a key, whose `ssh` reaches nobody.
fn machine() -> TempDir {
    let home = tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::write(&path, text).expect(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect(name);
    };
    let key = home.path().join("key");
    write("key.pub", "ssh-ed25519 AAAAC3Nza+/= root@laptop\n");
    write("zam.yaml", &PUSHED.replace("KEY", &key.to_string_lossy()));
    write("ssh", "#!/bin/sh\nexit 255\n");
    write("id", "#!/bin/sh\nexit 1\n");
    write("getent", "#!/bin/sh\necho \"far:x:1:1::$HOME:/bin/sh\"\n");
    for name in ["useradd", "zfs", "chown"] {
        let fails = if name == "zfs" {
            "[ \"$1\" != list ]"
        } else {
            "true"
        };
        write(
            name,
            &format!("#!/bin/sh\necho \"{name} $*\" >>\"$HOME/calls\"\n{fails}\n"),
        );
    }
    write(
        "install",
        "#!/bin/sh\nfor last; do :; done\nmkdir -p \"$last\"\n",
    );
    home
}

struct Ended {
    code: Option<i32>,
    printed: String,
    said: String,
}

fn run_in(home: &Path, arguments: &[&str]) -> Ended {
    let mut zam = zam();
    zam.args(arguments).env("ZAM_CONFIG", home.join("zam.yaml"));
    zam.env("PATH", path_with(home)).env("HOME", home);
    let output = zam.output().expect("zam");
    Ended {
        code: output.status.code(),
        printed: String::from_utf8_lossy(&output.stdout).into_owned(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn the_script_makes_the_account_and_binds_its_key() {
    let home = machine();
    let ended = run_in(home.path(), &["setup", "--on", "nas"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let script = ended.printed;
    for _ in 0..2 {
        let mut shell = program("sh");
        shell.args(["-c", &script]).env("HOME", home.path());
        let ended = shell
            .env("PATH", path_with(home.path()))
            .output()
            .expect("sh");
        assert!(ended.status.success(), "{script}\n{ended:?}");
    }
    let read = |name: &str| fs::read_to_string(home.path().join(name)).expect(name);
    let keys = read(".ssh/authorized_keys");
    assert_eq!(keys.lines().count(), 1, "{keys}");
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let expected = format!(
        "restrict,command=\"zam serve --key {} --root 'pool/my zam'\" ssh-ed25519 AAAAC3Nza+/= root@laptop\n",
        hostname.trim()
    );
    assert_eq!(keys, expected);
    let calls = read("calls");
    for call in [
        "useradd --system --create-home --shell /bin/sh --password * far",
        "zfs create -p pool/my zam",
        "zfs allow -u far receive,create,mount,readonly,canmount,volmode,destroy pool/my zam",
    ] {
        assert!(calls.lines().any(|line| line == call), "{call}: {calls}");
    }
}

fn has(text: &str, part: &str) {
    assert!(text.contains(part), "{text}");
}

#[test]
fn check_says_what_is_missing_and_exits_1() {
    let home = machine();
    let ended = run_in(home.path(), &["setup", "--on", "nas", "--check"]);
    assert_eq!(ended.code, Some(1));
    has(&ended.printed, "far lacks receive,create,");
    has(
        &ended.said,
        "nobody on nas says what the key may do: cannot reach nas",
    );
    let ended = run_in(home.path(), &["setup", "--on", "olympus"]);
    assert_eq!(ended.code, Some(2));
    has(
        &ended.said,
        "there is no host `olympus`; there are: idle, nas",
    );
    let wrong = PUSHED
        .replace("KEY", "/k")
        .replace("prune-period: 1d", "prune-period: 1x");
    fs::write(home.path().join("wrong.yaml"), wrong).expect("a file");
    let wrong = home.path().join("wrong.yaml");
    let wrong = wrong.to_string_lossy();
    let ended = run_in(home.path(), &["--config", &wrong, "setup", "--on", "nas"]);
    assert_eq!(ended.code, Some(78));
    assert!(!ended.printed.contains("zam serve"), "{}", ended.said);
    fs::remove_file(home.path().join("key.pub")).expect("a file");
    let ended = run_in(home.path(), &["setup", "--on", "nas"]);
    assert_eq!(ended.code, Some(1));
    has(&ended.said, "make the key first: ssh-keygen -t ed25519");
}
