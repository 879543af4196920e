//! Invariant 10: no slip in a configuration makes pruning destroy more than the sound configuration would, on a source or
//! on a replica; and no sound configuration is refused.
//!
//! A slip is made in the text of a sound configuration, as people make them: a letter of a key, the indentation of a line
//! or a block, a line that stands twice, a value of another type or in a comment, a lost colon, brace or line break, a
//! tab, a stray sign, a merge that nobody finished, a section under another name, a file that is missing, empty, or
//! called otherwise; and what kept datasets from being pruned as others are and is taken out whole: an entry, the prefix,
//! or, of an entry, a template or `defaults`, recursion, what is excluded, windows, what is used, and destinations. Other
//! slips that give a sound configuration
//! no program can tell from a wish, so they are not made: a value that is changed to another legal one (`max-age: 1d` for
//! `1y`, another template, another destination), a line of another setting that is taken out whole, and a file that is cut
//! where something ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, tempdir, tempdir_in};
use zam::core::config::{Config, Entry, Window};
use zam::core::listing::{Snapshot, State};
use zam::core::misnamed::misnamed;
use zam::core::name::Dataset;
use zam::core::pruning::{self, Keeping};
use zam::core::selection::governs;
use zam::edge::configuration::read;
use zam::edge::last_good;

const CASES: u64 = 20_000;
const NOW: i64 = 1_790_000_000;

/// Small and fast (SplitMix64); the same seeds give the same cases everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())].clone()
    }
}

/// What exists: a tree of names that differ by more than a slip of the hand.
const EXISTING: [&str; 12] = [
    "tank",
    "tank/archive",
    "tank/archive/photos",
    "tank/archive/letters",
    "tank/machines",
    "tank/machines/web",
    "tank/machines/database",
    "tank/scratch",
    "data",
    "data/music",
    "data/music/live",
    "data/films",
];

fn existing() -> Vec<Dataset> {
    EXISTING
        .iter()
        .map(|name| name.parse().expect("a dataset"))
        .collect()
}

const WINDOWS: [&str; 5] = [
    "[{max-age: 1d, period: 1h}]",
    "[{max-age: 2d, period: 1h}, {max-age: 2w, period: 1d}]",
    "[{max-age: 1y, period: 1w}]",
    "[{period: 1d}]",
    "[{max-age: 6w, period: 6h}, {period: 1mo}]",
];

/// The files of a configuration by name, `zam.yaml` or below `zam.d`, as lines.
type Files = BTreeMap<String, Vec<String>>;

/// An entry in flow or in block style.
fn push_map(lines: &mut Vec<String>, name: &str, settings: &[String], dice: &mut Dice) {
    if dice.one_in(2) {
        lines.push(format!("  {name}: {{{}}}", settings.join(", ")));
        return;
    }
    lines.push(format!("  {name}:"));
    for setting in settings {
        let (key, value) = setting.split_once(": ").expect("a setting");
        let items = value
            .strip_prefix("[{")
            .and_then(|value| value.strip_suffix("}]"))
            .filter(|_| dice.one_in(2));
        match items {
            Some(items) => {
                lines.push(format!("    {key}:"));
                lines.extend(
                    items
                        .split("}, {")
                        .map(|item| format!("      - {{{item}}}")),
                );
            }
            None => lines.push(format!("    {setting}")),
        }
    }
}

/// The settings of an entry or template; `name` is the entry's.
fn settings(name: Option<&str>, templates: &[&str], dice: &mut Dice) -> Vec<String> {
    let mut settings = Vec::new();
    if !templates.is_empty() && dice.one_in(2) {
        settings.push(format!("use: {}", dice.pick(templates)));
    }
    if dice.roll(3) > 0 {
        settings.push(format!("windows: {}", dice.pick(&WINDOWS)));
    } else if dice.one_in(2) {
        settings.push("windows: ~".into());
    }
    if dice.one_in(6) {
        settings.push("recursive: false".into());
    } else if dice.roll(3) > 0 {
        settings.push("recursive: true".into());
        let below: Vec<&str> = EXISTING
            .into_iter()
            .filter(|other| name.is_some_and(|name| other.starts_with(&format!("{name}/"))))
            .collect();
        if !below.is_empty() && dice.one_in(2) {
            let first = dice.pick(&below);
            let second = dice.pick(&below);
            let items = if first == second {
                first.to_owned()
            } else {
                format!("{first}, {second}")
            };
            settings.push(format!("exclude: [{items}]"));
        }
    }
    if dice.one_in(2) {
        settings.push("snapshot-period: 1h".into());
    }
    if dice.one_in(3) {
        settings.push("destinations: [local]".into());
    }
    settings
}

/// Top-level parts, each a section with its lines. Shuffled, since a slip depends on what stands before.
fn sound(dice: &mut Dice) -> Files {
    let templates = &["long", "short"][..dice.roll(3)];
    let mut parts: Vec<Vec<String>> = vec![vec!["destinations:".into()]];
    let to = [
        "root: backup/zam".to_owned(),
        "prune-period: 1d".into(),
        format!("windows: {}", dice.pick(&WINDOWS)),
    ];
    push_map(&mut parts[0], "local", &to, dice);
    if !templates.is_empty() {
        let mut part = vec!["templates:".to_owned()];
        for (i, name) in templates.iter().enumerate() {
            let mut of = settings(None, &templates[..i], dice);
            of.push("prune-period: 2h".into());
            push_map(&mut part, name, &of, dice);
        }
        parts.push(part);
    }
    if dice.one_in(2) {
        let mut part = vec!["defaults:".to_owned(), "  prune-period: 3h".into()];
        if !templates.is_empty() && dice.one_in(3) {
            part.push(format!("  use: {}", dice.pick(templates)));
        }
        if dice.one_in(2) {
            part.push(format!("  windows: {}", dice.pick(&WINDOWS)));
        }
        if dice.one_in(2) {
            part.push("  exclude: [tank/archive, data/films]".into());
        }
        parts.push(part);
    }
    if dice.one_in(4) {
        parts.push(vec!["prefix: nas".into()]);
    }
    let mut names: BTreeSet<&str> = BTreeSet::from(["tank"]);
    names.extend((0..dice.roll(6)).map(|_| dice.pick(&EXISTING)));
    // One with children inside another, which would inherit them.
    if dice.one_in(2) {
        names.insert(dice.pick(&["tank/archive", "tank/machines"]));
    }
    let mut files = Files::new();
    let mut datasets = vec!["datasets:".to_owned()];
    let mut more = vec!["datasets:".to_owned()];
    for name in names {
        let mut of = settings(Some(name), templates, dice);
        if of.is_empty() {
            of.push("snapshot-period: 1d".into());
        }
        let lines = if name != "tank" && dice.one_in(3) {
            &mut more
        } else {
            &mut datasets
        };
        push_map(lines, name, &of, dice);
    }
    parts.push(datasets);
    for _ in 0..parts.len() {
        let a = dice.roll(parts.len());
        let b = dice.roll(parts.len());
        parts.swap(a, b);
    }
    files.insert("zam.yaml".into(), parts.concat());
    if more.len() > 1 {
        files.insert("zam.d/more.yaml".into(), more);
    }
    files
}

/// Where the key of a line begins and ends, without indentation and list marks.
fn key_of(line: &str) -> Option<(usize, usize)> {
    let begin = line.find(|c: char| c != ' ' && c != '-')?;
    let end = line.find(':')?;
    (begin < end).then_some((begin, end))
}

/// All keys of a line, those in braces too.
fn keys_of(line: &str) -> Vec<(usize, usize)> {
    let mut keys: Vec<(usize, usize)> = key_of(line).into_iter().collect();
    for (at, _) in line.match_indices(": ") {
        let begin = line[..at]
            .rfind(['{', ',', ' ', '['])
            .map_or(0, |before| before + 1);
        keys.push((begin, at));
    }
    keys
}

fn misspell(word: &str, dice: &mut Dice) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = dice.roll(letters.len());
    match dice.roll(4) {
        0 if letters.len() > 1 => drop(letters.remove(at)),
        1 => letters.insert(at, dice.pick(&['a', 'e', 's', 'x', '/', '_', '.'])),
        2 if at + 1 < letters.len() => letters.swap(at, at + 1),
        _ => letters[at] = dice.pick(&['q', 'o', 'Z', '-', '@']),
    }
    letters.into_iter().collect()
}

/// Signs that mean something to YAML, or to an editor.
const STRAY: [&str; 16] = [
    ":w", "\\", "'", "\"", "~", "|", ">", "&a", "*a", "!", "%", "@", "?", "- ", "...", "---",
];

/// Whether nearly any text can be read as a value here: a template, a dataset that is excluded, a root.
fn names_something(line: &str) -> bool {
    let names = ["exclude", "use", "prefix", "root"];
    names.iter().any(|name| line.contains(name))
}

/// The line behind a line and all that is below it.
fn end_of_block(lines: &[String], at: usize) -> usize {
    let indent = |line: &String| line.len() - line.trim_start().len();
    let below = lines[at + 1..]
        .iter()
        .take_while(|line| indent(line) > indent(&lines[at]));
    at + 1 + below.count()
}

/// The settings that may keep datasets from being pruned as others are.
const PROTECTIONS: [&str; 7] = [
    "recursive",
    "exclude",
    "prefix",
    "windows",
    "use",
    "destinations",
    "prune-period",
];

/// Whether a line is an entry, or may keep datasets from being pruned as others are.
fn protects(line: &str) -> bool {
    let Some((begin, end)) = key_of(line) else {
        return false;
    };
    let key = &line[begin..end];
    let is_entry = begin == 2 && EXISTING.contains(&key);
    is_entry || PROTECTIONS.contains(&key)
}

/// A line without a setting in its braces, or without one item of what it excludes.
fn without_protection(line: &str, dice: &mut Dice) -> Option<String> {
    if dice.one_in(2) {
        let setting = dice.pick(&[
            "recursive: true",
            "recursive: false",
            "windows: ~",
            "use: long",
            "use: short",
        ]);
        let forms = [format!(", {setting}"), format!("{setting}, ")];
        let form = forms.iter().find(|form| line.contains(*form))?;
        return Some(line.replacen(form, "", 1));
    }
    let begin = line.find("exclude: [")? + "exclude: [".len();
    let items = &line[begin..begin + line[begin..].find(']')?];
    let (first, second) = items.split_once(", ").unwrap_or((items, ""));
    let left = if dice.one_in(2) { first } else { second };
    Some(line.replacen(items, left, 1))
}

/// One slip in one line or block; none where it would be no slip, or a wish.
fn slip_in(lines: &mut Vec<String>, dice: &mut Dice) -> Option<()> {
    let at = dice.roll(lines.len());
    let line = lines[at].clone();
    let indent = line.len() - line.trim_start().len();
    match dice.roll(21) {
        // A letter of a key.
        0..=2 => {
            let keys = keys_of(&line);
            let (begin, end) = dice.pick(Some(&keys[..]).filter(|keys| !keys.is_empty())?);
            let wrong = misspell(&line[begin..end], dice);
            lines[at] = format!("{}{wrong}{}", &line[..begin], &line[end..]);
        }
        // The indentation of a line.
        3 => lines[at] = format!("{}{line}", " ".repeat(dice.roll(4) + 1)),
        4 => lines[at] = line[dice.roll(indent + 1)..].into(),
        // The indentation of a line and all that is below it.
        5 => {
            let end = end_of_block(lines, at);
            let deeper = dice.one_in(2);
            for line in &mut lines[at..end] {
                *line = if deeper {
                    format!("  {line}")
                } else {
                    line.strip_prefix("  ")?.into()
                };
            }
        }
        // A line, or a key in braces, that stands twice.
        6 => lines.insert(at, line),
        7 => {
            let (begin, end) = line
                .find('{')
                .zip(line.rfind('}'))
                .filter(|_| line.contains(": {"))?;
            let inner = &line[begin + 1..end];
            lines[at] = format!("{}{{{inner}, {inner}}}", &line[..begin]);
        }
        // A list for a map.
        8 => lines[at] = format!("{}- {}", &line[..indent], &line[indent..]),
        // A lost sign.
        9 => {
            let signs: Vec<usize> = line
                .match_indices(['{', '}', '[', ']', ':'])
                .map(|(at, _)| at)
                .collect();
            let sign = dice.pick(Some(&signs[..]).filter(|signs| !signs.is_empty())?);
            lines[at].remove(sign);
        }
        // A value of another type.
        10 => {
            let (_, end) = key_of(&line)?;
            let value = dice.pick(&[
                "{what: ever}",
                "[[]]",
                "\"\"",
                "maybe so",
                "[1, 2]",
                "[]",
                "10",
                "{}",
            ]);
            // Lists may lose their items, and an empty map is a dataset without settings: both are wishes.
            if line[end..].trim_end() == ":"
                || (value == "[]" && line.contains("exclude"))
                || (value == "{}" && indent < 4)
            {
                return None;
            }
            if names_something(&line) {
                return None;
            }
            lines[at] = format!("{}: {value}", &line[..end]);
        }
        // The value of a key in a comment. An entry without one has the settings of `defaults`, which is a wish.
        11 | 12 => {
            let (begin, end) = key_of(&line)?;
            if indent == 2 && EXISTING.contains(&&line[begin..end]) {
                return None;
            }
            lines[at] = format!("{}: #{}", &line[..end], &line[end + 1..]);
            let end = end_of_block(lines, at);
            for line in &mut lines[at + 1..end] {
                *line = format!("#{line}");
            }
        }
        // A line break that is lost.
        13 => {
            let next = Some(at + 1).filter(|next| *next < lines.len())?;
            let next = lines.remove(next);
            lines[at] += next.trim_start_matches(' ');
        }
        // A tab for spaces.
        14 => lines[at] = line.replacen("  ", "\t", 1),
        // What a merge leaves, or a hand that missed its key.
        15 => {
            lines.insert(at, "<<<<<<< HEAD".into());
            lines.insert(at + 1 + dice.roll(lines.len() - at), "=======".into());
            lines.push(">>>>>>> theirs".into());
        }
        16 => {
            if names_something(&line) {
                return None;
            }
            let stray = dice.pick(&STRAY);
            lines[at] = match dice.roll(3) {
                0 => format!("{stray}{line}"),
                1 => format!("{}{stray} {}", &line[..indent], &line[indent..]),
                _ => format!("{line}{stray}"),
            };
        }
        // What kept datasets from being pruned as others are, in a comment or taken out.
        17 => {
            let all = 0..lines.len();
            let protecting: Vec<usize> = all.filter(|at| protects(&lines[*at])).collect();
            let at = dice.pick(Some(&protecting[..]).filter(|lines| !lines.is_empty())?);
            let end = end_of_block(lines, at);
            for line in &mut lines[at..end] {
                *line = format!("#{line}");
            }
        }
        18 => lines[at] = without_protection(&line, dice)?,
        // A space after a colon, or a comma between items.
        _ => {
            let sign = if dice.one_in(2) { ": " } else { ", " };
            let places: Vec<usize> = line.match_indices(sign).map(|(at, _)| at).collect();
            let place = dice.pick(Some(&places[..]).filter(|places| !places.is_empty())?);
            lines[at].remove(if sign == ": " { place + 1 } else { place });
        }
    }
    Some(())
}

/// A slip with a whole file. What was kept as last good is beside them.
fn slip_of_file(directory: &Path, files: &Files, dice: &mut Dice) {
    let names: Vec<&String> = files.keys().collect();
    let path = directory.join(dice.pick(&names));
    match dice.roll(7) {
        0 => fs::remove_file(&path).expect("removing"),
        1 => fs::write(&path, "").expect("emptying"),
        2 => fs::rename(&path, path.with_extension("yml")).expect("renaming"),
        3 => fs::rename(&path, path.with_extension("YAML")).expect("renaming"),
        4 => {
            fs::remove_file(&path).expect("removing");
            symlink("/no/such/file.yaml", &path).expect("a link");
        }
        5 => {
            fs::remove_file(&path).expect("removing");
            fs::create_dir(&path).expect("a directory");
        }
        _ => fs::write(&path, b"datasets: {tank/\xe4: {}}").expect("writing"),
    }
}

/// Snapshots of ours under both prefixes, two a day for 15 days and one in three weeks for a year.
fn state() -> State {
    let ages = (0..30)
        .map(|n| n * 12 * 3600)
        .chain((3..60).step_by(3).map(|n| n * 7 * 86400));
    let mut ages: Vec<i64> = ages.collect();
    ages.sort_by(|a, b| b.cmp(a));
    let mut snapshots = Vec::new();
    for (age, txg) in ages.into_iter().zip(1..) {
        for (prefix, more) in [("zam", 0), ("nas", 1)] {
            let time = chrono::DateTime::from_timestamp(NOW - age, 0)
                .expect("a time")
                .format("%Y%m%dT%H%M%SZ");
            snapshots.push(Snapshot {
                name: format!("{prefix}_{time}").into(),
                guid: txg * 2 + more,
                createtxg: txg * 2 + more,
                creation: NOW - age,
                written: 0,
                held: false,
                cloned: false,
            });
        }
    }
    State {
        guid: 1,
        snapshots,
        ..State::default()
    }
}

/// What would be destroyed, by where it is: plans are made once for each prefix and list of windows.
struct Pruner {
    state: State,
    existing: Vec<Dataset>,
    plans: BTreeMap<String, BTreeSet<u64>>,
}

impl Pruner {
    fn plan(&mut self, config: &Config, windows: &[Window]) -> BTreeSet<u64> {
        let state = &self.state;
        let key = format!("{} {windows:?}", config.prefix);
        let plan = || {
            let plan = pruning::plan(
                &Keeping {
                    prefix: &config.prefix,
                    windows,
                    replicated: vec![],
                    now: NOW,
                },
                state,
                None,
            );
            plan.verdicts
                .iter()
                .filter(|v| !v.keep())
                .map(|v| v.snapshot.guid)
                .collect()
        };
        self.plans.entry(key).or_insert_with(plan).clone()
    }

    /// As `zam prune` goes about it: nothing while it waits, and by each entry what that governs.
    fn destroyed(&mut self, config: &Config) -> BTreeMap<Dataset, BTreeSet<u64>> {
        let mut destroyed = BTreeMap::new();
        if config.pruning_waits.is_some() {
            return destroyed;
        }
        for entry in &config.entries {
            let governed = self.governed(config, entry);
            for (to, windows) in std::iter::once((None, &entry.windows)).chain(
                entry
                    .destinations
                    .iter()
                    .filter(|to| to.prune_period.is_some())
                    .map(|to| (Some(to), &to.windows)),
            ) {
                for dataset in governed.iter().filter(|_| !windows.is_empty()) {
                    let place = to.map_or_else(|| dataset.clone(), |to| to.replica(dataset));
                    let goes = self.plan(config, windows);
                    destroyed
                        .entry(place)
                        .or_insert_with(BTreeSet::new)
                        .extend(goes);
                }
            }
        }
        destroyed
    }

    fn governed(&self, config: &Config, entry: &Entry) -> Vec<Dataset> {
        let inside = self
            .existing
            .iter()
            .filter(|dataset| governs(config, entry, dataset));
        let governed: Vec<Dataset> = inside.cloned().collect();
        let all = self.existing.iter().collect();
        let waiting = misnamed(config, entry, &all, &governed);
        governed
            .into_iter()
            .filter(|dataset| waiting.iter().all(|misnamed| misnamed.waits != *dataset))
            .collect()
    }
}

fn write(directory: &Path, files: &Files) -> PathBuf {
    drop(fs::remove_dir_all(directory));
    fs::create_dir_all(directory.join("zam.d")).expect("a directory");
    for (name, lines) in files {
        fs::write(directory.join(name), lines.join("\n") + "\n").expect("writing");
    }
    directory.join("zam.yaml")
}

fn text(files: &Files) -> String {
    files
        .iter()
        .map(|(name, lines)| format!("--- {name}\n{}\n", lines.join("\n")))
        .collect()
}

#[test]
fn no_slip_prunes_more_than_the_sound_configuration() {
    // In memory, where there is such a place: the last good copy is synced.
    let place: TempDir = tempdir_in("/dev/shm")
        .or_else(|_| tempdir())
        .expect("a directory");
    let directory = place.path().join("etc");
    let mut pruner = Pruner {
        state: state(),
        existing: existing(),
        plans: BTreeMap::new(),
    };
    let mut made = 0;
    let mut pruned = 0;
    let mut went_on = 0;
    for seed in 0.. {
        if made == CASES {
            break;
        }
        let mut dice = Dice(seed);
        let files = sound(&mut dice);
        let path = write(&directory, &files);
        let loaded = read(&path).expect("readable").expect("a configuration");
        assert!(
            loaded.faults.is_empty() && loaded.config.pruning_waits.is_none(),
            "{:?} {files:#?}",
            loaded.faults
        );
        last_good::keep(&path, &loaded.sources).expect("kept");
        let before = pruner.destroyed(&loaded.config);
        pruned += u64::from(!before.is_empty());
        let good = fs::read(path.with_extension("last-good")).expect("kept");
        for _ in 0..20 {
            let mut wrong = files.clone();
            let mut done = true;
            if dice.one_in(10) {
                fs::write(write(&directory, &wrong).with_extension("last-good"), &good)
                    .expect("kept");
                slip_of_file(&directory, &wrong, &mut dice);
            } else {
                let names: Vec<String> = wrong.keys().cloned().collect();
                let lines = wrong.get_mut(&dice.pick(&names)).expect("a file");
                done = slip_in(lines, &mut dice).is_some();
                fs::write(write(&directory, &wrong).with_extension("last-good"), &good)
                    .expect("kept");
            }
            if !done {
                continue;
            }
            made += 1;
            let after = match read(&path) {
                Ok(Some(loaded)) => pruner.destroyed(&loaded.config),
                _ => BTreeMap::new(),
            };
            went_on += u64::from(!after.is_empty());
            for (dataset, goes) in &after {
                let more = goes
                    .difference(before.get(dataset).unwrap_or(&BTreeSet::new()))
                    .count();
                assert_eq!(
                    more,
                    0,
                    "seed {seed}: {dataset} loses more under\n{}\nthan under\n{}",
                    text(&wrong),
                    text(&files)
                );
            }
            if made == CASES {
                break;
            }
        }
    }
    // It would hold as well if nothing were ever pruned.
    assert!(
        pruned > CASES / 20 && went_on > CASES / 20,
        "{pruned} sound ones prune, and {went_on} with a slip"
    );
}
