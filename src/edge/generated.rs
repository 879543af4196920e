//! The units that the generator has written, as systemd read them when it was last reloaded.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where systemd has its generators write, or `ZAM_GENERATED`.
pub fn directory() -> PathBuf {
    std::env::var_os("ZAM_GENERATED").map_or("/run/systemd/generator".into(), PathBuf::from)
}

/// By their paths below `directory`, those of zam alone: other generators write there too. None where it does not exist.
pub fn read(directory: &Path) -> Result<BTreeMap<String, String>> {
    let mut units = BTreeMap::new();
    add(directory, "", &mut units)
        .with_context(|| format!("cannot read {}", directory.display()))?;
    Ok(units)
}

fn add(directory: &Path, below: &str, units: &mut BTreeMap<String, String>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let (name, kind) = (
            entry.file_name().to_string_lossy().into_owned(),
            entry.file_type()?,
        );
        if kind.is_dir() {
            add(&entry.path(), &format!("{below}{name}/"), units)?;
        } else if name.starts_with("zam") || name == "50-zam.conf" {
            units.insert(format!("{below}{name}"), fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}
