//! What `zfs list -Hp` says, as values: datasets with their snapshots and bookmarks. Keeps invariant 3: a row that is
//! cut short or strange, or a listing that lacks what it was asked for, is an error, never a row less. Identity is the
//! GUID, order is createtxg (invariant 5).

use std::collections::{BTreeMap, HashSet};

use crate::core::name::Dataset;

/// The columns that retention asks for. A saved listing may lack the last.
pub const SNAPSHOT_COLUMNS: &str = "name,guid,createtxg,creation,userrefs,clones";
/// The columns that replication asks for, of both sides.
pub const TREE_COLUMNS: &str =
    "name,guid,createtxg,creation,type,written,encryptionroot,receive_resume_token,readonly";
/// Whatever has a row of its own (as `zfs list -t` takes them).
pub const ALL_TYPES: &str = "filesystem,volume,snapshot,bookmark";
pub const DATASETS: &str = "filesystem,volume";
/// Those that OpenZFS 2.2 and later read without opening each snapshot: enough to see whether there is anything to do.
pub const SKIM_COLUMNS: &str = "name,guid,createtxg";
/// The end of the year 9999, in epoch seconds. Whatever is dated later counts as dated then, so that reckoning with times
/// has room.
const CREATION_MAX: i64 = 253_402_300_799;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What follows the `@`.
    pub name: Box<str>,
    pub guid: u64,
    pub createtxg: u64,
    /// Epoch seconds; 0 in a listing by SKIM_COLUMNS.
    pub creation: i64,
    /// Bytes written between the snapshot before and this one.
    pub written: u64,
    pub held: bool,
    pub cloned: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// What follows the `#`.
    pub name: Box<str>,
    /// Of the snapshot that it was made from, as is its createtxg.
    pub guid: u64,
    pub createtxg: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// 0: the listing has no row of the dataset itself.
    pub guid: u64,
    pub volume: bool,
    /// None: not encrypted. A replica that was received raw is its own root (its parents were sent without it).
    pub encryption_root: Option<String>,
    /// Bytes written since the newest snapshot.
    pub written: u64,
    pub resume_token: Option<String>,
    pub writable: bool,
    /// Oldest first.
    pub snapshots: Vec<Snapshot>,
    pub bookmarks: Vec<Bookmark>,
}

/// Datasets by name; a parent comes before its children.
pub type Tree = BTreeMap<Dataset, State>;

/// Reads what `zfs list -Hp -o COLUMNS` has just printed: a row a line, with all of its `columns`, the last one ended.
///
/// # Errors
/// The last line has no end; a row has too few or too many columns, or a value that is not what its column holds; two
/// rows contradict each other.
pub fn parse(columns: &str, text: &str) -> Result<Tree, String> {
    whole_lines(text)?;
    rows(columns, text, false)
}

/// Reads a listing from a file: its last line may lack its end, and its rows the last column where that is `clones`.
///
/// # Errors
/// As those of [`parse`].
pub fn parse_saved(columns: &str, text: &str) -> Result<Tree, String> {
    rows(columns, text, columns.ends_with(",clones"))
}

/// # Errors
/// The last line has no end: what printed it was cut short, maybe in the middle of a number.
pub fn whole_lines(text: &str) -> Result<(), String> {
    let last = text.rsplit('\n').next().unwrap_or_default();
    if last.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "the listing is cut short in its last line: {last:?}"
        ))
    }
}

/// Whether a listing of `types` (as `zfs list -t` takes them) holds all that it must: each of its `roots` that exist,
/// and where it lists datasets, the row of each whose snapshots or bookmarks it has.
///
/// # Errors
/// Names the first that is missing.
pub fn is_complete(tree: &Tree, types: &str, roots: &[&str]) -> Result<(), String> {
    let with_datasets = types.split(',').any(|kind| kind == "filesystem");
    let missing = |name: &str| match tree.is_empty() {
        true => Err(format!("it printed nothing, although {name} was asked for")),
        false => Err(format!("the listing is cut short: it has no row of {name}")),
    };
    let mut by_snapshot = HashSet::new();
    for root in roots {
        let (dataset, snapshot) = root
            .split_once('@')
            .map_or((*root, None), |(dataset, name)| (dataset, Some(name)));
        let state = tree.get(&dataset.parse::<Dataset>()?);
        let there = match snapshot {
            Some(name) => {
                state.is_some_and(|state| state.snapshots.iter().any(|s| &*s.name == name))
            }
            None => !with_datasets || state.is_some_and(|state| state.guid != 0),
        };
        if !there {
            return missing(root);
        }
        by_snapshot.extend(snapshot.map(|_| dataset));
    }
    let rowless = |(name, state): &(&Dataset, &State)| {
        state.guid == 0 && !by_snapshot.contains(name.as_str())
    };
    match tree.iter().find(rowless) {
        Some((name, _)) if with_datasets => missing(name.as_str()),
        _ => Ok(()),
    }
}

/// A line that is wrong may be of any length; so many characters of it tell enough.
const LINE_SHOWN: usize = 300;

fn rows(columns: &str, text: &str, may_lack_last: bool) -> Result<Tree, String> {
    let columns: Vec<&str> = columns.split(',').collect();
    let mut tree = Tree::new();
    let mut last: Option<(&str, Dataset)> = None;
    for (number, line) in text.lines().enumerate() {
        let row = Row {
            columns: &columns,
            cells: line.split('\t').collect(),
        };
        let wrong = |why: String| {
            let shown: String = line.chars().take(LINE_SHOWN).collect();
            format!(
                "line {} of the listing is not as `zfs list` writes it ({why}): {shown:?}",
                number + 1
            )
        };
        if row.cells.len() != columns.len()
            && !(may_lack_last && row.cells.len() + 1 == columns.len())
        {
            return Err(wrong(format!(
                "{} columns, not {}",
                row.cells.len(),
                columns.len()
            )));
        }
        let dataset = row.cells[0].split(['@', '#']).next().unwrap_or_default();
        let name = match &last {
            Some((text, name)) if *text == dataset => name.clone(),
            _ => dataset.parse().map_err(&wrong)?,
        };
        row.add_to(tree.entry(name.clone()).or_default())
            .map_err(&wrong)?;
        last = Some((dataset, name));
    }
    for (dataset, state) in &mut tree {
        state.set_in_order().map_err(|name| {
            format!("{dataset}{name} is listed twice, with different names or GUIDs: it changed while it was listed")
        })?;
    }
    Ok(tree)
}

struct Row<'a> {
    columns: &'a [&'a str],
    cells: Vec<&'a str>,
}

impl Row<'_> {
    /// A `-` is an absent value.
    fn cell(&self, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|c| *c == column)?;
        self.cells.get(at).copied().filter(|cell| *cell != "-")
    }

    fn text(&self, column: &str) -> Option<&str> {
        self.cell(column).filter(|cell| !cell.is_empty())
    }

    /// Digits alone: ZFS writes no sign, so one is part of something else.
    fn number(&self, column: &str) -> Result<Option<u64>, String> {
        let Some(cell) = self.cell(column) else {
            return Ok(None);
        };
        let digits = Some(cell).filter(|cell| cell.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        number
            .map(Some)
            .ok_or_else(|| format!("no number as {column}: `{cell}`"))
    }

    fn required(&self, column: &str) -> Result<u64, String> {
        self.number(column)?.ok_or_else(|| format!("no {column}"))
    }

    fn creation(&self) -> Result<i64, String> {
        if !self.columns.contains(&"creation") {
            return Ok(0);
        }
        let seconds = i64::try_from(self.required("creation")?)
            .map_err(|_| "no number as creation: it is too large")?;
        Ok(seconds.min(CREATION_MAX))
    }

    fn add_to(&self, state: &mut State) -> Result<(), String> {
        let (guid, createtxg) = (self.required("guid")?, self.required("createtxg")?);
        if guid == 0 {
            return Err("no guid".into());
        }
        if let Some((_, name)) = self.cells[0].split_once('@') {
            state.snapshots.push(Snapshot {
                name: name.into(),
                guid,
                createtxg,
                creation: self.creation()?,
                written: self.number("written")?.unwrap_or(0),
                held: self.number("userrefs")?.is_some_and(|holds| holds > 0),
                cloned: self.text("clones").is_some(),
            });
        } else if let Some((_, name)) = self.cells[0].split_once('#') {
            state.bookmarks.push(Bookmark {
                name: name.into(),
                guid,
                createtxg,
            });
        } else {
            if state.guid != 0 && state.guid != guid {
                return Err("the dataset stands above with another guid".into());
            }
            state.guid = guid;
            state.volume = self.text("type") == Some("volume");
            state.encryption_root = self.text("encryptionroot").map(Into::into);
            state.written = self.number("written")?.unwrap_or(0);
            state.resume_token = self.text("receive_resume_token").map(Into::into);
            state.writable = self.text("readonly") == Some("off");
        }
        Ok(())
    }
}

impl State {
    /// Oldest first, each once: of what stands twice the second could be taken for another one, and be destroyed.
    ///
    /// # Errors
    /// One name has two GUIDs, or one snapshot two names; returned is the name, with its `@` or `#`.
    fn set_in_order(&mut self) -> Result<(), String> {
        self.snapshots
            .sort_by(|a, b| (a.createtxg, &a.name).cmp(&(b.createtxg, &b.name)));
        self.snapshots
            .dedup_by(|a, b| a.guid == b.guid && a.name == b.name);
        self.bookmarks
            .sort_by(|a, b| (a.createtxg, &a.name).cmp(&(b.createtxg, &b.name)));
        self.bookmarks.dedup();
        let names = self.snapshots.iter().map(|s| &*s.name).collect();
        let guids = self.snapshots.iter().map(|s| s.guid).collect();
        let marks = self.bookmarks.iter().map(|b| &*b.name).collect();
        if let Some(name) = doubled(names) {
            return Err(format!("@{name}"));
        }
        if let Some(guid) = doubled(guids) {
            return Err(format!("@{}", self.snapshot(guid).map_or("", |s| &s.name)));
        }
        doubled(marks).map_or(Ok(()), |name| Err(format!("#{name}")))
    }

    pub fn snapshot(&self, guid: u64) -> Option<&Snapshot> {
        self.snapshots.iter().find(|s| s.guid == guid)
    }

    pub fn bookmark(&self, guid: u64) -> Option<&Bookmark> {
        self.bookmarks.iter().find(|b| b.guid == guid)
    }
}

fn doubled<T: Ord + Copy>(mut all: Vec<T>) -> Option<T> {
    all.sort_unstable();
    all.windows(2)
        .find(|pair| pair[0] == pair[1])
        .map(|pair| pair[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_datasets_with_their_snapshots_in_order() {
        let text = "t/a b\t1\t2\t3\tfilesystem\t4096\t-\t1-abc\toff\nt/a b@y\t7\t9\t200\tsnapshot\t0\t-\t-\t-\nt/a b@x\t6\t8\t100\tsnapshot\t512\t-\t-\t-\nt/a b#m\t6\t8\t100\tbookmark\t-\t-\t-\t-\n";
        let tree = parse(TREE_COLUMNS, text).expect("a tree");
        let state = &tree[&"t/a b".parse().expect("a name")];
        assert_eq!(
            (state.guid, state.written, &state.encryption_root),
            (1, 4096, &None)
        );
        assert_eq!(
            (state.resume_token.as_deref(), state.writable),
            (Some("1-abc"), true)
        );
        assert_eq!(
            state.snapshots.iter().map(|s| &*s.name).collect::<Vec<_>>(),
            ["x", "y"]
        );
        assert_eq!(
            (&*state.bookmarks[0].name, state.bookmarks[0].guid),
            ("m", 6)
        );
    }

    /// A whole listing of one dataset with two snapshots and a bookmark.
    const WHOLE: &str = "t\t1\t2\t3\t-\t-\nt@a\t5\t2\t1700000000\t0\t-\nt@b\t6\t3\t1700000001\t0\tt/c,t/d\nt#m\t5\t2\t3\t-\t-\n";

    #[test]
    fn a_strange_row_is_an_error() {
        for row in [
            "t@a",
            "t@a\t1\t2\t3\t0\t-\t-",
            "t@a\t1\t2\tx\t0\t-",
            "t@a\t1\t-\t3\t0\t-",
            "t@a\t0\t2\t3\t0\t-",
            "t@a\t1\t2\t3\tx\t",
            "t@a\t1\t2\t3\t\t-",
            "",
        ] {
            let text = format!("{row}\n");
            assert!(
                parse(SNAPSHOT_COLUMNS, &text).is_err()
                    && parse_saved(SNAPSHOT_COLUMNS, &text).is_err(),
                "{row}"
            );
        }
        assert!(
            parse(SNAPSHOT_COLUMNS, "cannot open\t1\t2\t3\t0\t-\n").is_ok(),
            "a name may hold a space"
        );
        assert!(
            parse(SNAPSHOT_COLUMNS, "t@a\t1\t2\t3\t0\t\n").is_ok(),
            "no clones may be an empty cell"
        );
        assert!(parse(SNAPSHOT_COLUMNS, "").expect("nothing").is_empty());
    }

    #[test]
    fn a_live_listing_cut_at_any_byte_is_an_error_or_lacks_whole_rows() {
        let whole = parse(SNAPSHOT_COLUMNS, WHOLE).expect("whole");
        let rows = |text: &str| text.matches('\n').count();
        for cut in 0..WHOLE.len() {
            let Ok(tree) = parse(SNAPSHOT_COLUMNS, &WHOLE[..cut]) else {
                continue;
            };
            assert!(
                WHOLE[..cut].is_empty() || WHOLE[..cut].ends_with('\n'),
                "cut at {cut}"
            );
            let state = tree.values().next().cloned().unwrap_or_default();
            assert_eq!(
                rows(&WHOLE[..cut]),
                usize::from(state.guid != 0) + state.snapshots.len() + state.bookmarks.len()
            );
            assert!(
                state
                    .snapshots
                    .iter()
                    .all(|s| whole.values().all(|t| t.snapshots.contains(s))),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn only_a_saved_listing_may_lack_the_last_column_or_the_last_newline() {
        for text in ["t@a\t1\t2\t3\t0", "t@a\t1\t2\t3\t0\n", "t@a\t1\t2\t3\t0\t-"] {
            assert!(
                parse_saved(SNAPSHOT_COLUMNS, text).is_ok()
                    && parse(SNAPSHOT_COLUMNS, text).is_err(),
                "{text:?}"
            );
        }
        assert!(
            parse_saved(SKIM_COLUMNS, "t@a\t1").is_err(),
            "no other column may be missing"
        );
    }

    #[test]
    fn a_number_is_digits_within_their_bounds() {
        let creation = |cell: &str| {
            let tree = parse(SNAPSHOT_COLUMNS, &format!("t@a\t1\t2\t{cell}\t0\t-\n"))?;
            Ok::<_, String>(
                tree.values()
                    .next()
                    .map(|state| state.snapshots[0].creation),
            )
        };
        for cell in [
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "-1",
            "+1",
            "1.5",
            "1e3",
            " 1",
            "0x1",
            "",
        ] {
            let error = creation(cell).expect_err(cell);
            assert!(error.contains("no number as creation"), "{error}");
        }
        assert_eq!(creation("1700000000"), Ok(Some(1_700_000_000)));
        assert_eq!(
            creation("9223372036854775807"),
            Ok(Some(CREATION_MAX)),
            "in the future, with room to reckon"
        );
        for text in ["t@a\t+1\t2\n", "t@a\t1\t+2\n", "t@a\t-1\t2\n", "t@a\t1\t\n"] {
            assert!(parse(SKIM_COLUMNS, text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_row_that_came_twice_counts_once_and_one_that_contradicts_is_an_error() {
        let tree = parse(
            SKIM_COLUMNS,
            "t\t9\t1\nt@a\t1\t2\nt#m\t1\t2\nt\t9\t1\nt@a\t1\t2\nt#m\t1\t2\n",
        )
        .expect("a tree");
        let state = tree.values().next().expect("t");
        assert_eq!((state.snapshots.len(), state.bookmarks.len()), (1, 1));
        for text in [
            "t\t1\t1\nt\t2\t1\n",
            "t@a\t1\t2\nt@b\t2\t3\nt@a\t3\t4\n",
            "t@a\t1\t2\nt@b\t1\t2\n",
            "t#m\t1\t2\nt#m\t2\t3\n",
        ] {
            assert!(parse(SKIM_COLUMNS, text).is_err(), "{text:?}");
        }
    }

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
