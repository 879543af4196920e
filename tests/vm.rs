//! Every scenario in tests/vm/scenarios on every machine, as one test each: `debian13::replicate`.
//! The work is done by tests/vm/run; this only lets `cargo nextest run` list, choose, limit and report them.

use libtest_mimic::{Arguments, Trial};
use std::{fs, path::Path, process::Command};

const MACHINES: [&str; 2] = ["debian12", "debian13"];

fn main() {
    let vm = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm");
    let mut scenarios: Vec<_> = fs::read_dir(vm.join("scenarios"))
        .expect("tests/vm/scenarios")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sh"))
        .collect();
    scenarios.sort();

    let mut trials = Vec::new();
    for machine in MACHINES {
        for scenario in &scenarios {
            #[expect(clippy::disallowed_methods, reason = "not zam's")]
            let mut command = Command::new(vm.join("run"));
            command.arg(machine).arg(scenario);
            let name = format!("{machine}::{}", scenario.file_stem().expect("a name").to_string_lossy());
            trials.push(Trial::test(name, move || match command.status()? {
                status if status.success() => Ok(()),
                status => Err(format!("{command:?}: {status}").into()),
            }));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
