//! Unit names for every legal dataset name: valid, distinct, and they lead back to their dataset. Names are made by
//! OpenZFS's rules (zfs_namecheck.c), up to 255 bytes, and come with neighbours that look like them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use zam::core::config::{Config, Destination, Entry};
use zam::core::fault::Source;
use zam::core::host::Host;
use zam::core::load::load;
use zam::core::name::Dataset;
use zam::core::unit_name::escape;
use zam::core::units::units;

use crate::common::program;

/// What OpenZFS takes in a name, and mostly what swells or looks like something else once it is escaped.
fn a_character() -> impl Strategy<Value = char> {
    prop_oneof![
        4 => prop::sample::select(b"abcxyzABCXYZ0123456789".map(char::from).to_vec()),
        2 => prop::sample::select(vec!['-', '_', '.', ':', ' ']),
        1 => Just('/'),
    ]
}

fn a_dataset() -> impl Strategy<Value = Dataset> {
    let text = |length| prop::collection::vec(a_character(), length);
    let swelling = prop::collection::vec(prop::sample::select(vec!['-', ' ', '/', 'x']), 20..=255);
    prop_oneof![3 => text(1..=30), 2 => text(31..=254), 2 => text(255..=255), 2 => swelling]
        .prop_map(|text| legal(&text))
}

/// The nearest name that is legal: a pool first, no component that is empty, `.` or `..`.
fn legal(text: &[char]) -> Dataset {
    let mut name: String = std::iter::once('p')
        .chain(text[1..].iter().copied())
        .collect();
    for wrong in ["//", "/./", "/../"] {
        while let Some(at) = name.find(wrong) {
            name.replace_range(at + 1..at + 2, "c");
        }
    }
    let ends_wrong = ["/", "/.", "/.."].iter().any(|end| name.ends_with(end));
    if ends_wrong {
        name.replace_range(name.len() - 1.., "e");
    }
    name.parse().unwrap_or_else(|e| panic!("{e}"))
}

/// The name, and those that differ from it in one place: what another character there, or a shorter name, would give.
fn with_neighbours(dataset: &Dataset, place: usize) -> Vec<Dataset> {
    let name = dataset.as_str();
    let place = place % name.len();
    let others = ["-", "/", " ", ":", "a", ""]
        .map(|other| format!("{}{other}{}", &name[..place], &name[place + 1..]));
    let shorter = [
        name[..name.len() - 1].to_owned(),
        name.replace('/', "-"),
        name.replacen('-', "/", 1),
    ];
    others
        .iter()
        .chain(&shorter)
        .filter_map(|name| name.parse().ok())
        .chain([dataset.clone()])
        .collect()
}

fn a_label() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9_.]{1,3}",
        "[a-b.][-a-b.]{0,3}",
        "[A-Za-z0-9_.][A-Za-z0-9_.-]{1,60}"
    ]
}

/// Every job of an entry with a policy on both sides, for each of the names, here and on a host.
fn config(datasets: &[Dataset], to: &str, host: &str) -> Config {
    let text = format!(
        "hosts: {{'{host}': {{ssh: a@b}}}}\ndestinations: {{'{to}': {{root: r, replication-period: 1h, prune-period: 1d, windows: \
         [{{period: 1d}}]}}}}\ndatasets: {{tank: {{snapshot-period: 1h, windows: [{{period: 1h}}], destinations: ['{to}']}}}}"
    );
    let (mut config, faults) = load(&[Source {
        path: "zam.yaml".into(),
        text,
    }])
    .expect("YAML");
    assert_eq!(faults, []);
    let host: &Arc<Host> = config.hosts.values().next().expect("the host");
    let entry = config.entries[0].clone();
    let here = |dataset: &Dataset| Entry {
        key: dataset.to_string(),
        dataset: dataset.clone(),
        ..entry.clone()
    };
    let there = |dataset: &Dataset| Entry {
        key: format!("{}:{dataset}", host.name),
        host: Some(host.clone()),
        ..here(dataset)
    };
    let entries = datasets
        .iter()
        .flat_map(|dataset| [here(dataset), there(dataset)]);
    config.entries = entries
        .map(|entry| (entry.key.clone(), entry))
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .collect();
    config
}

/// What systemd makes of a line of words: systemd.syntax(7), `%%` of systemd.unit(5), `$$` of systemd.service(5).
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => {
                let c = if c == '\\' || c == '%' || c == '$' {
                    characters.next().expect("it stands twice")
                } else {
                    c
                };
                words.last_mut().expect("one").push(c);
            }
        }
    }
    assert!(!quoted, "{line}");
    words
}

/// As `systemd-escape --unescape` does it.
fn unescape(name: &str) -> String {
    let mut parts = name.split('\\');
    let first = parts.next().unwrap_or_default().replace('-', "/");
    let rest = parts.map(|part| {
        let byte = u8::from_str_radix(&part[1..3], 16).expect("two hex digits");
        format!("{}{}", byte as char, part[3..].replace('-', "/"))
    });
    first + &rest.collect::<String>()
}

/// systemd's unit_name_is_valid(): characters, length; and below the lengths at which 252 and 257 fail with what the
/// timers and services say in them.
fn is_valid(unit: &str) -> bool {
    let limit = if unit.ends_with(".timer") { 249 } else { 231 };
    let legal = |c: char| c.is_ascii_alphanumeric() || ":_.\\-@".contains(c);
    let whole = |escape: &str| {
        escape.len() > 2
            && escape.starts_with('x')
            && escape[1..3].bytes().all(|b| b.is_ascii_hexdigit())
    };
    unit.chars().all(legal) && unit.len() <= limit && unit.split('\\').skip(1).all(whole)
}

fn check(config: &Config) {
    let units = units(
        config,
        &[Source {
            path: "/etc/zam/zam.yaml".into(),
            text: String::new(),
        }],
        false,
    );
    let mut names = BTreeSet::new();
    for job in config.jobs() {
        let path = job.path();
        let name = escape(&path);
        let timer = format!("zam-{name}.timer");
        let service = format!("zam@{name}.service");
        assert!(
            is_valid(&timer) && is_valid(&service),
            "{path} gives {name}"
        );
        // `zam@a-.service.d` would be a drop-in of every unit that begins so.
        assert!(!name.ends_with('-'), "{path} gives {name}");
        assert!(
            names.insert(name.clone()),
            "{path} has the name {name} of another"
        );
        if name.len() <= 180 {
            assert_eq!(unescape(&name), path);
        }
        assert!(units.contains_key(&timer), "{timer}");
        let Some(drop_in) = units.get(&format!("{service}.d/50-zam.conf")) else {
            panic!("{service} has no drop-in")
        };
        let start = drop_in
            .lines()
            .filter_map(|line| line.strip_prefix("ExecStart=zam "))
            .map(words)
            .collect::<Vec<_>>();
        let to = job.destination.map(|to: &Destination| to.name.to_string());
        let option = to.iter().flat_map(|to| ["--to".to_owned(), to.clone()]);
        let expected = [job.verb.to_string()]
            .into_iter()
            .chain(option)
            .chain(["--".into(), job.entry.key.clone()]);
        assert_eq!(start, [expected.collect::<Vec<_>>()], "{drop_in}");
    }
    assert_eq!(
        units
            .keys()
            .filter(|unit| unit.starts_with("zam@") && !unit.starts_with("zam@check."))
            .count(),
        names.len()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn every_dataset_has_unit_names_of_its_own_that_lead_back(
        dataset in a_dataset(), place in any::<usize>(), to in a_label(), host in a_label(),
    ) {
        check(&config(&with_neighbours(&dataset, place), &to, &host));
    }
}

#[test]
fn a_short_name_is_what_systemd_escape_makes_of_it() {
    let datasets = a_dataset();
    let mut runner = TestRunner::default();
    let jobs = (0..2_000).map(|_| {
        format!(
            "replicate:a-b.c_d/{}",
            datasets.new_tree(&mut runner).expect("a name").current()
        )
    });
    let short: Vec<String> = jobs.filter(|job| escape(job).len() <= 180).collect();
    assert!(short.len() > 500, "{}", short.len());
    let output = program("systemd-escape")
        .arg("--")
        .args(&short)
        .output()
        .expect("systemd-escape must be installed");
    let escaped = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(
        escaped.split_whitespace().collect::<Vec<_>>(),
        short.iter().map(|job| escape(job)).collect::<Vec<_>>()
    );
}
