//! Every scenario in tests/vm/scenarios on every machine, as one test each: `debian13::replicate`.
//! A line in its head, `# machines: debian13 (why one is enough)`, has `make test` run it there alone; the other machine's
//! is an ignored test, which `make test-all` runs too.
//! The work is done by tests/vm/run; this only lets `cargo nextest run` list, choose, limit and report them.

use libtest_mimic::{Arguments, Failed, Trial};
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
            let name = format!("{machine}::{}", scenario.file_stem().expect("a name").to_string_lossy());
            let wanted = machines(scenario).contains(&machine);
            let (run, scenario) = (vm.join("run"), scenario.clone());
            trials.push(Trial::test(name, move || play(&run, machine, &scenario)).with_ignored_flag(!wanted));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Where `make test` runs a scenario: on the one machine that its head names, else on both.
fn machines(scenario: &Path) -> Vec<&'static str> {
    let text = fs::read_to_string(scenario).expect("a readable scenario");
    let Some(named) = text.lines().find_map(|line| line.strip_prefix("# machines: ")) else {
        return MACHINES.to_vec();
    };
    let word = named.split(' ').next().unwrap_or_default();
    let named: Vec<_> = MACHINES.into_iter().filter(|machine| word == "both" || word == *machine).collect();
    assert!(!named.is_empty(), "{}: no machine is called {word}", scenario.display());
    named
}

fn play(run: &Path, machine: &str, scenario: &Path) -> Result<(), Failed> {
    #[expect(clippy::disallowed_methods, reason = "not zam's")]
    let mut command = Command::new(run);
    command.arg(machine).arg(scenario);
    match command.status()? {
        status if status.success() => Ok(()),
        status => Err(format!("{command:?}: {status}").into()),
    }
}
