//! `zam units`: what the generator would write, and how it differs from what systemd has. Touches neither ZFS nor
//! systemd.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use similar::TextDiff;

pub use crate::core::units::units;
use crate::edge::outcome::Outcome;
use crate::edge::{generated, journal};

type Units = BTreeMap<String, String>;

/// All of them.
pub fn print(units: &Units) -> Outcome {
    for (path, text) in units {
        journal::print(format!("--- {path}\n{text}"));
    }
    Outcome::Done
}

/// What differs from those that the generator wrote last, like diff(1): it fails when anything does.
pub fn diff(units: &Units) -> Result<Outcome> {
    let directory = generated::directory();
    let loaded = generated::read(&directory)?;
    let paths: BTreeSet<&String> = loaded.keys().chain(units.keys()).collect();
    let (mut added, mut changed, mut removed) = (0, 0, 0);
    for path in paths {
        let (before, after) = (loaded.get(path), units.get(path));
        match (before, after) {
            _ if before == after => continue,
            (None, _) => added += 1,
            (_, None) => removed += 1,
            _ => changed += 1,
        }
        let was = before.map_or("/dev/null".into(), |_| {
            directory.join(path).display().to_string()
        });
        let is = after.map_or("/dev/null", |_| path);
        let [before, after] =
            [before, after].map(|text| text.map(String::as_str).unwrap_or_default());
        let diff = TextDiff::from_lines(before, after);
        journal::print(diff.unified_diff().header(&was, is).to_string().trim_end());
    }
    if added + changed + removed == 0 {
        journal::print("zam reload would change nothing");
        return Ok(Outcome::Done);
    }
    journal::print(format!(
        "zam reload would add {added} files of units, change {changed} and remove {removed}"
    ));
    Ok(Outcome::Failed)
}
