//! The units that the generator wrote when systemd was last reloaded.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::core::units::ALL_MADE;

/// Where systemd lets its generators write, or what `ZAM_GENERATED` says.
pub fn directory() -> PathBuf {
    std::env::var_os("ZAM_GENERATED").map_or("/run/systemd/generator".into(), PathBuf::from)
}

/// Whether the generator came to its end.
pub fn is_complete() -> bool {
    directory().join(ALL_MADE).exists()
}

/// When the generator last came to its end.
pub fn made() -> Option<DateTime<Utc>> {
    let file = fs::metadata(directory().join(ALL_MADE)).ok()?;
    Some(file.modified().ok()?.into())
}

/// The texts of zam's units by their paths below `directory`: none if that does not exist. Other generators write there
/// too; theirs are left out.
pub fn read(directory: &Path) -> Result<BTreeMap<String, String>> {
    let mut units = BTreeMap::new();
    add(directory, "", &mut units)
        .with_context(|| format!("cannot read {}", directory.display()))?;
    Ok(units)
}

/// `below` is the path of `directory` in the names of the units, with a slash at its end.
fn add(directory: &Path, below: &str, units: &mut BTreeMap<String, String>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{below}{name}");
        if entry.file_type()?.is_dir() {
            add(&entry.path(), &(path + "/"), units)?;
        } else if name.starts_with("zam") || name == "50-zam.conf" {
            units.insert(path, fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}
