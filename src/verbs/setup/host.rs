//! What the account on another machine lacks.

use std::fs;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::core::config::Config;
use crate::core::host::Host;
use crate::core::serve::Role;
use crate::core::setup::here;
use crate::core::setup::host::{self, Needs, PublicKey};
use crate::edge::command::Machine;
use crate::edge::outcome::Exit::Usage;
use crate::edge::{journal, zfs};
use crate::verbs::setup::Missing;

pub(super) fn head(name: &str) -> String {
    format!(
        "# For root on {name}: read it, and run it there: zam setup --on {name} | ssh root@MACHINE sh"
    )
}

/// # Errors
/// The host is not one of the configuration's, its key cannot be read, or its ZFS cannot be asked.
pub(super) fn missing(config: &Config, name: &str) -> Result<Missing> {
    let Some(host) = config.hosts.get(name) else {
        let names: Vec<&str> = config.hosts.keys().map(|name| name.as_str()).collect();
        let known = names.join(", ");
        return Err(Usage(format!("there is no host `{name}`; there are: {known}")).into());
    };
    let needs = host::needs(config, name).map_err(Usage)?;
    let user = host::user(host).map_err(Usage)?;
    if user == "root" && needs.role != Role::ReadOnly {
        journal::warn(format!(
            "hosts: {name}: the account is root, and a stream that somebody made for it can rename what root keeps, so that \
             pruning takes it; ssh: zam@MACHINE names an account for which ZFS refuses that"
        ));
    }
    let machine = Machine::new(Some(host));
    let is_bound = binds_key(&machine, &needs, config);
    let mut missing = Missing::default();
    if !is_bound {
        if user != "root" {
            missing.steps.push(host::account(user));
        }
        let key = public_key(host)?;
        let here = hostname();
        missing
            .steps
            .push(needs.bind(user, &key, &here, &config.prefix));
    }
    let all = host::account_grants(config, host, user);
    for grant in needs.grants(user) {
        // Before the key is bound nobody there answers.
        let printed = match is_bound {
            true => zfs::delegations(&machine, &grant.dataset)?,
            false => None,
        };
        if printed.is_none() && is_bound && needs.role == Role::ReadOnly {
            missing.steps.push(here::absent(&grant.dataset));
            continue;
        }
        if printed.is_none() && needs.role != Role::ReadOnly {
            missing.steps.push(host::root(&grant.dataset));
        }
        if user != "root" {
            missing.add_grant(&grant, &printed.unwrap_or_default(), &all);
        }
    }
    Ok(missing)
}

/// Whether the key says that it may do what the jobs need, and no more.
fn binds_key(machine: &Machine, needs: &Needs, config: &Config) -> bool {
    let answer = match machine.run(&["zam", "serve"]) {
        Ok(answer) => answer,
        Err(error) => {
            let host = machine.on_host();
            journal::warn(format!("nobody{host} says what the key may do: {error:#}"));
            return false;
        }
    };
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
    let there = &answer["version"];
    let version = env!("CARGO_PKG_VERSION");
    if there != version {
        let host = machine.on_host();
        journal::warn(format!(
            "zam is {there}{host} and {version} here: what the newer one asks for, the older one may refuse"
        ));
    }
    let wanted = serde_json::json!({
        "role": needs.role,
        "roots": needs.roots,
        "prefix": config.prefix.to_string(),
    });
    ["role", "roots", "prefix"]
        .iter()
        .all(|field| answer[field] == wanted[field])
}

fn public_key(host: &Host) -> Result<PublicKey> {
    let name = &host.name;
    let Some(identity) = &host.identity else {
        let text =
            format!("hosts: {name}: write which key is for it alone: identity: /etc/zam/{name}");
        return Err(Usage(text).into());
    };
    let path = format!("{identity}.pub");
    let make = || format!("{path}; make the key first: ssh-keygen -t ed25519 -N '' -f {identity}");
    let text = fs::read_to_string(&path).with_context(make)?;
    PublicKey::read(&text).ok_or_else(|| anyhow!("{path} holds no public key"))
}

/// What this machine is called where its key is bound.
fn hostname() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || ".-_".contains(*c);
    text.trim().chars().filter(is_plain).collect()
}
