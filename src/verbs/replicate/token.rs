//! A resume token by which nothing can be sent: whether the part of a stream that it stands for is given up, and by whom.

use anyhow::{Result, anyhow};

use crate::core::listing::TREE_COLUMNS;
use crate::core::name::Dataset;
use crate::core::replication::Kind;
use crate::core::shell::quoted;
use crate::edge::command::Machine;
use crate::edge::outcome::Exit::Later;
use crate::edge::zfs;
use crate::verbs::replicate::replication::Replication;

/// What stands in the way of every stream of `dataset`.
pub(super) fn foreign(there: &Machine, dataset: &Dataset, replica: &Dataset) -> String {
    format!(
        "{replica}{} holds part of a stream whose snapshot {dataset} does not know, perhaps from another machine that \
         sends there too, and takes no other stream until that is given up; if nobody needs it: zfs receive -A {}",
        there.on_host(),
        quoted(replica.as_str())
    )
}

/// The plan goes by GUIDs: `wanted` is that of the snapshot to be sent. ZFS looks for it in the pool that had sent, and
/// says the same whether that has another name by now or is not there.
///
/// # Errors
/// `error`, when the source has no longer what it was to send.
pub(super) fn check_source(
    replication: &Replication,
    dataset: &Dataset,
    wanted: Option<u64>,
    error: anyhow::Error,
) -> Result<()> {
    let source = zfs::list_one(&replication.listed.here, TREE_COLUMNS, dataset)?;
    let mut snapshots = source.iter().flat_map(|state| &state.snapshots);
    if snapshots.any(|s| Some(s.guid) == wanted) {
        return Ok(());
    }
    Err(error)
}

/// Gives up the part of a stream that `replica` holds, if its token is the `listed` one still. `kind` is that of the plan.
///
/// # Errors
/// [`Later`] when the token is another by now, or pruning will give it up; this user may not, nor will pruning.
pub(super) fn discard(
    replication: &Replication,
    replica: &Dataset,
    listed: Option<&str>,
    kind: Kind,
) -> Result<()> {
    let there = &replication.listed.there;
    let token = zfs::list_one(there, TREE_COLUMNS, replica)?.and_then(|state| state.resume_token);
    if token.as_deref() != listed {
        let why = format!("{replica} shows another resume token than when it was listed");
        return Err(Later(why).into());
    }
    match zfs::discard_token(there, replica) {
        Err(error) if zfs::is_denied(&error) => {
            Err(leave_to_pruning(replication, replica, kind, error))
        }
        discarded => discarded,
    }
}

/// On this machine the user who prunes gives it up, since who may do that could destroy the replica too.
fn leave_to_pruning(
    replication: &Replication,
    replica: &Dataset,
    kind: Kind,
    error: anyhow::Error,
) -> anyhow::Error {
    let Replication { run, to, .. } = replication;
    if to.host.is_some() {
        return error;
    }
    let what = format!("{replica} holds part of a stream that fits nothing any more");
    let is_same_user = run.config.prune_user() == run.config.user();
    // Pruning goes by GUIDs too, and takes what cannot be resumed for what can be.
    if !to.is_pruned() || is_same_user || kind == Kind::Resume {
        let replica = quoted(replica.as_str());
        return anyhow!("{what}; let somebody who may run: zfs receive -A {replica}");
    }
    let name = &to.name;
    let key = quoted(&run.entry.key);
    Later(format!(
        "{what}; its pruning gives that up: zam prune --to {name} {key}"
    ))
    .into()
}
