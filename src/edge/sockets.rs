//! Where the shared connections of ssh have their control sockets: a directory of this run alone, since ssh does not
//! care whose a socket is, and names that are short, whatever the host is called.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, bail};
use tempfile::{Builder, TempDir};

use crate::edge::{lock, trusted};

/// The 107 bytes of a socket's path (unix(7)), without the 17 that ssh adds while it makes one.
const PATH_MAX: usize = 107 - 17;

static OPEN: Mutex<Option<Sockets>> = Mutex::new(None);

struct Sockets {
    directory: TempDir,
    /// By the names of hosts.
    numbers: BTreeMap<String, usize>,
    next: usize,
}

/// The control socket of a host, the same until it is closed.
///
/// # Errors
/// There can be no directory for it.
pub(super) fn of(host: &str) -> Result<PathBuf> {
    let mut open = OPEN.lock().map_err(|_| anyhow!("another thread died"))?;
    let sockets = match &mut *open {
        Some(sockets) => sockets,
        none => none.insert(Sockets {
            directory: make()?,
            numbers: BTreeMap::new(),
            next: 0,
        }),
    };
    let number = *sockets.numbers.entry(host.into()).or_insert_with(|| {
        sockets.next += 1;
        sockets.next
    });
    let path = sockets.directory.path().join(format!("c{number}"));
    if path.as_os_str().len() > PATH_MAX {
        bail!(
            "the path of ssh's control socket is too long: {}; choose a shorter directory by ZAM_RUN",
            path.display()
        );
    }
    Ok(path)
}

pub(super) fn is_open(host: &str) -> bool {
    OPEN.lock().is_ok_and(|open| {
        open.as_ref()
            .is_some_and(|sockets| sockets.numbers.contains_key(host))
    })
}

/// Forgets the socket of a host; the directory goes with the last one.
pub(super) fn close(host: &str) {
    let Ok(mut open) = OPEN.lock() else { return };
    let Some(sockets) = &mut *open else { return };
    if let Some(number) = sockets.numbers.remove(host) {
        let _ = fs::remove_file(sockets.directory.path().join(format!("c{number}")));
    }
    if sockets.numbers.is_empty() {
        *open = None;
    }
}

/// At the end of a run, however it went.
pub fn remove() {
    if let Ok(mut open) = OPEN.lock() {
        *open = None;
    }
}

fn make() -> Result<TempDir> {
    let place = lock::directory();
    let why = || {
        format!(
            "cannot make a directory for ssh's sockets in {}",
            place.display()
        )
    };
    trusted::directory(&place).with_context(why)?;
    remove_left(&place);
    let prefix = format!("ssh-{}-", std::process::id());
    Builder::new()
        .prefix(&prefix)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(&place)
        .with_context(why)
}

/// What runs that were killed have left.
fn remove_left(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let process = name
            .strip_prefix("ssh-")
            .and_then(|rest| rest.split_once('-'))
            .and_then(|(pid, _)| pid.parse::<u32>().ok());
        if process.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // It follows no link. What is somebody else's stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
