//! What is remembered from one run to the next: when each job last ended with 0, and what failed. For the gate and for
//! reports alone, never for what is kept or sent (invariant 6). Lost, it costs one run too many.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::core::config::Job;
use crate::core::units::instance;

/// systemd's own: when a timer with Persistent= last fired (systemd.timer(5)).
const STAMPS: &str = "/var/lib/systemd/timers";

fn directory() -> PathBuf {
    std::env::var_os("ZAM_STATE").map_or_else(|| "/var/lib/zam".into(), PathBuf::from)
}

/// Where the open alert of a job lies, if it has one.
pub fn alert(instance: &str) -> PathBuf {
    directory().join("alerts").join(format!("{instance}.json"))
}

fn success(instance: &str) -> PathBuf {
    directory().join("done").join(instance)
}

/// `instance` is the job's, as systemd calls it; `now` in epoch seconds.
pub fn record_success(instance: &str, now: i64) {
    let path = success(instance);
    // Not being able to is no failure of the job: it is run once more. Whatever the umask, everybody may know.
    let _ = path.parent().map(fs::create_dir_all);
    let _ = fs::write(&path, now.to_string()).and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)));
}

/// In epoch seconds; none when it never did, as far as is known.
pub fn last_success(job: &Job) -> Option<i64> {
    fs::read_to_string(success(&instance(job))).ok()?.trim().parse().ok()
}

/// Removes what jobs other than these have left: an old stamp would make one that comes back run at once, and nobody
/// would take back its alert.
pub fn keep_only(instances: &BTreeSet<String>) {
    let places =
        [(STAMPS.into(), "stamp-zam-", ".timer"), (directory().join("done"), "", ""), (directory().join("alerts"), "", ".json")];
    for (place, before, after) in places {
        for file in fs::read_dir(place).into_iter().flatten().flatten() {
            let name = file.file_name().into_string().unwrap_or_default();
            let instance = name.strip_prefix(before).and_then(|name| name.strip_suffix(after));
            if instance.is_some_and(|instance| !instances.contains(instance)) {
                // One that stays does no harm.
                let _ = fs::remove_file(file.path());
            }
        }
    }
}
