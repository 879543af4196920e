//! Every verb, with a fault at every call of zfs and ssh that it makes: an error, a signal, a listing or a stream cut
//! short, a lost connection, somebody else who acts meanwhile, and zam itself killed. After each, nothing is lost that
//! the contract keeps, and undisturbed runs finish the work. There is no ZFS in it: this binary stands in PATH as `zfs`
//! and `ssh`, and works on a model in a file.

mod cases;
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

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let program = Path::new(&words[0]).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if matches!(program, "zfs" | "ssh") {
        return fake::run(program, &words[1..].iter().map(String::as_str).collect::<Vec<_>>());
    }
    let trials =
        scenes::all().into_iter().map(|scene| Trial::test(scene.name, move || cases::try_all(&scene).map_err(Into::into)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// Epoch seconds.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
