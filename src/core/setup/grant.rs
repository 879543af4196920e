//! What a user is to be allowed on a dataset (zfs-allow(8)), and what of that it has.

use std::collections::BTreeSet;

use crate::core::name::Dataset;
use crate::core::setup::Step;
use crate::core::shell::quoted;

/// OpenZFS 2.3.2 and later: to receive, and not to roll back for it.
pub const APPEND: &str = "receive:append";
/// OpenZFS 2.4.4 and later: to send encrypted blocks as they are, and no plain text.
pub const SEND_ENCRYPTED: &str = "send:encrypted";
/// What makes a replica, and nothing else.
pub const ADD: [&str; 6] = [APPEND, "create", "mount", "readonly", "canmount", "volmode"];
/// What marks a source and sends it. `destroy` without `mount` destroys bookmarks and nothing else (tried on 2.1 and 2.3).
pub const SEND: [&str; 4] = ["send", "hold", "bookmark", "destroy"];
/// What destroys snapshots.
pub const PRUNE: [&str; 2] = ["destroy", "mount"];

/// A permission that older versions do not know, and the wider one that stands in for it there.
struct Newer {
    permission: &'static str,
    wider: &'static str,
    /// What the wider one costs.
    cost: &'static str,
}

/// `send:raw` is not among them, since OpenZFS 2.4.0 refuses `send -I` with it (openzfs/zfs#18193).
const NEWER: [Newer; 2] = [
    Newer {
        permission: APPEND,
        wider: "receive",
        cost: "Before OpenZFS 2.3.2 nothing but zam itself keeps it from overwriting.",
    },
    Newer {
        permission: SEND_ENCRYPTED,
        wider: "send",
        cost: "Before OpenZFS 2.4.4 it can send plain text too, while a key is loaded.",
    },
];

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
        lacking.retain(|permission| !granted.contains(permission));
        lacking.retain(|permission| {
            let newer = NEWER.iter().find(|newer| newer.permission == *permission);
            newer.is_none_or(|newer| !granted.contains(newer.wider))
        });
        lacking
    }

    /// Lets the user do what it lacks.
    pub fn allow(&self, lacking: &[&str]) -> Step {
        let mut commands = Vec::new();
        let mut rest = lacking.to_vec();
        for newer in &NEWER {
            if rest.contains(&newer.permission) {
                rest.retain(|permission| *permission != newer.permission);
                // A permission that ZFS does not know makes the whole command fail.
                commands.push(format!(
                    "{} 2>/dev/null ||\n  # {}\n  {}",
                    self.command(newer.permission),
                    newer.cost,
                    self.command(newer.wider),
                ));
            }
        }
        if !rest.is_empty() {
            commands.push(self.command(&rest.join(",")));
        }
        let permissions = lacking.join(",");
        Step {
            why: format!("{} lacks {permissions} on {}", self.user, self.dataset),
            commands: commands.join("\n"),
        }
    }

    fn command(&self, permissions: &str) -> String {
        let local = if self.below { "" } else { "-l " };
        let (user, name) = (quoted(&self.user), quoted(self.dataset.as_str()));
        format!("zfs allow {local}-u {user} {permissions} {name}")
    }

    /// The command that takes away what the user was given on this very dataset and no job needs, if there is any.
    pub fn unallow(&self, printed: &str) -> Option<String> {
        let mut needless = BTreeSet::new();
        for given in given(printed, &self.user) {
            if given.is_on(&self.dataset) {
                needless.extend(given.permissions);
            }
        }
        let mut needed = BTreeSet::from_iter(self.permissions.iter().copied());
        for newer in &NEWER {
            if needed.contains(newer.permission) && !needless.contains(newer.permission) {
                needed.insert(newer.wider);
            }
        }
        needless.retain(|given| !needed.contains(given));
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
