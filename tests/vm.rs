//! Every scenario in tests/vm/scenarios on every machine, as one test each: `debian13::replicate`.
//! A line in its head, `# machines: debian13 (why one is enough)`, has `make test` run it there alone; the other machine's
//! is an ignored test, which `make test-all` runs too, as it does what has `neither` there. tests/vm/README.md has all of
//! these lines as one table.
//! The work is done by tests/vm/run; this only lets `cargo nextest run` list, choose, limit and report them.

use libtest_mimic::{Arguments, Failed, Trial};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MACHINES: [&str; 2] = ["debian12", "debian13"];
const BOTH: &str = "both";
/// In the place of a machine: only `make test-all` runs it.
const NEITHER: &str = "neither";

/// A scenario, and what its head says about where `make test` runs it.
struct Scenario {
    path: PathBuf,
    name: String,
    /// One of the machines, or "both", or "neither".
    machine: String,
    why: String,
}

fn main() {
    let vm = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm");
    let mut scenarios = Vec::new();
    for entry in fs::read_dir(vm.join("scenarios")).expect("tests/vm/scenarios") {
        let path = entry.expect("a readable entry").path();
        // What an editor leaves there is none.
        if path.extension().is_some_and(|extension| extension == "sh") {
            scenarios.push(Scenario::read(path));
        }
    }
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));

    let readme = vm.join("README.md");
    let rows = scenarios.iter().map(Scenario::row).collect();
    let mut trials = vec![Trial::test("readme_says_where_each_runs", || {
        is_table_of(readme, rows)
    })];
    for machine in MACHINES {
        for scenario in &scenarios {
            let run = vm.join("run");
            let path = scenario.path.clone();
            let trial = Trial::test(format!("{machine}::{}", scenario.name), move || {
                play(&run, machine, &path)
            });
            trials.push(
                trial.with_ignored_flag(![BOTH, machine].contains(&scenario.machine.as_str())),
            );
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

impl Scenario {
    fn read(path: PathBuf) -> Self {
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!(name.chars().all(is_plain), "{name}: letters, digits, _, -");
        let text = fs::read_to_string(&path).expect("a readable scenario");
        let mut lines = text.lines().map(str::trim_end);
        let head = lines.find_map(|line| line.strip_prefix("# machines: ")?.strip_suffix(')'));
        let head = head.and_then(|head| head.split_once(" ("));
        let (machine, why) = head.unwrap_or_default();
        assert!(
            [BOTH, NEITHER].contains(&machine) || MACHINES.contains(&machine),
            "{name}: its head must say where it runs, and why: # machines: debian13 (why)"
        );
        assert!(!why.is_empty(), "{name}: why on {machine}?");
        Scenario {
            machine: machine.into(),
            why: why.into(),
            path,
            name,
        }
    }

    fn row(&self) -> String {
        format!("| {} | {} | {} |", self.name, self.machine, self.why)
    }
}

/// Whether the table at the end of a file has these rows.
fn is_table_of(file: PathBuf, rows: Vec<String>) -> Result<(), Failed> {
    let text = fs::read_to_string(file)?;
    let table: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .collect();
    if table == rows {
        Ok(())
    } else {
        Err(format!("the table should be:\n{}", rows.join("\n")).into())
    }
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
