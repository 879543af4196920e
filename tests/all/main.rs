//! The tests that need no ZFS, in one program: each file of its own would link the library again.

mod alerts;
mod calendar;
mod checking;
#[path = "../common/mod.rs"]
mod common;
mod completion;
mod config;
mod dbus;
mod delegation;
mod destroying;
mod explain;
mod exposed;
mod faults;
mod generator;
mod house;
mod manual;
mod outside;
mod prometheus;
mod replicating;
mod replication;
mod retention;
mod schema;
mod selection;
mod serve;
mod setup;
mod shells;
mod simulate;
mod slips;
mod systemd;
mod unit_names;

/// An ignored test as a process of its own: the environment is one process's.
fn process_of(test: &str) -> std::process::Command {
    let mut command = common::program(std::env::current_exe().expect("a test"));
    command.args(["--ignored", "--exact", test, "--nocapture"]);
    command
}
