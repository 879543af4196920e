//! What comes from outside: other programs, other users, signals, terminals. The real binary, with scripts as `zfs`
//! and `ssh`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::{TempDir, tempdir};

use chrono::TimeDelta;
use zam::edge::clock::now;

use crate::common::{path_with, program};

const CONFIG: &str = "\
hosts: {far: {ssh: root@far}}
destinations:
  local: {root: backup/zam, replication-period: 1h, stall-timeout: 1s}
  away: {host: far, root: backup/zam, replication-period: 1h, stall-timeout: 1s}
datasets:
  tank/home:
    snapshot-period: 1h
    windows: [{max-age: 1d, period: 1h}]
    destinations: [local, away]
";

/// A `zfs` that reads a table, and does nothing. `on-VERB` takes the place of a verb.
const ZFS: &str = r#"#!/bin/bash
echo "zfs $*" >>"$FAKE/log"
if [[ -e $FAKE/on-$1 ]]; then . "$FAKE/on-$1"; fi
case $1 in
  list)
    shift; depth=all; roots=()
    while (($#)); do
      case $1 in
        -t) types=$2; shift ;; -o) columns=$2; shift ;; -d) depth=$2; shift ;; -*) ;; *) roots+=("$1") ;;
      esac
      shift
    done
    code=0
    for root in "${roots[@]}"; do
      awk -F'\t' -v OFS='\t' -v root="$root" -v types="$types" -v columns="$columns" -v depth="$depth" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; n = split(columns, wanted, ","); next }
        $1 == root { found = 1 }
        { dataset = $1; sub(/[@#].*/, "", dataset)
          kind = $1 ~ /@/ ? "snapshot" : $1 ~ /#/ ? "bookmark" : "filesystem"
          inside = $1 == root || depth != 0 && dataset == root || depth == "all" && index(dataset, root "/") == 1
          if (inside && index(types, kind)) {
            line = $1; for (i = 2; i <= n; i++) line = line OFS $(at[wanted[i]]); print line } }
        END { exit !found }' "$FAKE/table" || { echo "cannot open '$root': dataset does not exist" >&2; code=1; }
    done
    exit $code ;;
  get) printf 'on\nnoauto\n-\n' ;;
  send) [[ $2 == *n* ]] || echo stream ;;
  receive) cat >/dev/null ;;
esac
"#;

pub(crate) const SSH: &str = r#"#!/bin/bash
printf '%s\n' "$@" >>"$FAKE/ssh-words"
for word; do
  case $word in -oControlPath=*) path=${word#*=}; echo "$(stat -c %a "${path%/*}") $path" >>"$FAKE/sockets" ;; esac
done
while [[ $1 != -- && $1 != -O ]]; do shift; done
[[ $1 == -- ]] || exit 0
eval "${3//PATH=/ZAM_PATH=}"
"#;

fn patient() -> String {
    CONFIG.replace("stall-timeout: 1s", "stall-timeout: 1h")
}

const TABLE: &str = "\
name	guid	createtxg	creation	type	written	encryptionroot	receive_resume_token	readonly	userrefs	clones
tank	10	1	100	filesystem	0	-	-	off	-	-
tank/home	11	2	100	filesystem	0	-	-	off	-	-
tank/home@zam_20260101T000000Z	101	10	1767225600	-	4096	-	-	-	0	-
backup/zam	20	3	100	filesystem	0	-	-	off	-	-
";

const COLUMNS: &str =
    "name	guid	createtxg	creation	type	written	encryptionroot	receive_resume_token	readonly";

pub(crate) struct World(TempDir);

impl World {
    pub(crate) fn new() -> Self {
        let world = World(tempdir().expect("a directory"));
        for directory in ["bin", "run", "state"] {
            fs::create_dir(world.path(directory)).expect("a directory");
        }
        for (name, text) in [
            ("bin/zfs", ZFS),
            ("bin/ssh", SSH),
            ("table", TABLE),
            ("zam.yaml", CONFIG),
        ] {
            world.write(name, text);
        }
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("writing");
        fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o755))
            .expect("permissions");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// tank/home and its replica at backup/zam, and what zpool says; of no snapshots there is no replica. Snapshots are named
    /// by how many half days ago they were taken.
    pub(crate) fn hold(&self, source: &[i64], replica: &[i64]) {
        let mut text = format!("{COLUMNS}\n");
        for (dataset, snapshots) in [
            ("tank/home", source),
            ("backup/zam", &[]),
            ("backup/zam/tank/home", replica),
        ] {
            if dataset.starts_with("backup/zam/") && snapshots.is_empty() {
                continue;
            }
            let guid = dataset.len();
            text.push_str(&format!(
                "{dataset}\t{guid}\t2\t100\tfilesystem\t0\t-\t-\ton\n"
            ));
            for half_days in snapshots {
                let taken = now() - TimeDelta::hours(12 * half_days);
                let name = taken.format("zam_%Y%m%dT%H%M%SZ");
                let guid = 1000 + half_days;
                let createtxg = 1000 - half_days;
                text.push_str(&format!(
                    "{dataset}@{name}\t{guid}\t{createtxg}\t{}\t-\t0\t-\t-\t-\n",
                    taken.timestamp()
                ));
            }
        }
        self.write("table", &text);
    }

    pub(crate) fn command(&self, name: impl AsRef<OsStr>, words: &[&str]) -> Command {
        let mut command = program(name);
        let path = path_with(&self.path("bin"));
        command
            .args(words)
            .env("PATH", path)
            .env("FAKE", self.0.path())
            .env("ZAM_CONFIG", self.path("zam.yaml"));
        command
            .env("ZAM_RUN", self.path("run"))
            .env("ZAM_STATE", self.path("state"));
        command
            .env_remove("ZAM_INSTANCE")
            .env_remove("COMPLETE")
            .current_dir(self.0.path());
        command
    }

    pub(crate) fn zam(&self, words: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_zam"), words)
            .output()
            .expect("zam")
    }

    fn begin(&self, words: &[&str]) -> Child {
        self.command(env!("CARGO_BIN_EXE_zam"), words)
            .stderr(Stdio::piped())
            .spawn()
            .expect("zam")
    }

    /// Waits for a line of the log, then sends SIGTERM, and returns how zam ended and after how long.
    fn stop_at(&self, mut zam: Child, line: &str) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        while !self.read("log").contains(line) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "no {line} in {}",
                self.read("log")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let told = Instant::now();
        kill_process(Pid::from_child(&zam), Signal::TERM).expect("a signal");
        let status = zam.wait().expect("its end");
        (status.code(), told.elapsed())
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const NOISE: &str =
    "echo 'Could not chdir to home directory /home/zam: No such file or directory' >&2\n";

#[test]
fn lines_that_are_not_of_zfs_hide_no_absence() {
    for noise in [NOISE, "printf 'last login: never' >&2\n"] {
        let world = World::new();
        world.write("on-list", noise);
        let output = world.zam(&["replicate", "-n", "--json", "tank/home"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let states = String::from_utf8_lossy(&output.stdout)
            .matches(r#""state":"full""#)
            .count();
        assert_eq!(states, 2, "{output:?}");
    }
}

#[test]
fn a_listing_cut_short_beside_an_absence_is_an_error() {
    let world = World::new();
    world.write(
        "on-list",
        "echo \"cannot iterate filesystems: I/O error\" >&2; trap 'exit 1' EXIT\n",
    );
    let output = world.zam(&["replicate", "tank/home", "--to", "local"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        !world
            .read("log")
            .lines()
            .any(|line| !line.starts_with("zfs list")),
        "{}",
        world.read("log")
    );
}

#[test]
fn complete_in_the_environment_stops_no_job() {
    let world = World::new();
    for words in [
        ["snapshot", "tank/home"].as_slice(),
        &["--config", "zam.yaml", "snapshot", "tank/home"],
    ] {
        fs::write(world.path("log"), "").expect("a log");
        let output = world
            .command(env!("CARGO_BIN_EXE_zam"), words)
            .env("COMPLETE", "bash")
            .output()
            .expect("zam");
        assert!(output.status.success(), "{output:?}");
        assert!(
            world.read("log").contains("zfs snapshot -- tank/home@zam_"),
            "{}",
            world.read("log")
        );
    }
}

#[test]
fn a_full_disk_under_the_log_stops_no_work() {
    let world = World::new();
    world.write(
        "zam.yaml",
        &(CONFIG.to_owned() + "  tank/wrong: {snapshot-period: 10}\n"),
    );
    let full = || {
        fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full")
    };
    let mut command = world.command(env!("CARGO_BIN_EXE_zam"), &["snapshot", "tank/home"]);
    let status = command.stderr(full()).stdout(full()).status().expect("zam");
    assert_eq!(status.code(), Some(0));
    assert!(world.read("log").contains("zfs snapshot"));
    let mut generator = world.command(env!("CARGO_BIN_EXE_zam-generator"), &["out"]);
    assert_eq!(
        generator
            .stderr(full())
            .status()
            .expect("the generator")
            .code(),
        Some(0)
    );
    assert!(world.path("out/zam.target.d/50-zam.conf").exists());
}

#[test]
fn words_that_are_no_utf8_end_nothing_by_panic() {
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    let odd = OsStr::from_bytes(b"\xff.yaml");
    fs::copy(world.path("zam.yaml"), world.path("").join(odd)).expect("a copy");
    let mut zam = world.command(
        env!("CARGO_BIN_EXE_zam"),
        &["prune", "tank/home", "--config"],
    );
    assert_eq!(zam.arg(odd).output().expect("zam").status.code(), Some(0));
    let mut generator = world.command(env!("CARGO_BIN_EXE_zam-generator"), &["one"]);
    assert_eq!(
        generator
            .arg(odd)
            .output()
            .expect("the generator")
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn only_the_job_that_ran_is_marked_as_done() {
    let world = World::new();
    fs::create_dir(world.path("state/alerts")).expect("a directory");
    let outside = world.path("outside.json");
    fs::write(&outside, "precious").expect("a file");
    for instance in [
        "../../outside",
        "snapshot-tank-home",
        "prune-tank",
        "prune:local-tank-home",
    ] {
        fs::write(world.path("state/alerts/snapshot-tank-home.json"), "{}").expect("an alert");
        let mut zam = world.command(env!("CARGO_BIN_EXE_zam"), &["prune", "tank/home"]);
        assert!(
            zam.env("ZAM_INSTANCE", instance)
                .status()
                .expect("zam")
                .success()
        );
        assert!(
            outside.exists() && world.path("state/alerts/snapshot-tank-home.json").exists(),
            "{instance}"
        );
        assert!(
            !world.path("outside").exists() && !world.path("state/done").exists(),
            "{instance}"
        );
    }
    let mut zam = world.command(env!("CARGO_BIN_EXE_zam"), &["prune", "tank/home"]);
    assert!(
        zam.env("ZAM_INSTANCE", "prune-tank-home")
            .status()
            .expect("zam")
            .success()
    );
    assert!(world.path("state/done/prune-tank-home").exists());
}

#[test]
fn an_alert_has_a_name_of_its_own_and_follows_no_link() {
    let world = World::new();
    for instance in ["../../x", "..", ".", "", "a/b"] {
        assert_eq!(
            world.zam(&["notify", instance]).status.code(),
            Some(2),
            "{instance:?}"
        );
    }
    assert!(!world.path("x.json").exists());
    fs::create_dir(world.path("state/alerts")).expect("a directory");
    fs::write(world.path("victim"), "precious").expect("a file");
    symlink(
        world.path("victim"),
        world.path("state/alerts/prune-tank.json"),
    )
    .expect("a link");
    assert_eq!(world.zam(&["notify", "prune-tank"]).status.code(), Some(0));
    assert_eq!(world.read("victim"), "precious");
    assert!(
        world
            .read("state/alerts/prune-tank.json")
            .contains("zam@prune-tank.service")
    );
}

#[test]
fn a_planted_lock_file_leads_nowhere() {
    for hard in [false, true] {
        let world = World::new();
        fs::write(world.path("victim"), "precious").expect("a file");
        fs::set_permissions(world.path("victim"), PermissionsExt::from_mode(0o600))
            .expect("permissions");
        fs::set_permissions(world.path("run"), PermissionsExt::from_mode(0o2770))
            .expect("permissions");
        let victim = world.path("victim");
        let lock = world.path("run/prune-tank-home.lock");
        if hard {
            fs::hard_link(&victim, &lock)
        } else {
            symlink(&victim, &lock)
        }
        .expect("a link");
        let output = world.zam(&["prune", "tank/home"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said(&output).contains("prune-tank-home.lock"), "{output:?}");
        assert_eq!(
            (
                world.read("victim").as_str(),
                victim.metadata().expect("there").mode() & 0o777
            ),
            ("precious", 0o600)
        );
    }
}

#[test]
fn by_hand_nobody_waits_for_the_lock_of_pruning() {
    let world = World::new();
    let lock = fs::File::create(world.path("run/prune-tank-home.lock")).expect("a lock");
    fs::write(
        world.path("run/prune-tank-home.lock"),
        format!("a\x1b[2J{}", "x".repeat(100_000)),
    )
    .expect("a holder");
    lock.lock().expect("locked");
    for (verb, to) in [("replicate", ["--to", "local"].as_slice()), ("prune", &[])] {
        let begun = Instant::now();
        let output = world.zam(&[&[verb, "tank/home"], to].concat());
        assert_eq!(output.status.code(), Some(75), "{output:?}");
        assert!(
            said(&output).contains("is locked by a?[2J") && output.stderr.len() < 2000,
            "{verb}"
        );
        assert!(begun.elapsed() < Duration::from_secs(60), "{verb} waited");
    }
}

#[test]
fn a_stream_whose_ends_both_ended_well_is_whole() {
    let world = World::new();
    // The receiver has all it needs and goes before zam looks for more.
    world.write(
        "on-send",
        "[[ $2 == *n* ]] || { printf 0123456789; sleep 0.5; }; exit 0\n",
    );
    world.write("on-receive", "head -c 10 >/dev/null; exit 0\n");
    let output = world.zam(&["replicate", "tank/home", "--to", "local"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_receiver_that_takes_nothing_ends_by_the_stall_timeout() {
    for (to, code) in [("local", 1), ("away", 75)] {
        let world = World::new();
        world.write("on-receive", "exec sleep 300\n");
        let begun = Instant::now();
        let output = world.zam(&["replicate", "tank/home", "--to", to]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(said(&output).contains("stall-timeout"), "{output:?}");
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

#[test]
fn a_sender_that_hangs_does_not_outlive_a_receiver_that_failed() {
    for to in ["local", "away"] {
        let world = World::new();
        world.write("zam.yaml", &patient());
        world.write("on-send", "[[ $2 == *n* ]] || exec sleep 300\n");
        world.write("on-receive", "echo out of space >&2; exit 1\n");
        let begun = Instant::now();
        let output = world.zam(&["replicate", "tank/home", "--to", to]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said(&output).contains("out of space"), "{output:?}");
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

#[test]
fn a_signal_ends_every_run_within_15_seconds() {
    for (verb, hangs, line) in [
        ("receive", "exec sleep 300\n", "zfs receive"),
        (
            "receive",
            "trap '' TERM; while :; do sleep 300; done\n",
            "zfs receive",
        ),
        ("send", "[[ $2 == *n* ]] || exec sleep 300\n", "zfs send"),
        ("bookmark", "exec sleep 300\n", "zfs bookmark"),
        ("list", "trap '' TERM; sleep 300\n", "zfs list"),
    ] {
        for to in ["local", "away"] {
            let world = World::new();
            world.write("zam.yaml", &patient());
            world.write(&format!("on-{verb}"), hangs);
            let zam = world.begin(&["replicate", "tank/home", "--to", to]);
            let (code, took) = world.stop_at(zam, line);
            assert_eq!(code, Some(75), "{verb} to {to}");
            assert!(took < Duration::from_secs(15), "{verb} to {to}: {took:?}");
        }
    }
}

#[test]
fn what_a_program_says_is_bounded_and_harmless() {
    let world = World::new();
    let flood = "printf 'first \\033[2J' >&2; head -c 300M /dev/zero | tr '\\0' x >&2; echo last >&2; exit 1\n";
    world.write("on-snapshot", flood);
    let line = format!(
        "ulimit -v 500000; exec {} snapshot tank/home",
        env!("CARGO_BIN_EXE_zam")
    );
    let output = world.command("bash", &["-c", &line]).output().expect("zam");
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(
        said.contains("first ?[2J") && said.contains("last") && said.len() < 1 << 20,
        "{} bytes",
        said.len()
    );
}

#[test]
fn the_control_socket_is_private_and_short_whatever_the_host_is_called() {
    let world = World::new();
    let label = "h".repeat(200);
    world.write("zam.yaml", &CONFIG.replace("far", &label));
    fs::create_dir_all(world.path("run/ssh-4194305-left")).expect("what a killed run left");
    let output = world.zam(&["replicate", "tank/home", "--to", "away"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let sockets = world.read("sockets");
    assert!(sockets.lines().count() > 3, "{sockets}");
    for socket in sockets.lines() {
        assert!(
            socket.starts_with("700 ") || socket.starts_with("2700 "),
            "{socket}"
        );
        assert!(
            socket.len() - world.path("run").as_os_str().len() < 40,
            "{socket}"
        );
    }
    let left: Vec<_> = fs::read_dir(world.path("run"))
        .expect("run")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().starts_with("ssh-")),
        "{left:?}"
    );
}

#[test]
fn zam_says_itself_what_it_needs_of_ssh() {
    let world = World::new();
    world.write(
        "ssh_config",
        "Host *\n RequestTTY force\n RemoteCommand top\n ForwardX11 yes\n ForwardAgent yes\n LocalForward 9999 a:1\n \
         RemoteForward 9998 a:1\n DynamicForward 9997\n PermitLocalCommand yes\n LocalCommand touch x\n StdinNull yes\n \
         ForkAfterAuthentication yes\n SessionType none\n Tunnel yes\n EscapeChar ~\n SetEnv LC_ALL=de_DE LANG=de_DE\n",
    );
    let output = world
        .command(
            env!("CARGO_BIN_EXE_zam"),
            &["replicate", "tank/home", "--to", "away"],
        )
        .output()
        .expect("zam");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let words: Vec<String> = world
        .read("ssh-words")
        .lines()
        .take_while(|word| *word != "--")
        .map(Into::into)
        .collect();
    let mut asked = vec!["-F", "ssh_config", "-G"];
    asked.extend(words.iter().map(String::as_str));
    asked.extend(["--", "far"]);
    let Ok(output) = world.command("/usr/bin/ssh", &asked).output() else {
        println!("not tried, since there is no ssh here");
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    for wanted in [
        "requesttty false",
        "forwardx11 no",
        "forwardagent no",
        "clearallforwardings yes",
        "permitlocalcommand no",
        "stdinnull no",
        "forkafterauthentication no",
        "sessiontype default",
        "tunnel false",
        "escapechar none",
        "setenv LC_ALL=C",
    ] {
        assert!(
            told.lines().any(|line| line == wanted),
            "{wanted} in {told}"
        );
    }
    for bad in [
        "remotecommand",
        "localforward",
        "remoteforward",
        "dynamicforward",
        "setenv LANG",
    ] {
        assert!(
            !told
                .lines()
                .any(|line| line.starts_with(bad) && !line.ends_with(" none")),
            "{bad} in {told}"
        );
    }
}
