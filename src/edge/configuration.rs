//! The configuration's files. One loader for the generator and the verbs: both see the same entries and the same
//! faults. Starts no process and logs nothing, so that the generator may use it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::core::config::Config;
use crate::core::fault::{Source, render};
use crate::core::load::load;
use crate::edge::outcome::Exit;

const DEFAULT: &str = "/etc/zam/zam.yaml";
const LAST_GOOD: &str = "/var/lib/zam/last-good.yaml";
/// More is no configuration, but a device or a log under a wrong name.
const SIZE_MAX: u64 = 16 << 20;

pub struct Loaded {
    pub config: Config,
    pub sources: Vec<Source>,
    /// What is wrong, rendered with its place. Empty: nothing.
    pub faults: Vec<String>,
    /// How many faults there are; not all of them are rendered.
    pub errors: usize,
    /// Nothing of the files can be in force, and this is what they said when something last could.
    pub is_last_good: bool,
}

impl Loaded {
    pub fn wrong(&self) -> Exit {
        let errors = if self.errors == 1 {
            "1 error".into()
        } else {
            format!("{} errors", self.errors)
        };
        Exit::Misconfigured(format!("{errors} in the configuration"))
    }

    /// What is left of a configuration that could not be read at all.
    pub fn nothing(path: &Path, fault: String) -> Self {
        let sources = vec![Source {
            path: path.display().to_string(),
            text: String::new(),
        }];
        Loaded {
            config: Config::default(),
            sources,
            faults: vec![fault],
            errors: 1,
            is_last_good: false,
        }
    }
}

/// Where the configuration is: as given, or `ZAM_CONFIG`, or /etc/zam/zam.yaml.
pub fn path(given: Option<PathBuf>) -> PathBuf {
    given
        .or_else(|| std::env::var_os("ZAM_CONFIG").map(PathBuf::from))
        .unwrap_or_else(|| DEFAULT.into())
}

/// The one that systemd has the generator read.
pub fn path_of_generator() -> PathBuf {
    DEFAULT.into()
}

/// Reads `path` and the `*.yaml` in `zam.d` beside it. None when there is none of them.
///
/// # Errors
/// A file cannot be read or parsed, and there is no last good configuration (which also stands in where every entry is at
/// fault: a slip in `defaults` must not stop everything).
pub fn read(path: &Path) -> Result<Option<Loaded>, String> {
    let files = Files::read(path);
    if files.sources.is_empty() && files.unreadable.is_empty() {
        return Ok(None);
    }
    let good = read_last_good(path);
    let gone = gone(path, good.as_deref(), &files.sources);
    let loaded = files.load(gone);
    if loaded
        .as_ref()
        .is_ok_and(|loaded| !loaded.config.entries.is_empty())
    {
        return Ok(loaded.ok());
    }
    match (
        loaded,
        good.and_then(|good| Some((load(&good).ok()?.0, good))),
    ) {
        (Ok(loaded), None) => Ok(Some(loaded)),
        (Err(faults), None) => Err(faults.join("\n")),
        (Ok(Loaded { faults, .. }) | Err(faults), Some((config, sources))) => {
            Ok(Some(last_good_instead(config, sources, faults)))
        }
    }
}

/// Under what was in force once nothing is pruned: it may have been given up since (invariant 10).
fn last_good_instead(mut config: Config, sources: Vec<Source>, mut faults: Vec<String>) -> Loaded {
    const NOTICE: &str = "the last good configuration is in force instead";
    let first = faults
        .first()
        .and_then(|fault| fault.lines().next())
        .unwrap_or_default();
    config.pruning_waits = Some(format!("{first}; {NOTICE}, and nothing is pruned under it"));
    let errors = faults.len();
    faults.push(NOTICE.into());
    Loaded {
        config,
        sources,
        faults,
        errors,
        is_last_good: true,
    }
}

/// A file that was in force and is not there: what it said of its datasets, nothing says now. Without a copy of what was in
/// force only the first file is known to be missed.
fn gone(path: &Path, good: Option<&[Source]>, now: &[Source]) -> Option<String> {
    let first = [Source {
        path: path.display().to_string(),
        text: String::new(),
    }];
    let is_there = |source: &Source| now.iter().any(|other| other.path == source.path);
    let gone = good
        .unwrap_or(&first)
        .iter()
        .find(|source| !is_there(source))?;
    Some(format!(
        "{} was part of the configuration and is gone: put it back, or accept that with zam reload",
        gone.path
    ))
}

/// Whether the files still say what was read.
pub fn is_unchanged(path: &Path, loaded: &Loaded) -> bool {
    let files = Files::read(path);
    files.unreadable.is_empty() && files.sources == loaded.sources
}

/// The files that are there.
#[derive(Default)]
struct Files {
    sources: Vec<Source>,
    /// Why one cannot be read: then nothing is known of what was meant.
    unreadable: Vec<String>,
    /// Those that are not read because of their names, and look as if they should be.
    misnamed: Vec<String>,
}

impl Files {
    fn read(path: &Path) -> Self {
        let mut files = Files::default();
        files.add(path);
        let more = path.with_file_name("zam.d");
        match list(&more) {
            Ok(paths) => paths.iter().for_each(|path| files.add_if_named(path)),
            Err(e) => files
                .unreadable
                .push(format!("cannot read {}: {e}", more.display())),
        }
        files
    }

    /// Hidden files, notes, and copies that editors, packages and people leave (`x.yaml~`, `x.yaml.dpkg-old`) are nobody's
    /// configuration. Everything else may be meant to be read.
    fn add_if_named(&mut self, path: &Path) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if name.starts_with('.') {
            return;
        }
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            self.add(path);
        } else if !is_left_aside(&name) {
            let right = path.with_extension("yaml");
            self.misnamed.push(format!(
                "{} is not read: rename it to {}",
                path.display(),
                right.display()
            ));
        }
    }

    fn add(&mut self, path: &Path) {
        match read_file(path) {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.sources.push(Source {
                    path: path.display().to_string(),
                    text,
                });
            }
            Err(e) => self
                .unreadable
                .push(format!("cannot read {}: {e}", path.display())),
        }
    }

    /// What they give together, or the faults for which they give nothing. `gone` is why they may not be all.
    fn load(self, gone: Option<String>) -> Result<Loaded, Vec<String>> {
        if !self.unreadable.is_empty() {
            return Err(self.unreadable);
        }
        let (mut config, faults) =
            load(&self.sources).map_err(|fault| vec![fault.render(&self.sources)])?;
        let errors = faults.len() + self.misnamed.len();
        config.pruning_waits = config
            .pruning_waits
            .or_else(|| self.misnamed.first().cloned())
            .or(gone);
        let faults = [render(&faults, &self.sources), self.misnamed].concat();
        Ok(Loaded {
            config,
            sources: self.sources,
            faults,
            errors,
            is_last_good: false,
        })
    }
}

/// The paths in a directory by name; none when there is no such directory.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    if fs::symlink_metadata(directory).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        return Ok(Vec::new());
    }
    let mut paths = fs::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// None when there is no such file. A link to nothing is one that should be there. Nothing but a regular file is opened:
/// a pipe would be waited for, and a device may do anything.
fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(SIZE_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(io::Error::other("it has more than 16 MiB"));
    }
    Ok(Some(bytes))
}

/// Where the last good copy lies, and a second one beside the configuration: /var may be a file system that is not
/// mounted yet when systemd runs the generator. The copy of another configuration than the machine's lies only there.
fn last_good(path: &Path) -> Vec<PathBuf> {
    let beside = path.with_extension("last-good");
    if path == Path::new(DEFAULT) {
        vec![LAST_GOOD.into(), beside]
    } else {
        vec![beside]
    }
}

/// Keeps the sources for a day on which they cannot be parsed. Whole or not at all, and for root alone.
///
/// # Errors
/// The copy cannot be written. The second one may fail: /etc can be read-only.
pub fn keep_as_last_good(path: &Path, sources: &[Source]) -> io::Result<()> {
    // JSON is YAML too, and needs no mark that a comment could hold.
    let pairs: Vec<(&str, &str)> = sources
        .iter()
        .map(|source| (source.path.as_str(), source.text.as_str()))
        .collect();
    let text = serde_json::to_vec_pretty(&pairs)?;
    let mut written = last_good(path)
        .into_iter()
        .map(|copy| replace(&copy, &text));
    let first = written.next().unwrap_or(Ok(()));
    written.for_each(drop);
    first
}

/// Follows no link: the new file takes the place of whatever has the name.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    io::Write::write_all(&mut file, text)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn read_last_good(path: &Path) -> Option<Vec<Source>> {
    let read = |copy: PathBuf| {
        serde_json::from_slice::<Vec<(String, String)>>(&read_file(&copy).ok()??).ok()
    };
    let pairs = last_good(path).into_iter().find_map(read)?;
    Some(
        pairs
            .into_iter()
            .map(|(path, text)| Source { path, text })
            .collect(),
    )
}

/// By a file's name in lower case.
fn is_left_aside(name: &str) -> bool {
    const ENDS: [&str; 12] = [
        "bak", "backup", "old", "orig", "rej", "save", "swp", "tmp", "disabled", "off", "example",
        "md",
    ];
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let is_packages = ["dpkg-", "rpm", "ucf-", "pac"]
        .iter()
        .any(|start| extension.starts_with(start));
    let is_editors = name.ends_with('~') || name.starts_with('#');
    is_editors || is_packages || ENDS.contains(&extension) || name.starts_with("readme")
}
