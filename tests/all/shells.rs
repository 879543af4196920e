//! Commands for another machine, read by the shells that are here: a login shell is nobody's choice.

use std::path::{Path, PathBuf};
use std::process::Output;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::tempdir;
use zam::core::shell::line;

use crate::common::program;

const SHELLS: [&str; 9] = [
    "sh", "dash", "bash", "zsh", "ksh", "mksh", "csh", "tcsh", "fish",
];

fn run(shell: &str, line: &str, home: &Path) -> Output {
    program(shell)
        .args(["-c", line])
        .env("HOME", home)
        .env("LC_ALL", "C")
        .current_dir(home)
        .output()
        .expect(shell)
}

/// Those that this machine has; `tests/setup` brings csh, tcsh, fish and zsh.
fn shells() -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let (there, missing): (Vec<&str>, Vec<&str>) = SHELLS.into_iter().partition(|shell| {
        std::env::split_paths(&path).any(|directory| directory.join(shell).exists())
    });
    if !missing.is_empty() {
        println!("not tried, since they are not here: {}", missing.join(" "));
    }
    there
}

#[test]
fn every_shell_reads_the_same_words() {
    let home = tempdir().expect("a directory");
    // What ZFS allows in names, and what else a word may hold.
    let name = "[a-zA-Z][-a-zA-Z0-9_.: /]{0,20}[@#][-a-zA-Z0-9_.:%, ]{1,40}";
    let other = "[ -&(-\\[\\]-~]{0,30}".prop_filter("refused", |word| !word.contains('!'));
    let words = prop::collection::vec(prop_oneof![name, other], 1..6);
    let mut runner = TestRunner::new(Config {
        cases: 40,
        failure_persistence: None,
        ..Config::default()
    });
    let shells = shells();
    let result = runner.run(&words, |words| {
        let argv: Vec<&str> = ["printf", "%s|"]
            .into_iter()
            .chain(words.iter().map(String::as_str))
            .collect();
        let line = line(&argv).map_err(TestCaseError::fail)?;
        let expected: String = words.iter().map(|word| format!("{word}|")).collect();
        for shell in &shells {
            let output = run(shell, &line, home.path());
            prop_assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                expected.as_str(),
                "{} read {}",
                shell,
                &line
            );
        }
        Ok(())
    });
    result.expect("every shell");
}

/// Wherever a line ends too early, for whatever reason.
#[test]
fn a_line_cut_anywhere_destroys_nothing() {
    let home = tempdir().expect("a directory");
    let (zfs, log) = fake(home.path());
    let line = line(&[
        zfs.to_str().expect("UTF-8"),
        "destroy",
        "tank/a b@x,y#zam_1",
    ])
    .expect("a line");
    let shells = shells();
    for end in 0..line.len() {
        let shell = shells[end % shells.len()];
        run(shell, &line[..end], home.path());
        let called = std::fs::read_to_string(&log).unwrap_or_default();
        assert!(
            !called.contains("tank"),
            "{shell} made of {:?}: {called}",
            &line[..end]
        );
    }
    run("sh", &line, home.path());
    assert!(
        std::fs::read_to_string(&log)
            .expect("a call")
            .ends_with("destroy tank/a b@x,y#zam_1\n")
    );
}

/// A shell that takes a character for the beginning of a comment, quoted or not.
#[test]
fn a_shell_that_knows_no_quotes_does_not_get_to_the_program() {
    let line = line(&["zfs", "destroy", "tank/a b@x,y#zam_1"]).expect("a line");
    for mark in ['#', '@', ' ', ',', '\''] {
        let bare: String = line
            .split_once(mark)
            .map(|(before, _)| before.into())
            .expect("a mark");
        assert!(!bare.contains("zfs"), "cut at {mark:?}: {bare}");
    }
}

fn fake(home: &Path) -> (PathBuf, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let zfs = home.join("zfs");
    let log = home.join("log");
    std::fs::write(
        &zfs,
        format!("#!/bin/sh\necho \"$@\" >>'{}'\n", log.display()),
    )
    .expect("a script");
    std::fs::set_permissions(&zfs, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    (zfs, log)
}
