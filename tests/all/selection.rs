//! Selection: on random configurations, for every dataset of a tree, the entry that governs it, against a second, slow
//! writing of the contract's rule.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use zam::core::config::key;
use zam::core::fault::Source;
use zam::core::load::load;
use zam::core::name::Dataset;
use zam::core::selection::{find, governing, governs};

/// `broken` has a fault, so that all its entries have one.
const HOSTS: &str = "hosts: {laptop: {ssh: zam@laptop}, broken: {}}\n";
const MACHINES: [Option<&str>; 3] = [None, Some("laptop"), Some("broken")];
/// The colon of the second one belongs to its name.
const POOLS: [&str; 2] = ["a", "x:a"];
const PARTS: [&str; 2] = ["a", "ab"];
const GLOBS: [&str; 6] = ["*", "?", "a*", "*b", "a?", "ab"];
const TEXTS: [&str; 6] = ["b", "/a", "a/a", "/ab/", "b/a", "a/ab"];

#[derive(Clone, Debug)]
enum Exclusion {
    /// A path or glob, by component.
    Glob(Vec<String>),
    Contains(String),
    Starts(String),
    Ends(String),
}

#[derive(Clone, Debug)]
struct Written {
    host: Option<&'static str>,
    path: Vec<String>,
    is_recursive: bool,
    exclude: Vec<Exclusion>,
    is_wrong: bool,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Governed(String),
    Excluded,
    /// By an entry at fault.
    Claimed,
    Nobody,
}

impl Exclusion {
    fn text(&self) -> String {
        match self {
            Exclusion::Glob(parts) => parts.join("/"),
            Exclusion::Contains(text) => format!("/{text}/"),
            Exclusion::Starts(text) => format!("/^{text}/"),
            Exclusion::Ends(text) => format!("/{text}$/"),
        }
    }

    fn matches(&self, path: &[String]) -> bool {
        let name = path.join("/");
        match self {
            Exclusion::Glob(globs) => {
                let mut pairs = globs.iter().zip(path);
                globs.len() == path.len()
                    && pairs.all(|(glob, part)| fits(glob.as_bytes(), part.as_bytes()))
            }
            Exclusion::Contains(text) => name.contains(text),
            Exclusion::Starts(text) => name.starts_with(text),
            Exclusion::Ends(text) => name.ends_with(text),
        }
    }
}

/// Whether a component fits a glob, letter by letter.
fn fits(glob: &[u8], part: &[u8]) -> bool {
    match glob {
        [] => part.is_empty(),
        [b'*', rest @ ..] => (0..=part.len()).any(|length| fits(rest, &part[length..])),
        [b'?', rest @ ..] => !part.is_empty() && fits(rest, &part[1..]),
        [letter, rest @ ..] => part.first() == Some(letter) && fits(rest, &part[1..]),
    }
}

impl Written {
    fn key(&self) -> String {
        let host = self.host.map_or(String::new(), |host| format!("{host}:"));
        host + &self.path.join("/")
    }

    fn line(&self) -> String {
        let exclude: Vec<String> = self
            .exclude
            .iter()
            .map(|e| format!("'{}'", e.text()))
            .collect();
        // A bare number is no span.
        let wrong = if self.is_wrong {
            ", prune-period: 10"
        } else {
            ""
        };
        let exclude = if exclude.is_empty() {
            String::new()
        } else {
            format!(", exclude: [{}]", exclude.join(", "))
        };
        format!(
            "  '{}': {{recursive: {}{exclude}{wrong}}}\n",
            self.key(),
            self.is_recursive
        )
    }

    fn is_dropped(&self) -> bool {
        self.is_wrong || self.host == Some("broken")
    }

    /// A dropped entry counts as recursive: what it says may be the slip.
    fn reaches(&self, path: &[String]) -> bool {
        let is_deep = self.is_recursive || self.is_dropped();
        path.starts_with(&self.path) && (is_deep || path.len() == self.path.len())
    }

    fn excludes(&self, path: &[String]) -> bool {
        let mut lengths = self.path.len() + 1..=path.len();
        lengths.any(|length| self.exclude.iter().any(|e| e.matches(&path[..length])))
    }
}

/// The contract's rule, by its words: of all entries that reach the dataset the longest governs it, unless it excludes
/// the dataset or one above; what an entry at fault reaches goes to no other.
fn by_the_words(entries: &[Written], host: Option<&str>, path: &[String]) -> Verdict {
    let reaching = entries
        .iter()
        .filter(|entry| entry.host == host && entry.reaches(path));
    match reaching.max_by_key(|entry| entry.path.len()) {
        None => Verdict::Nobody,
        Some(entry) if entry.is_dropped() => Verdict::Claimed,
        Some(entry) if entry.excludes(path) => Verdict::Excluded,
        Some(entry) => Verdict::Governed(entry.key()),
    }
}

/// Every dataset of at most four components.
fn tree() -> Vec<Vec<String>> {
    let mut tree: Vec<Vec<String>> = POOLS.iter().map(|pool| vec![(*pool).into()]).collect();
    let mut at = 0;
    while at < tree.len() {
        let path = tree[at].clone();
        if path.len() < 4 {
            tree.extend(PARTS.map(|part| [path.clone(), vec![part.into()]].concat()));
        }
        at += 1;
    }
    tree
}

/// One that can match below the entry; others are faults of the configuration.
fn an_exclusion(path: Vec<String>) -> impl Strategy<Value = Exclusion> {
    let open = vec(prop::bool::weighted(0.3), path.len());
    let below = prop_oneof![vec(select(&PARTS[..]), 1..3), vec(select(&GLOBS[..]), 1..3)];
    let glob = (open, below).prop_map({
        let path = path.clone();
        move |(open, below)| {
            let above = path.iter().zip(open);
            let above = above.map(|(part, open)| if open { "*" } else { part });
            Exclusion::Glob(above.chain(below).map(String::from).collect())
        }
    });
    let starts = select(&PARTS[..]).prop_map(move |part| format!("{}/{part}", path.join("/")));
    prop_oneof![
        4 => glob,
        1 => select(&TEXTS[..]).prop_map(|text| Exclusion::Contains(text.into())),
        1 => select(&TEXTS[..]).prop_map(|text| Exclusion::Ends(text.into())),
        1 => starts.prop_map(Exclusion::Starts),
    ]
}

fn an_entry() -> impl Strategy<Value = Written> {
    let host = prop_oneof![4 => Just(None), 2 => Just(Some("laptop")), 1 => Just(Some("broken"))];
    let path = (select(&POOLS[..]), vec(select(&PARTS[..]), 0..4)).prop_map(|(pool, parts)| {
        let path = [vec![pool], parts].concat();
        path.into_iter().map(String::from).collect::<Vec<_>>()
    });
    let exclude = |path: Vec<String>| (Just(path.clone()), vec(an_exclusion(path), 0..3));
    let switches = (prop::bool::weighted(0.7), prop::bool::weighted(0.15));
    (host, path.prop_flat_map(exclude), switches).prop_map(
        |(host, (path, exclude), (is_recursive, is_wrong))| Written {
            host,
            path,
            is_recursive,
            // Without recursion it would be a fault.
            exclude: if is_recursive { exclude } else { Vec::new() },
            is_wrong,
        },
    )
}

/// Each key once.
fn some_entries() -> impl Strategy<Value = Vec<Written>> {
    vec(an_entry(), 1..16).prop_map(|entries| {
        let by_key: BTreeMap<String, Written> = entries
            .into_iter()
            .map(|entry| (entry.key(), entry))
            .collect();
        by_key.into_values().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn every_dataset_has_the_entry_that_the_words_give(entries in some_entries()) {
        let lines: String = entries.iter().map(Written::line).collect();
        let text = format!("{HOSTS}datasets:\n{lines}");
        let (config, _) = load(&[Source { path: "zam.yaml".into(), text: text.clone() }]).expect("a configuration");
        let sound: Vec<String> =
            entries.iter().filter(|entry| !entry.is_dropped()).map(Written::key).collect();
        prop_assert!(config.entries.iter().map(|entry| &entry.key).eq(&sound), "{}", text);
        for host in MACHINES {
            for path in tree() {
                let dataset: Dataset = path.join("/").parse().expect("a dataset");
                let expected = match by_the_words(&entries, host, &path) {
                    Verdict::Governed(key) => Some(key),
                    _ => None,
                };
                let name = key(host, &dataset);
                let best = governing(&config, host, &dataset).map(|entry| entry.key.clone());
                prop_assert_eq!(&best, &expected, "{} under\n{}", name, text);
                let found = find(&config, &name).ok().map(|(entry, _)| entry.key.clone());
                prop_assert_eq!(&found, &expected, "zam ... {} under\n{}", name, text);
                let governors = config.entries.iter().filter(|entry| {
                    entry.host_name() == host && governs(&config, entry, &dataset)
                });
                prop_assert!(governors.map(|entry| &entry.key).eq(&expected), "{} under\n{}", name, text);
            }
        }
    }
}

/// The property would hold as well for configurations in which nothing happens.
#[test]
fn the_configurations_hold_every_case() {
    let mut runner = TestRunner::deterministic();
    let mut governed = 0;
    let mut excluded = 0;
    let mut claimed = 0;
    let mut nobody = 0;
    let mut nested = 0;
    for _ in 0..200 {
        let entries = some_entries()
            .new_tree(&mut runner)
            .expect("entries")
            .current();
        for path in tree() {
            let reaching = entries
                .iter()
                .filter(|entry| entry.host.is_none() && entry.reaches(&path));
            nested += i32::from(reaching.count() > 1);
            match by_the_words(&entries, None, &path) {
                Verdict::Governed(_) => governed += 1,
                Verdict::Excluded => excluded += 1,
                Verdict::Claimed => claimed += 1,
                Verdict::Nobody => nobody += 1,
            }
        }
    }
    let seen = [governed, excluded, claimed, nobody, nested];
    assert!(
        seen.iter().all(|count| *count > 200),
        "{seen:?} of {}",
        200 * tree().len()
    );
}
