//! `zam units`: what the generator would write, and how it differs from what systemd has. Touches neither ZFS nor
//! systemd.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use similar::TextDiff;

use crate::core::units::units;
use crate::edge::configuration::Loaded;
use crate::edge::outcome::Outcome;
use crate::edge::{generated, journal};

/// Prints all units that the configuration gives.
pub fn print(loaded: &Loaded) -> Outcome {
    for (path, text) in of(loaded) {
        journal::print(format!("--- {path}\n{text}"));
    }
    Outcome::Done
}

/// Prints what differs from the units that the generator wrote last. Like diff(1) it fails when anything does.
pub fn diff(loaded: &Loaded) -> Result<Outcome> {
    let directory = generated::directory();
    let old = generated::read(&directory)?;
    let new = of(loaded);
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut added = 0;
    let mut changed = 0;
    let mut removed = 0;
    for path in paths {
        let before = old.get(path);
        let after = new.get(path);
        match (before, after) {
            _ if before == after => continue,
            (None, _) => added += 1,
            (_, None) => removed += 1,
            _ => changed += 1,
        }
        print_diff(&directory, path, before, after);
    }
    if added + changed + removed == 0 {
        journal::print("zam reload would change nothing");
        return Ok(Outcome::Done);
    }
    journal::print(format!(
        "zam reload would add {added} unit files, change {changed} and remove {removed}"
    ));
    Ok(Outcome::Failed)
}

/// Whether systemd has the units that the configuration gives.
pub(super) fn are_in_force(loaded: &Loaded) -> bool {
    generated::read(&generated::directory()).is_ok_and(|made| made == of(loaded))
}

fn print_diff(directory: &Path, path: &str, old: Option<&String>, new: Option<&String>) {
    let old_path = directory.join(path).display().to_string();
    let from = old.map_or("/dev/null", |_| &old_path);
    let to = new.map_or("/dev/null", |_| path);
    let old = old.map_or("", String::as_str);
    let new = new.map_or("", String::as_str);
    let diff = TextDiff::from_lines(old, new);
    journal::print(diff.unified_diff().header(from, to).to_string().trim_end());
}

fn of(loaded: &Loaded) -> BTreeMap<String, String> {
    let is_faulty = !loaded.faults.is_empty();
    units(&loaded.config, &loaded.sources, is_faulty)
}
