//! What `zfs list -Hp` says, as values: datasets with their snapshots and bookmarks. Keeps invariant 3: a row that is
//! cut short or strange is an error, never a row less. Identity is the GUID, order is createtxg (invariant 5).

use std::collections::BTreeMap;

use super::name::Dataset;

/// The columns that retention asks for. A saved listing may lack the last.
pub const SNAPSHOT_COLUMNS: &str = "name,guid,createtxg,creation,userrefs,clones";
/// The columns that replication asks for, of both sides.
pub const TREE_COLUMNS: &str = "name,guid,createtxg,creation,type,written,encryptionroot,receive_resume_token,readonly";
/// Those that OpenZFS 2.2 and later read without opening each snapshot: enough to see whether there is anything to do.
pub const SKIM_COLUMNS: &str = "name,guid,createtxg";

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

/// Reads rows of tab-separated `columns` (names as `zfs list -o` takes them).
///
/// # Errors
/// A row with too few or too many columns, or with a value that is not what its column holds.
pub fn parse(columns: &str, text: &str) -> Result<Tree, String> {
    let columns: Vec<&str> = columns.split(',').collect();
    let mut tree = Tree::new();
    let mut last: Option<(&str, Dataset)> = None;
    for (number, line) in text.lines().enumerate() {
        let row = Row { columns: &columns, cells: line.split('\t').collect() };
        let wrong = |why: String| format!("line {} of the listing is not as `zfs list` writes it ({why}): {line:?}", number + 1);
        if row.cells.len() != columns.len() && (columns.last() != Some(&"clones") || row.cells.len() + 1 != columns.len()) {
            return Err(wrong(format!("{} columns, not {}", row.cells.len(), columns.len())));
        }
        let dataset = row.cells[0].split(['@', '#']).next().unwrap_or_default();
        let name = match &last {
            Some((text, name)) if *text == dataset => name.clone(),
            _ => dataset.parse().map_err(&wrong)?,
        };
        row.add_to(tree.entry(name.clone()).or_default()).map_err(&wrong)?;
        last = Some((dataset, name));
    }
    for state in tree.values_mut() {
        state.snapshots.sort_by(|a, b| (a.createtxg, &a.name).cmp(&(b.createtxg, &b.name)));
        state.bookmarks.sort_by(|a, b| (a.createtxg, &a.name).cmp(&(b.createtxg, &b.name)));
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
        self.cells.get(at).copied().filter(|cell| *cell != "-" && !cell.is_empty())
    }

    fn number<T: std::str::FromStr + Default>(&self, column: &str) -> Result<T, String> {
        self.cell(column).map_or(Ok(T::default()), |cell| cell.parse().map_err(|_| format!("`{cell}` is no {column}")))
    }

    fn required(&self, column: &str) -> Result<u64, String> {
        self.cell(column).ok_or_else(|| format!("no {column}"))?.parse().map_err(|_| format!("no number as {column}"))
    }

    fn add_to(&self, state: &mut State) -> Result<(), String> {
        let (guid, createtxg) = (self.required("guid")?, self.required("createtxg")?);
        if let Some((_, name)) = self.cells[0].split_once('@') {
            state.snapshots.push(Snapshot {
                name: name.into(),
                guid,
                createtxg,
                creation: if self.columns.contains(&"creation") { self.required("creation")? as i64 } else { 0 },
                written: self.number("written")?,
                held: self.number::<u64>("userrefs")? > 0,
                cloned: self.cell("clones").is_some(),
            });
        } else if let Some((_, name)) = self.cells[0].split_once('#') {
            state.bookmarks.push(Bookmark { name: name.into(), guid, createtxg });
        } else {
            state.guid = guid;
            state.volume = self.cell("type") == Some("volume");
            state.encryption_root = self.cell("encryptionroot").map(Into::into);
            state.written = self.number("written")?;
            state.resume_token = self.cell("receive_resume_token").map(Into::into);
            state.writable = self.cell("readonly") == Some("off");
        }
        Ok(())
    }
}

impl State {
    pub fn snapshot(&self, guid: u64) -> Option<&Snapshot> {
        self.snapshots.iter().find(|s| s.guid == guid)
    }

    pub fn bookmark(&self, guid: u64) -> Option<&Bookmark> {
        self.bookmarks.iter().find(|b| b.guid == guid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_datasets_with_their_snapshots_in_order() {
        let text = "t/a b\t1\t2\t3\tfilesystem\t4096\t-\t1-abc\toff\nt/a b@y\t7\t9\t200\tsnapshot\t0\t-\t-\t-\nt/a b@x\t6\t8\t100\tsnapshot\t512\t-\t-\t-\nt/a b#m\t6\t8\t100\tbookmark\t-\t-\t-\t-\n";
        let tree = parse(TREE_COLUMNS, text).expect("a tree");
        let state = &tree[&"t/a b".parse().expect("a name")];
        assert_eq!((state.guid, state.written, &state.encryption_root), (1, 4096, &None));
        assert_eq!((state.resume_token.as_deref(), state.writable), (Some("1-abc"), true));
        assert_eq!(state.snapshots.iter().map(|s| &*s.name).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!((&*state.bookmarks[0].name, state.bookmarks[0].guid), ("m", 6));
    }

    #[test]
    fn a_strange_row_is_an_error() {
        for text in [
            "t@a",
            "t@a\t1\t2\t3\t0\t-\t-",
            "t@a\t1\t2\tx\t0\t-",
            "t@a\t1\t-\t3\t0\t-",
            "t@a\t1\t2\t3\tx\t",
            "cannot open\t1\t2\t3\t0\t-\n",
        ] {
            if text.starts_with("cannot") {
                assert!(parse(SNAPSHOT_COLUMNS, text).is_ok(), "a name may hold a space");
            } else {
                assert!(parse(SNAPSHOT_COLUMNS, text).is_err(), "{text}");
            }
        }
        assert!(parse(SNAPSHOT_COLUMNS, "t@a\t1\t2\t3\t0").is_ok(), "a saved listing may lack the last column");
        assert!(parse(SNAPSHOT_COLUMNS, "").expect("nothing").is_empty());
    }
}
