//! What the users that run the jobs need on this machine.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::config::{Config, Destination, Entry, ROOT, USER};
use crate::core::name::Dataset;
use crate::core::setup::Step;
use crate::core::setup::grant::{ADD, Grant, PRUNE, SEND, SEND_ENCRYPTED};
use crate::core::setup::reach::Reach;
use crate::core::shell::quoted;

/// The group whose members share the locks in /run/zam.
pub const GROUP: &str = "zam";

/// Who is to run the jobs. Setting up a machine that names nobody gives the jobs away from root.
pub struct Users {
    pub worker: String,
    pub pruner: String,
}

impl Users {
    pub fn of(config: &Config) -> Self {
        let worker = config.user.as_deref().unwrap_or(USER);
        Users {
            worker: worker.into(),
            pruner: config.prune_user_beside(worker).into(),
        }
    }

    /// Those that are not root, each once.
    pub fn all(&self) -> Vec<&str> {
        let mut all = vec![self.worker.as_str(), self.pruner.as_str()];
        all.retain(|user| *user != ROOT);
        all.dedup();
        all
    }
}

/// What the users are to be allowed, sorted; nothing where a user has no job. `encrypted` are the entries of which all
/// datasets are.
pub fn grants(config: &Config, users: &Users, encrypted: &BTreeSet<Dataset>) -> Vec<Grant> {
    let mut grants = Grants::default();
    for entry in &config.entries {
        if entry.host.is_none() {
            let is_raw = encrypted.contains(&entry.dataset) && !decrypts(entry);
            grants.add_source(entry, users, is_raw);
        }
        for to in &entry.destinations {
            if to.host.is_none() {
                grants.add_replicas(to, users);
            }
        }
    }
    let mut all: Vec<Grant> = grants.0.into_values().collect();
    all.retain(|grant| grant.user != ROOT);
    all
}

/// Whether any destination gets plain streams of what is encrypted.
pub fn decrypts(entry: &Entry) -> bool {
    entry.destinations.iter().any(|to| to.decrypt)
}

/// By dataset and user.
#[derive(Default)]
struct Grants(BTreeMap<(Dataset, String), Grant>);

impl Grants {
    fn add_source(&mut self, entry: &Entry, users: &Users, is_raw: bool) {
        let dataset = &entry.dataset;
        let itself = Reach::of_tree(entry.recursive);
        let worker = self.of(&users.worker, dataset);
        if entry.snapshot_period.is_some() {
            worker.add(&["snapshot"], itself);
        }
        if !entry.destinations.is_empty() {
            let send = if is_raw { SEND_ENCRYPTED } else { SEND[0] };
            worker.add(&[send], Reach::BELOW);
            worker.add(&SEND[1..], itself);
        }
        let pruner = self.of(&users.pruner, dataset);
        if !entry.windows.is_empty() {
            pruner.add(&PRUNE, Reach::BELOW);
        }
        // Another machine may have begun to make it (zam prune gives that up): then it goes itself.
        if !entry.windows.is_empty() && entry.snapshot_period.is_none() {
            pruner.add(&PRUNE, Reach::ITSELF);
        }
    }

    /// The root itself is neither sent nor destroyed, and what is in it lies below.
    fn add_replicas(&mut self, to: &Destination, users: &Users) {
        self.of(&users.worker, &to.root).add(&ADD, Reach::BOTH);
        let pruner = self.of(&users.pruner, &to.root);
        if to.is_pruned() {
            pruner.add(&PRUNE, Reach::BELOW);
        }
    }

    fn of(&mut self, user: &str, dataset: &Dataset) -> &mut Grant {
        let key = (dataset.clone(), user.to_owned());
        self.0
            .entry(key)
            .or_insert_with(|| Grant::new(user, dataset))
    }
}

/// Where replicas lie within a source, a user has `destroy` from the one and `mount` from the other, which together destroy
/// snapshots: says so of each such root, if the user is to destroy nothing.
pub fn dangers(grants: &[Grant], users: &Users) -> Vec<String> {
    let mut dangers = Vec::new();
    let user = &users.worker;
    if *user == users.pruner {
        return dangers;
    }
    let may_below = |name| {
        let grants = grants.iter().filter(|grant| grant.user == *user);
        grants.filter(move |grant| grant.reach(name).below)
    };
    for source in may_below("destroy") {
        for root in may_below("mount").filter(|root| root.dataset.is_within(&source.dataset)) {
            dangers.push(format!(
                "{user} can destroy snapshots of {root}: it may destroy bookmarks of {source} and what is in it, and mount \
                 what it receives; keep replicas outside of sources",
                root = root.dataset,
                source = source.dataset,
            ));
        }
    }
    dangers
}

/// A user that nobody can log in as, with the group of the locks.
pub fn account(user: &str, home: &str) -> Step {
    let name = quoted(user);
    let home = quoted(home);
    Step {
        why: format!("there is no user {user}, or it is not in the group {GROUP}"),
        commands: format!(
            "\
getent group {GROUP} >/dev/null || groupadd --system {GROUP}
id -u {name} >/dev/null 2>&1 ||
  useradd --system --gid {GROUP} --no-create-home --home-dir {home} --shell /usr/sbin/nologin {name}
usermod --append --groups {GROUP} {name}"
        ),
    }
}

/// Where the user's jobs remember when they last succeeded. Its home stays root's, so that nobody plants links there.
pub fn home(user: &str, home: &str) -> Step {
    let name = quoted(user);
    let home = quoted(home);
    Step {
        why: format!("the jobs of {user} cannot remember anything"),
        commands: format!(
            "\
install -d -m 755 \"$(dirname {home})\" {home}
install -d -m 755 -o {name} {home}/done {home}/waiting"
        ),
    }
}

/// Lets the users read a file or enter a directory of the configuration.
pub fn readable(path: &str, is_directory: bool) -> Step {
    let mode = if is_directory { "g+rx" } else { "g+r" };
    let word = quoted(path);
    Step {
        why: format!("the group {GROUP} may not read {path}"),
        commands: format!("chgrp {GROUP} {word} && chmod {mode} {word}"),
    }
}

/// A key for a host that has none.
pub fn key(identity: &str, host: &str) -> Step {
    let word = quoted(identity);
    Step {
        why: format!("there is no key for {host}; then let it in there: zam setup --on {host}"),
        commands: format!(
            "\
mkdir -p -m 700 \"$(dirname {word})\"
[ -e {word} ] || ssh-keygen -q -t ed25519 -N '' -C zam -f {word} </dev/null"
        ),
    }
}

/// Has every user know the key of a machine: the one that root knows, or the one that it shows now. `name` is as
/// known_hosts has it (sshd(8)).
pub fn known(name: &str, machine: &str, port: Option<u16>) -> Step {
    let port = port.map_or(String::new(), |port| format!(" -p {port}"));
    let name = quoted(name);
    let word = quoted(machine);
    Step {
        why: format!(
            "no user but root may know the key of {machine}; if root does not, compare what is added with what `ssh-keygen -lf \
             /etc/ssh/ssh_host_ed25519_key.pub` says there"
        ),
        commands: format!(
            "\
touch /etc/ssh/ssh_known_hosts && chmod 644 /etc/ssh/ssh_known_hosts
{{ ssh-keygen -F {name} -f ~/.ssh/known_hosts 2>/dev/null || ssh-keyscan -T 30{port} -- {word}; }} |
  grep -v '^#' >>/etc/ssh/ssh_known_hosts || {{
  echo {word}' shows no key: run this once more when it does, with its own name for an alias of ssh_config(5)' >&2
  unknown=yes
}}
ssh-keygen -lF {name} -f /etc/ssh/ssh_known_hosts || true"
        ),
    }
}

/// A dataset of the configuration that nobody can be allowed anything on.
pub fn absent(dataset: &Dataset) -> Step {
    Step {
        why: format!(
            "{dataset} does not exist: import its pool, or take it out of the configuration"
        ),
        commands: String::new(),
    }
}

/// Gives the jobs from root to the users. It comes last: from then on they need all that the other steps give.
pub fn name_users(path: &str, users: &Users) -> Step {
    let path = quoted(path);
    let worker = &users.worker;
    let pruner = &users.pruner;
    Step {
        why: format!(
            "all jobs run as root, since the configuration names no user; zam reload then has them run as {worker} and \
             {pruner} (to leave them to root, write: user: root)"
        ),
        commands: format!(
            "\
[ -z \"${{unknown-}}\" ] || exit 1 # nor could the jobs reach it
mkdir -p -m 755 \"$(dirname {path})\"
[ ! -s {path} ] || echo >>{path}
echo 'user: {worker}' >>{path}
chmod 644 {path}"
        ),
    }
}
