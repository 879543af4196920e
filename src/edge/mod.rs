//! The outside, thin: files, processes, streams, locks, systemd, the journal. Nothing is decided here that `core` could
//! decide.

pub mod alerts;
pub mod arrived;
mod bus;
pub mod clock;
pub mod command;
pub mod configuration;
pub mod desktop;
mod files;
pub mod generated;
pub mod handover;
pub mod idle;
pub mod journal;
pub mod last_good;
pub mod lock;
mod manager;
pub mod mutex;
pub mod notifier;
pub mod outcome;
pub mod pipe;
mod process;
mod program;
mod pump;
pub mod records;
pub mod sockets;
pub mod ssh;
pub mod stop;
pub mod systemd;
pub mod trusted;
pub mod zfs;
