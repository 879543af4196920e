//! Files in directories where others may write too: /run/zam belongs to a group, and its members may be hostile. No link
//! is followed, and only what root or we own is read or written, or what a directory is there for (invariant 13).

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

const READ_MAX: u64 = 1 << 24;
const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o022;
const OTHER_WRITES: u32 = 0o002;
/// Files that are made in such a directory get its group (inode(7)).
const SET_GROUP: u32 = 0o2000;

/// Makes sure that a directory exists, and that only the owner of a file in it can put another in that file's place.
///
/// # Errors
/// It belongs to another user, or others may remove our files in it.
pub fn directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = File::options()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    let found = directory.metadata()?;
    if !is_owner_trusted(&found) {
        return Err(io::Error::other(format!(
            "{} belongs to another user (number {})",
            path.display(),
            found.uid()
        )));
    }
    let mode = found.mode() & 0o7777;
    // Older versions made it without the sticky bit.
    if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
        let sticky = Permissions::from_mode(mode | STICKY);
        return directory.set_permissions(sticky).map_err(|_| {
            let path = path.display();
            io::Error::other(format!(
                "others may remove our files in {path}; let root run: chmod +t {path}"
            ))
        });
    }
    Ok(())
}

/// Opens a file for reading and writing that the members of a group share; one that is new is for them, whatever the umask.
/// It may belong to any of them: to nobody else, if it has the group of the directory, since others cannot make files there.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    let group = path.parent().and_then(group_of);
    let is_trusted = |found: &Metadata| is_owner_trusted(found) || Some(found.gid()) == group;
    // Somebody else may make it after we found none, or remove it after that.
    loop {
        match open(path, File::options().read(true).write(true), is_trusted) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        match create(path, 0o660) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            created => return created,
        }
    }
}

/// The group whose members, and nobody else, may make files in a directory, each of which then has that group.
fn group_of(directory: &Path) -> Option<u32> {
    let found = directory.metadata().ok()?;
    let mode = found.mode();
    let gid = found.gid();
    (mode & OTHER_WRITES == 0 && mode & SET_GROUP != 0 && gid != 0).then_some(gid)
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    let file = options.mode(mode & 0o700).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

fn open(
    path: &Path,
    options: &mut OpenOptions,
    is_trusted: impl Fn(&Metadata) -> bool,
) -> io::Result<File> {
    // Not blocking: a FIFO would wait for its other end.
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = options.custom_flags(flags.bits() as i32).open(path)?;
    let found = file.metadata()?;
    if found.is_file() && found.nlink() == 1 && is_trusted(&found) {
        return Ok(file);
    }
    Err(io::Error::other(
        "it is not a plain file that belongs to root or to us; look at it and remove it",
    ))
}

fn is_owner_trusted(found: &Metadata) -> bool {
    found.uid() == 0 || found.uid() == geteuid().as_raw()
}

/// Whether the file still is what the path names.
pub fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Reads a short text, of root or us.
pub fn read(path: &Path) -> io::Result<String> {
    read_if(path, is_owner_trusted)
}

/// Reads a short text in a directory that root has given to a user: that user's too.
pub fn read_of_user(path: &Path) -> io::Result<String> {
    let owner = fs::symlink_metadata(parent(path))?.uid();
    read_if(path, |found| {
        is_owner_trusted(found) || found.uid() == owner
    })
}

fn read_if(path: &Path, is_trusted: impl Fn(&Metadata) -> bool) -> io::Result<String> {
    let mut text = String::new();
    let file = open(path, File::options().read(true), is_trusted)?;
    file.take(READ_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Writes a text in a directory of ours, which is made if it is not there, as [`replace`] does.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    directory(parent(path))?;
    replace(path, text)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Writes a text whole or not at all, readable by everybody, in place of what has that name, be it a link.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".zam-")
        .tempfile_in(parent(path))?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(Permissions::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::tempdir;

    use super::*;

    #[test]
    fn neither_links_nor_other_kinds_of_files_are_opened() {
        let place = tempdir().expect("a directory");
        let victim = place.path().join("victim");
        fs::write(&victim, "precious").expect("a file");
        let link = place.path().join("link");
        let hard = place.path().join("hard");
        let dangling = place.path().join("dangling");
        symlink(&victim, &link).expect("a link");
        symlink(place.path().join("new"), &dangling).expect("a link");
        fs::hard_link(&victim, &hard).expect("a link");
        let fifo = place.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).expect("a FIFO");
        for path in [&link, &hard, &dangling, &fifo, &place.path().to_owned()] {
            assert!(
                open_or_create(path).is_err() && read(path).is_err(),
                "{}",
                path.display()
            );
        }
        assert!(!place.path().join("new").exists());
        assert_eq!(fs::read_to_string(&victim).expect("the file"), "precious");
    }

    #[test]
    fn a_link_gives_way_to_what_is_written() {
        let place = tempdir().expect("a directory");
        let victim = place.path().join("victim");
        let link = place.path().join("link");
        fs::write(&victim, "precious").expect("a file");
        symlink(&victim, &link).expect("a link");
        write(&link, "ours").expect("writing");
        assert_eq!(fs::read_to_string(&victim).expect("the file"), "precious");
        assert_eq!(read(&link).expect("reading"), "ours");
    }

    #[test]
    fn another_users_file_or_directory_is_not_trusted() {
        if !geteuid().is_root() {
            return println!("not tried: only root can give a file to another user");
        }
        let place = tempdir().expect("a directory");
        let file = place.path().join("x.lock");
        let inside = place.path().join("inside");
        fs::write(&file, "4711").expect("a file");
        fs::create_dir(&inside).expect("a directory");
        for path in [&file, &inside] {
            std::os::unix::fs::chown(path, Some(65534), None).expect("given away");
        }
        assert!(open_or_create(&file).is_err() && read(&file).is_err());
        assert_eq!(fs::read_to_string(&file).expect("the file"), "4711");
        assert!(directory(&inside).is_err() && write(&inside.join("y"), "ours").is_err());
        assert_eq!(fs::read_dir(&inside).expect("a directory").count(), 0);
    }

    #[test]
    fn a_file_of_the_group_that_a_directory_is_for_is_any_members() {
        if !geteuid().is_root() {
            return println!("not tried: only root can give a file to another user");
        }
        let place = tempdir().expect("a directory");
        let ours = place.path().join("a.lock");
        let strange = place.path().join("b.lock");
        for (path, group) in [(&ours, 4711), (&strange, 4712)] {
            fs::write(path, "").expect("a file");
            std::os::unix::fs::chown(path, Some(65534), Some(group)).expect("given away");
        }
        std::os::unix::fs::chown(place.path(), None, Some(4711)).expect("given away");
        for (mode, expected) in [(0o3770, true), (0o1770, false), (0o3777, false)] {
            fs::set_permissions(place.path(), Permissions::from_mode(mode)).expect("permissions");
            assert_eq!(open_or_create(&ours).is_ok(), expected, "{mode:o}");
            assert!(open_or_create(&strange).is_err());
        }
    }

    #[test]
    fn a_user_is_believed_in_its_own_directory_alone() {
        if !geteuid().is_root() {
            return println!("not tried: only root can give a file to another user");
        }
        let place = tempdir().expect("a directory");
        let file = place.path().join("prune-tank");
        fs::write(&file, "1").expect("a file");
        for (owner, of_file, expected) in [(7, 7, true), (7, 0, true), (7, 8, false), (0, 7, false)]
        {
            std::os::unix::fs::chown(place.path(), Some(owner), None).expect("given away");
            std::os::unix::fs::chown(&file, Some(of_file), None).expect("given away");
            assert_eq!(read_of_user(&file).is_ok(), expected, "{owner} {of_file}");
        }
    }

    #[test]
    fn a_directory_of_a_group_becomes_sticky() {
        let place = tempdir().expect("a directory");
        fs::set_permissions(place.path(), Permissions::from_mode(0o2770)).expect("permissions");
        directory(place.path()).expect("a directory of ours");
        assert_eq!(
            place.path().metadata().expect("there").mode() & 0o7777,
            0o3770
        );
    }

    #[test]
    fn a_file_that_was_replaced_is_noticed() {
        let place = tempdir().expect("a directory");
        let path = place.path().join("x.lock");
        let file = open_or_create(&path).expect("a file");
        assert!(is_at(&file, &path));
        fs::rename(place.path().join("x.lock"), place.path().join("y")).expect("renaming");
        assert!(!is_at(&file, &path));
    }
}
