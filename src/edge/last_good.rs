//! The copy of the configuration that was last in force without a fault. The generator reads it too, and it is there before
//! /var is mounted.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::core::fault::Source;
use crate::edge::files;

/// The machine's own configuration.
pub(super) const MACHINES: &str = "/etc/zam/zam.yaml";
const COPY: &str = "/var/lib/zam/last-good.yaml";

/// The paths of the last good copy. A second one lies beside the configuration, because /var may be a file system that is
/// not mounted yet when systemd runs the generator. The copy of a configuration other than the machine's lies only there.
fn copies(path: &Path) -> (PathBuf, Option<PathBuf>) {
    let beside = path.with_extension("last-good");
    if path == Path::new(MACHINES) {
        (COPY.into(), Some(beside))
    } else {
        (beside, None)
    }
}

/// Keeps the sources for a day on which they cannot be parsed. A copy is written whole or not at all, and who cannot read
/// the sources cannot read it either.
///
/// # Errors
/// The first copy cannot be written. The second one may fail, because /etc can be read-only.
pub fn keep(path: &Path, sources: &[Source]) -> io::Result<()> {
    // JSON is YAML too, and needs no separator that a comment could hold.
    let pairs = sources.iter().map(|source| (&source.path, &source.text));
    let text = serde_json::to_vec_pretty(&Vec::from_iter(pairs))?;
    let readers = Readers::of(sources)?;
    let (first, second) = copies(path);
    let written = readers.replace(&first, &text);
    if let Some(second) = second {
        drop(readers.replace(&second, &text));
    }
    written
}

/// Who besides root can read each of some files.
struct Readers {
    everybody: bool,
    /// The members of this group.
    group: Option<u32>,
}

impl Readers {
    fn of(sources: &[Source]) -> io::Result<Self> {
        let mut everybody = true;
        let mut groups = BTreeSet::new();
        for source in sources {
            let path = Path::new(&source.path);
            let file = fs::metadata(path)?;
            let folder = fs::metadata(parent(path))?;
            let is_open = folder.mode() & 0o001 != 0;
            if is_open && file.mode() & 0o004 != 0 {
                continue;
            }
            everybody = false;
            let is_open = is_open || folder.mode() & 0o010 != 0 && folder.gid() == file.gid();
            let is_for_group = is_open && file.mode() & 0o040 != 0;
            groups.insert(is_for_group.then_some(file.gid()));
        }
        let group = groups.pop_first().flatten().filter(|_| groups.is_empty());
        Ok(Readers { everybody, group })
    }

    /// Follows no link: the new file takes the place of whatever has the name.
    fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let directory = parent(path);
        fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        io::Write::write_all(&mut file, text)?;
        let mode = match (self.everybody, self.group) {
            (true, _) => 0o644,
            (false, Some(_)) => 0o640,
            (false, None) => 0o600,
        };
        fchown(file.as_file(), None, self.group)?;
        file.as_file()
            .set_permissions(Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

fn parent(path: &Path) -> &Path {
    let parent = path.parent();
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// The sources of the last good copy; none when there is no copy, or none that can be parsed.
///
/// # Errors
/// There is one, and we may not read it.
pub fn read(path: &Path) -> Result<Option<Vec<Source>>, String> {
    let (first, second) = copies(path);
    let mut denied = None;
    for copy in [Some(first), second].into_iter().flatten() {
        match files::read(&copy) {
            Ok(Some(bytes)) => {
                if let Some(sources) = parse(&bytes) {
                    return Ok(Some(sources));
                }
            }
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                denied = Some(format!(
                    "cannot read {}: {e}; zam reload mends that",
                    copy.display()
                ));
            }
            _ => (),
        }
    }
    denied.map_or(Ok(None), Err)
}

fn parse(bytes: &[u8]) -> Option<Vec<Source>> {
    let pairs: Vec<(String, String)> = serde_json::from_slice(bytes).ok()?;
    let sources = pairs.into_iter().map(|(path, text)| Source { path, text });
    Some(sources.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_no_more_readable_than_what_it_is_of() {
        let place = tempfile::tempdir().expect("a directory");
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).expect("permissions");
        let source = |name: &str, mode| {
            let path = place.path().join(name);
            fs::write(&path, "datasets:").expect("a file");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("permissions");
            let path = path.display().to_string();
            let text = String::new();
            Source { path, text }
        };
        let path = place.path().join("zam.yaml");
        for (modes, directory, expected) in [
            ([0o644, 0o644], 0o755, 0o644),
            ([0o644, 0o600], 0o755, 0o600),
            ([0o640, 0o644], 0o755, 0o640),
            ([0o644, 0o644], 0o700, 0o600),
            ([0o644, 0o644], 0o750, 0o640),
        ] {
            fs::set_permissions(place.path(), Permissions::from_mode(directory))
                .expect("permissions");
            let sources = [source("zam.yaml", modes[0]), source("more.yaml", modes[1])];
            keep(&path, &sources).expect("kept");
            let copy = fs::metadata(path.with_extension("last-good")).expect("a copy");
            assert_eq!(copy.mode() & 0o7777, expected, "{modes:?} {directory:o}");
            assert_eq!(read(&path).map(|sources| sources.is_some()), Ok(true));
        }
    }
}
