//! Reads the files that a configuration may be made of.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A larger file is no configuration, but a device or a log under a wrong name.
const SIZE_MAX: u64 = 16 << 20;

pub(super) fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
}

/// The paths in a directory, by name; none when there is no such directory.
pub(super) fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    if is_missing(directory) {
        return Ok(paths);
    }
    for entry in fs::read_dir(directory)? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

/// None when there is no such file; a link to nothing is one that should be there. Opens only a regular file, because a
/// pipe would have to be waited for, and a device may do anything.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if is_missing(path) {
        return Ok(None);
    }
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(SIZE_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(io::Error::other("it has more than 16 MiB"));
    }
    Ok(Some(bytes))
}
