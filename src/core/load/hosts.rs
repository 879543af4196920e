//! The `hosts` of a configuration: other machines, and how ssh reaches them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::fault::Fault;
use crate::core::host::Host;
use crate::core::load::fields::{Fields, sound};
use crate::core::load::keys::HOST;
use crate::core::load::tree::{Map, Node};
use crate::core::name::Label;
use crate::core::scalars::{file, port, ssh, ssh_option};

pub type Hosts = BTreeMap<Label, Arc<Host>>;

/// The hosts without a fault.
pub fn hosts(section: &Map, faults: &mut Vec<Fault>) -> Hosts {
    let mut hosts = Hosts::new();
    for (key, node) in section.values() {
        if let Some(host) = sound(faults, |faults| host(key.parse(faults)?, node, faults)) {
            hosts.insert(host.name.clone(), Arc::new(host));
        }
    }
    hosts
}

fn host(name: Label, node: &Node, faults: &mut Vec<Fault>) -> Option<Host> {
    let mut fields = Fields::new(node.map(faults)?, &HOST, faults);
    if fields.node("ssh").is_none() {
        let message = "a host needs `ssh: user@machine`";
        fields.faults.push(node.at.fault(message));
    }
    let ssh = fields.parse("ssh", ssh);
    let port = fields.parse("port", port);
    let identity = fields.parse("identity", file);
    let options = fields.list("options", ssh_option);
    Some(Host {
        name,
        ssh: ssh?,
        port,
        identity,
        options,
    })
}
