//! `zam config` and `zam units --diff`, as a person runs them: on a configuration, and on what the generator wrote.

use std::fs;
use std::path::Path;
use std::process::Output;

use tempfile::{TempDir, tempdir};

use crate::generator;

fn run(name: &str, directory: &Path, arguments: &[&str]) -> Output {
    let environment = [("ZAM_CONFIG", "zam.yaml"), ("ZAM_GENERATED", "generated")];
    generator::run(name, directory, arguments, &environment)
}

fn zam(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(env!("CARGO_BIN_EXE_zam"), directory, arguments);
    (
        output.status.code(),
        [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat(),
    )
}

fn with(config: &str) -> TempDir {
    let directory = tempdir().expect("a directory");
    write(directory.path(), config);
    directory
}

fn write(directory: &Path, config: &str) {
    fs::write(directory.join("zam.yaml"), config).expect("writing the configuration");
}

const CONFIG: &str = "\
defaults: {prune-period: 2h}
templates:
  work: {snapshot-period: 1h, windows: [{max-age: 1d, period: 1h}]}
destinations:
  local: {root: backup/zam, replication-period: 1h, parallel: 4}
datasets:
  tank: {use: work, recursive: true, exclude: [tank/scratch]}
  tank/home: {use: work, recursive: true, destinations: [{to: local, root: backup/home}]}
";

#[test]
fn every_setting_names_its_line_or_that_it_is_the_default() {
    let directory = with(CONFIG);
    let expected = "\
# tank/home/ann is governed by tank/home: the longest entry on its path (a shorter one: tank); recursive, not excluded
tank/home:  # zam.yaml:8
  destinations: [{to: local, root: backup/home}]  # zam.yaml:8
  prune-period: 2h  # zam.yaml:1
  recursive: true  # zam.yaml:8
  snapshot-period: 1h  # zam.yaml:3
  windows: [{max-age: 1d, period: 1h}]  # zam.yaml:3
  local:
    parallel: 4  # zam.yaml:5
    replication-period: 1h  # zam.yaml:5
    root: backup/home  # zam.yaml:8
    decrypt: false  # default
    stall-timeout: 15min  # default
  -> snapshot/tank/home every 1h: zam-snapshot-tank-home.timer
  -> prune/tank/home every 2h: zam-prune-tank-home.timer
  -> replicate:local/tank/home every 1h: zam-replicate:local-tank-home.timer
";
    assert_eq!(
        zam(directory.path(), &["config", "tank/home/ann"]),
        (Some(0), expected.into())
    );
    let (code, json) = zam(directory.path(), &["config", "--json", "tank"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (code, &json[0]["why"]),
        (Some(0), &"tank has an entry of its own; recursive".into())
    );
    assert_eq!(
        json[0]["settings"]["snapshot-period"],
        serde_json::json!({"value": "1h", "from": "zam.yaml:3"})
    );
    let (code, said) = zam(directory.path(), &["config", "tank/scratch/x"]);
    assert!(
        code == Some(2) && said.contains("the entry tank excludes it"),
        "{said}"
    );
}

#[test]
fn what_reload_would_change() {
    let directory = with(CONFIG);
    let directory = directory.path();
    let generate = || {
        drop(fs::remove_dir_all(directory.join("generated")));
        let output = run(
            env!("CARGO_BIN_EXE_zam-generator"),
            directory,
            &["generated"],
        );
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
    };
    let nothing = (Some(0), "zam reload would change nothing\n".to_owned());
    let (code, said) = zam(directory, &["units", "--diff"]);
    assert!(
        code == Some(1) && said.contains("--- /dev/null\n+++ zam-prune-tank.timer\n"),
        "{said}"
    );
    generate();
    fs::write(directory.join("generated/dev-sda.swap"), "[Unit]\n")
        .expect("another generator's unit");
    assert_eq!(zam(directory, &["units", "--diff"]), nothing);
    write(
        directory,
        &CONFIG
            .replace("snapshot-period: 1h", "snapshot-period: 2h")
            .replace("exclude: [tank/scratch]", "windows: ~"),
    );
    let (code, said) = zam(directory, &["units", "--diff"]);
    let line = |line: &str| assert!(said.lines().any(|l| l == line), "no {line:?} in {said}");
    line("--- generated/zam-snapshot-tank.timer");
    line("+++ zam-snapshot-tank.timer");
    line("-Description=Snapshot tank and below every 1h");
    line("+Description=Snapshot tank and below every 2h");
    line("--- generated/zam-prune-tank.timer");
    line("+++ /dev/null");
    line("--- generated/zam.target.d/50-zam.conf");
    line("-Wants=zam-prune-tank.timer");
    assert!(
        !said.contains("+++ zam-replicate") && !said.contains("swap"),
        "{said}"
    );
    assert!(
        said.ends_with("zam reload would add 0 unit files, change 3 and remove 2\n"),
        "{said}"
    );
    assert_eq!(code, Some(1));
    generate();
    assert_eq!(zam(directory, &["units", "--diff"]), nothing);
    write(
        directory,
        &format!("{CONFIG}  tank/wrong: {{snapshot-period: 10}}\n"),
    );
    let (code, said) = zam(directory, &["units", "--diff"]);
    assert!(
        code == Some(1) && said.contains("+++ zam-config.service") && said.contains("no unit"),
        "{said}"
    );
}
