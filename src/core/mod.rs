//! The pure floor: values and `now` in, plans with reasons out. Nothing here starts a process, opens a file,
//! or asks for the time or the environment (invariant 8).

pub mod alert;
pub mod complaint;
pub mod config;
pub mod divergence;
pub mod event;
pub mod fault;
pub mod gate;
pub mod health;
pub mod listing;
pub mod load;
pub mod misnamed;
pub mod name;
pub mod nearest;
pub mod parts;
pub mod pattern;
pub mod period;
pub mod printable;
pub mod pruning;
pub mod received;
pub mod replication;
pub mod retention;
pub mod said;
mod sandbox;
pub mod scalars;
pub mod schedule;
pub mod selection;
pub mod serve;
pub mod setup;
pub mod shell;
pub mod simulate;
pub mod span;
pub mod token;
pub mod trouble;
pub mod unit_name;
pub mod units;
pub mod verdict;
