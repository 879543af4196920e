//! Keeps what has arrived at each destination as files, those of each user among that user's records. To lose one lets
//! pruning rely on bookmarks alone until the next replication.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::core::arrived::Arrived;
use crate::core::config::ROOT;
use crate::edge::{records, trusted};

/// What is known of all destinations. The jobs may have had another user when they sent it.
pub fn all() -> Vec<Arrived> {
    let users = records::users().into_iter().chain([ROOT.to_owned()]);
    users.flat_map(|user| of(&user)).collect()
}

fn of(user: &str) -> Vec<Arrived> {
    let files = fs::read_dir(folder_of(user))
        .into_iter()
        .flatten()
        .flatten();
    let paths = files.map(|file| file.path());
    paths.filter_map(|path| read(&path).ok()).collect()
}

/// Changes what is known of an entry's replicas at a destination. Their lock keeps every other run from changing it too.
///
/// # Errors
/// It cannot be read or written; it is then as it was.
pub fn change(user: &str, name: String, id: u32, by: impl FnOnce(&mut Arrived)) -> io::Result<()> {
    let until = BTreeMap::new();
    let mut arrived = Arrived { name, id, until };
    let path = folder_of(user).join(arrived.file_name());
    match read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        read => arrived = read?,
    }
    by(&mut arrived);
    trusted::write(&path, &arrived.text())
}

fn read(path: &Path) -> io::Result<Arrived> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let text = trusted::read_of_user(path)?;
    Arrived::parse(&name, &text).ok_or_else(|| ErrorKind::InvalidData.into())
}

fn folder_of(user: &str) -> PathBuf {
    records::place_of(user).join("arrived")
}
