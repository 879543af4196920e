//! What is gone from a configuration and kept datasets from being pruned as others are: an entry, its recursion, an item
//! of its `exclude`, a setting over the same one elsewhere (in the entry over that of a template, in a template over that
//! of `defaults`), or the prefix. Somebody may have made a comment of the line so that they are left alone, or have lost it
//! in a merge. So pruning waits until a person has accepted that (invariant 10). What somebody writes anew says itself what
//! is kept.

use std::collections::BTreeSet;
use std::fmt;

use crate::core::config::{Config, Destination, Entry, Window, key};
use crate::core::host::Host;
use crate::core::job::Verb;
use crate::core::pattern::Pattern;
use crate::core::selection::{governing, recursing_into, recursive_above};

/// What says of a replica what is pruned, and where it is.
const OF_REPLICA: [&str; 4] = ["windows", "prune-period", "root", "host"];

/// Something that is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// What is gone, and what would be pruned because of that.
    pub what: String,
    /// What to do if it is not meant.
    pub mend: String,
}

impl Loss {
    pub fn new(what: String, mend: impl Into<String>) -> Self {
        let mend = mend.into();
        Loss { what, mend }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.mend)
    }
}

/// What `now` has lost that kept datasets from being pruned under `before`.
pub fn exposed(before: &Config, now: &Config) -> Vec<Loss> {
    let mut losses = Vec::from_iter(prefix(before, now));
    for entry in &before.entries {
        let Some(after) = After::new(entry, before, now) else {
            continue;
        };
        losses.extend(after.itself().or_else(|| after.children()));
        losses.extend(after.excluded());
        losses.extend(after.windows());
        losses.extend(after.recursion());
        losses.extend(after.replicas());
    }
    losses
}

/// Snapshots under the other prefix may be another program's, or those that were to stay for ever.
fn prefix(before: &Config, now: &Config) -> Option<Loss> {
    if before.prefix == now.prefix || !now.entries.iter().any(prunes) {
        return None;
    }
    let what = format!(
        "the prefix was {} and is {} now, so that other snapshots would be pruned",
        before.prefix, now.prefix
    );
    Some(Loss::new(what, "put it back"))
}

/// An entry that was, and what has become of it.
struct After<'c> {
    entry: &'c Entry,
    before: &'c Config,
    now: &'c Config,
    /// What its machine is called now.
    host: Option<&'c str>,
    /// The entry of the same dataset.
    same: Option<&'c Entry>,
}

impl<'c> After<'c> {
    /// None: its machine is gone, and with it everything that could be pruned by another entry.
    fn new(entry: &'c Entry, before: &'c Config, now: &'c Config) -> Option<Self> {
        let host = match &entry.host {
            Some(host) => Some(name_of(host, now)?),
            None => None,
        };
        Some(After {
            entry,
            before,
            now,
            host,
            same: now.entry(&key(host, &entry.dataset)),
        })
    }

    /// The entry is gone, and another one inherits its dataset.
    fn itself(&self) -> Option<Loss> {
        let heir = governing(self.now, self.host, &self.entry.dataset)?;
        if heir.dataset == self.entry.dataset || !prunes(heir) {
            return None;
        }
        let what = format!(
            "{} had an entry of its own and has none now, so that {} would prune it",
            self.entry.key, heir.key
        );
        Some(Loss::new(what, "exclude it there"))
    }

    /// The entry is not recursive any more, and another one inherits what is below its dataset.
    fn children(&self) -> Option<Loss> {
        let heir = recursing_into(self.now, self.host, &self.entry.dataset)?;
        if !self.entry.recursive || heir.dataset == self.entry.dataset || !prunes(heir) {
            return None;
        }
        let what = format!(
            "{} was recursive and is not now, so that {} would prune what is below it",
            self.entry.key, heir.key
        );
        let mend = format!("exclude {} there", self.entry.dataset);
        Some(Loss::new(what, mend))
    }

    /// An item of its `exclude` is gone, and what that named is covered.
    fn excluded(&self) -> Option<Loss> {
        let left = self.same.map_or(&[][..], |same| &same.exclude);
        let left: BTreeSet<&str> = left.iter().map(Pattern::expression).collect();
        let mut items = self.entry.exclude.iter();
        let item = items.find(|item| !left.contains(item.expression()) && self.covers(item))?;
        let what = format!(
            "{} excludes {item} no more, so that what this names would be pruned",
            self.entry.key
        );
        Some(Loss::new(what, "put it back"))
    }

    /// Whether the item kept what it names from being pruned. What a glob or an expression names is not known here, so it
    /// counts for the same entry alone.
    fn covers(&self, item: &Pattern) -> bool {
        let Some(dataset) = item.path() else {
            let may_match = |same: &&Entry| same.recursive && item.can_match_below(&same.dataset);
            let same = self.same.filter(|_| self.entry.recursive);
            return same.filter(may_match).is_some_and(prunes);
        };
        let excluded_by = recursive_above(self.before, self.entry.host_name(), &dataset);
        if excluded_by.is_none_or(|entry| entry.key != self.entry.key) {
            return false;
        }
        let heir = recursing_into(self.now, self.host, &dataset);
        heir.is_some_and(|heir| heir.dataset != dataset && prunes(heir))
    }

    /// The source goes by windows that stand elsewhere.
    fn windows(&self) -> Option<Loss> {
        let now = self.same?;
        if now.windows.is_empty() || keep_as_much(&self.entry.windows, &now.windows) {
            return None;
        }
        self.lost("windows")
    }

    /// The entry covers what is below its dataset, because that stands elsewhere.
    fn recursion(&self) -> Option<Loss> {
        let now = self.same?;
        if self.entry.recursive || !now.recursive || !prunes(now) {
            return None;
        }
        self.lost("recursive")
    }

    /// Replicas are pruned because of what stands elsewhere.
    fn replicas(&self) -> Vec<Loss> {
        let mut losses = Vec::new();
        for to in self.same.map_or(&[][..], |same| &same.destinations) {
            let mut old = self.entry.destinations.iter();
            let before = old.find(|old| old.name == to.name);
            if !to.is_pruned() || before.is_some_and(|before| keeps_replica(before, to)) {
                continue;
            }
            let about = format!("{} to {}", self.entry.key, to.name);
            let setting = before.and_then(|before| to.places.fallen(&before.places, &OF_REPLICA));
            let lost = setting.map(|name| falls_back(&about, name));
            losses.extend(lost.or_else(|| self.lost("destinations")));
        }
        losses
    }

    /// What said this is gone, and what holds now was below it, or stands further below.
    fn lost(&self, name: &str) -> Option<Loss> {
        let lost = self.same?.places.fallen(&self.entry.places, &[name])?;
        Some(falls_back(&self.entry.key, lost))
    }
}

fn falls_back(about: &str, name: &str) -> Loss {
    let what = format!(
        "a `{name}` that {about} went by is gone, so that more would be pruned by what stands elsewhere"
    );
    Loss::new(what, "put it back")
}

/// What a host is called now: as before, or as the one in its place.
fn name_of<'c>(host: &Host, now: &'c Config) -> Option<&'c str> {
    let mut hosts = now.hosts.values();
    let found = match now.hosts.get(&host.name) {
        Some(same) => same,
        None => hosts.find(|other| other.address() == host.address())?,
    };
    Some(found.name.as_str())
}

fn prunes(entry: &Entry) -> bool {
    entry.jobs().iter().any(|job| job.verb == Verb::Prune)
}

/// Whether the same replica was pruned before, and not to more.
fn keeps_replica(before: &Destination, now: &Destination) -> bool {
    let is_there = before.root == now.root && before.address() == now.address();
    is_there && before.is_pruned() && keep_as_much(&before.windows, &now.windows)
}

/// Whether windows keep all that others kept. None at all keep everything.
fn keep_as_much(before: &[Window], now: &[Window]) -> bool {
    let is_left = |window: &Window| now.contains(window);
    !before.is_empty() && before.iter().all(is_left)
}
