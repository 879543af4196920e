//! The configuration's files. One loader for the generator and the verbs: both see the same entries and the same
//! faults. Starts no process and logs nothing, so that the generator may use it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::outcome::Misconfigured;
use crate::core::config::Config;
use crate::core::load::load;
use crate::core::yaml::{Fault, Source};

const DEFAULT: &str = "/etc/zam/zam.yaml";
const LAST_GOOD: &str = "/var/lib/zam/last-good.yaml";

pub struct Loaded {
    pub config: Config,
    pub sources: Vec<Source>,
    /// What is wrong, rendered with its place. Empty: nothing.
    pub faults: Vec<String>,
    /// Nothing of the files can be in force, and this is what they said when something last could.
    pub is_last_good: bool,
}

impl Loaded {
    pub fn wrong(&self) -> Misconfigured {
        let errors = if self.faults.len() == 1 { "1 error".into() } else { format!("{} errors", self.faults.len()) };
        Misconfigured(format!("{errors} in the configuration"))
    }

    /// What is left of a configuration that could not be read at all.
    pub fn nothing(path: &Path, fault: String) -> Self {
        let sources = vec![Source { path: path.display().to_string(), text: String::new() }];
        Loaded { config: Config::default(), sources, faults: vec![fault], is_last_good: false }
    }
}

/// Where the configuration is: as given, or `ZAM_CONFIG`, or /etc/zam/zam.yaml.
pub fn path(given: Option<PathBuf>) -> PathBuf {
    given.or_else(|| std::env::var_os("ZAM_CONFIG").map(PathBuf::from)).unwrap_or_else(|| DEFAULT.into())
}

/// The one that systemd has the generator read.
pub fn path_of_generator() -> PathBuf {
    DEFAULT.into()
}

/// Reads `path` and the `*.yaml` in `zam.d` beside it. None when there is none of them.
///
/// # Errors
/// A file cannot be read, or cannot be parsed and there is no last good configuration (which also stands in where every
/// entry is at fault: a slip in `defaults` must not stop everything).
pub fn read(path: &Path) -> Result<Option<Loaded>, String> {
    let sources = sources(path)?;
    if sources.is_empty() {
        return Ok(None);
    }
    let render = |faults: Vec<Fault>, sources: &[Source]| faults.iter().map(|fault| fault.render(sources)).collect();
    let (config, faults) = match load(&sources) {
        Ok((config, faults)) => (Some(config), render(faults, &sources)),
        Err(fault) => (None, render(vec![fault], &sources)),
    };
    let is_in_force = config.as_ref().is_some_and(|config| !config.entries.is_empty());
    let last_good = if is_in_force { None } else { read_last_good(path) };
    match (config, last_good.and_then(|good| Some((load(&good).ok()?, good)))) {
        (_, Some(((config, more), good))) => {
            let notice = vec!["the last good configuration is in force instead".to_owned()];
            let faults = [faults, notice, render(more, &good)].concat();
            Ok(Some(Loaded { config, sources: good, faults, is_last_good: true }))
        }
        (Some(config), None) => Ok(Some(Loaded { config, faults, sources, is_last_good: false })),
        (None, None) => Err(faults.concat()),
    }
}

/// Whether the files still say what was read.
pub fn is_unchanged(path: &Path, loaded: &Loaded) -> bool {
    sources(path).is_ok_and(|sources| sources == loaded.sources)
}

fn sources(path: &Path) -> Result<Vec<Source>, String> {
    let mut paths = vec![path.to_owned()];
    let more = path.with_file_name("zam.d");
    match fs::read_dir(&more) {
        Ok(files) => paths.extend(files.flatten().map(|file| file.path()).filter(|p| p.extension().is_some_and(|e| e == "yaml"))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(format!("cannot read {}: {e}", more.display())),
    }
    paths[1..].sort();
    let read = |path: PathBuf| match fs::read(&path) {
        Ok(bytes) => Some(Ok(Source { path: path.display().to_string(), text: String::from_utf8_lossy(&bytes).into_owned() })),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => Some(Err(format!("cannot read {}: {e}", path.display()))),
    };
    paths.into_iter().filter_map(read).collect()
}

/// The last good copy of another configuration than the machine's lies beside that one.
fn last_good(path: &Path) -> PathBuf {
    if path == Path::new(DEFAULT) { LAST_GOOD.into() } else { path.with_extension("last-good") }
}

/// Keeps the sources for a day on which they cannot be parsed. Whole or not at all.
pub fn keep_as_last_good(path: &Path, sources: &[Source]) -> io::Result<()> {
    let copy = last_good(path);
    let directory = copy.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    // JSON is YAML too, and needs no mark that a comment could hold.
    let pairs: Vec<(&str, &str)> = sources.iter().map(|source| (source.path.as_str(), source.text.as_str())).collect();
    serde_json::to_writer_pretty(&mut file, &pairs)?;
    file.as_file().sync_all()?;
    file.persist(&copy)?;
    Ok(())
}

fn read_last_good(path: &Path) -> Option<Vec<Source>> {
    let pairs: Vec<(String, String)> = serde_json::from_str(&fs::read_to_string(last_good(path)).ok()?).ok()?;
    Some(pairs.into_iter().map(|(path, text)| Source { path, text }).collect())
}
