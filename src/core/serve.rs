//! What a key that is bound to `zam serve` may run here: the commands that zam sends, word for word, on datasets within
//! the roots of the key. What is not in this list is refused.

use serde::Serialize;

use crate::core::listing::{ALL_TYPES, SNAPSHOT_COLUMNS, TREE_COLUMNS};
use crate::core::name::{Dataset, Prefix};
use crate::core::scalars::Compression;
use crate::core::{received, shell};

/// What the first stream of a replica may set there.
const SETTINGS: [&str; 4] = [
    "readonly=on",
    "canmount=noauto",
    "volmode=none",
    "encryption=off",
];
const RECEIVE: [&str; 4] = ["zfs", "receive", "-s", "-u"];
/// What may be asked of a dataset or a snapshot besides its listing.
const PROPERTIES: &str = "guid,readonly,canmount,volmode,encryptionroot";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Brings replicas here, and prunes them.
    Push,
    /// Brings replicas here, and can destroy nothing.
    AppendOnly,
    /// Fetches what is here.
    ReadOnly,
}

/// What a key may do, and where.
#[derive(Clone, Debug)]
pub struct Key {
    pub roots: Vec<Dataset>,
    pub role: Role,
    /// Of the snapshots and bookmarks that it may destroy or make.
    pub prefix: Prefix,
}

type Verdict = Result<(), String>;

impl Key {
    /// The programs of `line`, if the key may run them, and if they receive a stream, without what a replica must not take
    /// from it. What a resumed stream is of, its token does not say: [`token`] finds it, and [`Key::judge_resumed`] judges.
    ///
    /// # Errors
    /// Why it may not.
    pub fn judge(&self, line: &str) -> Result<Vec<Vec<String>>, String> {
        let mut programs = shell::programs(line).ok_or("that is no command of zam's")?;
        let mut argvs = Vec::new();
        for program in &programs {
            let argv: Vec<&str> = program.iter().map(String::as_str).collect();
            argvs.push(argv);
        }
        let zfs = match argvs.as_slice() {
            [zfs] => zfs,
            [zfs, pack] if zfs.starts_with(&["zfs", "send"]) && is_packer(pack, "-qc") => zfs,
            [unpack, zfs] if zfs.starts_with(&RECEIVE) && is_packer(unpack, "-dqc") => zfs,
            _ => return Err("zam joins no such programs".into()),
        };
        self.judge_zfs(zfs)?;
        programs.iter_mut().for_each(leave_out_what_is_unwanted);
        Ok(programs)
    }

    fn judge_zfs(&self, argv: &[&str]) -> Verdict {
        match argv {
            ["zfs", "list", "-Hp", "-t", types, "-o", columns, rest @ ..] => {
                are_known(types, &[ALL_TYPES])?;
                are_known(columns, &[TREE_COLUMNS, SNAPSHOT_COLUMNS])?;
                self.judge_listed(rest)
            }
            ["zfs", "get", "-Hp", "-o", "value", properties, name] => {
                are_known(properties, &[PROPERTIES])?;
                self.named(name).map(drop)
            }
            ["zfs", "allow", dataset] => self.dataset(dataset),
            ["zpool", "status", pool] => self.pool(pool),
            ["zfs", "receive", "-A", replica] => {
                self.must_be(&[Role::Push], "discards no part of a stream")?;
                self.dataset(replica)
            }
            ["zfs", "receive", "-s", "-u", settings @ .., replica] => {
                self.must_be(&[Role::Push, Role::AppendOnly], "receives nothing")?;
                are_settings(settings)?;
                self.dataset(replica)
            }
            ["zfs", "create", "-u", "-o", "canmount=off", dataset] => {
                self.must_be(&[Role::Push, Role::AppendOnly], "creates nothing")?;
                self.dataset(dataset)
            }
            ["zfs", "destroy", name] => self.judge_destroyed(name),
            ["zfs", "bookmark", from, to] => {
                self.must_be(&[Role::ReadOnly], "makes no bookmarks")?;
                self.judge_bookmark(from, to)
            }
            ["zfs", "send", "-t" | "-wt", token] => {
                self.must_be(&[Role::ReadOnly], "sends nothing")?;
                is_token(token)
            }
            [
                "zfs",
                "send",
                "-Lc" | "-Lcw" | "-LcnvP" | "-LcwnvP",
                names @ ..,
            ] => {
                self.must_be(&[Role::ReadOnly], "sends nothing")?;
                self.judge_sent(names)
            }
            _ => Err("zam sends no such command".into()),
        }
    }

    fn judge_listed(&self, rest: &[&str]) -> Verdict {
        let (["-r", names @ ..] | ["-d", "0" | "1", names @ ..]) = rest else {
            return Err("zam lists with -r, -d 0 or -d 1".into());
        };
        if names.is_empty() {
            return Err("zam lists no machine as a whole".into());
        }
        for name in names {
            self.named(name)?;
        }
        Ok(())
    }

    fn judge_destroyed(&self, name: &str) -> Verdict {
        let (_, mark) = self.named(name)?;
        match mark {
            Mark::Snapshot(names) => {
                self.must_be(&[Role::Push], "destroys no snapshots")?;
                self.are_owned(names.split(','))
            }
            Mark::Bookmark(name) => {
                self.must_be(&[Role::ReadOnly], "destroys no bookmarks")?;
                self.is_own_bookmark(name)
            }
            Mark::None => Err("zam destroys no datasets".into()),
        }
    }

    fn are_owned<'n>(&self, mut names: impl Iterator<Item = &'n str>) -> Verdict {
        match names.find(|name| !self.prefix.owns_snapshot(name)) {
            None => Ok(()),
            Some(name) => Err(format!("{name} is no snapshot of {}'s", self.prefix)),
        }
    }

    fn is_own_bookmark(&self, name: &str) -> Verdict {
        let (_, guid) = name.rsplit_once('_').unwrap_or_default();
        let guid = u64::from_str_radix(guid, 16).unwrap_or_default();
        match self.prefix.owns_bookmark(name, guid) {
            Some(_) => Ok(()),
            None => Err(format!("{name} is no bookmark of {}'s", self.prefix)),
        }
    }

    fn judge_bookmark(&self, from: &str, to: &str) -> Verdict {
        let (source, from) = self.named(from)?;
        let (dataset, Mark::Bookmark(name)) = self.named(to)? else {
            return Err("zam makes bookmarks".into());
        };
        if from == Mark::None || source != dataset {
            return Err("zam marks a snapshot or a bookmark of the same dataset".into());
        }
        self.is_own_bookmark(name)
    }

    /// What follows the options of `zfs send`: a snapshot, after the incremental base if there is one.
    fn judge_sent(&self, names: &[&str]) -> Verdict {
        let (base, sent) = match names {
            [sent] => (None, *sent),
            ["-i" | "-I", base, sent] => (Some(*base), *sent),
            _ => return Err("zam sends one snapshot, or what follows one".into()),
        };
        let (dataset, Mark::Snapshot(_)) = self.named(sent)? else {
            return Err("zam sends snapshots".into());
        };
        let Some(base) = base else {
            return Ok(());
        };
        let (source, mark) = self.named(base)?;
        if mark == Mark::None || source != dataset {
            return Err("zam sends from a snapshot or a bookmark of the same dataset".into());
        }
        Ok(())
    }

    /// Judges a token by what `zfs send -nvPt` prints of it: the line with the snapshot that ZFS itself has found, `full` or
    /// `incremental` and then names and bytes between tabs. The token's own words stand there too; whoever made it chose
    /// them, and they may span lines. So there must be one such line alone.
    ///
    /// # Errors
    /// The snapshot is not within the roots, or there is no telling which it is.
    pub fn judge_resumed(&self, printed: &str) -> Verdict {
        let mut found = Vec::new();
        for line in printed.lines() {
            let words: Vec<&str> = line.split('\t').collect();
            match words.as_slice() {
                ["full", snapshot, _bytes] => found.push(*snapshot),
                ["incremental", _base, snapshot, _bytes] => found.push(*snapshot),
                _ => (),
            }
        }
        let [snapshot] = found.as_slice() else {
            return Err("this token does not say clearly what it resumes".into());
        };
        match self.named(snapshot)? {
            (_, Mark::Snapshot(_)) => Ok(()),
            _ => Err(format!("{snapshot} is no snapshot")),
        }
    }

    fn must_be(&self, roles: &[Role], this_key: &str) -> Verdict {
        match roles.contains(&self.role) {
            true => Ok(()),
            false => Err(format!("this key {this_key}")),
        }
    }

    fn dataset(&self, name: &str) -> Verdict {
        match self.named(name)? {
            (_, Mark::None) => Ok(()),
            _ => Err(format!("{name} is no dataset")),
        }
    }

    fn pool(&self, name: &str) -> Verdict {
        match self.roots.iter().any(|root| root.pool() == name) {
            true => Ok(()),
            false => Err(format!(
                "the pool {name} holds nothing that this key is for"
            )),
        }
    }

    /// A dataset within the roots, and what follows its name.
    fn named<'n>(&self, name: &'n str) -> Result<(Dataset, Mark<'n>), String> {
        let (dataset, mark) = match name.find(['@', '#']) {
            None => (name, Mark::None),
            Some(at) if name[at..].starts_with('@') => {
                (&name[..at], Mark::Snapshot(&name[at + 1..]))
            }
            Some(at) => (&name[..at], Mark::Bookmark(&name[at + 1..])),
        };
        if let Mark::Snapshot(mark) | Mark::Bookmark(mark) = mark {
            let is_legal = |c: char| c.is_ascii_alphanumeric() || "-_.: ,".contains(c);
            if mark.is_empty() || !mark.chars().all(is_legal) {
                return Err(format!("`{mark}` names no snapshot or bookmark"));
            }
        }
        let dataset: Dataset = dataset.parse()?;
        if !self.roots.iter().any(|root| dataset.is_within(root)) {
            return Err(format!("{dataset} is not within what this key is for"));
        }
        Ok((dataset, mark))
    }
}

/// What follows the name of a dataset.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mark<'n> {
    None,
    /// One name, or several with commas between them, as `zfs destroy` takes them.
    Snapshot(&'n str),
    Bookmark(&'n str),
}

fn is_packer(argv: &[&str], option: &str) -> bool {
    let all = Compression::ALL.iter();
    all.map(|packer| packer.program())
        .any(|program| *argv == [program, option])
}

/// Of a program that receives a stream; that may be any stream that ZFS can read.
fn leave_out_what_is_unwanted(program: &mut Vec<String>) {
    if !program.starts_with(&RECEIVE.map(Into::into)) {
        return;
    }
    let replica = program.len() - 1;
    let settings = &program[RECEIVE.len()..replica];
    let is_volume = settings.iter().any(|setting| setting == "volmode=none");
    let mut options = Vec::new();
    for property in received::unwanted(is_volume, !settings.is_empty()) {
        options.extend(["-x".to_owned(), property.to_owned()]);
    }
    program.splice(replica..replica, options);
}

/// The token of a stream that is resumed.
pub fn token(programs: &[Vec<String>]) -> Option<&str> {
    let argv: Vec<&str> = programs.first()?.iter().map(String::as_str).collect();
    match argv.as_slice() {
        ["zfs", "send", "-t" | "-wt", token] => Some(token),
        _ => None,
    }
}

/// Tokens are hex digits and dashes (libzfs: zfs_send_resume_token_to_nvlist).
fn is_token(word: &str) -> Verdict {
    let is_of_token = |c: char| c.is_ascii_hexdigit() || c == '-';
    match word.starts_with(|c: char| c.is_ascii_digit()) && word.chars().all(is_of_token) {
        true => Ok(()),
        false => Err("that is no resume token".into()),
    }
}

/// Whether each word between commas stands in one of the lists.
fn are_known(words: &str, lists: &[&str]) -> Verdict {
    for word in words.split(',') {
        let is_known = |list: &&str| list.split(',').any(|known| known == word);
        if !lists.iter().any(is_known) {
            return Err(format!("zam does not ask for `{word}`"));
        }
    }
    Ok(())
}

fn are_settings(words: &[&str]) -> Verdict {
    for option in words.chunks(2) {
        match option {
            ["-o", setting] if SETTINGS.contains(setting) => (),
            _ => return Err(format!("zam does not receive with {}", option.join(" "))),
        }
    }
    Ok(())
}
