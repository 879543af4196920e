//! `zam reload`: checks the configuration, puts it into force, and keeps a copy for the day on which it cannot be read.

use std::path::Path;

use anyhow::{Context, Result};

use crate::edge::configuration::{Loaded, keep_as_last_good};
use crate::edge::outcome::Misconfigured;
use crate::edge::{journal, systemd};
use crate::verbs::notify;

pub fn run(loaded: &Loaded, path: &Path) -> Result<()> {
    if loaded.is_last_good {
        return Err(Misconfigured("the jobs stay as they are, until the configuration can be read".into()).into());
    }
    keep_as_last_good(path, &loaded.sources).context("cannot keep a copy of the configuration")?;
    systemd::reload_timers()?;
    let jobs = loaded.config.jobs().count();
    journal::print(format!("{jobs} jobs are in force; see: systemctl list-timers 'zam-*'"));
    if loaded.faults.is_empty() {
        notify::withdraw("config");
        return Ok(());
    }
    journal::warn("entries with errors are not in force; systemctl status zam-config.service tells them too");
    Err(loaded.wrong().into())
}
