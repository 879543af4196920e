//! The control sockets of ssh's shared connections. They lie in a directory of this run alone, since ssh does not care
//! whose a socket is, and their names are short, whatever the host is called.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};
use tempfile::{Builder, TempDir};

use crate::edge::{lock, mutex, trusted};

/// Bytes of a socket's path: 107 (unix(7)), without the 17 that ssh adds while it makes one.
const PATH_MAX: usize = 107 - 17;

static OPEN: Mutex<Option<Sockets>> = Mutex::new(None);

struct Sockets {
    directory: TempDir,
    /// The numbers of the sockets, by the names of their hosts.
    numbers: BTreeMap<String, usize>,
    next: usize,
}

/// The control socket of a host, the same until it is closed.
///
/// # Errors
/// There can be no directory for it, or the directory's path is too long.
pub(super) fn of(host: &str) -> Result<PathBuf> {
    let mut open = mutex::lock(&OPEN);
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
    let path = sockets.path(number);
    if path.as_os_str().len() > PATH_MAX {
        let path = path.display();
        bail!(
            "the path of ssh's control socket is too long: {path}; choose a shorter directory by ZAM_RUN"
        );
    }
    Ok(path)
}

pub(super) fn is_open(host: &str) -> bool {
    let open = mutex::lock(&OPEN);
    let sockets = open.as_ref();
    sockets.is_some_and(|sockets| sockets.numbers.contains_key(host))
}

/// Forgets the socket of a host; the directory goes with the last one.
pub(super) fn close(host: &str) {
    let mut open = mutex::lock(&OPEN);
    let Some(sockets) = &mut *open else { return };
    if let Some(number) = sockets.numbers.remove(host) {
        let _ = fs::remove_file(sockets.path(number));
    }
    if sockets.numbers.is_empty() {
        *open = None;
    }
}

/// Removes the directory at the end of a run, however that went.
pub fn remove() {
    *mutex::lock(&OPEN) = None;
}

impl Sockets {
    fn path(&self, number: usize) -> PathBuf {
        self.directory.path().join(format!("c{number}"))
    }
}

fn make() -> Result<TempDir> {
    let parent = lock::directory();
    make_in(&parent).with_context(|| {
        let parent = parent.display();
        format!("cannot make a directory for ssh's sockets in {parent}")
    })
}

fn make_in(parent: &Path) -> io::Result<TempDir> {
    trusted::directory(parent)?;
    remove_left(parent);
    Builder::new()
        .prefix(&format!("ssh-{}-", std::process::id()))
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)
}

/// Removes the directories that runs have left which were killed.
fn remove_left(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(process_of);
        if process.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // It follows no link. What is somebody else's stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The process whose directory has this name.
fn process_of(name: &str) -> Option<u32> {
    let (pid, _) = name.strip_prefix("ssh-")?.split_once('-')?;
    pid.parse().ok()
}
