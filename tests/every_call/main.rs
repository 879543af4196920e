//! Every verb, with a fault at every call of zfs and ssh that it makes: an error, a signal, a listing or a stream cut
//! short, a lost connection, somebody else who acts meanwhile, and zam itself killed. After each, nothing is lost that
//! the contract keeps, and undisturbed runs finish the work. There is no ZFS in it: this binary stands in PATH as `zfs`
//! and `ssh`, and works on a model in a file.
//!
//! These are thousands of runs: `make test` tries every third of them, the ignored `…::rest` (`make test-all`) the others.

mod cases;
#[path = "../common/mod.rs"]
mod common;
mod fake;
mod faults;
mod judge;
mod model;
mod scenes;
mod stream;
mod zfs;

use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use cases::Share;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let program = Path::new(&words[0])
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if matches!(program, "zfs" | "ssh") {
        return fake::run(
            program,
            &words[1..].iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }
    let mut trials = Vec::new();
    for share in [Share::Third, Share::Rest] {
        for scene in scenes::all() {
            let name = format!(
                "{}{}",
                scene.name,
                if share == Share::Rest { "::rest" } else { "" }
            );
            let trial = Trial::test(name, move || {
                cases::try_share(&scene, share).map_err(Into::into)
            });
            trials.push(trial.with_ignored_flag(share == Share::Rest));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Epoch seconds.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}
