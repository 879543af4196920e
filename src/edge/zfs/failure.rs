//! Why zfs refused, as far as a caller acts on it.

use crate::core::said;
use crate::edge::command::Failure;

/// The exit of a program, if it is that which went wrong, and not the way to it.
pub(super) fn failure(error: &anyhow::Error) -> Option<&Failure> {
    error.downcast_ref()
}

/// Whether zfs itself says `text`.
pub(super) fn says(error: &anyhow::Error, text: &str) -> bool {
    failure(error).is_some_and(|failure| said::says(&failure.stderr, text))
}

/// Whether it was ZFS that refused, and not the way to it.
pub fn is_refusal(error: &anyhow::Error) -> bool {
    failure(error).is_some()
}

/// Whether ZFS refused because the pool was imported read-only.
pub fn is_read_only(error: &anyhow::Error) -> bool {
    says(error, "read-only")
}

/// Whether ZFS refused because the user may not do this (zfs-allow(8)).
pub fn is_denied(error: &anyhow::Error) -> bool {
    says(error, "permission denied")
}

/// Whether what a resume token names is not found any more. libzfs words it in `zfs_send_resume_impl`.
pub fn cannot_resume(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    text.contains("cannot resume send") && text.contains("no longer")
}

/// Whether ZFS refused because a dataset would inherit the key of one that is locked.
pub fn lacks_key(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}").to_lowercase();
    text.contains("key must be loaded") || text.contains("key is not loaded")
}
