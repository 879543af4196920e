//! What a user is to be allowed on a dataset (zfs-allow(8)), and what of that it has.

use std::collections::BTreeMap;

use crate::core::name::Dataset;
use crate::core::setup::Step;
use crate::core::setup::reach::Reach;
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
    pub permissions: Vec<Permission>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Permission {
    pub name: &'static str,
    pub reach: Reach,
}

impl Grant {
    /// Nothing yet.
    pub fn new(user: &str, dataset: &Dataset) -> Self {
        Grant {
            user: user.into(),
            dataset: dataset.clone(),
            permissions: Vec::new(),
        }
    }

    /// Adds permissions, or lets those that it has reach further.
    pub fn add(&mut self, names: &[&'static str], reach: Reach) {
        for name in names {
            match self.permissions.iter_mut().find(|has| has.name == *name) {
                Some(has) => has.reach = has.reach.with(reach),
                None => self.permissions.push(Permission { name, reach }),
            }
        }
    }

    pub fn reach(&self, name: &str) -> Reach {
        let has = self.permissions.iter().find(|has| has.name == name);
        has.map_or(Reach::NOWHERE, |has| has.reach)
    }

    /// What the user still lacks, where `zfs allow` prints this of the dataset.
    pub fn lacking(&self, printed: &str) -> Vec<Permission> {
        let granted = self.granted(printed);
        let mut lacking = self.permissions.clone();
        for Permission { name, reach } in &mut lacking {
            *reach = reach.without(granted.of(name));
            if let Some(newer) = NEWER.iter().find(|newer| newer.permission == *name) {
                *reach = reach.without(granted.of(newer.wider));
            }
        }
        lacking.retain(|permission| permission.reach != Reach::NOWHERE);
        lacking
    }

    /// Lets the user do what it lacks: a step for each reach.
    pub fn allow(&self, lacking: &[Permission]) -> Vec<Step> {
        let mut steps = Vec::new();
        for reach in [Reach::BOTH, Reach::ITSELF, Reach::BELOW] {
            let here = lacking.iter().filter(|lacks| lacks.reach == reach);
            let names: Vec<&str> = here.map(|lacks| lacks.name).collect();
            if !names.is_empty() {
                let list = names.join(",");
                let what = reach.of(&self.dataset);
                steps.push(Step {
                    why: format!("{} lacks {list} on {what}", self.user),
                    commands: self.commands(names, reach),
                });
            }
        }
        steps
    }

    fn commands(&self, mut names: Vec<&str>, reach: Reach) -> String {
        let mut commands = Vec::new();
        for newer in &NEWER {
            if names.contains(&newer.permission) {
                names.retain(|name| *name != newer.permission);
                // A permission that ZFS does not know makes the whole command fail.
                commands.push(format!(
                    "{} 2>/dev/null ||\n  # {}\n  {}",
                    self.command("allow", newer.permission, reach),
                    newer.cost,
                    self.command("allow", newer.wider, reach),
                ));
            }
        }
        if !names.is_empty() {
            commands.push(self.command("allow", &names.join(","), reach));
        }
        commands.join("\n")
    }

    fn command(&self, verb: &str, names: &str, reach: Reach) -> String {
        let user = quoted(&self.user);
        let dataset = quoted(self.dataset.as_str());
        let flag = reach.flag();
        format!("zfs {verb} {flag}-u {user} {names} {dataset}")
    }

    /// The commands that take away what the user was given on this very dataset, and neither this nor another of the
    /// grants needs. What is below a dataset has its permissions too.
    pub fn unallow(&self, printed: &str, others: &[Grant]) -> Vec<String> {
        let mut given_here = Reaches::default();
        for given in given(printed, &self.user) {
            if given.dataset == self.dataset.as_str() {
                given_here.add(&given.names, given.reach);
            }
        }
        let needed = self.needed(&given_here, others);
        let mut commands = Vec::new();
        for reach in [Reach::BOTH, Reach::ITSELF, Reach::BELOW] {
            let mut needless = Vec::new();
            for (name, given) in &given_here.0 {
                if given.without(needed.of(name)) == reach {
                    needless.push(*name);
                }
            }
            if !needless.is_empty() {
                commands.push(self.command("unallow", &needless.join(","), reach));
            }
        }
        commands
    }

    /// What the user's jobs need to have been given on this dataset; of a permission that this ZFS does not know, the wider
    /// one.
    fn needed<'t>(&self, given_here: &Reaches<'t>, others: &[Grant]) -> Reaches<'t> {
        let mut needed = Reaches::default();
        for grant in others.iter().chain([self]) {
            let is_here = grant.dataset == self.dataset;
            if grant.user != self.user || !grant.dataset.is_within(&self.dataset) {
                continue;
            }
            for Permission { name, reach } in &grant.permissions {
                let reach = if is_here { *reach } else { Reach::BELOW };
                needed.add(&[name], reach);
                if let Some(newer) = NEWER.iter().find(|newer| newer.permission == *name) {
                    needed.add(&[newer.wider], reach.without(given_here.of(name)));
                }
            }
        }
        needed
    }

    fn granted<'t>(&self, printed: &'t str) -> Reaches<'t> {
        let mut granted = Reaches::default();
        for given in given(printed, &self.user) {
            let is_here = given.dataset == self.dataset.as_str();
            let reach = match (is_here, given.reach.below) {
                (true, _) => given.reach,
                (false, true) => Reach::BOTH,
                (false, false) => Reach::NOWHERE,
            };
            granted.add(&given.names, reach);
        }
        granted
    }
}

/// How far each permission of a user reaches.
#[derive(Default)]
struct Reaches<'t>(BTreeMap<&'t str, Reach>);

impl<'t> Reaches<'t> {
    fn add(&mut self, names: &[&'t str], reach: Reach) {
        for name in names {
            let known = self.0.entry(name).or_default();
            *known = known.with(reach);
        }
    }

    fn of(&self, name: &str) -> Reach {
        self.0.get(name).copied().unwrap_or_default()
    }
}

/// A line of what `zfs allow` prints: permissions of one user.
struct Given<'t> {
    /// Where they were given: the dataset asked for, or one above it.
    dataset: &'t str,
    reach: Reach,
    names: Vec<&'t str>,
}

/// What a user was given, on a dataset and on those above it.
fn given<'t>(printed: &'t str, user: &str) -> Vec<Given<'t>> {
    let mut dataset = "";
    let mut reach = Reach::NOWHERE;
    let mut all = Vec::new();
    for line in printed.lines() {
        if let Some(heading) = line.strip_prefix("---- Permissions on ") {
            // A space and as many dashes as fit: after a long name there are none.
            let name = heading.trim_end_matches('-');
            dataset = name.strip_suffix(' ').unwrap_or(name);
        } else if let Some(scope) = line.strip_suffix(" permissions:") {
            reach = Reach::printed(scope);
        } else if let ["user", name, names] = Vec::from_iter(line.trim_start().split(' '))[..]
            && name == user
        {
            let names = names.split(',').collect();
            all.push(Given {
                dataset,
                reach,
                names,
            });
        }
    }
    all
}
