//! Shell completion, asked for as the scripts that `COMPLETE=SHELL zam` prints ask.

use tempfile::tempdir;

use crate::common::zam;

const CONFIG: &str = "\
destinations: {local: {root: backup/zam}, lost: {}}
datasets:
  tank/home: {destinations: [local]}
  tank/wrong: {snapshot-period: 10}
  vault: {}
";

/// The candidates for the last word.
fn complete(config: &str, words: &[&str]) -> Vec<String> {
    let directory = tempdir().expect("a directory");
    std::fs::write(directory.path().join("zam.yaml"), config).expect("writing the configuration");
    let mut command = zam();
    command
        .current_dir(&directory)
        .env("ZAM_CONFIG", "zam.yaml")
        .env("COMPLETE", "bash")
        .env("_CLAP_IFS", "\n");
    let output = command
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .args(["--", "zam"])
        .args(words)
        .output();
    let output = output.expect("zam");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{words:?}: {output:?}"
    );
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(Into::into)
        .collect()
}

#[test]
fn verbs_options_datasets_and_destinations() {
    let verbs = complete(CONFIG, &[""]);
    assert!(
        ["snapshot", "prune", "reload"]
            .iter()
            .all(|verb| verbs.contains(&(*verb).to_owned())),
        "{verbs:?}"
    );
    assert!(
        !verbs.contains(&"gate".to_owned()),
        "what only systemd calls: {verbs:?}"
    );
    assert_eq!(complete(CONFIG, &["sn"]), ["snapshot"]);
    assert_eq!(complete(CONFIG, &["prune", "--sn"]), ["--snapshots"]);
    assert_eq!(
        complete(CONFIG, &["snapshot", ""])[..2],
        ["tank/home", "vault"]
    );
    assert_eq!(complete(CONFIG, &["config", "ta"]), ["tank/home"]);
    assert_eq!(
        complete(CONFIG, &["replicate", "tank/home", "--to", ""]),
        ["local"]
    );
    assert_eq!(complete(CONFIG, &["prune", "--to", "x"]), [""; 0]);
}

#[test]
fn nothing_is_said_of_a_configuration_that_cannot_be_read() {
    for config in ["", "datasets: [", "datasets:\n  tank: *nothing\n"] {
        assert_eq!(complete(config, &["snapshot", "t"]), [""; 0], "{config:?}");
    }
}
