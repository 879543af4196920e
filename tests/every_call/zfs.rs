//! The zfs commands that zam uses, on the model, with the words of OpenZFS. A command that zam must never give is a crime.

use super::judge;
use super::model::{Bookmark, Dataset, Snapshot, World};
use super::stream::{send, token};

#[derive(Default)]
pub(super) struct Reply {
    pub(super) out: Vec<u8>,
    pub(super) err: String,
    pub(super) code: u8,
}

impl Reply {
    pub(super) fn says(out: String) -> Self {
        Reply {
            out: out.into_bytes(),
            ..Reply::default()
        }
    }

    pub(super) fn fails(err: impl Into<String>) -> Self {
        Reply {
            err: err.into(),
            code: 1,
            ..Reply::default()
        }
    }
}

/// What `zfs argv` does and says; all but `receive` of a stream, which has to be read.
pub(super) fn run(world: &mut World, argv: &[&str]) -> Reply {
    let Some((&verb, rest)) = argv.split_first() else {
        return Reply::fails("missing command");
    };
    let words = Words::of(rest, if verb == "send" { "iIt" } else { "todsx" });
    match verb {
        "list" => list(world, &words),
        "get" => get(world, &words),
        "snapshot" => snapshot(world, &words.names),
        "bookmark" => bookmark(world, &words.names),
        "destroy" => destroy(world, &words),
        "create" => create(world, &words),
        "send" => send(world, &words),
        "receive" if words.has('A') => abort(world, words.names[0]),
        _ => {
            world
                .crimes
                .push(format!("zfs {}: zam has no use for that", argv.join(" ")));
            Reply::fails(format!("unrecognized command '{verb}'"))
        }
    }
}

/// Options and names of a command line.
pub(super) struct Words<'a> {
    flags: String,
    values: Vec<(char, &'a str)>,
    pub(super) names: Vec<&'a str>,
}

impl<'a> Words<'a> {
    /// The options in `valued` take the next word, if they stand last in theirs.
    pub(super) fn of(words: &[&'a str], valued: &str) -> Self {
        let mut found = Words {
            flags: String::new(),
            values: vec![],
            names: vec![],
        };
        let mut rest = words.iter();
        while let Some(&word) = rest.next() {
            match word.strip_prefix('-') {
                Some("-") => found.names.extend(rest.by_ref()),
                Some(flags) => {
                    found.flags += flags;
                    let last = flags.chars().last().filter(|last| valued.contains(*last));
                    found
                        .values
                        .extend(last.and_then(|last| Some((last, *rest.next()?))));
                }
                None => found.names.push(word),
            }
        }
        found
    }

    pub(super) fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    pub(super) fn value(&self, flag: char) -> Option<&'a str> {
        self.values
            .iter()
            .find(|(of, _)| *of == flag)
            .map(|(_, value)| *value)
    }

    /// What `-o name=value` says.
    pub(super) fn properties(&self) -> impl Iterator<Item = (String, String)> {
        self.values
            .iter()
            .filter_map(|(_, value)| value.split_once('='))
            .map(|(name, value)| (name.into(), value.into()))
    }
}

pub(super) fn no_dataset(name: &str) -> String {
    format!("cannot open '{name}': dataset does not exist\n")
}

fn list(world: &World, words: &Words) -> Reply {
    let types: Vec<&str> = words
        .value('t')
        .unwrap_or("filesystem")
        .split(',')
        .collect();
    let columns: Vec<&str> = words.value('o').unwrap_or("name").split(',').collect();
    let depth = if words.has('r') {
        usize::MAX
    } else {
        words
            .value('d')
            .map_or(0, |depth| depth.parse().unwrap_or(0))
    };
    let mut reply = Reply::default();
    for root in &words.names {
        let (dataset, snapshot) = root.split_once('@').unwrap_or((root, ""));
        match world.datasets.get(dataset) {
            Some(state) if snapshot.is_empty() || state.snapshot(snapshot).is_some() => {
                reply
                    .out
                    .extend(rows(world, root, &types, &columns, depth).into_bytes());
            }
            _ => (reply.err, reply.code) = (reply.err + &no_dataset(root), 1),
        }
    }
    reply
}

/// What is at `root` and so many levels below it.
pub(super) fn rows(
    world: &World,
    root: &str,
    types: &[&str],
    columns: &[&str],
    depth: usize,
) -> String {
    let mut text = String::new();
    let mut row = |cell: &dyn Fn(&str) -> String| {
        text += &columns
            .iter()
            .map(|column| cell(column))
            .collect::<Vec<_>>()
            .join("\t");
        text.push('\n');
    };
    if let Some((dataset, name)) = root.split_once('@') {
        let found = world.datasets[dataset]
            .snapshot(name)
            .filter(|_| types.contains(&"snapshot"));
        found
            .into_iter()
            .for_each(|s| row(&|column| of_snapshot(dataset, s, column)));
        return text;
    }
    for name in world.within(root) {
        let dataset = &world.datasets[&name];
        let level = name[root.len()..].matches('/').count();
        if types.contains(&"filesystem") && level <= depth {
            row(&|column| of_dataset(&name, dataset, column));
        }
        for snapshot in dataset
            .snapshots
            .iter()
            .filter(|_| types.contains(&"snapshot") && level < depth)
        {
            row(&|column| of_snapshot(&name, snapshot, column));
        }
        for (mark, bookmark) in dataset
            .bookmarks
            .iter()
            .filter(|_| types.contains(&"bookmark") && level < depth)
        {
            row(&|column| of_bookmark(&format!("{name}#{mark}"), bookmark, column));
        }
    }
    text
}

fn of_dataset(name: &str, dataset: &Dataset, column: &str) -> String {
    match column {
        "name" => name.into(),
        "guid" => dataset.guid.to_string(),
        "createtxg" => dataset.createtxg.to_string(),
        "creation" => "1690000000".into(),
        "type" => "filesystem".into(),
        "written" => dataset.written.to_string(),
        "receive_resume_token" => dataset.partial.as_ref().map_or("-".into(), token),
        property => dataset
            .properties
            .get(property)
            .map_or("-".into(), String::clone),
    }
}

fn of_snapshot(dataset: &str, snapshot: &Snapshot, column: &str) -> String {
    match column {
        "name" => format!("{dataset}@{}", snapshot.name),
        "guid" => snapshot.guid.to_string(),
        "createtxg" => snapshot.createtxg.to_string(),
        "creation" => snapshot.creation.to_string(),
        "type" => "snapshot".into(),
        "written" => snapshot.written.to_string(),
        "userrefs" => snapshot.holds.to_string(),
        "clones" => snapshot.clones.join(","),
        _ => "-".into(),
    }
}

fn of_bookmark(name: &str, bookmark: &Bookmark, column: &str) -> String {
    match column {
        "name" => name.into(),
        "guid" => bookmark.guid.to_string(),
        "createtxg" => bookmark.createtxg.to_string(),
        "creation" => bookmark.creation.to_string(),
        "type" => "bookmark".into(),
        _ => "-".into(),
    }
}

fn get(world: &World, words: &Words) -> Reply {
    let (Some(columns), Some(name)) = (words.names.first(), words.names.get(1)) else {
        return Reply::fails("usage:");
    };
    let columns: Vec<&str> = columns.split(',').collect();
    if !world
        .datasets
        .contains_key(name.split('@').next().unwrap_or(name))
    {
        return Reply::fails(no_dataset(name));
    }
    Reply::says(rows(world, name, &["filesystem", "snapshot"], &columns, 0).replace('\t', "\n"))
}

fn snapshot(world: &mut World, names: &[&str]) -> Reply {
    for (dataset, name) in names.iter().filter_map(|name| name.split_once('@')) {
        match world
            .datasets
            .get(dataset)
            .map(|state| state.snapshot(name))
        {
            None => {
                return Reply {
                    err: no_dataset(dataset) + "usage:\n\tsnapshot ...\n",
                    code: 2,
                    ..Reply::default()
                };
            }
            Some(Some(_)) => {
                let text = format!(
                    "cannot create snapshot '{dataset}@{name}': dataset already exists\nno snapshots were created\n"
                );
                return Reply::fails(text);
            }
            Some(None) => {}
        }
    }
    for (dataset, name) in names.iter().filter_map(|name| name.split_once('@')) {
        world.take(dataset, name, super::now());
    }
    Reply::default()
}

fn bookmark(world: &mut World, names: &[&str]) -> Reply {
    let [from, to] = names else {
        return Reply::fails("usage:");
    };
    let wrong = |why: &str| Reply::fails(format!("cannot create bookmark '{to}': {why}\n"));
    let (Some(at), Some((dataset, name))) = (from.find(['@', '#']), to.split_once('#')) else {
        return wrong("invalid name");
    };
    let Some(state) = world
        .datasets
        .get_mut(dataset)
        .filter(|_| &from[..at] == dataset)
    else {
        return wrong("dataset does not exist");
    };
    let snapshot = state.snapshot(&from[at + 1..]).map(|s| Bookmark {
        guid: s.guid,
        createtxg: s.createtxg,
        creation: s.creation,
    });
    let source = if from[at..].starts_with('@') {
        snapshot
    } else {
        state.bookmarks.get(&from[at + 1..]).cloned()
    };
    match source {
        None => wrong("dataset does not exist"),
        Some(_) if state.bookmarks.contains_key(name) => wrong("bookmark exists"),
        Some(source) => {
            state.bookmarks.insert(name.into(), source);
            Reply::default()
        }
    }
}

fn destroy(world: &mut World, words: &Words) -> Reply {
    let name = words.names.first().copied().unwrap_or_default();
    if words.has('r') || words.has('R') || words.names.len() != 1 || !name.contains(['@', '#']) {
        world.crimes.push(format!(
            "zfs destroy {} -{}",
            words.names.join(" "),
            words.flags
        ));
        world.datasets.remove(name);
        return Reply::default();
    }
    if let Some((dataset, mark)) = name.split_once('#') {
        let crimes = judge::bookmark(world, dataset, mark);
        world.crimes.extend(crimes);
        let gone = world
            .datasets
            .get_mut(dataset)
            .and_then(|state| state.bookmarks.remove(mark));
        return if gone.is_some() {
            Reply::default()
        } else {
            Reply::fails(format!("bookmark '{name}' does not exist.\n"))
        };
    }
    let (dataset, names) = name.split_once('@').unwrap_or_default();
    let Some(state) = world.datasets.get(dataset) else {
        return Reply::fails(no_dataset(dataset));
    };
    let doomed: Vec<Snapshot> = names
        .split(',')
        .filter_map(|name| state.snapshot(name))
        .cloned()
        .collect();
    let is_base = |s: &Snapshot| {
        state
            .partial
            .as_ref()
            .is_some_and(|partial| partial.from == Some(s.guid))
    };
    if let Some(busy) = doomed
        .iter()
        .find(|s| s.holds > 0 || !s.clones.is_empty() || is_base(s))
    {
        return Reply::fails(format!(
            "cannot destroy snapshot {dataset}@{}: dataset is busy\n",
            busy.name
        ));
    }
    if doomed.is_empty() {
        return Reply::fails("could not find any snapshots to destroy; check snapshot names.\n");
    }
    let crimes = judge::snapshots(world, dataset, &doomed);
    world.crimes.extend(crimes);
    let state = world.datasets.get_mut(dataset).expect("it was there");
    state.snapshots.retain(|s| !doomed.contains(s));
    Reply::default()
}

fn create(world: &mut World, words: &Words) -> Reply {
    let name = words.names[0];
    let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
    if world.datasets.contains_key(name) {
        return Reply::fails(format!("cannot create '{name}': dataset already exists\n"));
    }
    if !world.datasets.contains_key(parent) {
        return Reply::fails(format!("cannot create '{name}': parent does not exist\n"));
    }
    world.create(name).properties.extend(words.properties());
    Reply::default()
}

fn abort(world: &mut World, place: &str) -> Reply {
    let Some(partial) = world
        .datasets
        .get(place)
        .and_then(|state| state.partial.clone())
    else {
        return Reply::fails(format!(
            "'{place}' does not have any resumable receive state to abort\n"
        ));
    };
    let crimes = judge::token(place, &partial);
    world.crimes.extend(crimes);
    let state = world.datasets.get_mut(place).expect("it was there");
    state.partial = None;
    if state.snapshots.is_empty() {
        world.datasets.remove(place);
    }
    Reply::default()
}
