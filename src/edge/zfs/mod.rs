//! The zfs commands that zam uses, one function each. Listings, tokens and complaints are parsed in core. Keeps the guards
//! of invariants 1, 3 and 4: only names with `@` or `#` are destroyed, no command has `destroy -r` or `receive -F`, and a
//! listing that failed is an error.

mod failure;
mod listing;
mod stream;

use anyhow::{Result, bail};

use crate::core::complaint::Complaint;
use crate::core::listing::DATASETS;
use crate::core::name::Dataset;
use crate::core::replication::Mark;
use crate::core::{complaint, said};
use crate::edge::command::Machine;

pub use failure::{cannot_resume, is_denied, is_read_only, is_refusal, lacks_key};
use failure::{failure, says};
pub use listing::{Depth, Listing, exists, list, list_one};
pub use stream::{
    First, Landing, decode_token, discard_token, estimate, receive, resumed, send, send_resumed,
};

/// Names in one `zfs destroy`: thousands at once have hung pools (OpenZFS issues 9575, 13064).
pub const DESTROY_MAX: usize = 100;

pub enum Taken {
    Yes,
    /// None was made, because of these; the others can be had without them.
    Refused(Vec<Complaint>),
    /// None was made: a dataset vanished since it was listed, and zfs does not say which.
    SomeGone(anyhow::Error),
}

/// Snapshots of `datasets` called `name`: all, atomically, or none (zfs-snapshot(8)).
pub fn snapshot(datasets: &[&str], name: &str) -> Result<Taken> {
    let names = datasets.iter().map(|dataset| format!("{dataset}@{name}"));
    let names: Vec<String> = names.collect();
    let mut argv = vec!["zfs", "snapshot", "--"];
    argv.extend(names.iter().map(String::as_str));
    let Err(error) = Machine::default().run(&argv) else {
        return Ok(Taken::Yes);
    };
    let stderr = failure(&error).map_or("", |failure| &failure.stderr);
    let refused = complaint::refused(stderr, datasets);
    if !refused.is_empty() {
        Ok(Taken::Refused(refused))
    } else if says(&error, "dataset does not exist") {
        Ok(Taken::SomeGone(error))
    } else {
        Err(error)
    }
}

/// Destroys snapshots of one dataset, at most [`DESTROY_MAX`]: all or none. False: they were gone already.
///
/// # Errors
/// ZFS refuses because of one or more of them, or the machine cannot be asked.
pub fn destroy_snapshots(machine: &Machine, dataset: &Dataset, names: &[&str]) -> Result<bool> {
    destroy(machine, &format!("{dataset}@{}", names.join(",")))
}

/// Destroys a bookmark. A bookmark that is already gone is no error.
pub fn destroy_bookmark(machine: &Machine, dataset: &Dataset, name: &str) -> Result<()> {
    destroy(machine, &format!("{dataset}#{name}")).map(drop)
}

fn destroy(machine: &Machine, name: &str) -> Result<bool> {
    if !name.contains(['@', '#']) {
        bail!("refusing to destroy {name}: zam destroys snapshots and bookmarks alone");
    }
    let Err(error) = machine.run(&["zfs", "destroy", name]) else {
        return Ok(true);
    };
    match failure(&error) {
        Some(failure) if complaint::was_gone(&failure.stderr, name) => Ok(false),
        _ => Err(error),
    }
}

/// Bookmarks `mark`, a snapshot or another bookmark. A bookmark that exists has the same GUID, since that is in its name.
pub fn bookmark(machine: &Machine, dataset: &Dataset, mark: &Mark, name: &str) -> Result<()> {
    let from = format!("{dataset}{mark}");
    let to = format!("{dataset}#{name}");
    match machine.run(&["zfs", "bookmark", &from, &to]) {
        Err(e) if !says(&e, "exists") || says(&e, "does not exist") => Err(e),
        _ => Ok(()),
    }
}

/// Makes a dataset that only holds others and is never mounted. Another job may have made it at the same moment.
pub fn create_parent(machine: &Machine, dataset: &Dataset) -> Result<()> {
    let name = dataset.as_str();
    match machine.run(&["zfs", "create", "-u", "-o", "canmount=off", name]) {
        Err(e) if !says(&e, "dataset already exists") => Err(e),
        _ => Ok(()),
    }
}

/// Values of properties of one dataset or snapshot, in the order asked.
pub fn properties(machine: &Machine, name: &str, properties: &str) -> Result<Vec<String>> {
    let text = machine.text(&["zfs", "get", "-Hp", "-o", "value", properties, name])?;
    Ok(text.lines().map(Into::into).collect())
}

/// Whether a dataset is encrypted, and with `below` all that are below it. One that cannot be asked is not.
pub fn is_encrypted(machine: &Machine, dataset: &Dataset, below: bool) -> bool {
    let depth: &[&str] = if below { &["-r"] } else { &["-d", "0"] };
    let get = ["zfs", "get", "-Hp", "-t", DATASETS, "-o", "value"];
    let argv = [&get, depth, &["encryption", dataset.as_str()]].concat();
    let text = machine.text(&argv).unwrap_or_default();
    !text.is_empty() && text.lines().all(|cipher| cipher.starts_with("aes-"))
}

/// What `zfs allow` prints of a dataset, which any user may read; none if there is no such dataset.
pub fn delegations(machine: &Machine, dataset: &Dataset) -> Result<Option<String>> {
    let name = dataset.as_str();
    match machine.text(&["zfs", "allow", name]) {
        Ok(text) => Ok(Some(text)),
        Err(error) => match failure(&error) {
            Some(failure) if said::is_absent(&failure.stderr, name) => Ok(None),
            _ => Err(error),
        },
    }
}

/// A pool of this machine.
pub struct Pool {
    pub name: String,
    /// `ONLINE`, `DEGRADED`, ... (zpoolconcepts(7)).
    pub health: String,
    /// Percent.
    pub capacity: u8,
}

/// # Errors
/// ZFS cannot be asked, or a line is not as asked.
pub fn pools() -> Result<Vec<Pool>> {
    let text = Machine::default().text(&["zpool", "list", "-Hp", "-o", "name,health,capacity"])?;
    let mut pools = Vec::new();
    for line in text.lines() {
        let [name, health, capacity] = Vec::from_iter(line.split('\t'))[..] else {
            bail!("zpool list printed {line:?}");
        };
        pools.push(Pool {
            name: name.into(),
            health: health.into(),
            // A pool that is suspended or not there has none.
            capacity: capacity.parse().unwrap_or(0),
        });
    }
    Ok(pools)
}

/// Whether a scrub or a resilver goes on in the pool.
pub fn is_scanning(machine: &Machine, pool: &str) -> Result<bool> {
    let text = machine.text(&["zpool", "status", pool])?;
    let mut lines = text.lines().map(str::trim);
    Ok(lines.any(|line| line.starts_with("scan:") && line.contains("in progress")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_snapshots_and_bookmarks_can_be_destroyed() {
        assert!(destroy(&Machine::default(), "tank/home").is_err());
    }
}
