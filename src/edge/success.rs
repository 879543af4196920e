//! When each job last ended with 0: for the gate and for reports alone, never for what is kept or sent (invariant 6).
//! Lost, it costs one run too many.

use std::fs;
use std::path::PathBuf;

use crate::core::config::Job;
use crate::core::units::instance;

fn path(instance: &str) -> PathBuf {
    let state = std::env::var_os("ZAM_STATE").map_or_else(|| "/var/lib/zam".into(), PathBuf::from);
    state.join("done").join(instance)
}

/// `instance` is the job's, as systemd calls it; `now` in epoch seconds.
pub fn record(instance: &str, now: i64) {
    let path = path(instance);
    // Not being able to is no failure of the job: it is run once more.
    let _ = path.parent().map(fs::create_dir_all).and_then(|_| fs::write(&path, now.to_string()).ok());
}

/// In epoch seconds; none when it never did, as far as is known.
pub fn last(job: &Job) -> Option<i64> {
    fs::read_to_string(path(&instance(job))).ok()?.trim().parse().ok()
}
