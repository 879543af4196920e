//! What is missing on this machine for jobs that are not root's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;

use crate::core::config::{Config, ROOT};
use crate::core::host::Host;
use crate::core::name::Dataset;
use crate::core::setup::here::{self, GROUP, Users};
use crate::core::setup::host;
use crate::edge::command::Machine;
use crate::edge::{journal, records, zfs};
use crate::verbs::setup::Missing;

pub(super) const HEAD: &str =
    "# For root on this machine: read it, and run it: zam setup | sh; then: zam reload";

pub(super) fn missing(config: &Config, path: &Path) -> Result<Missing> {
    let users = Users::of(config);
    let mut missing = Missing::default();
    add_users(&mut missing, &users);
    if !users.all().is_empty() {
        add_files(&mut missing, path)?;
    }
    add_grants(&mut missing, config, &users)?;
    for host in config.hosts.values() {
        if users.worker != ROOT && is_used(config, host) {
            add_key(&mut missing, host, &users.worker);
            add_known(&mut missing, host);
        }
    }
    if config.user.is_none() {
        let file = path.with_file_name("zam.d").join("users.yaml");
        let step = here::name_users(&file.display().to_string(), &users);
        missing.steps.push(step);
    }
    Ok(missing)
}

fn printed(argv: &[&str]) -> Option<String> {
    Machine::default().text(argv).ok()
}

fn add_users(missing: &mut Missing, users: &Users) {
    for user in users.all() {
        let place = records::home(user);
        let home = place.display().to_string();
        let groups = printed(&["id", "-nG", "--", user]).unwrap_or_default();
        if !groups.split_whitespace().any(|group| group == GROUP) {
            missing.steps.push(here::account(user, &home));
        }
        let has = |name: &&str| place.join(name).is_dir();
        if !["done", "waiting"].iter().all(has) {
            missing.steps.push(here::home(user, &home));
        }
    }
}

/// The files of the configuration, and the directories that they are in.
fn add_files(missing: &mut Missing, path: &Path) -> Result<()> {
    let line = printed(&["getent", "group", GROUP]).unwrap_or_default();
    let gid = line.split(':').nth(2).and_then(|gid| gid.parse().ok());
    for path in files(path) {
        let found = fs::metadata(&path)?;
        let wanted = if found.is_dir() { 0o5 } else { 0o4 };
        let is_for = |mode: u32| mode & wanted == wanted;
        let mode = found.mode();
        let group = Some(found.gid());
        let is_readable = is_for(mode) || group == gid && is_for(mode >> 3);
        if !is_readable {
            let path = path.display().to_string();
            missing.steps.push(here::readable(&path, found.is_dir()));
        }
    }
    Ok(())
}

fn files(path: &Path) -> Vec<PathBuf> {
    let more = path.with_file_name("zam.d");
    let mut files = vec![path.to_owned(), more.clone()];
    files.extend(path.parent().map(Path::to_owned));
    for entry in fs::read_dir(more).into_iter().flatten().flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            files.push(path);
        }
    }
    files.retain(|file| file.exists());
    files.sort();
    files
}

fn add_grants(missing: &mut Missing, config: &Config, users: &Users) -> Result<()> {
    let here = Machine::default();
    let grants = here::grants(config, users, &encrypted(&here, config));
    let mut asked = BTreeMap::new();
    for grant in &grants {
        let dataset = &grant.dataset;
        if !asked.contains_key(dataset) {
            let printed = zfs::delegations(&here, dataset)?;
            match &printed {
                Some(_) => (),
                None if config.roots.contains(dataset) => missing.steps.push(host::root(dataset)),
                None => missing.steps.push(here::absent(dataset)),
            }
            asked.insert(dataset, printed);
        }
        if let Some(printed) = &asked[dataset] {
            missing.add_grant(grant, printed, &grants);
        } else if config.roots.contains(dataset) {
            missing.add_grant(grant, "", &grants);
        }
    }
    here::dangers(&grants, users).iter().for_each(journal::warn);
    Ok(())
}

/// The entries that are sent raw, as far as is known: all their datasets are encrypted.
fn encrypted(here: &Machine, config: &Config) -> BTreeSet<Dataset> {
    let mut encrypted = BTreeSet::new();
    for entry in &config.entries {
        let is_sent = entry.host.is_none() && !entry.destinations.is_empty();
        if is_sent
            && !here::decrypts(entry)
            && zfs::is_encrypted(here, &entry.dataset, entry.recursive)
        {
            encrypted.insert(entry.dataset.clone());
        }
    }
    encrypted
}

fn is_used(config: &Config, host: &Host) -> bool {
    let is_it = |other: &Option<Arc<Host>>| other.as_ref().is_some_and(|it| it.name == host.name);
    let mut jobs = config.jobs();
    jobs.any(|job| is_it(&job.entry.host) || job.destination.is_some_and(|to| is_it(&to.host)))
}

fn add_key(missing: &mut Missing, host: &Host, user: &str) {
    let name = &host.name;
    match &host.identity {
        // Who may not look into its directory does not know.
        Some(identity) if !Path::new(identity).try_exists().unwrap_or(true) => {
            missing.steps.push(here::key(identity, name.as_str()));
        }
        Some(_) => (),
        None => journal::warn(format!(
            "hosts: {name}: {user} has no key of its own: write which one is for it: identity: /etc/zam/keys/{name}"
        )),
    }
}

fn add_known(missing: &mut Missing, host: &Host) {
    let is_told = |option: &String| option.to_lowercase().contains("hostkey");
    if host.options.iter().any(is_told) {
        return;
    }
    let machine = host.ssh.rsplit('@').next().unwrap_or_default();
    let name = match host.port {
        Some(port) if port != 22 => format!("[{machine}]:{port}"),
        _ => machine.to_owned(),
    };
    let everybodys = "/etc/ssh/ssh_known_hosts";
    if printed(&["ssh-keygen", "-F", &name, "-f", everybodys]).is_none() {
        missing.steps.push(here::known(&name, machine, host.port));
    }
}
