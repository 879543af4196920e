//! Pools on either side of a replication that are being scrubbed or resilvered. The gate looks at those of this machine. It
//! is root's, whose keys and known hosts are others than the job's, so that the job asks other machines itself.

use anyhow::Result;

use crate::core::config::{Destination, Entry};
use crate::edge::command::Machine;
use crate::edge::zfs;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Where {
    Here,
    Elsewhere,
}

/// What goes on in such a pool, if there is one.
///
/// # Errors
/// A machine cannot be asked.
pub(super) fn look(entry: &Entry, to: &Destination, which: Where) -> Result<Option<String>> {
    let sides = [
        (entry.host.as_ref(), entry.dataset.pool()),
        (to.host.as_ref(), to.root.pool()),
    ];
    for (host, pool) in sides {
        let is_elsewhere = host.is_some();
        if is_elsewhere != (which == Where::Elsewhere) {
            continue;
        }
        let machine = Machine::new(host);
        if zfs::is_scanning(&machine, pool)? {
            let on_host = machine.on_host();
            let text = format!("the pool {pool}{on_host} is being scrubbed or resilvered");
            return Ok(Some(text));
        }
    }
    Ok(None)
}
