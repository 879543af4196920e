//! zam: ZFS snapshots, replication and pruning as systemd units, with nothing resident. See src/README.md.

pub mod core;
pub mod edge;
pub mod verbs;
