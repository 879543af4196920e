//! The control sockets of ssh's shared connections. They lie in a directory of this run alone, since ssh does not care
//! whose a socket is, and their names are short, whatever the host is called.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use tempfile::{Builder, TempDir};

use crate::core::host::Host;
use crate::edge::{lock, mutex, trusted};

/// Bytes of a socket's path: 107 (unix(7)), without the 17 that ssh adds while it makes one.
const PATH_MAX: usize = 107 - 17;

static OPEN: Mutex<Option<Sockets>> = Mutex::new(None);

pub(super) struct Sockets {
    directory: TempDir,
    /// Each host's socket has the number of its place here.
    hosts: Vec<Arc<Host>>,
}

/// The control socket of a host, the same for the whole run.
///
/// # Errors
/// There can be no directory for it, or the directory's path is too long.
pub(super) fn of(host: &Arc<Host>) -> Result<PathBuf> {
    let mut open = mutex::lock(&OPEN);
    let sockets = match &mut *open {
        Some(sockets) => sockets,
        none => none.insert(Sockets {
            directory: make()?,
            hosts: Vec::new(),
        }),
    };
    let path = sockets.of(host);
    if path.as_os_str().len() > PATH_MAX {
        let path = path.display();
        bail!(
            "the path of ssh's control socket is too long: {path}; choose a shorter directory by ZAM_RUN"
        );
    }
    Ok(path)
}

/// All sockets of this run, whose directory goes with them. None if no other machine was asked.
pub(super) fn take() -> Option<Sockets> {
    mutex::lock(&OPEN).take()
}

impl Sockets {
    fn of(&mut self, host: &Arc<Host>) -> PathBuf {
        let known = self.hosts.iter().position(|known| known.name == host.name);
        let number = known.unwrap_or_else(|| {
            self.hosts.push(host.clone());
            self.hosts.len() - 1
        });
        self.path(number)
    }

    fn path(&self, number: usize) -> PathBuf {
        self.directory.path().join(format!("c{number}"))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Host, PathBuf)> {
        let numbered = self.hosts.iter().enumerate();
        numbered.map(|(number, host)| (&**host, self.path(number)))
    }
}

fn make() -> Result<TempDir> {
    let parent = lock::place_of_locks();
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
