//! The configuration's files. One loader for the generator and the verbs: both see the same entries and the same
//! faults. Starts no process and logs nothing, so that the generator may use it.

use std::io;
use std::path::{Path, PathBuf};

use crate::core::config::Config;
use crate::core::exposed::{Loss, exposed};
use crate::core::fault::{Source, render};
use crate::core::load::load;
use crate::edge::outcome::Exit;
use crate::edge::{files, last_good};

#[derive(Default)]
pub struct Loaded {
    pub config: Config,
    pub sources: Vec<Source>,
    /// The faults, rendered with their positions.
    pub faults: Vec<String>,
    /// How many faults there are; not all of them are rendered.
    pub errors: usize,
    /// What is gone since the last good configuration and kept datasets from being pruned.
    pub losses: Vec<Loss>,
    /// Whether this is the last good configuration, because nothing in the files of today can be in force.
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

    /// Finds what is gone since the last good configuration.
    fn compare(&mut self, good: Option<&[Source]>) {
        let good = good.filter(|good| *good != self.sources);
        if let Some(Ok((before, _))) = good.map(load) {
            self.losses.extend(exposed(&before, &self.config));
        }
    }

    /// Why pruning waits until a person has accepted what is gone. A few of many are enough, on a line.
    fn waits_for_a_person(&self) -> Option<String> {
        const ENOUGH: usize = 3;
        let mut losses = self.losses.iter().map(Loss::to_string);
        let first: Vec<String> = losses.by_ref().take(ENOUGH).collect();
        let more = match losses.count() {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let first = first.join("; ");
        (!first.is_empty()).then(|| format!("{first}{more}; or accept that with zam reload"))
    }

    /// In place of a configuration that could not be read at all.
    pub fn nothing(path: &Path, fault: String) -> Self {
        Loaded {
            sources: vec![source(path, String::new())],
            faults: vec![fault],
            errors: 1,
            ..Loaded::default()
        }
    }
}

fn source(path: &Path, text: String) -> Source {
    let path = path.display().to_string();
    Source { path, text }
}

/// The path of the configuration: the given one, or `ZAM_CONFIG`, or /etc/zam/zam.yaml.
pub fn path(given: Option<PathBuf>) -> PathBuf {
    let variable = || std::env::var_os("ZAM_CONFIG").map(PathBuf::from);
    given.or_else(variable).unwrap_or_else(path_of_generator)
}

/// The configuration that the generator reads when systemd runs it.
pub fn path_of_generator() -> PathBuf {
    last_good::MACHINES.into()
}

/// Reads `path` and the `*.yaml` in `zam.d` beside it. None when there is no such file. The last good configuration
/// stands in for files that cannot be read or parsed, and for files in which every entry is at fault, because a slip in
/// `defaults` must not stop everything.
///
/// # Errors
/// A file cannot be read or parsed, and there is no last good configuration.
pub fn read(path: &Path) -> Result<Option<Loaded>, String> {
    let files = Files::read(path);
    if files.sources.is_empty() && files.unreadable.is_empty() {
        return Ok(None);
    }
    let (good, unreadable) = match last_good::read(path) {
        Ok(good) => (good, None),
        Err(why) => (None, Some(why)),
    };
    let missing_file = gone(path, good.as_deref(), &files.sources);
    let loaded = match files.load() {
        Ok(mut loaded) if !loaded.config.entries.is_empty() => {
            loaded.losses.extend(missing_file);
            loaded.compare(good.as_deref());
            // Without the last good one nobody can say what is gone.
            let waits = unreadable.or_else(|| loaded.waits_for_a_person());
            let of_faults = loaded.config.pruning_waits.take();
            loaded.config.pruning_waits = of_faults.or(waits);
            return Ok(Some(loaded));
        }
        other => other,
    };
    if let Some(sources) = good
        && let Ok((config, _)) = load(&sources)
    {
        let faults = loaded.map_or_else(|faults| faults, |loaded| loaded.faults);
        return Ok(Some(last_good_instead(config, sources, faults)));
    }
    loaded.map(Some).map_err(|faults| faults.join("\n"))
}

/// The last good configuration, for whom to tell that there is no other.
pub fn last_good(path: &Path) -> Option<Config> {
    let sources = last_good::read(path).ok()??;
    let (config, _) = load(&sources).ok()?;
    Some(config)
}

/// Nothing is pruned under the last good configuration, because it may have been given up since (invariant 10).
fn last_good_instead(mut config: Config, sources: Vec<Source>, mut faults: Vec<String>) -> Loaded {
    const NOTICE: &str = "the last good configuration is in force instead";
    let first = faults.first().and_then(|fault| fault.lines().next());
    let first = first.unwrap_or_default();
    config.pruning_waits = Some(format!("{first}; {NOTICE}, and nothing is pruned under it"));
    let errors = faults.len();
    faults.push(NOTICE.into());
    Loaded {
        config,
        sources,
        faults,
        errors,
        is_last_good: true,
        ..Loaded::default()
    }
}

/// Says that a file which was in force is not there: nothing says now what it said of its datasets. Without a copy of
/// what was in force only the first file is known to be missed.
fn gone(path: &Path, good: Option<&[Source]>, now: &[Source]) -> Option<Loss> {
    let first = [source(path, String::new())];
    let mut expected = good.unwrap_or(&first).iter();
    let gone = expected.find(|source| now.iter().all(|other| other.path != source.path))?;
    let what = format!("{} was part of the configuration and is gone", gone.path);
    Some(Loss::new(what, "put it back"))
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
    /// Why a file cannot be read. With a single one nobody knows what was meant.
    unreadable: Vec<String>,
    /// Files that are not read because of their names, and look as if they should be.
    misnamed: Vec<String>,
}

impl Files {
    fn read(path: &Path) -> Self {
        let mut files = Files::default();
        files.add(path);
        let more = path.with_file_name("zam.d");
        match files::list(&more) {
            Ok(paths) => paths.iter().for_each(|path| files.add_if_named(path)),
            Err(e) => files.cannot_read(&more, &e),
        }
        files
    }

    /// Hidden files, notes, and copies that editors, packages and people leave (`x.yaml~`, `x.yaml.dpkg-old`) are nobody's
    /// configuration. Everything else may be meant to be read.
    fn add_if_named(&mut self, path: &Path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            return;
        }
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            self.add(path);
        } else if !is_left_aside(&name.to_lowercase()) {
            let right = path.with_extension("yaml");
            self.misnamed.push(format!(
                "{} is not read: rename it to {}",
                path.display(),
                right.display()
            ));
        }
    }

    fn add(&mut self, path: &Path) {
        match files::read(path) {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.sources.push(source(path, text));
            }
            Err(e) => self.cannot_read(path, &e),
        }
    }

    fn cannot_read(&mut self, path: &Path, error: &io::Error) {
        let message = format!("cannot read {}: {error}", path.display());
        self.unreadable.push(message);
    }

    /// The configuration that the files give together.
    ///
    /// # Errors
    /// The faults because of which they give none.
    fn load(self) -> Result<Loaded, Vec<String>> {
        if !self.unreadable.is_empty() {
            return Err(self.unreadable);
        }
        let loaded = load(&self.sources);
        let (mut config, faults) = loaded.map_err(|fault| vec![fault.render(&self.sources)])?;
        let errors = faults.len() + self.misnamed.len();
        if config.pruning_waits.is_none() {
            config.pruning_waits = self.misnamed.first().cloned();
        }
        Ok(Loaded {
            config,
            faults: [render(&faults, &self.sources), self.misnamed].concat(),
            sources: self.sources,
            errors,
            ..Loaded::default()
        })
    }
}

/// Whether the name, in lower case, is that of a note or of a copy.
fn is_left_aside(name: &str) -> bool {
    const OF_PACKAGES: [&str; 4] = ["dpkg-", "rpm", "ucf-", "pac"];
    const ENDS: [&str; 12] = [
        "bak", "backup", "old", "orig", "rej", "save", "swp", "tmp", "disabled", "off", "example",
        "md",
    ];
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let is_packages = OF_PACKAGES.iter().any(|start| extension.starts_with(start));
    let is_editors = name.ends_with('~') || name.starts_with('#');
    is_editors || is_packages || ENDS.contains(&extension) || name.starts_with("readme")
}
