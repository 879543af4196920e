//! The open alerts of units, as files beside the other records that root alone writes.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use crate::edge::records::directory;
use crate::edge::trusted;

/// Held by whoever writes an alert, takes it back, or tells of it: otherwise a failure could be told after its recovery.
pub struct Lock {
    /// None where nothing can be written; to tell twice is better than not at all.
    _file: Option<File>,
}

/// Waits for whoever tells of the unit with this instance: for a minute, if a command of `notify` hangs, and for another if
/// a desktop does.
pub fn lock(instance: &str) -> Lock {
    Lock {
        _file: try_to_lock(instance).ok(),
    }
}

fn try_to_lock(instance: &str) -> io::Result<File> {
    trusted::directory(&folder())?;
    let path = folder().join(format!("{instance}.lock"));
    let file = trusted::open_or_create(&path)?;
    file.lock()?;
    Ok(file)
}

fn folder() -> PathBuf {
    directory().join("alerts")
}

/// The file of a unit's open alert.
pub fn path(instance: &str) -> PathBuf {
    folder().join(format!("{instance}.json"))
}

/// The text of an open alert.
pub fn read(instance: &str) -> io::Result<String> {
    trusted::read(&path(instance))
}

pub fn write(instance: &str, text: &str) -> io::Result<()> {
    trusted::write(&path(instance), text)
}

pub fn remove(instance: &str) -> io::Result<()> {
    fs::remove_file(path(instance))
}

/// The instances that have an alert.
pub fn instances() -> Vec<String> {
    let mut instances = Vec::new();
    for file in fs::read_dir(folder()).into_iter().flatten().flatten() {
        let name = file.file_name().into_string().unwrap_or_default();
        instances.extend(name.strip_suffix(".json").map(Into::into));
    }
    instances.sort();
    instances
}
