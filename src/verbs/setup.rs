//! `zam setup --on HOST`: what the account on another machine lacks for the jobs of this configuration, as a script for
//! root there. Changes nothing itself.

use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::core::config::{Config, Host};
use crate::core::serve::Role;
use crate::core::setup::{self, Needs, PublicKey, Step};
use crate::edge::command::Machine;
use crate::edge::outcome::Exit::Usage;
use crate::edge::outcome::Outcome;
use crate::edge::{journal, zfs};

/// Prints the script, or with `check` what is missing.
///
/// # Errors
/// The host is not one of the configuration's, or its key cannot be read.
pub fn run(config: &Config, name: &str, check: bool) -> Result<Outcome> {
    let Some(host) = config.hosts.get(name) else {
        let names: Vec<&str> = config.hosts.keys().map(|name| name.as_str()).collect();
        let known = names.join(", ");
        return Err(Usage(format!("there is no host `{name}`; there are: {known}")).into());
    };
    let needs = setup::needs(config, name).map_err(Usage)?;
    let steps = missing(config, host, &needs)?;
    match (steps.is_empty(), check) {
        (true, true) => journal::print(format!("{name}: nothing is missing")),
        (false, true) => steps.iter().for_each(|step| journal::print(&step.why)),
        (true, false) => (),
        (false, false) => print(host, &steps),
    }
    Ok(match check && !steps.is_empty() {
        true => Outcome::Failed,
        false => Outcome::Done,
    })
}

fn print(host: &Host, steps: &[Step]) {
    let name = &host.name;
    journal::print(format!(
        "# For root on {name}: read it, and run it there: zam setup --on {name} | ssh root@MACHINE sh"
    ));
    journal::print("set -eu");
    for step in steps {
        journal::print(format!("\n# {}\n{}", step.why, step.commands));
    }
}

fn missing(config: &Config, host: &Arc<Host>, needs: &Needs) -> Result<Vec<Step>> {
    let user = setup::user(host).map_err(Usage)?;
    let machine = Machine::new(Some(host));
    let is_bound = is_bound(&machine, needs, config);
    let mut steps = Vec::new();
    if !is_bound {
        if user != "root" {
            steps.push(setup::account(user));
        }
        let (key, here) = (public_key(host)?, hostname());
        steps.push(needs.bind(user, &key, &here, &config.prefix));
    }
    for dataset in &needs.roots {
        let printed = match is_bound {
            true => zfs::delegations(&machine, dataset).ok(),
            false => None,
        };
        if printed.is_none() && needs.role != Role::ReadOnly {
            steps.push(setup::root(dataset));
        }
        let lacking = needs.lacking(&printed.unwrap_or_default(), user);
        if user != "root" && !lacking.is_empty() {
            steps.push(needs.allow(user, &lacking, dataset));
        }
    }
    Ok(steps)
}

/// Whether the key says that it may do what the jobs need, and no more.
fn is_bound(machine: &Machine, needs: &Needs, config: &Config) -> bool {
    let answer = match machine.run(&["zam", "serve"]) {
        Ok(answer) => answer,
        Err(error) => {
            let host = machine.on_host();
            journal::warn(format!("nobody{host} says what the key may do: {error:#}"));
            return false;
        }
    };
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
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
