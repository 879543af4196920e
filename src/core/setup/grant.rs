//! What a user is to be allowed on a dataset (zfs-allow(8)), and what of that it has.

use std::collections::BTreeSet;

use crate::core::name::Dataset;
use crate::core::setup::Step;
use crate::core::shell::quoted;

/// OpenZFS 2.3.2 and later: to receive, and not to roll back for it.
pub const APPEND: &str = "receive:append";
/// What makes a replica, and nothing else.
pub const ADD: [&str; 6] = [APPEND, "create", "mount", "readonly", "canmount", "volmode"];
/// What marks a source and sends it. `destroy` without `mount` destroys bookmarks and nothing else (tried on 2.1 and 2.3).
pub const SEND: [&str; 4] = ["send", "hold", "bookmark", "destroy"];
/// What destroys snapshots.
pub const PRUNE: [&str; 2] = ["destroy", "mount"];

#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    pub user: String,
    pub dataset: Dataset,
    /// It is for what lies below, too.
    pub below: bool,
    pub permissions: Vec<&'static str>,
}

impl Grant {
    /// What the user still lacks, where `zfs allow` prints this of the dataset.
    pub fn lacking(&self, printed: &str) -> Vec<&'static str> {
        let granted = self.granted(printed);
        let mut lacking = self.permissions.clone();
        lacking.retain(|permission| {
            let is_wider = *permission == APPEND && granted.contains("receive");
            !granted.contains(permission) && !is_wider
        });
        lacking
    }

    /// Lets the user do what it lacks.
    pub fn allow(&self, lacking: &[&str]) -> Step {
        let (user, name) = (quoted(&self.user), quoted(self.dataset.as_str()));
        let local = if self.below { "" } else { "-l " };
        let strong = lacking.join(",");
        let mut commands = format!("zfs allow {local}-u {user} {strong} {name}");
        if lacking.contains(&APPEND) {
            let weak = strong.replace(APPEND, "receive");
            // A permission that ZFS does not know makes the whole command fail.
            commands += &format!(
                " 2>/dev/null ||\n  # Before OpenZFS 2.3.2 nothing but zam itself keeps it from overwriting.\n  \
                 zfs allow {local}-u {user} {weak} {name}"
            );
        }
        Step {
            why: format!("{} lacks {strong} on {}", self.user, self.dataset),
            commands,
        }
    }

    /// The command that takes away what the user was given on this very dataset and no job needs, if there is any.
    pub fn unallow(&self, printed: &str) -> Option<String> {
        let mut needless = BTreeSet::new();
        for given in given(printed, &self.user) {
            if given.is_on(&self.dataset) {
                needless.extend(given.permissions);
            }
        }
        let has_append = needless.contains(APPEND);
        needless.retain(|given| {
            let stands_in =
                *given == "receive" && self.permissions.contains(&APPEND) && !has_append;
            !self.permissions.contains(given) && !stands_in
        });
        if needless.is_empty() {
            return None;
        }
        let (user, name) = (quoted(&self.user), quoted(self.dataset.as_str()));
        let list = Vec::from_iter(needless).join(",");
        Some(format!("zfs unallow -u {user} {list} {name}"))
    }

    fn granted<'t>(&self, printed: &'t str) -> BTreeSet<&'t str> {
        let mut granted = BTreeSet::new();
        for given in given(printed, &self.user) {
            let reaches = match given.scope {
                "Local+Descendent" => true,
                "Local" => !self.below && given.is_on(&self.dataset),
                _ => given.scope == "Descendent" && !given.is_on(&self.dataset),
            };
            if reaches {
                granted.extend(given.permissions);
            }
        }
        granted
    }
}

/// A line of what `zfs allow` prints: permissions of one user.
struct Given<'t> {
    /// The heading with the dataset that they were given on.
    heading: &'t str,
    scope: &'t str,
    permissions: Vec<&'t str>,
}

impl Given<'_> {
    fn is_on(&self, dataset: &Dataset) -> bool {
        let heading = format!("---- Permissions on {dataset} -");
        self.heading.starts_with(&heading)
    }
}

/// What a user was given, on a dataset and on those above it.
fn given<'t>(printed: &'t str, user: &str) -> Vec<Given<'t>> {
    let (mut heading, mut scope, mut all) = ("", "", Vec::new());
    for line in printed.lines() {
        if line.starts_with("---- ") {
            heading = line;
        } else if let Some(name) = line.strip_suffix(" permissions:") {
            scope = name;
        } else if let ["user", name, permissions] = Vec::from_iter(line.trim_start().split(' '))[..]
            && name == user
        {
            let permissions = permissions.split(',').collect();
            all.push(Given {
                heading,
                scope,
                permissions,
            });
        }
    }
    all
}
