//! What a failing job leaves behind, as `zam notify` records it: one alert for one trouble, however often it comes back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::{TempDir, tempdir};
use zam::core::unit_name::is_job;
use zam::edge::clock;
use zam::edge::outcome::Exit::{Locked, Waits};
use zam::edge::outcome::{Outcome, code};
use zam::edge::records::Records;
use zam::verbs::notify;
use zam::verbs::settle::settle;

use crate::common::{program, zam};
use crate::process_of;

const JOURNALCTL: &str = r#"#!/bin/sh
case "$*" in
  *'-p err'*) sed -n 's/^!//p' "$LINES_OF_RUN" ;;
  *) sed 's/^!//' "$LINES_OF_RUN" ;;
esac
"#;
const INSTANCE: &str = "snapshot-tank-home";

/// A machine whose journal has the lines of the failed run. Those that begin with `!` are errors.
fn machine() -> TempDir {
    let directory = tempdir().expect("a directory");
    let journalctl = directory.path().join("journalctl");
    fs::write(&journalctl, JOURNALCTL).expect("a journalctl");
    fs::set_permissions(&journalctl, fs::Permissions::from_mode(0o755)).expect("a journalctl");
    directory
}

/// What `zam notify` says when the job has failed with `result` after these lines, and the alert that is then open.
fn fail(directory: &Path, result: &str, lines: &str) -> (String, Value) {
    fs::write(directory.join("lines"), lines).expect("writing");
    let mut command = zam();
    command
        .env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
        .env("LINES_OF_RUN", directory.join("lines"));
    command
        .env("ZAM_STATE", directory)
        .env("ZAM_CONFIG", directory.join("zam.yaml"))
        .env("MONITOR_UNIT", format!("zam@{INSTANCE}.service"));
    command
        .env("MONITOR_SERVICE_RESULT", result)
        .env("MONITOR_EXIT_STATUS", "1")
        .env("MONITOR_INVOCATION_ID", "1");
    let output = command.args(["notify", INSTANCE]).output().expect("zam");
    assert!(output.status.success(), "{output:?}");
    let alert = fs::read(directory.join(format!("alerts/{INSTANCE}.json"))).expect("an alert");
    (
        String::from_utf8_lossy(&output.stderr).into_owned(),
        serde_json::from_slice(&alert).expect("JSON"),
    )
}

#[test]
fn an_alert_whose_unit_logged_nothing_says_so() {
    for lines in ["", "\n \n"] {
        let (said, alert) = fail(machine().path(), "exit-code", lines);
        assert_eq!(alert["lines"].as_array().map(Vec::len), Some(1), "{alert}");
        let line = alert["lines"][0].as_str().expect("a line");
        assert!(
            line.contains("it printed nothing")
                && line.contains("journalctl -u 'zam@snapshot-tank-home.service'"),
            "{line}"
        );
        assert!(said.contains("it printed nothing"), "{said}");
    }
}

#[test]
fn the_same_failure_is_told_once_and_counted() {
    let machine = machine();
    let (told, first) = fail(
        machine.path(),
        "exit-code",
        "begins\ntank/vol@zam_20261123T100000Z stays out: out of space after 3 s\n",
    );
    assert!(told.contains("out of space"), "{told}");
    let (told, again) = fail(
        machine.path(),
        "exit-code",
        "tank/vol@zam_20261123T101000Z stays out: out of space after 12 s\n",
    );
    assert_eq!(told, "", "nobody is told again");
    assert_eq!(again["count"], 2);
    assert_eq!(again["since"], first["time"]);
    let (told, again) = fail(
        machine.path(),
        "exit-code",
        "tank/vol@zam_20261123T102000Z stays out: out of space after 1 s\n",
    );
    assert_eq!(
        (told.as_str(), &again["count"], &again["since"]),
        ("", &3.into(), &first["time"])
    );
}

#[test]
fn datasets_that_fail_side_by_side_are_one_failure_in_any_order() {
    let machine = machine();
    fail(
        machine.path(),
        "exit-code",
        "tank/a: no room\ntank/b: no room\n",
    );
    assert_eq!(
        fail(
            machine.path(),
            "exit-code",
            "tank/b: no room\ntank/a: no room\n"
        )
        .0,
        ""
    );
}

#[test]
fn that_the_configuration_is_gone_is_told_as_the_last_good_one_says() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, TELL);
    let path = place.join("zam.yaml");
    let text = fs::read_to_string(&path).expect("the configuration");
    let good = serde_json::to_vec(&[(path.display().to_string(), text)]).expect("JSON");
    fs::write(place.join("zam.last-good"), good).expect("a copy");
    fs::remove_file(path).expect("it is gone");
    fail(place, "exit-code", "!there is no zam.yaml\n");
    assert!(told(place).contains("there is no zam.yaml"));
}

#[test]
fn each_new_error_is_told_whatever_the_last_line_is() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, TELL);
    fail(place, "exit-code", "!tank/a: no room\nthe end\n");
    assert!(told(place).contains("(exit-code, 1): tank/a: no room\n"));
    fail(place, "exit-code", "!tank/a: no room\nanother end\n");
    assert_eq!(told(place), "");
    fail(
        place,
        "exit-code",
        "!tank/b: I/O error\n!tank/a: no room\nthe end\n",
    );
    assert!(told(place).contains("tank/b: I/O error"));
    fail(place, "exit-code", "!tank/b: I/O error\nthe end\n");
    assert_eq!(told(place), "");
}

/// systemd takes none in an environment.
#[test]
fn a_line_with_odd_characters_is_told() {
    let machine = machine();
    with_commands(machine.path(), TELL);
    fail(machine.path(), "exit-code", "a\0b\x1b[2J\n");
    assert!(told(machine.path()).contains("a?b?[2J"));
}

#[test]
fn another_failure_is_told_anew() {
    let machine = machine();
    fail(machine.path(), "exit-code", "tank/vm1: no room\n");
    for (result, lines) in [
        ("exit-code", "tank/vm2: no room\n"),
        ("exit-code", "tank/vm2: does not exist\n"),
        ("watchdog", "tank/vm2: does not exist\n"),
        ("exit-code", "tank/vm1: no room\n"),
    ] {
        let (told, alert) = fail(machine.path(), result, lines);
        assert!(told.contains(lines.trim()), "{told}");
        assert_eq!(alert["count"], 1);
        assert_eq!(alert["since"], alert["time"]);
    }
}

/// Commands that keep what they are told, and whether each is told.
fn with_commands(directory: &Path, commands: &str) {
    let config = format!("notify: {commands}\ndatasets: {{tank/home: {{snapshot-period: 1h}}}}\n");
    fs::write(directory.join("zam.yaml"), config).expect("a configuration");
}

/// What the commands were told since the last time.
fn told(directory: &Path) -> String {
    let file = directory.join("told");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let _ = fs::remove_file(file);
    text
}

const TELL: &str = r#"['{ echo "$ZAM_EVENT $ZAM_DATASET $ZAM_VERB $ZAM_COUNT: $ZAM_SUBJECT"; cat; } >>"$ZAM_STATE/told"']"#;

fn recover(directory: &Path) -> String {
    let mut command = zam();
    command
        .env("ZAM_CONFIG", directory.join("zam.yaml"))
        .env("ZAM_STATE", directory);
    let output = command.args(["notify", "--recovered", INSTANCE]).output();
    let output = output.expect("zam");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Dates the alert of an instance some seconds from now.
fn date_alert(directory: &Path, instance: &str, seconds: i64) {
    let file = directory.join(format!("alerts/{instance}.json"));
    let text = fs::read(&file).expect("an alert");
    let mut alert: Value = serde_json::from_slice(&text).expect("JSON");
    let time = clock::now() + chrono::TimeDelta::seconds(seconds);
    alert["time"] = time.to_rfc3339().into();
    fs::write(file, alert.to_string()).expect("writing");
}

/// The job has failed a minute ago, and has succeeded now.
fn succeed(directory: &Path) {
    date_alert(directory, INSTANCE, -60);
    settle_at(directory, clock::now().timestamp(), "done");
}

fn unit(instance: &str) -> String {
    match is_job(instance) || instance == "check" {
        true => format!("zam@{instance}.service"),
        false => format!("zam-{instance}.service"),
    }
}

/// Runs zam as systemd does when the unit of an instance has ended like that.
fn ended(directory: &Path, instance: &str, words: &[&str], status: &str) -> (bool, String) {
    let mut command = notifying(directory, instance, words, status);
    let output = command.output().expect("zam");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}

fn notifying(directory: &Path, instance: &str, words: &[&str], status: &str) -> Command {
    let mut command = zam();
    command
        .env("ZAM_CONFIG", directory.join("zam.yaml"))
        .env("ZAM_STATE", directory)
        .env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
        .env("LINES_OF_RUN", directory.join("lines"));
    command
        .env("MONITOR_UNIT", unit(instance))
        .env("MONITOR_SERVICE_RESULT", "x")
        .env("MONITOR_EXIT_STATUS", status)
        .args(words);
    command
}

/// As where mail was down at that moment.
#[test]
fn a_failure_that_nobody_was_told_is_told_later() {
    let machine = machine();
    let place = machine.path();
    let flaky =
        r#"['[ -e "$ZAM_STATE/up" ] || exit 1; echo $ZAM_EVENT >>"$ZAM_STATE/told"', "false"]"#;
    with_commands(place, flaky);
    fail(place, "exit-code", "tank/home: no room\n");
    fs::write(place.join("up"), "").expect("writing");
    let publish = || {
        assert!(ended(place, INSTANCE, &["check", "--publish"], "0").0);
        told(place)
    };
    assert_eq!(publish(), "", "it has just been tried");
    date_alert(place, INSTANCE, -3600);
    assert_eq!(publish(), "failed\n");
    assert_eq!(publish(), "", "only the other command is tried again");
}

/// `OnFailure=zam-notify@prune-docker.service` of a unit that is not zam's.
#[test]
fn the_alert_of_a_foreign_unit_with_the_name_of_a_job_ends_with_its_success() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, TELL);
    let run = |words: &[&str], status: &str| {
        let mut command = notifying(place, "prune-docker", words, status);
        command.env("MONITOR_UNIT", "prune-docker.service");
        assert!(command.status().expect("zam").success());
        told(place)
    };
    fs::write(place.join("lines"), "no docker\n").expect("writing");
    assert!(run(&["notify", "prune-docker"], "1").contains("prune-docker.service failed"));
    assert_eq!(run(&["check", "--publish"], "0"), "");
    let told = run(&["notify", "--recovered", "prune-docker"], "0");
    assert!(told.starts_with("recovered"), "{told}");
}

#[test]
fn times_ahead_neither_hide_a_failure_nor_keep_an_alert() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, TELL);
    let file = place.join(format!("alerts/{INSTANCE}.json"));
    // A success of a clock that was wrong is none.
    settle_at(place, clock::now().timestamp() + 400_000, "done");
    for count in 1..3 {
        fail(place, "exit-code", "tank/home: no room\n");
        assert_eq!(told(place).is_empty(), count > 1);
        assert!(ended(place, INSTANCE, &["check", "--publish"], "0").0);
        assert_eq!((told(place), file.exists()), (String::new(), true));
    }
    // A failure of a clock that was wrong is over with the next success.
    date_alert(place, INSTANCE, 400_000);
    settle_at(place, clock::now().timestamp(), "done");
    recover(place);
    assert!(told(place).starts_with("recovered") && !file.exists());
}

/// The clock was set back after it.
#[test]
fn a_failure_dated_ahead_is_not_over_by_what_succeeded_before() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, TELL);
    settle_at(place, clock::now().timestamp() - 86_400, "done");
    fail(place, "exit-code", "tank/home: no room\n");
    date_alert(place, INSTANCE, 600);
    told(place);
    recover(place);
    assert!(ended(place, INSTANCE, &["check", "--publish"], "0").0);
    assert_eq!(told(place), "");
    settle_at(place, clock::now().timestamp(), "done");
    recover(place);
    assert!(told(place).starts_with("recovered"));
}

/// Whoever can write the records of one user takes back what is his alone.
#[test]
fn nobody_but_its_user_and_root_can_say_that_a_job_has_succeeded() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, TELL);
    let config = fs::read_to_string(place.join("zam.yaml")).expect("a configuration");
    let done = place.join("users/zam/done");
    fs::create_dir_all(&done).expect("a folder");
    let publish = || {
        assert!(ended(place, INSTANCE, &["check", "--publish"], "0").0);
        told(place)
    };
    fail(place, "exit-code", "tank/home: no room\n");
    date_alert(place, INSTANCE, -60);
    told(place);
    fs::write(done.join(INSTANCE), clock::now().timestamp().to_string()).expect("writing");
    recover(place);
    assert_eq!(publish(), "");
    // The configuration has named him meanwhile.
    fs::write(place.join("zam.yaml"), format!("user: zam\n{config}")).expect("writing");
    assert!(publish().starts_with("recovered"));
}

#[test]
fn a_recovery_that_could_not_be_told_is_told_later() {
    let machine = machine();
    let place = machine.path();
    let flaky = r#"'if [ $ZAM_EVENT = recovered ] && mkdir "$ZAM_STATE/tried"; then exit 1; fi; echo $ZAM_EVENT >>"$ZAM_STATE/told"'"#;
    let sound = r#"'echo sound $ZAM_EVENT >>"$ZAM_STATE/told"'"#;
    with_commands(place, &format!("[{flaky}, {sound}]"));
    fail(place, "exit-code", "tank/home: no room\n");
    told(place);
    succeed(place);
    recover(place);
    assert_eq!(told(place), "sound recovered\n");
    assert!(ended(place, INSTANCE, &["check", "--publish"], "0").0);
    assert_eq!(told(place), "recovered\n");
    assert!(!place.join(format!("alerts/{INSTANCE}.json")).exists());
    // One that ended is no part of what fails after it.
    fs::remove_dir(place.join("tried")).expect("a folder");
    fail(place, "exit-code", "tank/home: no room\n");
    // Records count seconds.
    std::thread::sleep(Duration::from_millis(1100));
    succeed(place);
    recover(place);
    told(place);
    let (_, alert) = fail(place, "exit-code", "tank/home: no room\n");
    assert_eq!(
        (alert["count"].clone(), &alert["over"]),
        (1.into(), &Value::Null)
    );
    assert_eq!(told(place).lines().count(), 2);
}

/// As where a command of `hooks: after` fails.
#[test]
fn a_job_that_succeeds_before_its_unit_fails_is_told_once() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, TELL);
    for count in 1..4 {
        settle_at(place, clock::now().timestamp(), "done");
        let (_, alert) = fail(place, "exit-code", "the hook: no such thing\n");
        assert_eq!(
            (told(place).is_empty(), &alert["count"]),
            (count > 1, &count.into())
        );
        date_alert(place, INSTANCE, -60);
    }
}

/// `zam notify` for a failure, which its command takes three seconds to tell; the job succeeds meanwhile.
#[test]
fn a_recovery_is_told_after_its_failure_and_ends_it() {
    let machine = machine();
    let place = machine.path();
    let slow = r#"['[ $ZAM_EVENT = recovered ] || sleep 3; echo $ZAM_EVENT >>"$ZAM_STATE/told"']"#;
    with_commands(place, slow);
    std::thread::scope(|scope| {
        let failing = scope.spawn(|| ended(place, INSTANCE, &["notify", INSTANCE], "1"));
        std::thread::sleep(Duration::from_millis(1500));
        settle_at(place, clock::now().timestamp(), "done");
        recover(place);
        assert!(failing.join().expect("no panic").0);
    });
    assert_eq!(told(place), "failed\nrecovered\n");
    assert!(!place.join(format!("alerts/{INSTANCE}.json")).exists());
}

#[test]
fn a_line_of_any_length_is_told() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, TELL);
    let line = format!("{}\n", "é".repeat(200_000));
    let (said, alert) = fail(place, "exit-code", &line);
    assert!(told(place).starts_with("failed"), "{}", said.len());
    assert!(alert["told"].is_string());
}

#[test]
fn the_alert_of_a_configuration_ends_once_the_right_one_is_in_force() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, TELL);
    fs::write(place.join("lines"), "1 error\n").expect("writing");
    let generated = place.join("generated");
    let publish = || {
        let mut command = zam();
        command
            .args(["check", "--publish"])
            .env("ZAM_CONFIG", place.join("zam.yaml"))
            .env("ZAM_GENERATED", &generated)
            .env("ZAM_STATE", place);
        assert!(command.status().expect("zam").success());
        told(place)
    };
    let generate = || {
        drop(fs::remove_dir_all(&generated));
        fs::create_dir(&generated).expect("a folder");
        let mut generator = program(env!("CARGO_BIN_EXE_zam-generator"));
        generator
            .arg(&generated)
            .env("ZAM_CONFIG", place.join("zam.yaml"));
        assert!(generator.status().expect("the generator").success());
    };
    generate();
    for instance in ["config", "reload"] {
        assert!(ended(place, instance, &["notify", instance], "1").0);
        assert!(told(place).starts_with("failed"));
    }
    assert_eq!(publish(), "", "the generator has not run since");
    let right = fs::read_to_string(place.join("zam.yaml")).expect("a configuration");
    fs::write(place.join("zam.yaml"), right.replace("1h", "soon")).expect("writing");
    generate();
    assert_eq!(publish(), "", "there is an error");
    fs::write(place.join("zam.yaml"), right.replace("1h", "2h")).expect("writing");
    assert_eq!(publish(), "", "it is not in force");
    generate();
    let told = publish();
    assert_eq!(told.matches("works again").count(), 4, "{told}");
    assert!(
        fs::read_dir(place.join("alerts"))
            .expect("a folder")
            .flatten()
            .all(|file| { !file.file_name().to_string_lossy().ends_with(".json") })
    );
}

/// `zam reload` with a configuration that has these jobs, as far as alerts are concerned.
#[test]
#[ignore = "the other tests run it"]
fn process_reloaded() {
    let path = std::env::var("ZAM_CONFIG").expect("a configuration");
    let jobs = ["snapshot-tank-other".to_owned()].into();
    notify::withdraw_of_others(Path::new(&path), &jobs, clock::now(), clock::now());
}

#[test]
fn the_alert_of_a_job_that_is_gone_ends_and_is_told_so() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, TELL);
    fail(place, "exit-code", "tank/home does not exist\n");
    for instance in ["snapshot-tank-other", "check"] {
        assert!(ended(place, instance, &["notify", instance], "1").0);
    }
    told(place);
    let mut command = process_of("alerts::process_reloaded");
    command
        .env("ZAM_CONFIG", place.join("zam.yaml"))
        .env("ZAM_STATE", place);
    assert!(command.status().expect("a run").success());
    let told = told(place);
    let expected = "zam@snapshot-tank-home.service is no job of the configuration any more; it had failed once";
    assert!(
        told.starts_with("recovered") && told.contains(expected),
        "{told}"
    );
    for (instance, stays) in [
        (INSTANCE, false),
        ("snapshot-tank-other", true),
        ("check", true),
    ] {
        let file = place.join(format!("alerts/{instance}.json"));
        assert_eq!(file.exists(), stays, "{instance}");
    }
}

/// It remembers no success, but systemd says that it had one.
#[test]
fn the_alert_of_a_unit_that_is_no_job_ends_with_its_success() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, TELL);
    fs::write(place.join("lines"), "not all units\n").expect("writing");
    assert!(ended(place, "units", &["notify", "units"], "1").0);
    assert!(told(place).starts_with("failed"));
    // Nobody but root can say that it has succeeded.
    let done = place.join("users/zam/done");
    fs::create_dir_all(&done).expect("a folder");
    fs::write(
        done.join("units"),
        (clock::now().timestamp() - 1).to_string(),
    )
    .expect("writing");
    date_alert(place, "units", -60);
    for (status, expected) in [("75", ""), ("0", "recovered")] {
        assert!(ended(place, "units", &["notify", "--recovered", "units"], status).0);
        let told = told(place);
        assert!(
            told.starts_with(expected) && told.is_empty() == expected.is_empty(),
            "{told}"
        );
    }
}

#[test]
fn a_check_whose_metrics_cannot_be_written_is_told_once() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, TELL);
    let file = place.join("zam.yaml");
    let config = fs::read_to_string(&file).expect("a configuration");
    let nowhere = place.join("none/zam.prom");
    let config = format!("metrics-file: {}\n{config}", nowhere.display());
    fs::write(file, config).expect("a configuration");
    fs::write(place.join("lines"), "cannot write\n").expect("writing");
    for count in 1..4 {
        fs::create_dir_all(place.join("done")).expect("a folder");
        let now = clock::now().timestamp().to_string();
        fs::write(place.join("done/check"), now).expect("writing");
        let (went_well, said) = ended(place, "check", &["check", "--publish"], "0");
        assert!(!went_well && said.contains("metrics-file"), "{said}");
        assert!(!place.join("well/all").exists());
        assert!(ended(place, "check", &["notify", "check"], "1").0);
        assert_eq!(told(place).is_empty(), count > 1);
        date_alert(place, "check", -60);
    }
}

#[test]
fn the_commands_are_told_a_failure_once_and_its_end() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, TELL);
    fail(place, "exit-code", "tank/home: no room\n");
    let first = told(place);
    let subject = "failed tank/home snapshot 1: zam@snapshot-tank-home.service failed (exit-code, 1): tank/home: no room\n";
    assert!(first.starts_with(subject), "{first}");
    assert!(
        first.contains("  tank/home: no room\n") && first.contains("journalctl -u"),
        "{first}"
    );
    fail(place, "exit-code", "tank/home: no room\n");
    assert_eq!(told(place), "");
    // It has not succeeded since, as after a skip or an exit with 75.
    assert_eq!(recover(place), "");
    assert!(place.join(format!("alerts/{INSTANCE}.json")).exists());
    succeed(place);
    let said = recover(place);
    assert!(
        said.contains("works again; it had failed 2 times"),
        "{said}"
    );
    let end = told(place);
    assert!(
        end.starts_with(
            "recovered tank/home snapshot 2: zam@snapshot-tank-home.service works again"
        ),
        "{end}"
    );
    assert!(!place.join(format!("alerts/{INSTANCE}.json")).exists());
    assert_eq!(recover(place), "");
}

#[test]
fn a_command_that_fails_is_reported_stops_no_other_and_is_tried_again() {
    let machine = machine();
    let place = machine.path();
    with_commands(place, &TELL.replace("[", "['echo no route >&2; exit 3', "));
    for count in 1..3 {
        let (said, alert) = fail(place, "exit-code", "tank/home: no room\n");
        assert!(
            said.contains("notify: echo no route >&2; exit 3: no route"),
            "{said}"
        );
        // The one that works is not run again.
        assert_eq!(told(place).starts_with("failed"), count == 1);
        assert_eq!(alert["untold"], serde_json::json!([0]));
    }
    succeed(place);
    recover(place);
    assert!(told(place).starts_with("recovered"));
}

#[test]
fn a_command_that_hangs_is_ended_after_a_minute_with_all_it_started_and_stops_no_other() {
    let machine = machine();
    let place = machine.path();
    // Of a length by which no other sleep on this machine goes.
    let sleep = format!("sleep 9{}", std::process::id());
    let hangs = format!(r#"['trap "" TERM; {sleep} & {sleep}', "#);
    with_commands(place, &TELL.replace('[', &hangs));
    let begun = Instant::now();
    let (said, alert) = fail(place, "exit-code", "tank/home: no room\n");
    assert!(begun.elapsed() < Duration::from_secs(120), "{said}");
    assert!(said.contains("it took longer than 60 s"), "{said}");
    assert!(told(place).starts_with("failed"));
    assert_eq!(alert["untold"].as_array().map(Vec::len), Some(1));
    let left = program("pgrep").args(["-f", &sleep]).output();
    assert!(left.expect("pgrep").stdout.is_empty());
}

#[test]
fn a_test_is_told_and_leaves_no_alert() {
    let machine = machine();
    let place = machine.path();
    let test = || {
        let mut command = zam();
        command
            .env("ZAM_CONFIG", place.join("zam.yaml"))
            .env("ZAM_STATE", place);
        command.args(["notify", "--test"]).output().expect("zam")
    };
    with_commands(place, "[]");
    let output = test();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    with_commands(place, TELL);
    assert_eq!(test().status.code(), Some(0));
    assert!(told(place).contains("this is a test"));
    assert!(!place.join("alerts").exists());
    with_commands(place, "['false']");
    assert_eq!(test().status.code(), Some(1));
}

#[test]
fn an_alert_of_an_earlier_zam_is_read() {
    let machine = machine();
    fs::create_dir(machine.path().join("alerts")).expect("a directory");
    let earlier = r#"{"unit": "zam@snapshot-tank-home.service", "result": "exit-code", "status": "1",
        "time": "2026-11-23T10:00:00Z", "lines": ["tank/home does not exist"]}"#;
    fs::write(
        machine.path().join(format!("alerts/{INSTANCE}.json")),
        earlier,
    )
    .expect("writing");
    let (told, alert) = fail(machine.path(), "exit-code", "tank/home does not exist\n");
    assert_eq!(
        (told.as_str(), &alert["count"], &alert["since"]),
        ("", &2.into(), &"2026-11-23T10:00:00Z".into())
    );
}

const DAY: i64 = 86_400;

/// A run of a job that ended so at that time, as a process of its own: where the state lies is in its environment.
#[test]
#[ignore = "the other tests run it"]
fn process_settled() {
    let now = std::env::var("NOW")
        .expect("a time")
        .parse()
        .expect("a number");
    let result = match std::env::var("RUN").as_deref() {
        Ok("waits") => Err(Waits("pruning waits: zam.yaml:3:1: unknown key".into()).into()),
        Ok("waits in part") => Ok(Outcome::Waits),
        Ok("locked") => Err(Locked("it is locked by process 7".into()).into()),
        Ok("failed") => Ok(Outcome::Failed),
        _ => Ok(Outcome::Done),
    };
    match settle(result, &Records::of("root"), INSTANCE, now) {
        Ok(outcome) => println!("{outcome:?}"),
        Err(error) => println!("{:?} {error:#}", code(&error)),
    }
}

fn settle_at(state: &Path, now: i64, run: &str) -> String {
    let mut command = process_of("alerts::process_settled");
    command.env("ZAM_STATE", state);
    let output = command
        .env("NOW", now.to_string())
        .env("RUN", run)
        .output()
        .expect("a run");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A run that somebody has suspended keeps the lock.
#[test]
fn pruning_that_is_locked_out_for_more_than_a_day_fails() {
    let directory = tempdir().expect("a directory");
    let at = |now| settle_at(directory.path(), now, "locked");
    assert!(at(1000).contains("75"));
    let told = at(1000 + DAY + 3600);
    assert!(
        told.contains("(1)") && told.contains("waited for 25h: it is locked by process 7"),
        "{told}"
    );
}

#[test]
fn pruning_that_waits_for_more_than_a_day_fails() {
    let directory = tempdir().expect("a directory");
    let at = |now, run| settle_at(directory.path(), now, run);
    let later = "75";
    assert!(at(1000, "waits").contains(later));
    assert!(at(1000 + DAY - 3600, "waits").contains(later));
    let told = at(1000 + DAY + 3600, "waits");
    assert!(
        told.contains("78") && told.contains("waited for 25h") && told.contains("unknown key"),
        "{told}"
    );
    assert!(
        at(1000 + DAY - 30, "waits").contains("78"),
        "a daily job that comes a moment early"
    );
    let told = at(1000 + DAY + 3600, "waits in part");
    assert!(
        told.contains("78") && told.contains("waited for 25h"),
        "{told}"
    );
}

/// `zam prune tank` under a configuration with a fault that could mean another policy, as systemd runs it or by hand.
fn prune(directory: &Path, instance: Option<&str>) -> (Option<i32>, String) {
    let config = "default: {exclude: [tank/archive]}\ndatasets: {tank: {windows: [{max-age: 1d, period: 1h}]}}\n";
    fs::write(directory.join("zam.yaml"), config).expect("writing");
    let mut command = zam();
    command
        .env("ZAM_CONFIG", directory.join("zam.yaml"))
        .env("ZAM_STATE", directory)
        .env("ZAM_RUN", directory);
    command
        .env_remove("ZAM_INSTANCE")
        .envs(instance.map(|instance| ("ZAM_INSTANCE", instance)));
    let output = command.args(["prune", "tank"]).output().expect("zam");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_prune_job_that_waits_since_yesterday_fails_and_by_hand_it_is_75() {
    let directory = tempdir().expect("a directory");
    let (code, said) = prune(directory.path(), Some("prune-tank"));
    assert_eq!(code, Some(75), "{said}");
    let since = directory.path().join("waiting/prune-tank");
    assert!(since.exists(), "{said}");
    fs::write(&since, "1000000000").expect("writing");
    let (code, said) = prune(directory.path(), Some("prune-tank"));
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("pruning has waited for") && said.contains("default"),
        "{said}"
    );
    assert_eq!(prune(directory.path(), None).0, Some(75));
}

#[test]
fn waiting_begins_anew_when_the_job_went_through_or_the_clock_was_set_back() {
    let directory = tempdir().expect("a directory");
    let at = |now, run| settle_at(directory.path(), now, run);
    for run in ["done", "failed"] {
        at(1000, "waits");
        at(2000, run);
        assert!(
            !directory.path().join("waiting").join(INSTANCE).exists(),
            "{run}"
        );
        assert!(at(1000 + DAY, "waits").contains("75"), "{run}");
        at(1000 + DAY, "done");
    }
    assert!(at(1000, "waits").contains("75"));
    assert!(
        at(500, "waits").contains("75"),
        "it began under another clock"
    );
    assert!(at(500 + DAY - 3600, "waits").contains("75"));
    assert!(at(500 + DAY, "waits").contains("78"));
}
