//! The manual pages against the program: every verb, option and key is in them and nothing else, the example is right,
//! and mandoc finds nothing wrong.

use std::collections::BTreeSet;
use std::process::Output;

use zam::core::fault::{Fault, Source};
use zam::core::load::load;

use crate::common::program;

/// Far enough from every key that the loader lists them all instead of guessing which was meant.
const NONSENSE: &str = "zzzzqqqq";

/// Sections of zam.yaml(5), and a configuration that has a nonsense key there.
const LEVELS: [(&str, &str); 8] = [
    ("Top level", "zzzzqqqq: 1"),
    ("Hosts", "hosts: {h: {ssh: a@b, zzzzqqqq: 1}}"),
    (
        "Datasets, templates, defaults",
        "datasets: {tank: {zzzzqqqq: 1}}",
    ),
    (
        "Datasets, templates, defaults",
        "templates: {t: {zzzzqqqq: 1}}",
    ),
    ("Hooks", "datasets: {tank: {hooks: {zzzzqqqq: 1}}}"),
    (
        "Windows",
        "datasets: {tank: {windows: [{period: 1h, zzzzqqqq: 1}]}}",
    ),
    ("Destinations", "destinations: {d: {root: b, zzzzqqqq: 1}}"),
    ("Idle", "destinations: {d: {root: b, idle: {zzzzqqqq: 1}}}"),
];

fn start(name: &str, arguments: &[&str]) -> Output {
    let output = program(name).args(arguments).output();
    output
        .unwrap_or_else(|e| panic!("cannot start {name}: {e} (for mandoc: apt-get install mandoc)"))
}

fn help(arguments: &[&str]) -> String {
    let output = start(env!("CARGO_BIN_EXE_zam"), arguments);
    assert!(output.status.success(), "zam {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("help in UTF-8")
}

fn page(name: &str) -> String {
    std::fs::read_to_string(format!("man/{name}")).expect(name)
}

/// What stands below a heading (`.Sh` or `.Ss`), up to the next.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let start = [".Sh", ".Ss"]
        .iter()
        .find_map(|kind| page.find(&format!("\n{kind} {heading}\n")));
    let start = start.unwrap_or_else(|| panic!("the page has no section {heading}"))
        + heading.len()
        + "\n.Sh \n".len();
    let end = ["\n.Sh ", "\n.Ss "]
        .iter()
        .filter_map(|next| page[start..].find(next))
        .min();
    &page[start..end.map_or(page.len(), |end| start + end)]
}

/// The arguments of a macro, wherever in a macro line it stands: of `Fl`, `-to` in `.Op Fl -to Ar name`.
fn arguments<'p>(text: &'p str, name: &str) -> BTreeSet<&'p str> {
    let mut found = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix('.')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        found.extend(
            words
                .windows(2)
                .filter(|pair| pair[0] == name)
                .map(|pair| pair[1]),
        );
    }
    found
}

/// The keys that a section explains: `.It Cm KEY`.
fn explained(section: &str) -> BTreeSet<&str> {
    section
        .lines()
        .filter_map(|line| line.strip_prefix(".It Cm ")?.split_whitespace().next())
        .collect()
}

fn below<'h>(help: &'h str, heading: &str) -> impl Iterator<Item = &'h str> {
    help.split(heading)
        .nth(1)
        .unwrap_or_default()
        .trim_start_matches('\n')
        .lines()
        .take_while(|line| !line.is_empty())
}

fn long_options(help: &str) -> Vec<&str> {
    below(help, "Options:")
        .filter_map(|line| line.split([' ', ',']).find(|word| word.starts_with("--")))
        .collect()
}

#[test]
fn every_verb_and_option_is_in_the_manual() {
    let page = page("zam.8");
    let top = help(&["--help"]);
    let verbs: Vec<&str> = below(&top, "Commands:")
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(verbs.len() > 5, "{top}");
    let commands = section(&page, "COMMANDS");
    let described = arguments(&page, "Fl");
    for option in long_options(&top) {
        assert!(described.contains(&option[1..]), "zam.8 lacks {option}");
    }
    for verb in verbs {
        assert!(
            explained(commands).contains(verb),
            "COMMANDS in zam.8 lacks {verb}"
        );
        // One paragraph of the synopsis for each verb: `.Nm`, `.Cm VERB`, `.Op Fl -option` ...
        let synopsis = section(&page, "SYNOPSIS")
            .split(".Nm")
            .find(|part| arguments(part, "Cm").contains(verb));
        let synopsis = arguments(
            synopsis.unwrap_or_else(|| panic!("SYNOPSIS in zam.8 lacks {verb}")),
            "Fl",
        );
        if verb == "help" {
            continue; // it has no help itself
        }
        for option in long_options(&help(&[verb, "--help"])) {
            assert!(
                described.contains(&option[1..]),
                "zam.8 lacks {option} of {verb}"
            );
            let common = ["--config", "--help"].contains(&option);
            assert!(
                common || synopsis.contains(&option[1..]),
                "SYNOPSIS in zam.8 lacks {option} of {verb}"
            );
        }
    }
}

fn faults(text: &str) -> Vec<Fault> {
    // At least one dataset, or there is no configuration to speak of.
    let more = Source {
        path: "more.yaml".into(),
        text: "datasets: {tank/x: {snapshot-period: 1h}}".into(),
    };
    load(&[
        Source {
            path: "zam.yaml".into(),
            text: text.into(),
        },
        more,
    ])
    .expect("YAML")
    .1
}

#[test]
fn every_key_is_in_the_manual_and_no_other() {
    let page = page("zam.yaml.5");
    for (heading, text) in LEVELS {
        let faults = faults(text);
        let listed = faults.iter().find_map(|f| {
            f.message
                .strip_prefix(&format!("unknown key `{NONSENSE}`; the keys here are "))
        });
        let keys: BTreeSet<&str> = listed
            .unwrap_or_else(|| panic!("{text} gives {faults:?}"))
            .split(", ")
            .collect();
        assert_eq!(
            explained(section(&page, heading)),
            keys,
            "{heading} in zam.yaml.5 (left), and the loader (right)"
        );
    }
}

#[test]
fn the_example_is_right() {
    let page = page("zam.yaml.5");
    let example = section(&page, "EXAMPLES")
        .split_once(".Bd -literal\n")
        .and_then(|(_, rest)| rest.split_once("\n.Ed"));
    let (example, _) = example.expect("an example between .Bd -literal and .Ed");
    assert!(
        !example.contains('\\'),
        "an escape would have to be undone here"
    );
    assert_eq!(faults(example), [], "in the example of zam.yaml.5");
}

#[test]
fn the_tutorial_has_a_right_example_and_less_than_ten_commands() {
    let page = page("zam-setup.7");
    let lines: Vec<&str> = page.lines().collect();
    let commands = lines.iter().filter(|line| line.starts_with("$ "));
    assert_eq!(commands.count(), 8, "the page says eight");
    let example = lines.iter().skip_while(|line| **line != "hosts:");
    let example: Vec<&str> = example.copied().take_while(|line| *line != ".Ed").collect();
    assert!(example.len() > 5);
    assert_eq!(faults(&example.join("\n")), []);
}

#[test]
fn mandoc_finds_nothing_wrong() {
    for name in ["zam.8", "zam.yaml.5", "zam-generator.8", "zam-setup.7"] {
        let output = start(
            "mandoc",
            &["-T", "lint", "-W", "warning", &format!("man/{name}")],
        );
        let said = [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat();
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}
