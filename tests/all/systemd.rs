//! zam and a systemd that refuses, hangs, or has stopped the timers: what is asked, and how it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::{self, path_with, program};
use crate::dbus::{Answer, Bus};
use crate::process_of;
use tempfile::{TempDir, tempdir};
use zam::edge::outcome::is_later;
use zam::edge::systemd;

const CONFIG: &str = "\
destinations:
  nas: {root: backup/zam, replication-period: 1h, idle: {user-idle: 15min}}
  lte: {root: backup/lte, replication-period: 1h, idle: {unmetered: true}}
datasets:
  tank/home: {snapshot-period: 1h, windows: [{max-age: 1d, period: 1h}], destinations: [nas, lte]}
";

fn directory() -> TempDir {
    let directory = tempdir().expect("a directory");
    let zfs = directory.path().join("zfs");
    fs::write(directory.path().join("zam.yaml"), CONFIG).expect("writing the configuration");
    // All that it is asked for is there: `zam status` wants the data too.
    let list = "#!/bin/sh\nfor name; do case $name in *,*) ;; */*) n=$((n + 1)); \
                printf '%s\\t%s\\t1\\t1\\tfilesystem\\t0\\t-\\t-\\ton\\n' $name $n ;; esac; done\n";
    fs::write(&zfs, list)
        .and_then(|()| fs::set_permissions(&zfs, fs::Permissions::from_mode(0o755)))
        .expect("a zfs");
    directory
}

fn zam(directory: &Path, bus: &Bus, words: &[&str]) -> (Option<i32>, String) {
    let mut command = common::zam();
    let path = path_with(directory);
    command
        .env("ZAM_CONFIG", directory.join("zam.yaml"))
        .env("ZAM_STATE", directory.join("state"))
        .env("PATH", path);
    said(
        command
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
            .args(words)
            .output()
            .expect("zam"),
    )
}

fn said(output: Output) -> (Option<i32>, String) {
    (
        output.status.code(),
        [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat(),
    )
}

/// systemd as it is on a machine where all is well.
fn well(call: &str, _: usize) -> Answer {
    match call.split(' ').next() {
        Some("StartUnit" | "StopUnit") => Answer::Path,
        Some("ListJobs") => Answer::NoJobs,
        Some("ListUnitsByPatterns") => Answer::Units(&[
            ["zam.target", "loaded", "active"],
            ["zam-snapshot-tank-home.timer", "loaded", "active"],
            ["zam-snapshot-tank-gone.timer", "loaded", "active"],
            ["zam-prune:nas-tank-gone.timer", "not-found", "failed"],
            ["zam-check.timer", "loaded", "active"],
            ["zam-units.timer", "loaded", "active"],
        ]),
        Some("Get") => Answer::Time(4_000_000_000_000_000),
        _ => Answer::Nothing,
    }
}

#[test]
fn status_goes_on_without_a_bus_that_never_answers() {
    for bus in [Bus::mute(), Bus::new(|_, _| Answer::Silence)] {
        let directory = directory();
        let begun = Instant::now();
        let (code, said) = zam(directory.path(), &bus, &["status"]);
        assert!(begun.elapsed() < Duration::from_secs(60));
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("cannot ask systemd about the jobs: no answer over D-Bus for 10 s"),
            "{said}"
        );
        assert!(said.contains("\ntank/home "), "{said}");
    }
}

fn gate_fails(to: &str, whom: &str) {
    let (code, said) = zam(
        directory().path(),
        &Bus::mute(),
        &["gate", "replicate", "--to", to, "--", "tank/home"],
    );
    assert_eq!(code, Some(255), "{said}");
    assert!(
        said.contains(&format!("cannot ask {whom}")) && said.contains("no answer"),
        "{said}"
    );
}

#[test]
fn the_gate_fails_when_logind_never_answers() {
    gate_fails("nas", "logind");
}

#[test]
fn the_gate_fails_when_networkmanager_never_answers() {
    gate_fails("lte", "NetworkManager");
}

#[test]
fn without_networkmanager_no_network_is_metered() {
    let bus = Bus::new(|_, _| Answer::Error("org.freedesktop.DBus.Error.ServiceUnknown"));
    let (code, said) = zam(
        directory().path(),
        &bus,
        &["gate", "replicate", "--to", "lte", "--", "tank/home"],
    );
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

#[test]
fn status_says_that_the_target_is_down_and_how_to_start_it() {
    let all_well = zam(directory().path(), &Bus::new(well), &["status"]);
    assert!(
        all_well.0 == Some(0) && !all_well.1.contains("zam.target"),
        "{}",
        all_well.1
    );
    let inactive: fn(&str, usize) -> Answer =
        |_, _| Answer::Units(&[["zam.target", "loaded", "inactive"]]);
    let failed: fn(&str, usize) -> Answer =
        |_, _| Answer::Units(&[["zam.target", "loaded", "failed"]]);
    let masked: fn(&str, usize) -> Answer =
        |_, _| Answer::Units(&[["zam.target", "masked", "inactive"]]);
    let absent: fn(&str, usize) -> Answer = |_, _| Answer::Units(&[]);
    let start = "so no timer fires; this starts them: systemctl start zam.target";
    for (bus, expected) in [
        (inactive, format!("zam.target is inactive, {start}")),
        (failed, format!("zam.target is failed, {start}")),
        (
            masked,
            "systemctl unmask zam.target && systemctl start zam.target".into(),
        ),
        (
            absent,
            "zam.target is not loaded, so no timer fires; this starts them: zam reload".into(),
        ),
    ] {
        let (code, said) = zam(directory().path(), &Bus::new(bus), &["status"]);
        assert!(code == Some(0) && said.contains(&expected), "{said}");
    }
}

#[test]
fn status_shows_a_pruning_that_waits() {
    let directory = directory();
    let waiting = directory.path().join("state/waiting");
    fs::create_dir_all(&waiting)
        .and_then(|()| fs::write(waiting.join("prune-tank-home"), "1000"))
        .expect("writing");
    let (code, said) = zam(directory.path(), &Bus::new(well), &["status"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(
            "zam@prune-tank-home.service waits; why: journalctl -u 'zam@prune-tank-home.service'"
        ),
        "{said}"
    );
    let (_, said) = zam(directory.path(), &Bus::new(well), &["status", "--json"]);
    assert!(said.contains(r#""result":"waiting""#), "{said}");
}

/// The system bus is one of a test's, never the machine's.
fn insist_on_a_bus_of_ours() {
    std::env::var("DBUS_SYSTEM_BUS_ADDRESS").expect("a test runs this");
}

/// `zam reload` reads the machine's own configuration alone, so what it does with systemd is run here, as a process.
#[test]
#[ignore = "the other tests run it"]
fn process_reload() {
    insist_on_a_bus_of_ours();
    let code = match systemd::reload_timers(&["snapshot-tank-home".to_owned()].into()) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error:#}");
            if is_later(&error) { 75 } else { 1 }
        }
    };
    std::process::exit(code);
}

fn reloading(bus: &Bus) -> Command {
    let mut command = process_of("systemd::process_reload");
    command.env("DBUS_SYSTEM_BUS_ADDRESS", bus.address());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

#[test]
fn a_reload_stops_the_timers_of_removed_jobs_alone_and_starts_the_target() {
    let bus = Bus::new(well);
    let (code, said) = said(reloading(&bus).output().expect("a run"));
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let calls: Vec<String> = bus
        .calls()
        .into_iter()
        .filter(|call| !call.starts_with("List"))
        .collect();
    assert_eq!(
        calls,
        [
            "StopUnit zam-snapshot-tank-gone.timer",
            "Reload",
            "ResetFailedUnit zam-config.service",
            "ResetFailedUnit zam-units.service",
            "ResetFailedUnit zam-snapshot-tank-gone.timer",
            "ResetFailedUnit zam-prune:nas-tank-gone.timer",
            "StartUnit zam.target",
        ]
    );
}

fn with_failed_services(call: &str, _: usize) -> Answer {
    match call.split(' ').next() {
        Some("ListUnitsByPatterns") => Answer::Units(&[
            ["zam@snapshot-tank-home.service", "loaded", "failed"],
            ["zam@snapshot-tank-gone.service", "loaded", "failed"],
            ["zam@prune:nas-tank-gone.service", "loaded", "active"],
            ["zam@check.service", "loaded", "failed"],
        ]),
        _ => Answer::Nothing,
    }
}

#[test]
#[ignore = "the other tests run it"]
fn process_forget() {
    insist_on_a_bus_of_ours();
    systemd::forget_others(&["snapshot-tank-home".to_owned()].into());
}

#[test]
fn jobs_that_are_gone_do_not_stay_failed() {
    let bus = Bus::new(with_failed_services);
    let mut command = process_of("systemd::process_forget");
    command.env("DBUS_SYSTEM_BUS_ADDRESS", bus.address());
    assert!(command.status().expect("a run").success());
    let calls = bus.calls();
    let reset: Vec<&String> = calls
        .iter()
        .filter(|call| call.starts_with("Reset"))
        .collect();
    assert_eq!(reset, ["ResetFailedUnit zam@snapshot-tank-gone.service"]);
}

#[test]
fn a_reload_without_a_bus_says_why_once() {
    let mut command = reloading(&Bus::new(well));
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    let (code, said) = said(command.output().expect("a run"));
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
}

#[test]
fn a_reload_that_systemd_refuses_leaves_the_target_running_and_says_why() {
    let bus = Bus::new(|call, before| match call {
        "Reload" => Answer::Error("org.freedesktop.DBus.Error.LimitsExceeded"),
        _ => well(call, before),
    });
    let (code, said) = said(reloading(&bus).output().expect("a run"));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("LimitsExceeded")
            && said.contains("so says the test")
            && !said.contains("root"),
        "{said}"
    );
    assert!(said.contains("the timers run"), "{said}");
    assert!(
        !bus.calls().contains(&"StopUnit zam.target".to_owned()),
        "{:?}",
        bus.calls()
    );
    assert!(
        bus.calls().contains(&"StartUnit zam.target".to_owned()),
        "{:?}",
        bus.calls()
    );
}

fn denied(call: &str, before: usize) -> Answer {
    match call.split(' ').next() {
        Some("StopUnit") => Answer::Error("org.freedesktop.DBus.Error.AccessDenied"),
        Some("Reload" | "StartUnit") => {
            Answer::Error("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired")
        }
        _ => well(call, before),
    }
}

/// The same where no timer has to be stopped, so that the reload itself is the first to be denied.
fn denied_at_once(call: &str, before: usize) -> Answer {
    if call == "ListUnitsByPatterns" {
        Answer::Units(&[])
    } else {
        denied(call, before)
    }
}

#[test]
fn a_reload_by_an_ordinary_user_is_told_that_only_root_may() {
    for answers in [denied, denied_at_once] {
        let (code, said) = said(reloading(&Bus::new(answers)).output().expect("a run"));
        assert!(
            code == Some(1) && said.contains("only root may reload"),
            "{said}"
        );
    }
}

#[test]
fn the_target_is_started_more_than_once_if_that_must_be() {
    let bus = Bus::new(|call, before| match (call, before) {
        ("StartUnit zam.target", 0 | 1) => {
            Answer::Error("org.freedesktop.DBus.Error.LimitsExceeded")
        }
        _ => well(call, before),
    });
    assert_eq!(said(reloading(&bus).output().expect("a run")).0, Some(0));
    assert_eq!(
        bus.calls()
            .iter()
            .filter(|call| *call == "StartUnit zam.target")
            .count(),
        3
    );
}

#[test]
fn a_signal_while_the_reload_hangs_leaves_the_target_running() {
    for signal in ["TERM", "INT", "HUP"] {
        // The run waits for nothing but an answer that never comes.
        let bus = Bus::new(|call, before| {
            if call == "Reload" {
                Answer::Silence
            } else {
                well(call, before)
            }
        });
        let running = reloading(&bus).spawn().expect("a run");
        while !bus.calls().contains(&"Reload".to_owned()) {
            sleep(Duration::from_millis(10));
        }
        program("kill")
            .args([&format!("-{signal}"), &running.id().to_string()])
            .status()
            .expect("kill");
        let (code, said) = said(running.wait_with_output().expect("a run"));
        assert_eq!(code, Some(75), "{said}");
        assert!(said.contains("stopped by a signal"), "{said}");
        assert!(
            bus.calls().contains(&"StartUnit zam.target".to_owned()),
            "{signal}: {:?}",
            bus.calls()
        );
    }
}
