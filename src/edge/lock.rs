//! Locks between runs by hand and by timers: flock on files in /run/zam, which the kernel frees however their holder ends
//! (invariant 7).

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::core::unit_name::escape;
use crate::edge::outcome::Exit::Later;
use crate::edge::{journal, stop, systemd, trusted};

/// How long a run that systemd started waits for a lock: jobs meet at every full hour. By hand nobody likes to wait.
const PATIENCE: Duration = Duration::from_secs(600);
const NAP: Duration = Duration::from_millis(200);
/// Bytes that are read of what a lock says of its holder.
const HOLDER_MAX: u64 = 300;

pub struct Lock {
    _file: File,
}

pub fn place_of_locks() -> PathBuf {
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

type TryLock = fn(&File) -> Result<(), TryLockError>;

fn lock(name: &str, try_lock: TryLock) -> Result<Lock> {
    let directory = place_of_locks();
    trusted::directory(&directory)
        .with_context(|| format!("cannot use {} for locks", directory.display()))?;
    let path = directory.join(escape(name) + ".lock");
    let patience = match journal::is_journal() {
        true => PATIENCE,
        false => Duration::ZERO,
    };
    let until = Instant::now() + patience;
    loop {
        // Every user in the group takes the same locks.
        let mut file = trusted::open_or_create(&path)
            .with_context(|| format!("cannot open the lock {}", path.display()))?;
        if !is_locked_until(until, &file, try_lock, &path)? {
            let holder = read_holder(&mut file);
            let why = format!("{name} is locked by {holder}; try again when it is done");
            return Err(Later(why).into());
        }
        // Somebody may have removed the file meanwhile, and the next process would lock another one.
        if trusted::is_at(&file, &path) {
            sign(&mut file);
            return Ok(Lock { _file: file });
        }
    }
}

/// Tries to lock the file until it succeeds or the time has come.
fn is_locked_until(until: Instant, file: &File, try_lock: TryLock, path: &Path) -> Result<bool> {
    loop {
        match try_lock(file) {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(e)) => {
                return Err(e).with_context(|| format!("cannot lock {}", path.display()));
            }
            Err(TryLockError::WouldBlock) if stop::is_wanted() => return Err(stop::stopped()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                systemd::alive();
                sleep(NAP);
            }
            Err(TryLockError::WouldBlock) => return Ok(false),
        }
    }
}

/// Writes down who holds the lock, for whoever finds it locked. The lock itself does not depend on it.
fn sign(file: &mut File) {
    let mut text = format!("process {}:", std::process::id());
    for word in std::env::args_os() {
        text += " ";
        text += &word.to_string_lossy();
    }
    text += "\n";
    let emptied = file.set_len(0).and_then(|()| file.rewind());
    let _ = emptied.and_then(|()| file.write_all(text.as_bytes()));
}

fn read_holder(file: &mut File) -> String {
    let mut holder = Vec::new();
    if file.rewind().is_ok() {
        let _ = file.take(HOLDER_MAX).read_to_end(&mut holder);
    }
    String::from_utf8_lossy(&holder).trim().replace('\n', " ")
}
