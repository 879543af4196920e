//! zam.schema.json, by which editors complete and check zam.yaml, cannot drift: its keys and their texts are those of the
//! manual (which another test compares with the loader), and it takes every value that the loader takes.
//! `BLESS=1 cargo test` rewrites it; read the difference.

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;
use serde_json::{Map, Value, json};
use zam::core::fault::Source;
use zam::core::load::load;

use crate::common::program;

const SPAN: &str = "^ *([0-9.]+ *(usec|us|µs|μs|msec|ms|seconds|second|sec|s|minutes|minute|min|m|hours|hour|hr|h|days|day|d\
    |weeks|week|w|months|month|mo|M|years|year|y) *)+$";
const DATASET: &str = "^[A-Za-z][A-Za-z0-9_.: -]*(/[A-Za-z0-9_.: -]+)*$";
const KEY: &str = "^[A-Za-z0-9_.][A-Za-z0-9_.: -]*(/[A-Za-z0-9_.: -]+)*$";
const LABEL: &str = "^[A-Za-z0-9_.][A-Za-z0-9_.-]*$";
const PREFIX: &str = "^[A-Za-z0-9_.:][A-Za-z0-9_.:-]{0,31}$";
const USER: &str = "^[A-Za-z_][A-Za-z0-9_-]{0,30}$";
const FILE: &str = "^/.*[^/]$";
const SSH: &str = "^([^- :][^ :]*|[^- ]?[^ ]*:[^ ]*:[^ ]*)$";
const OPTION: &str = "^[^-][^= ]*[= ].*$";
const EXCLUDE: &str = "^(/.+/|[A-Za-z*?][A-Za-z0-9_.: *?-]*(/[A-Za-z0-9_.: *?-]+)*)$";
const RATE: &str = "^[0-9.]+ *(B|kB|MB|GB|KiB|MiB|GiB)/s$";
const TIMES: &str = "^( *[A-Za-z][A-Za-z,. -]*)?( *[0-9]+:[0-9]{2} *- *[0-9]+:[0-9]{2})? *$";
const FLAG: &str =
    "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy][Ee][Ss]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff])$";

/// The alternatives that a value has.
type Kind = Vec<Value>;

fn word(pattern: &str) -> Kind {
    vec![json!({"type": "string", "pattern": pattern})]
}

/// A name, which may look like something else to YAML.
fn name(pattern: &str) -> Kind {
    vec![json!({"type": ["string", "number", "boolean"], "pattern": pattern})]
}

/// Whatever it looks like: `true` is a command.
fn text() -> Kind {
    vec![json!({"type": ["string", "number", "boolean"], "minLength": 1})]
}

fn flag() -> Kind {
    vec![
        json!({"type": "boolean"}),
        json!({"type": "string", "pattern": FLAG}),
    ]
}

fn number(most: u16) -> Kind {
    vec![
        json!({"type": "integer", "minimum": 1, "maximum": most}),
        json!({"type": "string", "pattern": "^[1-9][0-9]*$"}),
    ]
}

fn one_of(words: &[&str]) -> Kind {
    vec![json!({"enum": words})]
}

fn level(name: &str) -> Kind {
    vec![json!({"$ref": format!("#/definitions/{name}")})]
}

fn map_of(level: &str, names: &str) -> Kind {
    vec![
        json!({"type": "object", "propertyNames": {"pattern": names},
        "additionalProperties": {"anyOf": [{"$ref": format!("#/definitions/{level}")}, {"type": "null"}]}}),
    ]
}

/// A single value is a list of one.
fn list(of: Kind) -> Kind {
    let items = json!({"type": "array", "items": {"anyOf": of}});
    of.into_iter().chain([items]).collect()
}

fn at_least_one(of: Kind) -> Kind {
    list(of)
        .into_iter()
        .map(|mut kind| {
            kind["items"]
                .is_object()
                .then(|| kind["minItems"] = 1.into());
            kind
        })
        .collect()
}

/// Its name in the schema, its section of the manual, what it requires, and the kinds of its keys.
type Level = (
    &'static str,
    &'static str,
    &'static [&'static str],
    Vec<(&'static str, Kind)>,
);

fn levels() -> Vec<Level> {
    let destination = || {
        vec![
            ("host", name(LABEL)),
            ("root", name(DATASET)),
            ("replication-period", word(SPAN)),
            ("prune-period", word(SPAN)),
            ("windows", at_least_one(level("window"))),
            ("alert-after", word(SPAN)),
            ("idle", level("idle")),
            ("decrypt", flag()),
            ("rate-limit", word(RATE)),
            ("compress", one_of(&["zstd"])),
            ("stall-timeout", word(SPAN)),
            ("parallel", number(8)),
        ]
    };
    let settings = vec![
        ("use", list(text())),
        ("recursive", flag()),
        ("exclude", list(name(EXCLUDE))),
        ("snapshot-period", word(SPAN)),
        ("prune-period", word(SPAN)),
        ("windows", at_least_one(level("window"))),
        (
            "destinations",
            list([name(LABEL), level("used-destination")].concat()),
        ),
        ("hooks", level("hooks")),
    ];
    let top = vec![
        ("prefix", name(PREFIX)),
        ("user", name(USER)),
        ("prune-user", name(USER)),
        ("notify", list(text())),
        ("desktop", flag()),
        ("metrics-file", word(FILE)),
        ("hosts", map_of("host", LABEL)),
        ("defaults", level("settings")),
        ("templates", map_of("settings", ".")),
        ("destinations", map_of("destination", LABEL)),
        ("datasets", map_of("settings", KEY)),
    ];
    let host = vec![
        ("ssh", name(SSH)),
        ("port", number(u16::MAX)),
        ("identity", word(FILE)),
        ("options", list(word(OPTION))),
    ];
    let idle = vec![
        ("windows", at_least_one(word(TIMES))),
        ("on-ac-power", flag()),
        ("user-idle", word(SPAN)),
        ("unmetered", flag()),
        ("pool", flag()),
        ("otherwise", one_of(&["skip", "run"])),
    ];
    let used = [destination(), vec![("to", name(LABEL))]].concat();
    vec![
        ("", "Top level", &[], top),
        ("settings", "Datasets, templates, defaults", &[], settings),
        ("destination", "Destinations", &["root"], destination()),
        ("used-destination", "Destinations", &["to"], used),
        ("host", "Hosts", &["ssh"], host),
        (
            "window",
            "Windows",
            &["period"],
            vec![("max-age", word(SPAN)), ("period", word(SPAN))],
        ),
        ("idle", "Idle", &[], idle),
        (
            "hooks",
            "Hooks",
            &[],
            vec![("before", list(text())), ("after", list(text()))],
        ),
    ]
}

/// What the manual says of each key, by section.
fn manual() -> BTreeMap<String, BTreeMap<String, String>> {
    let output = program("mandoc")
        .args(["-T", "utf8", "-O", "width=1000", "man/zam.yaml.5"])
        .output();
    let page = String::from_utf8(output.expect("mandoc must be installed").stdout).expect("UTF-8");
    // Bold and underlined are struck twice, with a backspace between.
    let page = Regex::new(".\u{8}")
        .expect("a pattern")
        .replace_all(&page, "");
    let mut sections = BTreeMap::<_, BTreeMap<_, _>>::new();
    let mut section = "";
    for paragraph in page.split("\n\n") {
        let mut lines = paragraph.lines().peekable();
        if let Some(heading) =
            lines.next_if(|line| line.starts_with("   ") && !line.starts_with("    "))
        {
            section = heading.trim();
        }
        let text = Vec::from_iter(lines.filter(|line| line.starts_with("     "))).join("\n");
        if let Some((key, text)) = text
            .strip_prefix("     ")
            .and_then(|text| text.split_once(char::is_whitespace))
        {
            let words: Vec<&str> = text.split_whitespace().collect();
            sections
                .entry(section.to_owned())
                .or_default()
                .insert(key.to_owned(), words.join(" "));
        }
    }
    sections
}

fn schema() -> Value {
    let manual = manual();
    let mut definitions = Map::new();
    for (level, section, required, keys) in levels() {
        let said = &manual[section];
        let properties = keys.into_iter().map(|(key, kind)| {
            let description = match key {
                "to" => "The name of the destination; what stands beside it is different for this entry.",
                _ => said.get(key).unwrap_or_else(|| panic!("zam.yaml.5 says nothing of {key} in {section}")),
            };
            // Null is as if the key were not there.
            let kinds: Vec<Value> = kind.into_iter().chain([json!({"type": "null"})]).collect();
            (key.to_owned(), json!({"description": description, "anyOf": kinds}))
        });
        let properties: Map<String, Value> = properties.collect();
        definitions.insert(
            level.into(),
            json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false}),
        );
    }
    let mut schema = definitions.remove("").expect("the top level");
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = "zam.yaml".into();
    schema["description"] =
        "What zam snapshots, replicates and prunes, and when; see zam.yaml(5).".into();
    schema["definitions"] = definitions.into();
    schema
}

/// Whether a value fits, by those words of JSON Schema that ours uses; another one is a bug here.
fn fits(schema: &Value, at: &Value, value: &Value) -> bool {
    let is = |kind: &Value| match kind.as_str().expect("a type") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    };
    let list = |rule: &Value| {
        rule.as_array()
            .cloned()
            .unwrap_or_else(|| vec![rule.clone()])
    };
    let matches = |pattern: &Value, text: &str| {
        Regex::new(pattern.as_str().expect("a pattern"))
            .expect("a pattern")
            .is_match(text)
    };
    let map = value.as_object();
    at.as_object()
        .expect("a schema")
        .iter()
        .all(|(word, rule)| match word.as_str() {
            "$schema" | "title" | "description" | "definitions" => true,
            "$ref" => fits(
                schema,
                schema
                    .pointer(&rule.as_str().expect("a place")[1..])
                    .expect("a definition"),
                value,
            ),
            "anyOf" => list(rule).iter().any(|kind| fits(schema, kind, value)),
            "type" => list(rule).iter().any(is),
            "enum" => list(rule).contains(value),
            "pattern" => value.as_str().is_none_or(|text| matches(rule, text)),
            "minLength" => value.as_str().is_none_or(|text| !text.is_empty()),
            "minimum" => value
                .as_i64()
                .is_none_or(|n| n >= rule.as_i64().expect("a number")),
            "maximum" => value
                .as_i64()
                .is_none_or(|n| n <= rule.as_i64().expect("a number")),
            "items" => value
                .as_array()
                .is_none_or(|items| items.iter().all(|item| fits(schema, rule, item))),
            "minItems" => value.as_array().is_none_or(|items| !items.is_empty()),
            "required" => map.is_none_or(|map| {
                list(rule)
                    .iter()
                    .all(|key| map.contains_key(key.as_str().expect("a key")))
            }),
            "propertyNames" => {
                map.is_none_or(|map| map.keys().all(|key| matches(&rule["pattern"], key)))
            }
            "properties" => map.is_none_or(|map| {
                map.iter()
                    .all(|(k, v)| rule.get(k).is_none_or(|rule| fits(schema, rule, v)))
            }),
            "additionalProperties" => {
                let known = |key: &String| {
                    at.get("properties")
                        .is_some_and(|properties| properties.get(key).is_some())
                };
                map.is_none_or(|map| {
                    map.iter()
                        .filter(|(k, _)| !known(k))
                        .all(|(_, v)| rule.is_object() && fits(schema, rule, v))
                })
            }
            other => panic!("{other}"),
        })
}

fn is_valid(schema: &Value, yaml: &str) -> bool {
    fits(
        schema,
        schema,
        &serde_yaml::from_str(yaml).unwrap_or_else(|e| panic!("{yaml}: {e}")),
    )
}

#[test]
fn the_schema_is_what_the_manual_says() {
    let text = serde_json::to_string_pretty(&schema()).expect("JSON") + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write("zam.schema.json", &text).expect("writing the schema");
    }
    assert_eq!(
        std::fs::read_to_string("zam.schema.json").unwrap_or_default(),
        text
    );
    let manual = manual();
    for (level, section, _, keys) in levels() {
        let keys: BTreeSet<&str> = keys
            .iter()
            .map(|(key, _)| *key)
            .filter(|key| *key != "to")
            .collect();
        let said: BTreeSet<&str> = manual[section]
            .keys()
            .map(String::as_str)
            .filter(|key| source(section).contains(&format!(".It Cm {key}")))
            .collect();
        assert_eq!(
            keys, said,
            "{level}: the schema (left), and {section} in zam.yaml.5 (right)"
        );
    }
}

/// A section of the manual as it is written.
fn source(section: &str) -> String {
    let page = std::fs::read_to_string("man/zam.yaml.5").expect("the manual");
    let start = page.find(&format!(".Ss {section}\n")).expect(section) + 4;
    let end = ["\n.Ss ", "\n.Sh "]
        .iter()
        .filter_map(|next| page[start..].find(next))
        .min();
    page[start..][..end.unwrap_or(page.len() - start)].to_owned()
}

#[test]
fn what_is_right_is_valid() {
    let schema = schema();
    for file in [
        "zam.yaml.example",
        "tests/config/contract.yaml",
        "tests/generator/idle/zam.yaml",
        "tests/generator/hooks/zam.yaml",
    ] {
        assert!(
            is_valid(&schema, &std::fs::read_to_string(file).expect(file)),
            "{file}"
        );
    }
    assert!(
        std::fs::read_to_string("zam.yaml.example")
            .expect("it")
            .starts_with("# yaml-language-server: $schema=/usr/")
    );
}

/// A place for a key of each level.
const PLACES: [(&str, &str); 8] = [
    ("", "KEY: VALUE\ndatasets: {tank: {snapshot-period: 1h}}"),
    (
        "settings",
        "datasets: {tank/home: {KEY: VALUE}, tank: {snapshot-period: 1h}}",
    ),
    (
        "destination",
        "destinations: {d: {root: b, KEY: VALUE}}\ndatasets: {tank: {snapshot-period: 1h}}",
    ),
    (
        "used-destination",
        "destinations: {d: {root: b}}\ndatasets: {tank: {destinations: [{to: d, KEY: VALUE}]}}",
    ),
    (
        "host",
        "hosts: {h: {ssh: a@b, KEY: VALUE}}\ndatasets: {tank: {snapshot-period: 1h}}",
    ),
    (
        "window",
        "datasets: {tank: {windows: [{period: 1min, KEY: VALUE}]}}",
    ),
    (
        "idle",
        "destinations: {d: {root: b, idle: {KEY: VALUE}}}\ndatasets: {tank: {snapshot-period: 1h}}",
    ),
    (
        "hooks",
        "datasets: {tank: {snapshot-period: 1h, hooks: {KEY: VALUE}}}",
    ),
];

const VALUES: [&str; 66] = [
    "1h",
    "10min",
    "1h 30min",
    "1.5h",
    "6mo",
    "1y 1mo",
    "2 weeks",
    "36h",
    "45s",
    "0h",
    "10",
    "10.5",
    "-1h",
    "0",
    "1",
    "8",
    "9",
    "22",
    "022",
    "70000",
    "'4'",
    "hourly",
    "true",
    "False",
    "yes",
    "ON",
    "'off'",
    "maybe",
    "~",
    "''",
    "[]",
    "[1h]",
    "[a, b]",
    "[~]",
    "{}",
    "{a: b}",
    "[{period: 1h}]",
    "{period: 1h, max-age: 2d}",
    "{before: sync}",
    "{pool: yes}",
    "tank/home",
    "tank/home/x",
    "/tank",
    "tank/",
    "a b",
    "tank@x",
    "'tank/home/*/x'",
    "'/re[0-9]+x/'",
    "/etc/file",
    "file",
    "~/file",
    "a@b",
    "'a@b:22'",
    "a@fe80::1",
    "'-x'",
    "zstd",
    "gzip",
    "skip",
    "run",
    "50MiB/s",
    "0.5 GB/s",
    "100Mbit/s",
    "22:00-06:00",
    "'Sat,Sun'",
    "'Fri 22:00 - 6:00'",
    "Compression=yes",
];

/// No editor may complain of what is right; and of what is wrong it sees the most.
#[test]
fn it_takes_every_value_that_the_loader_takes() {
    let schema = schema();
    let mut seen = Vec::new();
    let mut unseen = Vec::new();
    for (level, _, _, keys) in levels() {
        let (_, place) = PLACES.iter().find(|(name, _)| *name == level).expect(level);
        for (key, value) in keys
            .iter()
            .flat_map(|(key, _)| VALUES.map(|value| (*key, value)))
        {
            let place = [
                ("root", "root: b, "),
                ("ssh", "ssh: a@b, "),
                ("period", "period: 1min, "),
                ("to", "to: d, "),
            ]
            .into_iter()
            .fold((*place).to_owned(), |place, (own, default)| {
                if own == key {
                    place.replace(default, "")
                } else {
                    place
                }
            });
            let text = place.replace("KEY", key).replace("VALUE", value);
            let sources = [Source {
                path: "zam.yaml".into(),
                text: if key == "datasets" {
                    format!("datasets: {value}")
                } else {
                    text
                },
            }];
            let is_right = load(&sources).is_ok_and(|(_, faults)| faults.is_empty());
            match (is_right, is_valid(&schema, &sources[0].text)) {
                (true, false) => panic!(
                    "the loader takes, and the schema refuses:\n{}",
                    sources[0].text
                ),
                (false, false) => seen.push(sources[0].text.clone()),
                (false, true) => unseen.push(sources[0].text.clone()),
                (true, true) => {}
            }
        }
    }
    assert!(
        seen.len() > 9 * unseen.len(),
        "{} of {} mistakes are not seen: {unseen:#?}",
        unseen.len(),
        seen.len() + unseen.len()
    );
}

#[test]
fn typical_mistakes_are_not_valid() {
    let schema = schema();
    for text in [
        "dataset: {tank: {}}",
        "datasets: [tank]",
        "datasets: {tank: {snapshot-perid: 1h}}",
        "datasets: {tank: {snapshot-period: 10}}",
        "datasets: {tank: {snapshot-period: hourly}}",
        "datasets: {tank: {recursive: maybe}}",
        "datasets: {tank: {windows: []}}",
        "datasets: {tank: {windows: [{max-age: 2d}]}}",
        "datasets: {tank: {windows: {daily: 7}}}",
        "datasets: {tank: {destinations: [{root: b}]}}",
        "datasets: {tank@x: {}}",
        "datasets: {tank/: {}}",
        "destinations: {d: {host: nas}}",
        "destinations: {d: {root: b, parallel: 9}}",
        "destinations: {d: {root: b, compress: gzip}}",
        "destinations: {d: {root: b, rate-limit: 50}}",
        "destinations: {d: {root: b, idle: {windows: ['22:00']}}}",
        "destinations: {d: {root: b, idle: {otherwise: true}}}",
        "destinations: {a b: {root: b}}",
        "hosts: {h: {port: 22}}",
        "hosts: {h: {ssh: a@b, port: 0}}",
        "hosts: {h: {ssh: a@b, identity: ~/.ssh/id}}",
        "metrics-file: zam.prom",
        "desktop: gnome",
        "prefix: my backup",
    ] {
        assert!(!is_valid(&schema, text), "{text}");
    }
}
