//! Locks shared by hand and timer: flock on files in /run/zam, freed by the kernel however the holder ends (invariant 7).

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::core::unit_name::escape;
use crate::edge::outcome::Exit::Later;
use crate::edge::{journal, stop, systemd, trusted};

/// Started by systemd, jobs meet at every full hour; by hand nobody likes to wait.
const PATIENCE: Duration = Duration::from_secs(600);
const NAP: Duration = Duration::from_millis(200);
/// Bytes of what a lock says of its holder.
const HOLDER_MAX: u64 = 300;

pub struct Lock {
    _file: File,
}

pub fn directory() -> PathBuf {
    std::env::var_os("ZAM_RUN").map_or_else(|| "/run/zam".into(), PathBuf::from)
}

/// Takes the lock called `name`, which stands for one entry or one replica tree.
///
/// # Errors
/// [`Later`], saying who holds it.
pub fn take(name: &str) -> Result<Lock> {
    lock(name, File::try_lock)
}

/// Waits until nobody has taken the lock called `name`; others may share it, nobody can take it meanwhile.
///
/// # Errors
/// [`Later`], saying who holds it.
pub fn share(name: &str) -> Result<Lock> {
    lock(name, File::try_lock_shared)
}

fn lock(name: &str, try_lock: impl Fn(&File) -> Result<(), TryLockError>) -> Result<Lock> {
    let directory = directory();
    trusted::directory(&directory)
        .with_context(|| format!("cannot use {} for locks", directory.display()))?;
    let path = directory.join(escape(name) + ".lock");
    let until = Instant::now()
        + if journal::is_journal() {
            PATIENCE
        } else {
            Duration::ZERO
        };
    loop {
        // Whatever the umask: every user in the group takes the same locks.
        let mut file = trusted::open_or_create(&path, 0o660)
            .with_context(|| format!("cannot open the lock {}", path.display()))?;
        wait(&mut file, name, &path, until, &try_lock)?;
        // Somebody may have removed it meanwhile, and the next one would lock another file.
        if trusted::is_at(&file, &path) {
            sign(&mut file);
            return Ok(Lock { _file: file });
        }
    }
}

fn wait(
    file: &mut File,
    name: &str,
    path: &Path,
    until: Instant,
    try_lock: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<()> {
    loop {
        match try_lock(file) {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(e)) => {
                return Err(e).with_context(|| format!("cannot lock {}", path.display()));
            }
            Err(TryLockError::WouldBlock) if stop::is_wanted() => return Err(stop::stopped()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                systemd::alive();
                sleep(NAP);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Later(format!(
                    "{name} is locked by {}; try again when it is done",
                    holder(file)
                ))
                .into());
            }
        }
    }
}

/// For whoever finds it locked; the lock itself does not depend on it.
fn sign(file: &mut File) {
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let text = format!("process {}: {}\n", std::process::id(), words.join(" "));
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(text.as_bytes()));
}

fn holder(file: &mut File) -> String {
    let mut holder = Vec::new();
    let _ = file
        .rewind()
        .and_then(|()| file.take(HOLDER_MAX).read_to_end(&mut holder));
    String::from_utf8_lossy(&holder).trim().replace('\n', " ")
}
