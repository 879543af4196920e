//! What an account on another machine needs, so that the jobs of this configuration work there and nothing else does: the
//! permissions of zfs-allow(8), and a key that is bound to `zam serve`.

use std::collections::BTreeSet;

use crate::core::config::Config;
use crate::core::host::Host;
use crate::core::name::{Dataset, Prefix};
use crate::core::serve::Role;
use crate::core::setup::Step;
use crate::core::setup::grant::{ADD, Grant, SEND};
use crate::core::setup::reach::Reach;
use crate::core::shell::quoted;

/// What the jobs of a configuration need on one host.
#[derive(Debug, PartialEq)]
pub struct Needs {
    pub role: Role,
    pub roots: BTreeSet<Dataset>,
    /// Those of the roots that are fetched with what is below them.
    pub recursive: BTreeSet<Dataset>,
}

/// A destination that is not to be pruned from here gives a key no right to prune, whatever the others are.
///
/// # Errors
/// There is nothing to do on this host, or a key cannot do all of it.
pub fn needs(config: &Config, host: &str) -> Result<Needs, String> {
    let mut pruned = BTreeSet::new();
    let mut kept = BTreeSet::new();
    let mut fetched = BTreeSet::new();
    let mut recursive = BTreeSet::new();
    for entry in &config.entries {
        if entry.host_name() == Some(host) {
            fetched.insert(entry.dataset.clone());
        }
        if entry.host_name() == Some(host) && entry.recursive {
            recursive.insert(entry.dataset.clone());
        }
        for to in &entry.destinations {
            if to.host_name() == Some(host) {
                let roots = if to.is_pruned() {
                    &mut pruned
                } else {
                    &mut kept
                };
                roots.insert(to.root.clone());
            }
        }
    }
    kept.retain(|root| !pruned.contains(root));
    let all = [
        (Role::Push, pruned),
        (Role::AppendOnly, kept),
        (Role::ReadOnly, fetched),
    ];
    let mut used = all.into_iter().filter(|(_, roots)| !roots.is_empty());
    match (used.next(), used.next()) {
        (Some((role, roots)), None) => Ok(Needs {
            role,
            roots,
            recursive,
        }),
        (None, _) => Err(format!("nothing is replicated to or from {host}")),
        _ => Err(format!(
            "{host} has more than one of these: replicas that are pruned from here, replicas that are not, and datasets \
             that are fetched; a key does one of them: name the machine once for each under hosts:, with a key each"
        )),
    }
}

impl Needs {
    /// What the account needs on each of the roots.
    pub fn grants(&self, user: &str) -> Vec<Grant> {
        let mut grants = Vec::new();
        for root in &self.roots {
            let mut grant = Grant::new(user, root);
            let itself = Reach::of_tree(self.recursive.contains(root));
            match self.role {
                Role::Push => {
                    grant.add(&["receive"], Reach::BOTH);
                    grant.add(&ADD[1..], Reach::BOTH);
                    grant.add(&["destroy"], Reach::BELOW);
                }
                Role::AppendOnly => grant.add(&ADD, Reach::BOTH),
                Role::ReadOnly => {
                    grant.add(&SEND[..1], Reach::BELOW);
                    grant.add(&SEND[1..], itself);
                }
            }
            grants.push(grant);
        }
        grants
    }

    /// Binds a key to what the jobs need. Other lines of the same key go, since sshd takes the first.
    pub fn bind(&self, user: &str, public_key: &PublicKey, name: &str, prefix: &Prefix) -> Step {
        let mut command = format!("zam serve --key {}", quoted(name));
        match self.role {
            Role::Push => (),
            Role::AppendOnly => command += " --append-only",
            Role::ReadOnly => command += " --read-only",
        }
        if *prefix != Prefix::default() {
            command += &format!(" --prefix {prefix}");
        }
        for root in &self.roots {
            command += &format!(" --root {}", quoted(root.as_str()));
        }
        let line = format!("restrict,command=\"{command}\" {}", public_key.line);
        let user = quoted(user);
        let line = quoted(&line);
        Step {
            why: format!("the key of {name} may not do what its jobs need"),
            commands: format!(
                "\
home=$(getent passwd {user} | cut -d : -f 6)
install -d -m 700 -o {user} \"$home/.ssh\"
keys=$home/.ssh/authorized_keys
touch \"$keys\"
[ -z \"$(tail -c 1 \"$keys\")\" ] || echo >>\"$keys\"
sed -i '\\|{blob}|d' \"$keys\"
printf '%s\\n' {line} >>\"$keys\"
chown {user} \"$keys\"",
                blob = public_key.blob
            ),
        }
    }
}

/// An account that nobody can log in to but by its keys. Its password is not locked, which sshd without PAM takes for a
/// locked account; and it has a shell, by which sshd runs the command of a key.
pub fn account(user: &str) -> Step {
    let user = quoted(user);
    Step {
        why: format!("the account {user}, if there is none"),
        commands: format!(
            "\
id -u {user} >/dev/null 2>&1 || useradd --system --create-home --shell /bin/sh --password '*' {user}
case $(getent passwd {user}) in */nologin | */false) usermod --shell /bin/sh {user} ;; esac"
        ),
    }
}

/// What the account of a host needs for all the names that the configuration has for it, each with a key of its own.
pub fn account_grants(config: &Config, host: &Host, user: &str) -> Vec<Grant> {
    let mut grants = Vec::new();
    for other in config.hosts.values() {
        if other.address() == host.address()
            && let Ok(its_needs) = needs(config, other.name.as_str())
        {
            grants.extend(its_needs.grants(user));
        }
    }
    grants
}

/// What keeps the replicas.
pub fn root(dataset: &Dataset) -> Step {
    let name = quoted(dataset.as_str());
    Step {
        why: format!("{dataset}, if there is none"),
        commands: format!("zfs list -H -o name {name} >/dev/null 2>&1 || zfs create -p {name}"),
    }
}

/// The account of a host: what stands before the @ in `ssh:`.
///
/// # Errors
/// There is no such, so that ssh_config(5) decides.
pub fn user(host: &Host) -> Result<&str, String> {
    // As ssh does: an account may have one in its name.
    match host.ssh.rsplit_once('@') {
        Some((user, _)) if !user.is_empty() => Ok(user),
        _ => Err(format!(
            "hosts: {}: write ssh: USER@MACHINE, so that it is clear whose permissions these are",
            host.name
        )),
    }
}

/// A line of a `.pub` file: the type of the key, the key, and a comment.
#[derive(Debug, PartialEq)]
pub struct PublicKey {
    line: String,
    blob: String,
}

impl PublicKey {
    pub fn read(text: &str) -> Option<Self> {
        let line = text.lines().next()?.trim();
        let blob = line.split(' ').nth(1)?;
        let is_of_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        let is_sound = blob.starts_with("AAAA") && blob.chars().all(is_of_base64);
        let has_control = line.contains(char::is_control);
        (is_sound && !has_control).then(|| PublicKey {
            line: line.into(),
            blob: blob.into(),
        })
    }
}
