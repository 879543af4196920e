//! Locks shared by hand and timer: flock on files in /run/zam, freed by the kernel however the holder ends (invariant 7).

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::outcome::Later;
use super::{journal, systemd};
use crate::core::units::escape;

/// Started by systemd, jobs meet at every full hour; by hand nobody likes to wait.
const PATIENCE: Duration = Duration::from_secs(600);

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
    let patience = if journal::is_journal() { PATIENCE } else { Duration::ZERO };
    lock(name, patience, File::try_lock)
}

/// Waits until nobody has taken the lock called `name`; others may share it, nobody can take it meanwhile.
///
/// # Errors
/// [`Later`], saying who holds it.
pub fn share(name: &str) -> Result<Lock> {
    lock(name, PATIENCE, File::try_lock_shared)
}

fn lock(name: &str, patience: Duration, try_lock: impl Fn(&File) -> Result<(), TryLockError>) -> Result<Lock> {
    let directory = directory();
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {} for locks", directory.display()))?;
    let path = directory.join(escape(name) + ".lock");
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.with_context(|| format!("cannot open the lock {}", path.display()))?;
    // Whatever the umask: every user in the group takes the same locks. Only the owner may say so.
    let _ = file.set_permissions(Permissions::from_mode(0o660));
    let (begun, mut told) = (Instant::now(), false);
    loop {
        match try_lock(&file) {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if begun.elapsed() < patience => {
                if !std::mem::replace(&mut told, true) && !journal::is_journal() {
                    journal::warn(format!("{name} is locked by {}; waiting", holder(&mut file)));
                }
                systemd::alive();
                sleep(Duration::from_secs(1));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Later(format!("{name} is locked by {}; try again when it is done", holder(&mut file))).into());
            }
            Err(TryLockError::Error(e)) => return Err(e).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
    // For whoever finds it locked; the lock itself does not depend on it.
    let we = std::env::args().collect::<Vec<_>>().join(" ");
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "process {}: {we}", std::process::id()));
    Ok(Lock { _file: file })
}

fn holder(file: &mut File) -> String {
    let mut holder = String::new();
    let _ = file.rewind().and_then(|()| file.read_to_string(&mut holder));
    holder.trim().into()
}
