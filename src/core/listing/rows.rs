//! The rows of a listing read into datasets. A row that is cut short or strange is an error (invariant 3).

use crate::core::listing::state::{Bookmark, Snapshot, State, Tree};
use crate::core::name::Dataset;
use crate::core::span::Epoch;

/// The end of the year 9999. A later date counts as this one, so that there is room to reckon with times.
const CREATION_MAX: Epoch = 253_402_300_799;
/// A wrong line may be of any length; so many characters of it tell enough.
const LINE_SHOWN: usize = 300;

/// Reads what `zfs list -Hp -o COLUMNS` has just printed: a row a line, with all of its `columns`, and with an end to the
/// last line.
///
/// # Errors
/// The last line has no end; a row has too few or too many columns, or a value that is not what its column holds; two
/// rows contradict each other.
pub fn parse(columns: &str, text: &str) -> Result<Tree, String> {
    whole_lines(text)?;
    let columns: Vec<&str> = columns.split(',').collect();
    rows(&columns, columns.len(), text)
}

/// Reads a listing from a file: its last line may lack its end, and its rows may lack the last column if that is
/// `clones`.
///
/// # Errors
/// As those of [`parse`].
pub fn parse_saved(columns: &str, text: &str) -> Result<Tree, String> {
    let columns: Vec<&str> = columns.split(',').collect();
    let may_lack_last = columns.last() == Some(&"clones");
    rows(&columns, columns.len() - usize::from(may_lack_last), text)
}

/// # Errors
/// The last line has no end: its program was cut short, maybe in the middle of a number.
pub fn whole_lines(text: &str) -> Result<(), String> {
    match text.rsplit('\n').next() {
        None | Some("") => Ok(()),
        Some(last) => Err(format!(
            "the listing is cut short in its last line: {last:?}"
        )),
    }
}

/// The first `required` of the columns must be there.
fn rows(columns: &[&str], required: usize, text: &str) -> Result<Tree, String> {
    let mut tree = Tree::new();
    // Most rows are of the dataset of the row before, whose name is parsed already.
    let mut last: Option<Dataset> = None;
    for (number, line) in text.lines().enumerate() {
        let row = Row {
            columns,
            cells: line.split('\t').collect(),
        };
        let dataset = row
            .add_to(&mut tree, last, required)
            .map_err(|why| strange(number + 1, line, &why))?;
        last = Some(dataset);
    }
    for (dataset, state) in &mut tree {
        state.set_in_order().map_err(|name| {
            format!("{dataset}{name} is listed twice, with different names or GUIDs: it changed while it was listed")
        })?;
    }
    Ok(tree)
}

fn strange(number: usize, line: &str, why: &str) -> String {
    let shown: String = line.chars().take(LINE_SHOWN).collect();
    format!("line {number} of the listing is not as `zfs list` writes it ({why}): {shown:?}")
}

struct Row<'a> {
    columns: &'a [&'a str],
    cells: Vec<&'a str>,
}

impl Row<'_> {
    /// Returns the dataset of the row; `last` is that of the row before.
    fn add_to(
        &self,
        tree: &mut Tree,
        last: Option<Dataset>,
        required: usize,
    ) -> Result<Dataset, String> {
        let columns = self.columns.len();
        let cells = self.cells.len();
        if !(required..=columns).contains(&cells) {
            return Err(format!("{cells} columns, not {columns}"));
        }
        let name = self.cells[0];
        let (dataset, own_name) = name.split_at(name.find(['@', '#']).unwrap_or(name.len()));
        let dataset = match last {
            Some(last) if last.as_str() == dataset => last,
            _ => dataset.parse()?,
        };
        let state = tree.entry(dataset.clone()).or_default();
        match own_name.split_at_checked(1) {
            Some(("@", name)) => state.snapshots.push(self.snapshot(name)?),
            Some((_, name)) => state.bookmarks.push(self.bookmark(name)?),
            None => self.describe(state)?,
        }
        Ok(dataset)
    }

    fn snapshot(&self, name: &str) -> Result<Snapshot, String> {
        Ok(Snapshot {
            name: name.into(),
            guid: self.guid()?,
            createtxg: self.required("createtxg")?,
            creation: self.creation()?,
            written: self.number("written")?.unwrap_or(0),
            held: self.number("userrefs")?.is_some_and(|holds| holds > 0),
            cloned: self.text("clones").is_some(),
        })
    }

    fn bookmark(&self, name: &str) -> Result<Bookmark, String> {
        Ok(Bookmark {
            name: name.into(),
            guid: self.guid()?,
            createtxg: self.required("createtxg")?,
        })
    }

    fn describe(&self, state: &mut State) -> Result<(), String> {
        let guid = self.guid()?;
        self.required("createtxg")?;
        if state.guid != 0 && state.guid != guid {
            return Err("the dataset stands above with another guid".into());
        }
        state.guid = guid;
        state.creation = self.creation()?;
        state.volume = self.text("type") == Some("volume");
        state.encryption_root = self.text("encryptionroot").map(Into::into);
        state.written = self.number("written")?.unwrap_or(0);
        state.resume_token = self.text("receive_resume_token").map(Into::into);
        state.writable = self.text("readonly") == Some("off");
        Ok(())
    }

    fn guid(&self) -> Result<u64, String> {
        match self.required("guid")? {
            0 => Err("no guid".into()),
            guid => Ok(guid),
        }
    }

    fn creation(&self) -> Result<Epoch, String> {
        if !self.columns.contains(&"creation") {
            return Ok(0);
        }
        // ZFS keeps what a stream says, and that costs no other dataset anything.
        let creation = Epoch::try_from(self.required("creation")?);
        Ok(creation.unwrap_or(CREATION_MAX).min(CREATION_MAX))
    }

    fn required(&self, column: &str) -> Result<u64, String> {
        self.number(column)?.ok_or_else(|| format!("no {column}"))
    }

    /// Digits alone: ZFS writes no sign, so a sign belongs to something else.
    fn number(&self, column: &str) -> Result<Option<u64>, String> {
        let Some(cell) = self.cell(column) else {
            return Ok(None);
        };
        if cell.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(number) = cell.parse()
        {
            return Ok(Some(number));
        }
        Err(format!("no number as {column}: `{cell}`"))
    }

    fn text(&self, column: &str) -> Option<&str> {
        self.cell(column).filter(|cell| !cell.is_empty())
    }

    /// A `-` is an absent value.
    fn cell(&self, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|c| *c == column)?;
        self.cells.get(at).copied().filter(|cell| *cell != "-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::listing::{SKIM_COLUMNS, SNAPSHOT_COLUMNS, TREE_COLUMNS};

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
        for cell in [
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
        ] {
            assert_eq!(
                creation(cell),
                Ok(Some(CREATION_MAX)),
                "in the future, with room to reckon"
            );
        }
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
}
