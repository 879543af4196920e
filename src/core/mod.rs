//! The pure floor: values and `now` in, plans with reasons out. Nothing here starts a process, opens a file,
//! or asks for the time or the environment (invariant 8).

pub mod complaint;
pub mod config;
pub mod conflicts;
pub mod divergence;
pub mod fields;
pub mod gate;
pub mod health;
pub mod layers;
pub mod listing;
pub mod load;
pub mod misnamed;
pub mod name;
pub mod outlook;
pub mod parts;
pub mod picture;
pub mod printable;
pub mod pruning;
pub mod reach;
pub mod replication;
pub mod retention;
pub mod schedule;
pub mod selection;
pub mod shell;
pub mod simulation;
pub mod span;
pub mod timeline;
pub mod units;
pub mod words;
pub mod yaml;
