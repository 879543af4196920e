//! The zfs commands that zam uses, one function each. What a command prints is parsed in core. Keeps the guards of
//! invariants 1, 3 and 4: destroy only takes names with `@` or `#`, no command has `destroy -r` or `receive -F`, and a
//! listing that failed is an error.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};

use crate::core::complaint;
use crate::core::listing::{self, Tree};
use crate::core::name::Dataset;
use crate::core::replication::{Mark, Stream, Token};
use crate::edge::command::{Failure, Machine, Pipeline};

/// Names in one `zfs destroy`: thousands at once have hung pools (OpenZFS issues 9575, 13064).
pub const DESTROY_MAX: usize = 100;
/// Names in one listing, of up to 255 bytes each. Over ssh they are a single word, of which Linux takes 128 KiB (execve(2)).
const NAMES_MAX: usize = 400;

fn failure(error: &anyhow::Error) -> Option<&Failure> {
    error.downcast_ref()
}

/// Whether zfs itself says that. Shells and what they start put lines of their own on stderr. What stands before the last
/// quote is a name, and may contain anything: a dataset may be called `read-only`.
fn says(error: &anyhow::Error, text: &str) -> bool {
    const BEGINNINGS: [&str; 4] = [
        "cannot ",
        "could not find any snapshots to destroy",
        "bookmark '",
        "no snapshots were created",
    ];
    let is_of_zfs = |line: &&str| {
        BEGINNINGS
            .iter()
            .any(|beginning| line.starts_with(beginning))
    };
    let stderr = failure(error).map_or("", |failure| &failure.stderr);
    stderr.lines().filter(is_of_zfs).any(|line| {
        line.rsplit('\'')
            .next()
            .is_some_and(|reason| reason.contains(text))
    })
}

/// Whether ZFS refused because the pool was imported read-only.
pub fn is_read_only(error: &anyhow::Error) -> bool {
    says(error, "read-only")
}

/// Whether ZFS refused because a dataset would inherit the key of one that is locked.
pub fn lacks_key(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}").to_lowercase();
    text.contains("key must be loaded") || text.contains("key is not loaded")
}

/// How far a listing goes below its roots.
#[derive(Clone, Copy)]
pub enum Depth {
    /// The roots alone, without their snapshots.
    Roots,
    /// With their snapshots and bookmarks, without children's.
    One,
    All,
}

pub struct Listing {
    pub tree: Tree,
    /// Roots that do not exist.
    pub absent: Vec<String>,
}

/// What is at and below `roots` (datasets, or single snapshots), of `types` (as `zfs list -t` takes them), with `columns`
/// of it. One zfs process for every [`NAMES_MAX`] roots.
///
/// # Errors
/// Every trouble but a root that does not exist: a listing cut short is no listing, and so is one without a row for each
/// root that exists (where `types` are such that it has one).
pub fn list(
    machine: &Machine,
    columns: &str,
    types: &str,
    depth: Depth,
    roots: &[&str],
) -> Result<Listing> {
    let depth = match depth {
        Depth::Roots => ["-d", "0"].as_slice(),
        Depth::One => &["-d", "1"],
        Depth::All => &["-r"],
    };
    let argv = [&["zfs", "list", "-Hp", "-t", types, "-o", columns], depth].concat();
    let wrong = |why: String| anyhow!("{}{}: {why}", argv.join(" "), machine.place());
    let (mut text, mut missing) = (String::new(), Vec::new());
    for roots in roots.chunks(NAMES_MAX) {
        let (part, absent) = list_some(machine, &argv, roots)?;
        listing::whole_lines(&part).map_err(wrong)?;
        text += &part;
        missing.extend(absent);
    }
    // All at once: what belongs to one dataset may have come in two parts.
    let tree = listing::parse(columns, &text).map_err(wrong)?;
    let existing: Vec<&str> = roots
        .iter()
        .copied()
        .filter(|root| !missing.iter().any(|absent| absent == root))
        .collect();
    listing::is_complete(&tree, types, &existing).map_err(wrong)?;
    Ok(Listing {
        tree,
        absent: missing,
    })
}

/// What a listing prints, and which of its roots do not exist.
fn list_some(machine: &Machine, argv: &[&str], roots: &[&str]) -> Result<(String, Vec<String>)> {
    let text =
        |bytes| String::from_utf8(bytes).context("zfs list printed something that is not UTF-8");
    let error = match machine.run(&[argv, roots].concat()) {
        Ok(output) => return Ok((text(output.stdout)?, Vec::new())),
        Err(error) => error,
    };
    let Some((failure, absent)) =
        failure(&error).and_then(|failure| Some((failure, absent(failure, roots)?)))
    else {
        return Err(error);
    };
    if failure.stderr.lines().count() == absent.len() {
        return Ok((
            failure.stdout.clone(),
            absent.into_iter().map(Into::into).collect(),
        ));
    }
    // Other lines may be a shell's greeting, or tell of a listing that was cut short: what is there has to be listed well.
    let there: Vec<&str> = roots
        .iter()
        .copied()
        .filter(|root| !absent.contains(root))
        .collect();
    let found = if there.is_empty() {
        String::new()
    } else {
        text(machine.run(&[argv, &there].concat())?.stdout)?
    };
    Ok((found, absent.into_iter().map(Into::into).collect()))
}

/// The roots that a listing says do not exist, if there are any. One that was killed says nothing.
fn absent<'r>(failure: &Failure, roots: &[&'r str]) -> Option<Vec<&'r str>> {
    let is_absent = |root: &&str| {
        let told = format!("cannot open '{root}': dataset does not exist");
        // A line before it may lack its end.
        failure.stderr.lines().any(|line| line.ends_with(&told))
    };
    let absent: Vec<&str> = roots.iter().copied().filter(is_absent).collect();
    (!absent.is_empty() && failure.status.code() == Some(1)).then_some(absent)
}

pub enum Taken {
    Yes,
    /// None was made, because of these; the others can be had without them.
    Refused(Vec<Refusal>),
    /// None was made: a dataset vanished since it was listed, and zfs does not say which.
    SomeGone(anyhow::Error),
}

pub struct Refusal {
    pub dataset: String,
    pub reason: String,
}

/// Snapshots of `datasets` called `name`: all, atomically, or none (zfs-snapshot(8)).
pub fn snapshot(datasets: &[&str], name: &str) -> Result<Taken> {
    let names: Vec<String> = datasets
        .iter()
        .map(|dataset| format!("{dataset}@{name}"))
        .collect();
    let argv: Vec<&str> = ["zfs", "snapshot", "--"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let Err(error) = Machine::default().run(&argv) else {
        return Ok(Taken::Yes);
    };
    let refused = failure(&error)
        .map(|failure| complaint::refused(&failure.stderr, datasets))
        .unwrap_or_default();
    let refusals = refused.iter().map(|c| Refusal {
        dataset: c.name.into(),
        reason: c.reason.into(),
    });
    match refusals.collect::<Vec<_>>() {
        none if none.is_empty() && says(&error, "dataset does not exist") => {
            Ok(Taken::SomeGone(error))
        }
        none if none.is_empty() => Err(error),
        refusals => Ok(Taken::Refused(refusals)),
    }
}

/// Destroys snapshots of one dataset, at most [`DESTROY_MAX`]: all or none. False: they were gone already.
///
/// # Errors
/// ZFS refuses because of one or more of them, or the machine cannot be asked.
pub fn destroy_snapshots(machine: &Machine, dataset: &Dataset, names: &[&str]) -> Result<bool> {
    destroy(machine, &format!("{dataset}@{}", names.join(",")))
}

/// Whether it was ZFS that refused, and not the way to it.
pub fn is_refusal(error: &anyhow::Error) -> bool {
    failure(error).is_some()
}

/// One that is gone already is done.
pub fn destroy_bookmark(machine: &Machine, dataset: &Dataset, name: &str) -> Result<()> {
    destroy(machine, &format!("{dataset}#{name}")).map(drop)
}

fn destroy(machine: &Machine, name: &str) -> Result<bool> {
    if !name.contains(['@', '#']) {
        bail!("refusing to destroy {name}: zam destroys snapshots and bookmarks alone");
    }
    match machine.run(&["zfs", "destroy", name]) {
        Ok(_) => Ok(true),
        Err(e) if failure(&e).is_some_and(|failure| complaint::was_gone(&failure.stderr, name)) => {
            Ok(false)
        }
        Err(e) => Err(e),
    }
}

/// `mark` is a snapshot or another bookmark. One that exists has the same GUID, since that is in its name.
pub fn bookmark(machine: &Machine, dataset: &Dataset, mark: &Mark, name: &str) -> Result<()> {
    match machine.run(&[
        "zfs",
        "bookmark",
        &format!("{dataset}{mark}"),
        &format!("{dataset}#{name}"),
    ]) {
        Err(e) if !says(&e, "exists") || says(&e, "does not exist") => Err(e),
        _ => Ok(()),
    }
}

/// A dataset that only holds others; never mounted. Another job may have made it at the same moment.
pub fn create_parent(machine: &Machine, dataset: &Dataset) -> Result<()> {
    match machine.run(&[
        "zfs",
        "create",
        "-u",
        "-o",
        "canmount=off",
        dataset.as_str(),
    ]) {
        Err(e) if !says(&e, "dataset already exists") => Err(e),
        _ => Ok(()),
    }
}

/// What a resume token says. Its contents are printed even if it cannot be used any more; one that cannot be read at all
/// fits nothing. Asked here, wherever its source is: no dataset is needed, and over ssh zfs's exit code of a stale one
/// (255) would look like a lost connection.
pub fn decode_token(token: &str) -> Result<Option<Token>> {
    match Machine::default().run(&["zfs", "send", "-nvPt", token]) {
        Ok(output) => Ok(parse_token(&String::from_utf8_lossy(&output.stdout))),
        Err(error) => failure(&error)
            .map(|failure| parse_token(&failure.stdout))
            .ok_or(error),
    }
}

/// Lines of `key = value` under "resume token contents:", each after a tab; numbers are in hex. A token comes from the far
/// side and is not signed: a name in it may span lines, so that a key stands twice, and what is nested has more tabs.
fn parse_token(text: &str) -> Option<Token> {
    let mut values = BTreeMap::new();
    for (key, value) in text
        .lines()
        .filter_map(|line| line.strip_prefix('\t')?.split_once('='))
    {
        if values.insert(key.trim_end(), value.trim()).is_some() {
            return None;
        }
    }
    let number =
        |key: &str| u64::from_str_radix(values.get(key)?.trim_start_matches("0x"), 16).ok();
    Some(Token {
        toguid: number("toguid")?,
        fromguid: number("fromguid"),
        raw: number("rawok") == Some(1),
    })
}

/// Gives up a partial receive. On a first full one this removes the dataset that shows the token, and only that.
pub fn discard_token(machine: &Machine, replica: &Dataset) -> Result<()> {
    machine
        .run(&["zfs", "receive", "-A", replica.as_str()])
        .map(drop)
}

/// The sending end of a stream. Always with large blocks, which must never change between two streams (before OpenZFS
/// 2.0 that lost data), and compressed as stored. Without embedded blocks (`-e`): an encrypted parent refuses them (tried on 2.3), and
/// they save next to nothing. `compressor` is a program that packs the stream for the way.
pub fn send(
    machine: &Machine,
    dataset: &Dataset,
    stream: &Stream,
    raw: bool,
    compressor: Option<&str>,
) -> Pipeline {
    let argv = send_argv(dataset, stream, if raw { "-Lcw" } else { "-Lc" });
    sending(
        machine,
        &argv.iter().map(String::as_str).collect::<Vec<_>>(),
        compressor,
    )
    .called(&argv.join(" "))
}

/// How many bytes a stream would have; none where zfs gives no estimate.
pub fn estimate(machine: &Machine, dataset: &Dataset, stream: &Stream, raw: bool) -> Option<u64> {
    let argv = send_argv(dataset, stream, if raw { "-LcwnvP" } else { "-LcnvP" });
    let output = machine
        .run(&argv.iter().map(String::as_str).collect::<Vec<_>>())
        .ok()?;
    // zfs-send(8): the last line is `size`, a tab, and the bytes.
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("size\t")?.parse().ok())
}

fn send_argv(dataset: &Dataset, stream: &Stream, flags: &str) -> Vec<String> {
    let mut argv: Vec<String> = ["zfs", "send", flags].map(Into::into).into();
    if let Some(from) = &stream.from {
        argv.extend([
            if stream.intermediates { "-I" } else { "-i" }.into(),
            format!("{dataset}{from}"),
        ]);
    }
    argv.push(format!("{dataset}@{}", stream.to));
    argv
}

/// `raw` is said besides the token, which the far side could have made: what is to go raw must never go readable. Of the
/// flags that shape a stream ZFS takes this one alone with -t (zfs_do_send).
pub fn send_resumed(
    machine: &Machine,
    token: &str,
    raw: bool,
    compressor: Option<&str>,
) -> Pipeline {
    let flags = if raw { "-wt" } else { "-t" };
    sending(machine, &["zfs", "send", flags, token], compressor)
        .called(&format!("zfs send {flags} TOKEN"))
}

fn sending(machine: &Machine, argv: &[&str], compressor: Option<&str>) -> Pipeline {
    let pack = compressor.map(|program| vec![program, "-qc"]);
    machine.pipeline([argv].into_iter().chain(pack.as_deref()))
}

/// What the first stream makes of its dataset.
#[derive(Clone, Copy)]
pub struct First {
    /// Not by the key of its parent, which nobody has there.
    pub unencrypted: bool,
}

/// What a stream comes into.
pub struct Landing<'l> {
    pub replica: &'l Dataset,
    pub is_volume: bool,
    /// None for a later stream.
    pub first: Option<First>,
    /// The sender is another machine, which may put properties into the stream.
    pub is_pulled: bool,
}

/// The receiving end. It never mounts and never rolls back; the properties are set on the first stream alone, since
/// later ones keep them, and a volume knows no canmount.
pub fn receive(machine: &Machine, landing: &Landing, compressor: Option<&str>) -> Pipeline {
    let mut argv = vec!["zfs", "receive", "-s", "-u"];
    if let Some(first) = landing.first {
        argv.extend([
            "-o",
            "readonly=on",
            "-o",
            if landing.is_volume {
                "volmode=none"
            } else {
                "canmount=noauto"
            },
        ]);
        argv.extend(if first.unencrypted {
            ["-o", "encryption=off"].as_slice()
        } else {
            &[]
        });
    }
    if landing.is_pulled {
        argv.extend(
            unwanted(landing)
                .into_iter()
                .flat_map(|property| ["-x", property]),
        );
    }
    argv.push(landing.replica.as_str());
    let unpack = compressor.map(|program| vec![program, "-dqc"]);
    machine
        .pipeline(unpack.as_deref().into_iter().chain([argv.as_slice()]))
        .called(&argv.join(" "))
}

/// Properties by which a hostile stream could do harm: choose where a replica is mounted at the next boot, share it, or
/// take the pool's room. Of those that do not apply to a volume zfs would warn each time; what is set by -o stays.
fn unwanted(landing: &Landing) -> Vec<&'static str> {
    let mut unwanted = vec!["reservation", "refreservation"];
    if !landing.is_volume {
        unwanted.extend(["mountpoint", "sharenfs", "sharesmb", "quota", "refquota"]);
    }
    if landing.first.is_none() {
        unwanted.push(if landing.is_volume {
            "volmode"
        } else {
            "canmount"
        });
    }
    unwanted
}

/// Values of properties of one dataset or snapshot, in the order asked.
pub fn properties(machine: &Machine, name: &str, properties: &str) -> Result<Vec<String>> {
    let output = machine.run(&["zfs", "get", "-Hp", "-o", "value", properties, name])?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(Into::into)
        .collect())
}

/// Whether a scrub or a resilver goes on in the pool.
pub fn is_scanning(machine: &Machine, pool: &str) -> Result<bool> {
    let output = machine.run(&["zpool", "status", pool])?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .any(|line| line.trim().starts_with("scan:") && line.contains("in progress")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_zfs_prints_it() {
        let text = "resume token contents:\nnvlist version: 0\n\tfromguid = 0x1f\n\tobject = 0x2\n\ttoguid = 0xabcdef0123456789\n\ttoname = tank/a@x\n\trawok = 1\n\tfull send of tank/a@x estimated size is 3.76M\n";
        assert_eq!(
            parse_token(text),
            Some(Token {
                toguid: 0xabcd_ef01_2345_6789,
                fromguid: Some(0x1f),
                raw: true
            })
        );
        assert_eq!(parse_token("cannot resume send"), None);
        let lie = text.replace("tank/a@x\n", "tank/a@x\n\trawok = 1\n");
        assert_eq!(parse_token(&lie), None, "a name that spans lines");
        let nested = text.replace("\trawok = 1", "\tmore = (embedded nvlist)\n\t\trawok = 1");
        assert!(parse_token(&nested).is_some_and(|token| !token.raw));
    }

    #[test]
    fn a_pulled_stream_chooses_no_mountpoint_share_or_reservation() {
        let replica: Dataset = "backup/x".parse().expect("a dataset");
        for (is_volume, is_first) in [(false, false), (false, true), (true, false), (true, true)] {
            let first = is_first.then_some(First { unencrypted: false });
            let landing = |is_pulled| Landing {
                replica: &replica,
                is_volume,
                first,
                is_pulled,
            };
            let name = |is_pulled| receive(&Machine::default(), &landing(is_pulled), None).name;
            assert!(
                name(true).contains(" -x reservation -x refreservation "),
                "{}",
                name(true)
            );
            assert_eq!(
                name(true).contains(" -x mountpoint -x sharenfs -x sharesmb "),
                !is_volume,
                "{}",
                name(true)
            );
            assert!(!name(false).contains("-x"), "{}", name(false));
        }
    }

    #[test]
    fn only_a_line_of_zfs_itself_counts() {
        let error = |stderr: &str| {
            let status = std::os::unix::process::ExitStatusExt::from_raw(1 << 8);
            anyhow::Error::from(Failure {
                command: "zfs".into(),
                status,
                stdout: String::new(),
                stderr: stderr.into(),
            })
        };
        assert!(says(
            &error("Welcome!\ncannot create bookmark 'a#b': bookmark exists\n"),
            "exists"
        ));
        assert!(says(
            &error("bookmark 'a#b' does not exist.\n"),
            "does not exist"
        ));
        for name in ["preexists", "read-only", "does not exist"] {
            let refused = error(&format!(
                "cannot create bookmark 'tank/{name}#b': permission denied\n"
            ));
            assert!(
                !says(&refused, "exists")
                    && !says(&refused, "does not exist")
                    && !is_read_only(&refused),
                "{name}"
            );
        }
        assert!(!says(
            &error(
                "/etc/profile: line 3: /opt/x does not exist\ncannot destroy 'a@b': dataset is busy\n"
            ),
            "does not exist"
        ));
    }

    #[test]
    fn nothing_but_snapshots_and_bookmarks_can_be_destroyed() {
        assert!(destroy(&Machine::default(), "tank/home").is_err());
    }
}
