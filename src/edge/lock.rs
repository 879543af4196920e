//! Locks shared by hand and timer: flock on files in /run/zam, freed by the kernel however the holder ends (invariant 7).

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::journal;
use super::outcome::Later;
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
    let directory = directory();
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {} for locks", directory.display()))?;
    let path = directory.join(escape(name) + ".lock");
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.with_context(|| format!("cannot open the lock {}", path.display()))?;
    // Whatever the umask: every user in the group takes the same locks. Only the owner may say so.
    let _ = file.set_permissions(Permissions::from_mode(0o660));
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if journal::is_journal() && begun.elapsed() < PATIENCE => sleep(Duration::from_secs(1)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                return Err(Later(format!("{name} is locked by {}; try again when it is done", holder.trim())).into());
            }
            Err(TryLockError::Error(e)) => return Err(e).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
    // For whoever finds it locked; the lock itself does not depend on it.
    let holder = std::env::args().collect::<Vec<_>>().join(" ");
    let _ =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "process {}: {holder}", std::process::id()));
    Ok(Lock { _file: file })
}
