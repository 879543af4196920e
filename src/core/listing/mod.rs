//! What `zfs list -Hp` says, as values: datasets with their snapshots and bookmarks. Keeps invariant 3: a row that is
//! cut short or strange, or a listing that lacks what it was asked for, is an error, never a row less. Identity is the
//! GUID, order is createtxg (invariant 5).

mod rows;
mod state;

use std::collections::HashSet;

pub use crate::core::listing::rows::{parse, parse_saved, whole_lines};
pub use crate::core::listing::state::{Bookmark, Snapshot, State, Tree};
use crate::core::name::Dataset;

/// The columns that retention asks for. A saved listing may lack the last.
pub const SNAPSHOT_COLUMNS: &str = "name,guid,createtxg,creation,userrefs,clones";
/// The columns that replication asks for, of both sides.
pub const TREE_COLUMNS: &str =
    "name,guid,createtxg,creation,type,written,encryptionroot,receive_resume_token,readonly";
/// The columns that OpenZFS 2.2 and later read without opening each snapshot: enough to see whether there is anything
/// to do.
pub const SKIM_COLUMNS: &str = "name,guid,createtxg";
/// Everything that has a row of its own, as `zfs list -t` takes it.
pub const ALL_TYPES: &str = "filesystem,volume,snapshot,bookmark";
pub const DATASETS: &str = "filesystem,volume";

/// Whether a listing of `types` (as `zfs list -t` takes them) holds all that it must: each of its `roots` that exist,
/// and, if it lists datasets, the row of each dataset whose snapshots or bookmarks it has.
///
/// # Errors
/// Names the first that is missing.
pub fn is_complete(tree: &Tree, types: &str, roots: &[&str]) -> Result<(), String> {
    let with_datasets = types.split(',').any(|kind| kind == "filesystem");
    let mut may_lack_row = HashSet::new();
    for root in roots {
        let is_there = match root.split_once('@') {
            Some((dataset, snapshot)) => {
                may_lack_row.insert(dataset);
                has_snapshot(tree, dataset, snapshot)?
            }
            None => !with_datasets || has_row(tree, root)?,
        };
        if !is_there {
            return Err(missing(tree, root));
        }
    }
    for (dataset, state) in tree {
        if with_datasets && state.guid == 0 && !may_lack_row.contains(dataset.as_str()) {
            return Err(missing(tree, dataset.as_str()));
        }
    }
    Ok(())
}

fn has_row(tree: &Tree, dataset: &str) -> Result<bool, String> {
    let state = tree.get(&dataset.parse::<Dataset>()?);
    Ok(state.is_some_and(|state| state.guid != 0))
}

fn has_snapshot(tree: &Tree, dataset: &str, name: &str) -> Result<bool, String> {
    let state = tree.get(&dataset.parse::<Dataset>()?);
    Ok(state.is_some_and(|state| state.snapshots.iter().any(|s| &*s.name == name)))
}

fn missing(tree: &Tree, name: &str) -> String {
    if tree.is_empty() {
        format!("it printed nothing, although {name} was asked for")
    } else {
        format!("the listing is cut short: it has no row of {name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_without_what_was_asked_for_is_an_error() {
        let check = |text: &str, types: &str, roots: &[&str]| {
            is_complete(&parse(SKIM_COLUMNS, text)?, types, roots)
        };
        let all = "filesystem,volume,snapshot,bookmark";
        assert_eq!(check("t\t1\t2\nt@a\t2\t2\n", all, &["t"]), Ok(()));
        assert_eq!(check("t\t1\t2\nu@a\t2\t2\n", all, &["t", "u@a"]), Ok(()));
        assert_eq!(check("", "snapshot", &["t"]), Ok(()), "it may have none");
        assert_eq!(check("", all, &[]), Ok(()), "nothing was asked for");
        let error = check("", all, &["t"]).expect_err("nothing at all");
        assert!(error.contains("printed nothing"), "{error}");
        for (text, types, roots) in [
            ("t/a\t1\t2\n", all, ["t"]),
            ("t@a\t1\t2\n", all, ["t"]),
            ("t\t1\t2\nt/a@a\t3\t4\n", all, ["t"]),
            ("t\t1\t2\nt/a#m\t3\t4\n", all, ["t"]),
            ("t@a\t1\t2\n", "snapshot", ["t@b"]),
            ("t\t1\t2\n", "filesystem,volume", ["t/a"]),
        ] {
            assert!(check(text, types, &roots).is_err(), "{text:?}");
        }
    }
}
