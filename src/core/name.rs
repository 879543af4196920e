//! Names: datasets, the labels of hosts and destinations, and the names that mark a snapshot or bookmark as ours.
//! A name is checked when it is parsed, and nowhere else. Keeps invariant 5: a name says who owns a snapshot. The
//! time in it decides nothing but that pruning keeps what a destination may have.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use serde::Serialize;

use crate::core::span::utc;

/// zfs(8): a name with its `@snapshot` or `#bookmark` has at most 255 bytes.
pub const NAME_MAX: usize = 255;
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// The name of a filesystem or volume: `pool/path`. In the order of names a parent comes before its children.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Dataset(String);

impl FromStr for Dataset {
    type Err = String;

    /// The rules of zfs(8) and of OpenZFS's zfs_namecheck.c. Names with `%` are ZFS's own, so they are refused here too.
    fn from_str(name: &str) -> Result<Self, String> {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "-_.: /".contains(c);
        let has_wrong_part = name.split('/').any(|part| ["", ".", ".."].contains(&part));
        let why = if name.contains(['@', '#']) {
            "name the filesystem or volume, without @snapshot or #bookmark".into()
        } else if let Some(bad) = name.chars().find(|c| !is_legal(*c)) {
            format!("ZFS allows letters, digits, and - _ . : space in names, not `{bad}`")
        } else if name.is_empty() {
            "write one like tank/home".into()
        } else if has_wrong_part {
            "it must begin with its pool, without a / before, and have no / too many and no component . or ..".into()
        } else if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            "a pool's name begins with a letter; write one like tank/home".into()
        } else if name.len() > NAME_MAX {
            format!("it has {} bytes, and ZFS allows {NAME_MAX}", name.len())
        } else {
            return Ok(Dataset(name.into()));
        };
        Err(format!("`{name}` is not a valid dataset name: {why}"))
    }
}

impl Dataset {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Goes by component: `tank/ab` is not within `tank/a`. A dataset is within itself.
    pub fn is_within(&self, ancestor: &Dataset) -> bool {
        let rest = self.0.strip_prefix(&ancestor.0);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// `root.join(tank/home)` is `root/tank/home`, the replica of that dataset.
    pub fn join(&self, below: &Dataset) -> Dataset {
        Dataset(format!("{}/{}", self.0, below.0))
    }

    /// The source of a replica: what follows `root/`.
    pub fn below(&self, root: &Dataset) -> Option<Dataset> {
        let source = self.0.strip_prefix(&root.0)?.strip_prefix('/')?;
        Some(Dataset(source.into()))
    }

    pub fn parent(&self) -> Option<Dataset> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Dataset(parent.into()))
    }

    /// The dataset, its parent, and so on up to the pool.
    pub fn and_above(&self) -> impl Iterator<Item = Dataset> + use<> {
        std::iter::successors(Some(self.clone()), Dataset::parent)
    }

    pub fn pool(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(pool, _)| pool)
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a host, a destination or a template in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(String);

impl Label {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Label {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if name.is_empty() || name.starts_with('-') || !name.chars().all(is_legal) {
            return Err(format!(
                "`{name}` is not a valid name: use letters, digits, _ . and - (but - not first)"
            ));
        }
        Ok(Label(name.into()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The beginning of the names of our snapshots and bookmarks. A `_` follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Default for Prefix {
    fn default() -> Self {
        Prefix("zam".into())
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        let has_length = (1..=32).contains(&text.len());
        if !has_length || text.starts_with('-') || !text.chars().all(is_legal) {
            return Err(format!(
                "`{text}` is not a valid prefix: use up to 32 letters, digits, and - _ . : (no - first)"
            ));
        }
        Ok(Prefix(text.into()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Prefix {
    /// `zam_20261122T213727Z`: the name of a snapshot taken at `time` (epoch seconds).
    pub fn snapshot(&self, time: i64) -> String {
        format!("{}_{}", self.0, utc(time).format(TIME))
    }

    /// What follows `PREFIX_` in a name.
    fn strip<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(&self.0)?.strip_prefix('_')
    }

    /// True for exactly the form that [`Prefix::snapshot`] gives.
    pub fn owns_snapshot(&self, name: &str) -> bool {
        self.time_of(name).is_some()
    }

    /// The time in the name of one of our snapshots, in a form that sorts as time goes.
    pub fn time_of<'n>(&self, name: &'n str) -> Option<&'n str> {
        self.strip(name).filter(|time| is_time(time.as_bytes()))
    }

    /// `zam_ID_GUID`: the cursor of the destination whose root dataset has the GUID `root`.
    pub fn bookmark(&self, root: u64, guid: u64) -> String {
        format!("{}_{:08x}_{guid:016x}", self.0, destination_id(root))
    }

    /// The destination's id, if the name is that of one of our bookmarks and says the GUID that the bookmark has.
    pub fn owns_bookmark(&self, name: &str, guid: u64) -> Option<u32> {
        let rest = self.strip(name)?;
        let (id, _) = rest.split_once('_')?;
        let id = u32::from_str_radix(id, 16).ok()?;
        (rest == format!("{id:08x}_{guid:016x}")).then_some(id)
    }

    /// The longest dataset name that leaves room for a bookmark: `#PREFIX_ID_GUID`.
    pub fn dataset_max(&self) -> usize {
        NAME_MAX - (self.0.len() + "#_01234567_0123456789abcdef".len())
    }
}

/// Whether this is a moment of the calendar in the form of [`TIME`] (second 60 is a leap second). By hand, because every
/// plan asks it of every snapshot, and chrono takes ten times as long.
fn is_time(text: &[u8]) -> bool {
    let has_form = text.len() == 16 && text[8] == b'T' && text[15] == b'Z';
    has_form && is_date(&text[..8]) && is_time_of_day(&text[9..15])
}

/// `20261122`.
fn is_date(text: &[u8]) -> bool {
    let (Some(year), Some(month), Some(day)) =
        (number(&text[..4]), number(&text[4..6]), number(&text[6..]))
    else {
        return false;
    };
    NaiveDate::from_ymd_opt(year as i32, month, day).is_some()
}

/// `213727`.
fn is_time_of_day(text: &[u8]) -> bool {
    let parts = [number(&text[..2]), number(&text[2..4]), number(&text[4..])];
    matches!(parts, [Some(0..24), Some(0..60), Some(0..=60)])
}

/// None if there is anything but digits.
fn number(text: &[u8]) -> Option<u32> {
    let mut number = 0;
    for byte in text {
        number = number * 10 + char::from(*byte).to_digit(10)?;
    }
    Some(number)
}

/// Tells one destination from another on the source: the first 8 hex digits of the GUID of its root dataset.
pub fn destination_id(root: u64) -> u32 {
    (root >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_follow_the_rules_of_zfs() {
        for name in [
            "tank",
            "tank/a b",
            "t/laptop:x",
            "tank/a-1_2.3",
            "tank/ends ",
        ] {
            assert!(name.parse::<Dataset>().is_ok(), "{name}");
        }
        for name in [
            "",
            "/tank",
            "tank/",
            "a//b",
            "tank/..",
            "tank@x",
            "tank#b",
            "tank/%recv",
            "1tank",
            "tank/ä",
            "-r",
        ] {
            assert!(name.parse::<Dataset>().is_err(), "{name}");
        }
    }

    #[test]
    fn within_goes_by_component() {
        let ds = |name: &str| name.parse::<Dataset>().expect(name);
        assert!(ds("tank/a/b").is_within(&ds("tank/a")) && ds("tank/a").is_within(&ds("tank/a")));
        assert!(!ds("tank/ab").is_within(&ds("tank/a")) && !ds("tank").is_within(&ds("tank/a")));
    }

    #[test]
    fn only_the_exact_form_is_owned() {
        let zam = Prefix::default();
        let name = zam.snapshot(1_795_383_457);
        assert!(zam.owns_snapshot(&name), "{name}");
        for name in [
            "zam_20261122T213727",
            "zam_20261122T213727Zx",
            "zam_20261322T213727Z",
            "zam20261122T213727Z",
            "Zam_20261122T213727Z",
            "zam_+0261122T213727Z",
            "zam_2026112T2137270Z",
            "zam_ 0261122T213727Z",
            "zam_",
            "zam_keep",
            "zam-x_20261122T213727Z",
        ] {
            assert!(!zam.owns_snapshot(name), "{name}");
        }
    }

    /// Of two names and all that differ from one of them in two characters.
    #[test]
    fn a_time_is_what_chrono_reads() {
        let chronos = |time: &str| {
            let exact = time
                .bytes()
                .all(|b| b.is_ascii_digit() || b == b'T' || b == b'Z');
            exact && chrono::NaiveDateTime::parse_from_str(time, TIME).is_ok()
        };
        let edits = || (0..16).flat_map(|at| "0123456789TZ+ ".bytes().map(move |byte| (at, byte)));
        for time in ["20240229T235959Z", "20261122T213727Z"] {
            for ((i, a), (j, b)) in
                edits().flat_map(|first| edits().map(move |second| (first, second)))
            {
                let mut bytes: [u8; 16] = time.as_bytes().try_into().expect("16 bytes");
                (bytes[i], bytes[j]) = (a, b);
                let edited = std::str::from_utf8(&bytes).expect("ASCII");
                assert_eq!(is_time(&bytes), chronos(edited), "{edited}");
            }
        }
    }

    #[test]
    fn a_bookmark_tells_its_destination_and_its_snapshot() {
        let zam = Prefix::default();
        let name = zam.bookmark(0x1234_5678_9abc_def0, 0xfeed);
        assert_eq!(name, "zam_12345678_000000000000feed");
        assert_eq!(zam.owns_bookmark(&name, 0xfeed), Some(0x1234_5678));
        assert_eq!(zam.owns_bookmark(&name, 0xbeef), None);
        assert_eq!(
            zam.owns_bookmark("zam_1234567_000000000000feed", 0xfeed),
            None
        );
        assert_eq!(
            zam.owns_bookmark("zam_+1234567_000000000000feed", 0xfeed),
            None
        );
        assert_eq!(zam.dataset_max(), 225);
    }
}
