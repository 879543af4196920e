//! Streams as the fake sends them: for each snapshot a line that says what it is, and bytes that stand for its data; and
//! the tokens that resume one.

use super::model::{Partial, Snapshot, World};
use super::zfs::{Reply, Words, no_dataset};

/// Digits and dashes alone, as ZFS makes them.
pub(super) fn token(partial: &Partial) -> String {
    let to = partial.to;
    let from = partial.from.unwrap_or(0);
    let name: String = partial.name.bytes().map(|b| format!("{b:02x}")).collect();
    format!("1-{to:x}-{from:x}-{name}")
}

/// The name in a token.
fn name(digits: &str) -> String {
    let mut name = String::new();
    for at in (0..digits.len()).step_by(2) {
        name.push(
            u8::from_str_radix(&digits[at..at + 2], 16)
                .expect("hex")
                .into(),
        );
    }
    name
}

pub(super) fn send(world: &World, words: &Words) -> Reply {
    match words.value('t') {
        Some(token) => resume(world, words, token),
        None => stream(world, words, words.names[0]),
    }
}

fn resume(world: &World, words: &Words, token: &str) -> Reply {
    let mut parts = token.splitn(4, '-').skip(1);
    let mut number = || u64::from_str_radix(parts.next().unwrap_or_default(), 16).unwrap_or(0);
    let to = number();
    let from = number();
    let name = name(parts.next().unwrap_or_default());
    let pool = name.split('/').next().unwrap_or_default();
    let mut contents = format!(
        "resume token contents:\nnvlist version: 0\n\tobject = 0x2\n\toffset = 0x0\n\tbytes = 0x400\n\ttoguid = 0x{to:x}\n\ttoname = {name}\n\tcompressok = 1\n"
    );
    if from != 0 {
        contents += &format!("\tfromguid = 0x{from:x}\n");
    }
    let found = world.within(pool).into_iter().find(|dataset| {
        world.datasets[dataset]
            .snapshots
            .iter()
            .any(|s| s.guid == to)
    });
    let Some(dataset) = found else {
        let err =
            format!("cannot resume send: '{name}' used in the initial send no longer exists\n");
        let out = if words.has('n') {
            contents.into_bytes()
        } else {
            vec![]
        };
        return Reply {
            out,
            err,
            code: 255,
        };
    };
    if words.has('n') {
        return Reply::says(contents + "full\t" + &name + "\t4096\nsize\t4096\n");
    }
    let snapshot = world.datasets[&dataset]
        .snapshots
        .iter()
        .find(|s| s.guid == to)
        .expect("it was found");
    let from = Some(from).filter(|from| *from != 0);
    Reply {
        out: part(&dataset, from, snapshot, true),
        ..Reply::default()
    }
    .ended()
}

fn stream(world: &World, words: &Words, name: &str) -> Reply {
    let (dataset, to) = name.split_once('@').unwrap_or((name, ""));
    let state = world.datasets.get(dataset);
    let Some(end) = state.and_then(|state| state.snapshots.iter().position(|s| s.name == to))
    else {
        return Reply::fails(no_dataset(name));
    };
    let state = &world.datasets[dataset];
    if words.has('n') {
        return Reply::says(format!("full\t{name}\t4096\nsize\t4096\n"));
    }
    let base = words.value('I').or(words.value('i'));
    let mark = base.map(|base| base.strip_prefix(dataset).unwrap_or(base));
    let snapshot = mark.and_then(|mark| {
        state
            .snapshots
            .iter()
            .position(|s| mark.strip_prefix('@') == Some(&s.name))
    });
    let guid = match (mark, snapshot) {
        (_, Some(at)) => Some(state.snapshots[at].guid),
        (Some(mark), None) => match mark
            .strip_prefix('#')
            .and_then(|mark| state.bookmarks.get(mark))
        {
            Some(bookmark) if bookmark.guid != state.snapshots[end].guid => Some(bookmark.guid),
            _ => {
                return Reply::fails(format!(
                    "cannot send '{name}': incremental source ({mark}) does not exist\n"
                ));
            }
        },
        (None, None) => None,
    };
    let first = if words.has('I') {
        snapshot.map_or(end, |at| at + 1)
    } else {
        end
    };
    let mut from = guid;
    let mut out = Vec::new();
    for snapshot in &state.snapshots[first..=end] {
        out.extend(part(dataset, from, snapshot, false));
        from = Some(snapshot.guid);
    }
    Reply {
        out,
        ..Reply::default()
    }
    .ended()
}

/// What stands before the data of a snapshot in a stream.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Header {
    pub(super) from: Option<u64>,
    pub(super) snapshot: Snapshot,
    /// The sender's dataset.
    pub(super) dataset: String,
    pub(super) resumed: bool,
}

/// The data of a snapshot in a stream; enough to be cut in.
pub(super) const DATA: usize = 3000;

fn part(dataset: &str, from: Option<u64>, snapshot: &Snapshot, resumed: bool) -> Vec<u8> {
    let header = Header {
        from,
        snapshot: snapshot.clone(),
        dataset: dataset.into(),
        resumed,
    };
    let mut bytes = serde_json::to_vec(&header).expect("a header");
    bytes.push(b'\n');
    bytes.resize(bytes.len() + DATA, b'.');
    bytes
}

impl Reply {
    fn ended(mut self) -> Self {
        self.out.extend(b"end\n");
        self
    }
}
