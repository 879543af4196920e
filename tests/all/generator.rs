//! The generator as systemd runs it: each tests/generator/CASE/zam.yaml gives the tree in CASE/expected, byte by byte,
//! and systemd finds nothing to complain of in it. `BLESS=1 cargo test` rewrites the trees; read the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::{TempDir, tempdir};

use zam::core::units::ALL_MADE;

use crate::common::program;

/// What `systemd-analyze security` of systemd 252 says of a job, times ten: as root with the hardening of
/// units/zam@.service. May only fall.
const EXPOSURE: u32 = 43;
/// Of jobs that are not root's: without and with a network.
const EXPOSURE_OF_LOCAL: u32 = 9;
const EXPOSURE_OF_REMOTE: u32 = 18;

/// Runs a program as a person does, even where systemd runs the test.
pub(crate) fn run(
    name: &str,
    directory: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Output {
    let mut command = program(name);
    command
        .current_dir(directory)
        .args(arguments)
        .env_remove("SYSTEMD_SCOPE")
        .env_remove("SYSTEMD_IN_INITRD");
    command
        .envs(environment.iter().copied())
        .output()
        .unwrap_or_else(|e| panic!("{name} must be installed: {e}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn generator(directory: &Path, to: &[&Path], environment: &[(&str, &str)]) -> Output {
    let to: Vec<&str> = to
        .iter()
        .map(|path| path.to_str().expect("UTF-8"))
        .collect();
    run(
        env!("CARGO_BIN_EXE_zam-generator"),
        directory,
        &to,
        environment,
    )
}

/// The configuration is named as `config` from within the case, so that the texts name it so too.
fn generate(case: &Path, config: &str) -> (TempDir, String) {
    let to = tempdir().expect("a directory");
    let output = generator(case, &[to.path()], &[("ZAM_CONFIG", config)]);
    assert!(
        output.status.success(),
        "{}: {}",
        case.display(),
        said(&output)
    );
    (to, said(&output))
}

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/generator")
        .join(name)
}

fn cases() -> Vec<PathBuf> {
    let cases: Vec<PathBuf> = fs::read_dir(case(""))
        .expect("the cases")
        .map(|case| case.expect("a case").path())
        .collect();
    assert!(cases.len() > 8);
    cases
}

/// The texts of files by their path below `directory`. One that does not exist is empty, as git has it.
fn tree(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut nodes = BTreeMap::new();
    for path in fs::read_dir(directory)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an entry").path())
    {
        let name = PathBuf::from(path.file_name().expect("a name"));
        if path.is_dir() {
            nodes.extend(
                tree(&path)
                    .into_iter()
                    .map(|(below, node)| (name.join(below), node)),
            );
        } else {
            nodes.insert(name, fs::read_to_string(&path).expect("a text"));
        }
    }
    nodes
}

fn write(directory: &Path, nodes: &BTreeMap<PathBuf, String>) {
    for (path, text) in nodes {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("making a directory");
        fs::write(&path, text).expect("writing a file");
    }
}

#[test]
fn every_case_gives_the_recorded_units_and_the_same_again() {
    for case in cases() {
        let ((got, complaint), (again, _)) =
            (generate(&case, "zam.yaml"), generate(&case, "zam.yaml"));
        let got = tree(got.path());
        let expected = case.join("expected");
        assert_eq!(got, tree(again.path()), "{}", case.display());
        assert_eq!(
            got.contains_key(Path::new("zam-config.service")),
            !complaint.is_empty(),
            "{complaint}"
        );
        if std::env::var_os("BLESS").is_some() {
            drop(fs::remove_dir_all(&expected));
            write(&expected, &got);
        }
        let expected = tree(&expected);
        for path in expected.keys().chain(got.keys()) {
            assert_eq!(
                expected.get(path),
                got.get(path),
                "{}: {}",
                case.display(),
                path.display()
            );
        }
    }
}

#[test]
fn one_or_three_directories() {
    let case = &case("one");
    let dirs: [TempDir; 3] = std::array::from_fn(|_| tempdir().expect("a directory"));
    let dirs = dirs.each_ref().map(TempDir::path);
    let environment = [("ZAM_CONFIG", "zam.yaml")];
    assert_eq!(generator(case, &dirs, &environment).status.code(), Some(0));
    assert_eq!(
        tree(dirs[0]),
        tree(&case.join("expected")),
        "in the first, as with one"
    );
    assert!(tree(dirs[1]).is_empty() && tree(dirs[2]).is_empty());
    let unused = tempdir().expect("a directory");
    for wrong in [&[][..], &[unused.path(); 2], &[unused.path(); 4]] {
        assert_eq!(
            generator(case, wrong, &environment).status.code(),
            Some(2),
            "{} arguments",
            wrong.len()
        );
    }
    assert!(tree(unused.path()).is_empty());
}

#[test]
fn nothing_where_there_is_nothing_to_do() {
    let case = case("one");
    let to = tempdir().expect("a directory");
    for (config, variable, value) in [
        ("none.yaml", "SYSTEMD_SCOPE", "system"),
        ("zam.yaml", "SYSTEMD_SCOPE", "user"),
        ("zam.yaml", "SYSTEMD_IN_INITRD", "1"),
    ] {
        let output = generator(
            &case,
            &[to.path()],
            &[("ZAM_CONFIG", config), (variable, value)],
        );
        assert_eq!(
            (output.status.code(), said(&output)),
            (Some(0), String::new()),
            "{config} {variable}={value}"
        );
        assert!(tree(to.path()).is_empty(), "{config} {variable}={value}");
    }
}

/// A case's units beside the packaged ones, as `systemd-analyze` can read them: it takes a colon in a unit's name for
/// the beginning of an alias, and looks for programs in its own path alone.
fn readable(case: &Path) -> (TempDir, Vec<String>) {
    let (generated, _) = generate(case, case.join("zam.yaml").to_str().expect("UTF-8"));
    let mut nodes = tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("units"));
    nodes.extend(tree(generated.path()));
    let jobs: Vec<String> = nodes
        .keys()
        .filter_map(|path| path.to_str()?.strip_suffix(".timer"))
        .map(Into::into)
        .collect();
    let jobs: Vec<&str> = jobs
        .iter()
        .filter_map(|job| job.strip_prefix("zam-"))
        .filter(|job| job.contains(':'))
        .collect();
    let plain = |text: &str| {
        jobs.iter().fold(text.to_owned(), |text, job| {
            text.replace(job, &job.replace(':', "_"))
        })
    };
    let line = |line: &str| match line.replace("=+zam ", "=zam ").split_once("=zam ") {
        Some((key, rest)) if key.starts_with("Exec") => format!("{key}=/bin/true {rest}\n"),
        _ => format!("{line}\n"),
    };
    let nodes: BTreeMap<PathBuf, String> = nodes
        .into_iter()
        .map(|(path, text)| {
            (
                plain(path.to_str().expect("UTF-8")).into(),
                plain(&text).lines().map(line).collect(),
            )
        })
        .collect();
    // Each unit: a file, or a template's instance that has drop-ins.
    let tops = nodes
        .keys()
        .filter_map(|path| path.iter().next()?.to_str())
        .map(|name| name.trim_end_matches(".d"));
    let is_unit = |name: &&str| {
        [".timer", ".service", ".target"]
            .iter()
            .any(|kind| name.ends_with(kind))
    };
    let names: BTreeSet<&str> = tops
        .filter(is_unit)
        .filter(|name| !name.contains("@."))
        .chain(["zam-notify@x.service", "zam-recovered@x.service"])
        .collect();
    let names = names.into_iter().map(Into::into).collect();
    let directory = tempdir().expect("a directory");
    write(directory.path(), &nodes);
    (directory, names)
}

fn analyze(directory: &Path, arguments: &[&str], units: &[String]) -> Output {
    let path = format!("{}:/usr/lib/systemd/system", directory.display());
    let arguments: Vec<&str> = arguments
        .iter()
        .copied()
        .chain(units.iter().map(String::as_str))
        .collect();
    run(
        "systemd-analyze",
        directory,
        &arguments,
        &[("SYSTEMD_UNIT_PATH", &path)],
    )
}

fn verify(directory: &Path, units: &[String]) -> Output {
    analyze(
        directory,
        &["verify", "--man=no", "--recursive-errors=no"],
        units,
    )
}

#[test]
fn systemd_finds_no_fault_in_any_unit() {
    for case in cases() {
        let (directory, units) = readable(&case);
        let output = verify(directory.path(), &units);
        assert!(
            output.status.success() && said(&output).is_empty(),
            "{}: {}",
            case.display(),
            said(&output)
        );
    }
}

/// Only then does zam-units.service succeed.
#[test]
fn what_shows_that_all_units_are_there_is_missing_unless_they_are() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generator/one");
    let (whole, _) = generate(&case, "zam.yaml");
    assert!(whole.path().join(ALL_MADE).exists());
    let to = tempdir().expect("a directory");
    fs::write(to.path().join("zam-check.timer"), "another's").expect("a file");
    let output = generator(&case, &[to.path()], &[("ZAM_CONFIG", "zam.yaml")]);
    assert!(said(&output).contains("cannot write"), "{}", said(&output));
    assert!(!to.path().join(ALL_MADE).exists());
}

/// `systemd-analyze verify` does find a fault.
#[test]
fn systemd_finds_what_is_wrong() {
    for (unit, right, wrong) in [
        (
            "zam-snapshot-tank-home.timer",
            "OnCalendar=",
            "OnCalendar=often ",
        ),
        (
            "zam@snapshot-tank-home.service.d/50-zam.conf",
            "User=",
            "Usr=",
        ),
        (
            "zam@snapshot-tank-home.service.d/50-zam.conf",
            "ExecStart=/bin/true",
            "ExecStart=/no/such",
        ),
        ("zam@.service", "Nice=", "Nicer="),
    ] {
        let (directory, units) = readable(&case("one"));
        let path = directory.path().join(unit);
        let text = fs::read_to_string(&path).expect(unit);
        assert!(text.contains(right), "{unit} has no {right}");
        fs::write(&path, text.replace(right, wrong)).expect("writing the unit");
        assert!(
            !verify(directory.path(), &units).status.success(),
            "{wrong}"
        );
    }
}

#[test]
fn no_job_is_more_exposed_than_the_packaged_hardening_leaves_it() {
    let (directory, units) = readable(&case("contract"));
    let mut services = units;
    services.retain(|unit| unit.starts_with("zam@"));
    assert!(services.len() > 10);
    are_at_most(EXPOSURE, directory.path(), &services);
}

#[test]
fn jobs_that_are_not_roots_are_exposed_least_of_all() {
    let (directory, units) = readable(&case("users"));
    let mut services = units;
    services.retain(|unit| unit.starts_with("zam@"));
    let (remote, local): (Vec<String>, Vec<String>) = services.into_iter().partition(|unit| {
        ["nas", "own", "check"]
            .iter()
            .any(|part| unit.contains(part))
    });
    let (hooked, local): (Vec<String>, Vec<String>) =
        local.into_iter().partition(|unit| unit.contains("tank-db"));
    assert_eq!((remote.len(), hooked.len(), local.len()), (6, 1, 4));
    are_at_most(EXPOSURE_OF_LOCAL, directory.path(), &local);
    are_at_most(EXPOSURE_OF_REMOTE, directory.path(), &hooked);
    are_at_most(EXPOSURE_OF_REMOTE, directory.path(), &remote);
}

/// `exposure` is a tenth of what `systemd-analyze security` says.
fn are_at_most(exposure: u32, directory: &Path, services: &[String]) {
    let threshold = format!("--threshold={exposure}");
    let arguments = ["security", "--offline=true", "--no-pager", &threshold];
    let output = analyze(directory, &arguments, services);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut levels: Vec<&str> = printed.lines().collect();
    levels.retain(|line| line.contains("exposure level"));
    assert_eq!(levels.len(), services.len());
    assert!(output.status.success(), "{levels:#?}{}", said(&output));
}

/// As systemd reads a quoted word: systemd.syntax(7), systemd.service(5), systemd.unit(5).
fn unquote(word: &str) -> String {
    let inner = word
        .strip_prefix('"')
        .and_then(|word| word.strip_suffix('"'))
        .expect("quotes");
    let inner = inner
        .replace("$$", "$")
        .replace("%%", "%")
        .replace("\\\\", "\0");
    inner
        .replace("\\\"", "\"")
        .replace("\\n", "\n")
        .replace("\\t", "\t")
        .replace('\0', "\\")
}

/// The hook that thaws a database runs whatever it looks like.
#[test]
fn a_hook_does_what_it_does_in_a_shell() {
    for hook in [
        "echo one",
        "echo 'a  b' \"$HOME\" 100% \\\\",
        "echo one;",
        "echo one # a remark",
        "echo one &",
        "echo one\necho two\n",
    ] {
        let text = drop_in_with(serde_json::json!({"before": hook, "after": hook}));
        let hooks: Vec<Vec<String>> = text
            .lines()
            .filter_map(|line| line.split_once("=+/bin/sh "))
            .map(|(_, words)| words_of(words))
            .collect();
        assert_eq!(hooks.len(), 2, "{text}");
        let expected = in_shell(&["-c".into(), hook.into()], "success");
        for words in &hooks {
            let output = in_shell(words, "success");
            assert_eq!(output.stdout, expected.stdout, "{hook:?} became {words:?}");
        }
        let skipped = in_shell(&hooks[1], "exec-condition");
        assert!(skipped.stdout.is_empty(), "after a skip");
    }
}

/// What was frozen is thawed, whatever became of the hook before that.
#[test]
fn each_hook_after_a_snapshot_runs_and_a_failed_one_is_told() {
    let after = ["echo one; exit 75", "echo 'two", "cd /; echo three"];
    let text = drop_in_with(serde_json::json!({"after": after}));
    let hooks: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("ExecStopPost=+/bin/sh "))
        .collect();
    let [words] = hooks[..] else {
        panic!("one command, since systemd starts none behind one that failed: {text}");
    };
    let output = in_shell(&words_of(words), "exit-code");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\nthree\n");
    assert!(!output.status.success());
}

/// The drop-in of a snapshot with these hooks, in which systemd finds no fault.
fn drop_in_with(hooks: serde_json::Value) -> String {
    let directory = tempdir().expect("a directory");
    let config =
        serde_json::json!({"datasets": {"tank": {"snapshot-period": "1h", "hooks": hooks}}});
    fs::write(directory.path().join("zam.yaml"), config.to_string())
        .expect("writing the configuration");
    let (units, names) = readable(directory.path());
    let verified = verify(units.path(), &names);
    assert!(verified.status.success(), "{config}: {}", said(&verified));
    fs::read_to_string(units.path().join("zam@snapshot-tank.service.d/50-zam.conf"))
        .expect("the drop-in")
}

fn in_shell(words: &[String], result: &str) -> Output {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    run("sh", Path::new("/"), &words, &[("SERVICE_RESULT", result)])
}

/// The words of a command, bare ones and those in double quotes.
fn words_of(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = rest.find(' ').unwrap_or(rest.len());
        if rest.starts_with('"') {
            let bytes = rest.as_bytes();
            end = 1;
            while bytes[end] != b'"' {
                end += 1 + usize::from(bytes[end] == b'\\');
            }
            end += 1;
            words.push(unquote(&rest[..end]));
        } else {
            words.push(rest[..end].into());
        }
        rest = rest[end..].trim_start();
    }
    words
}
