//! `zfs list`. Keeps invariant 3: a listing that failed, or was cut short, is an error.

use anyhow::{Context, Result, anyhow};

use super::failure::failure;
use crate::core::listing::{self, ALL_TYPES, DATASETS, SKIM_COLUMNS, State, Tree};
use crate::core::name::Dataset;
use crate::core::said::is_absent;
use crate::edge::command::Machine;

/// Names in one listing, of up to 255 bytes each. Over ssh they are a single word, of which Linux takes 128 KiB (execve(2)).
const NAMES_MAX: usize = 400;

/// How far a listing goes below its roots.
#[derive(Clone, Copy)]
pub enum Depth {
    /// The roots alone, without their snapshots.
    Roots,
    /// With their snapshots and bookmarks, without children's.
    One,
    All,
}

impl Depth {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Depth::Roots => &["-d", "0"],
            Depth::One => &["-d", "1"],
            Depth::All => &["-r"],
        }
    }
}

pub struct Listing {
    pub tree: Tree,
    /// Roots that do not exist.
    pub absent: Vec<String>,
}

/// Lists what is at and below `roots` (datasets, or single snapshots), of `types` (as `zfs list -t` takes them), with
/// `columns` of it. Runs one zfs process for every [`NAMES_MAX`] roots.
///
/// # Errors
/// Every trouble but a root that does not exist: a listing cut short is no listing, and so is one without a row for each
/// root that exists (if `types` are such that it has one).
pub fn list(
    machine: &Machine,
    columns: &str,
    types: &str,
    depth: Depth,
    roots: &[&str],
) -> Result<Listing> {
    let argv = ["zfs", "list", "-Hp", "-t", types, "-o", columns];
    let argv = [&argv, depth.flags()].concat();
    let strange = |why: String| anyhow!("{}{}: {why}", argv.join(" "), machine.on_host());
    let mut text = String::new();
    let mut absent = Vec::new();
    for roots in roots.chunks(NAMES_MAX) {
        let part = list_some(machine, &argv, roots, &mut absent)?;
        listing::whole_lines(&part).map_err(strange)?;
        text += &part;
    }
    // Parsed all at once, because what belongs to one dataset may have come in two parts.
    let tree = listing::parse(columns, &text).map_err(strange)?;
    let mut existing = roots.to_vec();
    existing.retain(|root| !absent.iter().any(|absent| absent == root));
    listing::is_complete(&tree, types, &existing).map_err(strange)?;
    Ok(Listing { tree, absent })
}

/// One dataset as it is now, with its snapshots and bookmarks; none if it does not exist.
///
/// # Errors
/// As those of [`list`].
pub fn list_one(machine: &Machine, columns: &str, dataset: &Dataset) -> Result<Option<State>> {
    let mut listing = list(machine, columns, ALL_TYPES, Depth::One, &[dataset.as_str()])?;
    Ok(listing.tree.remove(dataset))
}

/// # Errors
/// As those of [`list`].
pub fn exists(machine: &Machine, dataset: &Dataset) -> Result<bool> {
    let listing = list(
        machine,
        SKIM_COLUMNS,
        DATASETS,
        Depth::Roots,
        &[dataset.as_str()],
    )?;
    Ok(listing.absent.is_empty())
}

/// What is printed of `roots`; those that do not exist are added to `absent`.
fn list_some(
    machine: &Machine,
    argv: &[&str],
    roots: &[&str],
    absent: &mut Vec<String>,
) -> Result<String> {
    let error = match machine.run(&[argv, roots].concat()) {
        Ok(output) => return utf8(output.stdout),
        Err(error) => error,
    };
    let Some(exit) = failure(&error) else {
        return Err(error);
    };
    let (missing, there): (Vec<&str>, Vec<&str>) = roots
        .iter()
        .copied()
        .partition(|root| is_absent(&exit.stderr, root));
    // zfs exits 1 for roots that do not exist. A zfs that was killed has listed nothing to the end.
    if missing.is_empty() || exit.status.code() != Some(1) {
        return Err(error);
    }
    absent.extend(missing.iter().map(|root| root.to_string()));
    if exit.stderr.lines().count() == missing.len() {
        return Ok(exit.stdout.clone());
    }
    if there.is_empty() {
        return Ok(String::new());
    }
    // Other lines may be a shell's greeting, or tell of a listing that was cut short: list what is there once more.
    utf8(machine.run(&[argv, &there].concat())?.stdout)
}

fn utf8(stdout: Vec<u8>) -> Result<String> {
    String::from_utf8(stdout).context("zfs list printed something that is not UTF-8")
}
