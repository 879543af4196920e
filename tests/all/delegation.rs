//! `zam setup` against a model of how OpenZFS delegates (zfs-allow(8), dsl_deleg.c), over any configuration, on any machine
//! that was set up for another one before: its script gives all that the jobs need, and taking away what it calls needless
//! breaks none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use proptest::prelude::*;
use zam::core::config::{Config, Entry};
use zam::core::fault::Source;
use zam::core::load::load;
use zam::core::name::Dataset;
use zam::core::setup::grant::{ADD, PRUNE};
use zam::core::setup::here::{Users, grants};
use zam::core::setup::reach::Reach;

/// Permissions by dataset, user and name.
#[derive(Clone, Debug, Default)]
struct Zfs {
    given: BTreeMap<(String, String, String), Reach>,
    knows_newer: bool,
}

impl Zfs {
    /// As `zfs allow DATASET` prints it.
    fn printed(&self, dataset: &Dataset) -> String {
        let mut text = String::new();
        let mut name = dataset.as_str();
        loop {
            writeln!(text, "---- Permissions on {name} {}", dashes(name)).expect("a text");
            for (heading, reach) in [
                ("Local", Reach::ITSELF),
                ("Descendent", Reach::BELOW),
                ("Local+Descendent", Reach::BOTH),
            ] {
                writeln!(text, "{heading} permissions:").expect("a text");
                for ((on, user, permission), given) in &self.given {
                    if on == name && *given == reach {
                        writeln!(text, "\tuser {user} {permission}").expect("a text");
                    }
                }
            }
            match name.rsplit_once('/') {
                Some((above, _)) => name = above,
                None => return text,
            }
        }
    }

    /// Runs the commands of a step.
    fn run(&mut self, commands: &str) {
        let mut has_failed = false;
        for line in commands.lines().filter(|line| !line.contains('#')) {
            let is_second_try = line.starts_with("  ");
            if is_second_try && !has_failed {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let (flag, rest) = match words[2] {
                "-l" => (Reach::ITSELF, &words[3..]),
                "-d" => (Reach::BELOW, &words[3..]),
                _ => (Reach::BOTH, &words[2..]),
            };
            let [_, user, names, dataset, ..] = rest else {
                panic!("{line}");
            };
            has_failed = names.contains(':') && !self.knows_newer && words[1] == "allow";
            if !has_failed {
                self.change(words[1], flag, user, names, dataset);
            }
        }
    }

    fn change(&mut self, verb: &str, flag: Reach, user: &str, names: &str, dataset: &str) {
        for name in names.split(',') {
            let key = (dataset.to_owned(), user.to_owned(), name.to_owned());
            let given = self.given.entry(key).or_default();
            *given = match verb {
                "allow" => given.with(flag),
                _ => given.without(flag),
            };
        }
    }

    /// What is done to a snapshot is done to something below the dataset.
    fn allows(&self, user: &str, name: &str, dataset: &str, to_snapshot: bool) -> bool {
        let reaches = |on: &str| {
            let key = (on.to_owned(), user.to_owned(), name.to_owned());
            self.given.get(&key).copied().unwrap_or_default()
        };
        let mut below = dataset;
        let mut is_allowed = match to_snapshot {
            true => reaches(dataset).below,
            false => reaches(dataset).itself,
        };
        while let Some((above, _)) = below.rsplit_once('/') {
            is_allowed |= reaches(above).below;
            below = above;
        }
        let wider = match name {
            "receive:append" => "receive",
            "send:encrypted" => "send",
            _ => return is_allowed,
        };
        is_allowed || self.allows(user, wider, dataset, to_snapshot)
    }
}

fn dashes(name: &str) -> String {
    "-".repeat(48_usize.saturating_sub(name.len()))
}

/// What the jobs of a configuration do: user, permission, dataset, and whether to a snapshot of it.
fn deeds(
    config: &Config,
    users: &Users,
    is_raw: bool,
) -> Vec<(String, &'static str, String, bool)> {
    let mut deeds = Vec::new();
    let mut all = |user: &str, names: &[&'static str], dataset: &str, to_snapshot| {
        for name in names {
            deeds.push((user.to_owned(), *name, dataset.to_owned(), to_snapshot));
        }
    };
    for entry in &config.entries {
        for dataset in with_child(entry) {
            if entry.snapshot_period.is_some() {
                all(&users.worker, &["snapshot"], &dataset, false);
            }
            if !entry.destinations.is_empty() {
                let decrypts = entry.destinations.iter().any(|to| to.decrypt);
                let send = if is_raw && !decrypts {
                    "send:encrypted"
                } else {
                    "send"
                };
                all(&users.worker, &[send], &dataset, true);
                all(
                    &users.worker,
                    &["hold", "bookmark", "destroy"],
                    &dataset,
                    false,
                );
            }
            if !entry.windows.is_empty() {
                all(&users.pruner, &PRUNE, &dataset, true);
            }
            if !entry.windows.is_empty() && entry.snapshot_period.is_none() {
                all(&users.pruner, &PRUNE, &dataset, false);
            }
        }
        for to in &entry.destinations {
            let replica = to.replica(&entry.dataset);
            all(&users.worker, &ADD, to.root.as_str(), false);
            all(&users.worker, &ADD, replica.as_str(), false);
            if to.prune_period.is_some() && !to.windows.is_empty() {
                all(&users.pruner, &PRUNE, replica.as_str(), true);
                all(&users.pruner, &PRUNE, replica.as_str(), false);
            }
        }
    }
    deeds
}

fn with_child(entry: &Entry) -> Vec<String> {
    let name = entry.dataset.to_string();
    match entry.recursive {
        true => vec![format!("{name}/child"), name],
        false => vec![name],
    }
}

fn config(text: &str) -> Option<Config> {
    let path = "zam.yaml".into();
    let text = text.to_owned();
    let (config, faults) = load(&[Source { path, text }]).ok()?;
    faults.is_empty().then_some(config)
}

const LONG: &str = "tank/a-dataset-with-a-name-that-leaves-no-dash-in-the-heading";

fn written() -> impl Strategy<Value = String> {
    let settings = (any::<[bool; 3]>(), 0..4_usize);
    let entries = prop::collection::vec(prop::option::of(settings), 5);
    (entries, any::<[bool; 3]>()).prop_map(|(entries, [is_pruned, is_inside, is_one])| {
        let root = if is_inside { "tank/bk" } else { "pool/zam" };
        let pruning = if is_pruned {
            ", prune-period: 1d, windows: [{period: 1d}]"
        } else {
            ""
        };
        let users = if is_one {
            "user: zam\nprune-user: zam\n"
        } else {
            ""
        };
        let mut text = format!(
            "{users}destinations:\n  raw: {{root: {root}, replication-period: 1h{pruning}}}\n  \
             clear: {{root: pool/clear, replication-period: 1h, decrypt: true}}\ndatasets:\n"
        );
        let names = ["tank", "tank/a", "tank/a/b", "tank/c", LONG];
        for (name, settings) in names.iter().zip(entries) {
            let Some(([recursive, snapshots, prunes], to)) = settings else {
                continue;
            };
            write!(text, "  {name}: {{recursive: {recursive}").expect("a text");
            let to = ["", "raw", "clear", "raw, clear"][to];
            for (is_set, setting) in [
                (snapshots, ", snapshot-period: 1h".to_owned()),
                (prunes, ", windows: [{period: 1d}]".to_owned()),
                (!to.is_empty(), format!(", destinations: [{to}]")),
            ] {
                text += if is_set { &setting } else { "" };
            }
            text += "}\n";
        }
        text
    })
}

/// Runs what `zam setup` prints, also what it only proposes, and returns how many commands that were.
fn set_up(zfs: &mut Zfs, config: &Config, users: &Users, encrypted: &BTreeSet<Dataset>) -> usize {
    let mut commands = Vec::new();
    let all = grants(config, users, encrypted);
    for grant in &all {
        let printed = zfs.printed(&grant.dataset);
        let steps = grant.allow(&grant.lacking(&printed)).into_iter();
        commands.extend(steps.map(|step| step.commands));
        commands.extend(grant.unallow(&printed, &all));
    }
    for command in &commands {
        zfs.run(command);
    }
    commands.len()
}

proptest! {
    #[test]
    fn what_setup_gives_and_takes_is_what_the_jobs_need(
        texts in prop::collection::vec(written(), 1..4),
        knows_newer: bool,
        is_raw: bool,
    ) {
        let mut zfs = Zfs { knows_newer, ..Zfs::default() };
        for text in texts {
            let Some(config) = config(&text) else { continue };
            let users = Users::of(&config);
            let mut encrypted = BTreeSet::new();
            for entry in &config.entries {
                let decrypts = entry.destinations.iter().any(|to| to.decrypt);
                if is_raw && !decrypts {
                    encrypted.insert(entry.dataset.clone());
                }
            }
            set_up(&mut zfs, &config, &users, &encrypted);
            for (user, name, dataset, to_snapshot) in deeds(&config, &users, is_raw) {
                let is_allowed = zfs.allows(&user, name, &dataset, to_snapshot);
                prop_assert!(is_allowed, "{user} {name} {dataset} {to_snapshot}\n{text}");
            }
            prop_assert_eq!(set_up(&mut zfs, &config, &users, &encrypted), 0, "{}", text);
        }
    }
}
