//! What is remembered from one run to the next: when each job last ended with 0, since when its pruning waits, what the last
//! check found, and whether there is anything to tell at login. It serves the gate and reports, and makes pruning keep more,
//! never less (invariant 6). To lose it costs one run too many, and until that run a guard of what destinations may have
//! (`arrived`).

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::num::ParseIntError;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::StatVfsMountFlags;

use crate::core::config::ROOT;
use crate::core::unit_name::is_job;
use crate::edge::{clock, trusted};

/// Where systemd remembers when a timer with Persistent= last fired (systemd.timer(5)).
const STAMPS: &str = "/var/lib/systemd/timers";
/// Where each user but root has a folder of its own, which root has made.
const USERS: &str = "users";
/// What stands before the instance in the name of a file of parts.
const PARTS: &str = "parts-of-";
/// What a check has found. It is no job's name.
const CHECK: &str = "check.json";

pub(super) fn directory() -> PathBuf {
    std::env::var_os("ZAM_STATE").map_or_else(|| "/var/lib/zam".into(), PathBuf::from)
}

/// Says why nothing can be recorded, if that is so.
pub fn why_unwritable() -> Option<String> {
    let place = directory();
    // In the sandbox of a job that is not root's everything else is read-only.
    let users = place.join(USERS);
    let found = rustix::fs::statvfs(&users).or_else(|_| rustix::fs::statvfs(&place));
    let found = found.ok()?;
    let directory = place.display();
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Some(format!(
            "{directory} is read-only, so failures cannot be kept; see: findmnt -T {directory}, dmesg"
        ));
    }
    // A file system may know no blocks or no inodes of its own.
    let is_full = found.f_blocks > 0 && found.f_bavail == 0;
    let has_no_inodes = found.f_files > 0 && found.f_favail == 0;
    (is_full || has_no_inodes).then(|| {
        format!("there is no room in {directory}, so failures cannot be kept; see: df {directory}")
    })
}

/// Whether an instance can be a file's name. It may come from the command line or the environment.
pub fn is_file_name(instance: &str) -> bool {
    !instance.is_empty()
        && instance.len() <= 240
        && instance != "."
        && instance != ".."
        && !instance.contains(['/', '\0'])
}

/// What the jobs of one user remember. It lies where no other user but root can write, so that none can say that another's
/// job has succeeded.
pub struct Records {
    directory: PathBuf,
}

impl Records {
    pub fn of(user: &str) -> Self {
        Records {
            directory: place_of(user),
        }
    }

    /// The file that says when a job last succeeded.
    fn success(&self, instance: &str) -> PathBuf {
        self.directory.join("done").join(instance)
    }

    /// The file that says since when the pruning of a job waits.
    fn waiting(&self, instance: &str) -> PathBuf {
        self.directory.join("waiting").join(instance)
    }

    /// Records how the job with this instance ended with 0.
    pub fn record_success(&self, instance: &str, success: Success) {
        // A job does not fail for this: it is run once more.
        let _ = trusted::write(&self.success(instance), &success.to_string());
    }

    /// How the job with this instance last ended with 0; none when it never did, as far as is known. Root may have run it
    /// before this user did.
    pub fn last(&self, instance: &str) -> Option<Success> {
        let before = Records::of(ROOT).success(instance);
        let files = [self.success(instance), before];
        let read = |file: &PathBuf| trusted::read_of_user(file).ok()?.parse().ok();
        let successes = files.iter().filter_map(read);
        // One of a clock that was wrong must not hide the other.
        let now = clock::now().timestamp();
        successes.max_by_key(|success: &Success| (success.time <= now, success.time))
    }

    /// When that was, in epoch seconds.
    pub fn last_success(&self, instance: &str) -> Option<i64> {
        self.last(instance).map(|success| success.time)
    }

    fn check_file(&self) -> PathBuf {
        self.directory.join("done").join(CHECK)
    }

    /// Keeps what a check has found.
    pub fn write_check(&self, text: &str) -> io::Result<()> {
        trusted::write(&self.check_file(), text)
    }

    /// What the last check has found.
    pub fn check(&self) -> io::Result<String> {
        trusted::read_of_user(&self.check_file())
    }

    /// Since when the job waits, in epoch seconds: `now`, if it did not wait yet. A beginning in the future was written
    /// under another clock, and does not count.
    pub fn begin_to_wait(&self, instance: &str, now: i64) -> i64 {
        if let Some(since) = self.waits_since(instance)
            && since <= now
        {
            return since;
        }
        write_time(&self.waiting(instance), now);
        now
    }

    pub fn end_to_wait(&self, instance: &str) {
        // Most jobs have no such file.
        let _ = fs::remove_file(self.waiting(instance));
    }

    /// The file of the parts of streams that a pruning found.
    fn parts_file(&self, instance: &str) -> PathBuf {
        self.directory
            .join("waiting")
            .join(format!("{PARTS}{instance}"))
    }

    /// What [`Self::write_parts`] wrote last.
    pub fn parts(&self, instance: &str) -> Option<String> {
        trusted::read_of_user(&self.parts_file(instance)).ok()
    }

    /// Remembers the parts of streams that the job's pruning found.
    pub fn write_parts(&self, instance: &str, text: &str) {
        // What is not remembered is new to the next run, which then waits longer.
        let _ = trusted::write(&self.parts_file(instance), text);
    }

    /// Since when the job's pruning waits, in epoch seconds; none when it does not.
    pub fn waits_since(&self, instance: &str) -> Option<i64> {
        read_time(&self.waiting(instance))
    }
}

/// How a job ended with 0: what stands in its file, the time first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Success {
    /// When it began, in epoch seconds.
    pub time: i64,
    /// How long it took. Not known of one that an earlier zam has recorded.
    pub seconds: Option<u64>,
    /// What it sent.
    pub bytes: Option<u64>,
}

impl fmt::Display for Success {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.time)?;
        for number in [self.seconds, self.bytes].into_iter().flatten() {
            write!(f, " {number}")?;
        }
        Ok(())
    }
}

impl FromStr for Success {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let mut words = text.split_whitespace();
        let time = words.next().unwrap_or_default().parse()?;
        let seconds = words.next().map(str::parse).transpose()?;
        let bytes = words.next().map(str::parse).transpose()?;
        Ok(Success {
            time,
            seconds,
            bytes,
        })
    }
}

/// What the last check of each user has found.
pub fn checks() -> Vec<String> {
    let checks = users().into_iter().map(|user| Records::of(&user).check());
    checks.flatten().collect()
}

/// Says to the scripts of the login whether there is nothing to tell. systemd-tmpfiles removes the file when nobody has
/// said so for hours.
pub fn set_well(is_well: bool) {
    let file = well();
    // The login then asks zam, which knows.
    let _ = match is_well {
        true => trusted::write(&file, ""),
        false => fs::remove_file(&file),
    };
}

/// Not among the other records, since it has to go when their disk is read-only. Gone with the machine's power, too.
fn well() -> PathBuf {
    let place = std::env::var_os("ZAM_STATE").map(|state| Path::new(&state).join("well"));
    place.unwrap_or_else(|| "/run/zam-well".into()).join("all")
}

/// Where the jobs of a user remember what has gone well.
pub(super) fn done_of(user: &str) -> PathBuf {
    place_of(user).join("done")
}

fn place_of(user: &str) -> PathBuf {
    match user {
        // Nobody is named where an earlier zam has written, or the configuration does not say it.
        ROOT | "" => directory(),
        _ => home(user),
    }
}

/// The place of a user but root.
pub fn home(user: &str) -> PathBuf {
    directory().join(USERS).join(user)
}

/// Those that have records, root among them.
pub(super) fn users() -> Vec<String> {
    let mut users = Vec::new();
    for folder in fs::read_dir(directory().join(USERS)).into_iter().flatten() {
        let name = folder.map(|folder| folder.file_name().into_string());
        users.extend(name.into_iter().flatten());
    }
    users.push(ROOT.into());
    users
}

fn read_time(path: &Path) -> Option<i64> {
    trusted::read_of_user(path).ok()?.trim().parse().ok()
}

fn write_time(path: &Path, time: i64) {
    // A job does not fail for this: it is run once more, or waits from then on.
    let _ = trusted::write(path, &time.to_string());
}

/// Removes what jobs other than these have left: an old stamp would make a job that comes back run at once. What belongs
/// to no job (zam-check.timer) stays.
pub fn keep_only(instances: &BTreeSet<String>) {
    keep_only_in(Path::new(STAMPS), "stamp-zam-", ".timer", instances);
    keep_only_in(&directory().join("alerts"), "", ".lock", instances);
    for user in users() {
        let records = Records::of(&user);
        for folder in ["done", "waiting"] {
            keep_only_in(&records.directory.join(folder), "", "", instances);
        }
        keep_only_in(&records.directory.join("waiting"), PARTS, "", instances);
    }
}

/// `prefix` and `suffix` stand around the instance in the name of each file.
fn keep_only_in(folder: &Path, prefix: &str, suffix: &str, instances: &BTreeSet<String>) {
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = file.file_name();
        let end = name.to_str().and_then(|name| name.strip_prefix(prefix));
        let instance = end.and_then(|end| end.strip_suffix(suffix));
        if instance.is_some_and(|instance| is_job(instance) && !instances.contains(instance)) {
            // A file that stays does no harm.
            let _ = fs::remove_file(file.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stamps_of_jobs_that_are_gone_are_removed() {
        let place = tempfile::tempdir().expect("a directory");
        let stays = [
            "stamp-zam-check.timer",
            "stamp-zam-reload.timer",
            "stamp-zam-snapshot-tank.timer",
            "stamp-apt-daily.timer",
        ];
        let goes = [
            "stamp-zam-snapshot-gone.timer",
            "stamp-zam-prune:nas-tank.timer",
            "stamp-zam-replicate:nas-tank.timer",
        ];
        for name in stays.iter().chain(&goes) {
            fs::write(place.path().join(name), "").expect("a stamp");
        }
        keep_only_in(
            place.path(),
            "stamp-zam-",
            ".timer",
            &["snapshot-tank".to_owned()].into(),
        );
        for name in stays {
            assert!(place.path().join(name).exists(), "{name} is gone");
        }
        for name in goes {
            assert!(!place.path().join(name).exists(), "{name} is still there");
        }
    }
}
