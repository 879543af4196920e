//! Keeps what destinations may have as files, each user's beside its other records. To lose one lets pruning rely on
//! bookmarks and the successes of jobs until the next replication.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::core::arrived::Arrived;
use crate::edge::{records, trusted};

/// What stands before the name of such a file, which is no job's.
const PREFIX: &str = "arrived-";

/// What is known of all destinations. The jobs may have had another user when they sent it.
pub fn all() -> Vec<Arrived> {
    let users = records::users().into_iter();
    users.flat_map(|user| of(&user)).collect()
}

/// The records of this name, of all users.
pub fn files(file_name: &str) -> Vec<String> {
    let name = format!("{PREFIX}{file_name}");
    let users = records::users().into_iter();
    let paths = users.map(|user| records::done_of(&user).join(&name));
    let there = paths.filter(|path| path.exists());
    there.map(|path| path.display().to_string()).collect()
}

fn of(user: &str) -> Vec<Arrived> {
    let files = fs::read_dir(records::done_of(user)).into_iter().flatten();
    let paths = files.flatten().map(|file| file.path());
    paths.filter_map(|path| read(&path)).collect()
}

/// Changes what is known of an entry's replicas at a destination. Their lock keeps every other run from changing it too.
///
/// # Errors
/// It cannot be written; it is then as it was.
pub fn change(user: &str, name: String, id: u32, by: impl FnOnce(&mut Arrived)) -> io::Result<()> {
    let newest = BTreeMap::new();
    let begun = Arrived { name, id, newest };
    let file_name = format!("{PREFIX}{}", begun.file_name());
    let path = records::done_of(user).join(file_name);
    // What cannot be read is begun anew.
    let mut arrived = read(&path).unwrap_or(begun);
    let before = arrived.text();
    by(&mut arrived);
    let text = arrived.text();
    if text == before {
        return Ok(());
    }
    trusted::write(&path, &text)
}

fn read(path: &Path) -> Option<Arrived> {
    let name = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
    Arrived::parse(name, &trusted::read_of_user(path).ok()?)
}
