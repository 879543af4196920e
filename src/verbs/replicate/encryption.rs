//! Whether a plain replica would inherit a key that nobody has at the destination.

use anyhow::Result;

use crate::core::name::Dataset;
use crate::edge::zfs;
use crate::verbs::replicate::replication::Replication;

/// Whether the parent of `dataset`'s `replica` was received raw, or will be: nobody has its key at the destination, and a
/// plain child would inherit it. A parent that is encrypted with the key of the root, or of what is above the root, is
/// no such replica.
pub(super) fn is_below_raw(
    replication: &Replication,
    dataset: &Dataset,
    replica: &Dataset,
) -> Result<bool> {
    let listed = &replication.listed;
    let to = replication.to;
    let (Some(above), Some(parent)) = (dataset.parent(), replica.parent()) else {
        return Ok(false);
    };
    if let Some(source) = listed.source.get(&above) {
        return Ok(source.encryption_root.is_some() && !to.decrypt);
    }
    let root = encryption_root(replication, &parent)?;
    let root = root.and_then(|root| root.parse::<Dataset>().ok());
    Ok(root.is_some_and(|root| root != to.root && root.is_within(&to.root)))
}

fn encryption_root(replication: &Replication, parent: &Dataset) -> Result<Option<String>> {
    let listed = &replication.listed;
    if !listed.replicas.contains_key(parent) && replication.parents.has(parent) {
        // It exists and is no replica of this entry, so it has come with another one.
        let values = zfs::properties(&listed.there, parent.as_str(), "encryptionroot");
        return Ok(values?.pop());
    }
    let nearest = listed.replica_at_or_above(parent);
    Ok(nearest.and_then(|state| state.encryption_root.clone()))
}
