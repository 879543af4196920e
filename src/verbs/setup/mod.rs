//! `zam setup`: what the jobs of this configuration lack, here or on another machine, as a script for root. Changes nothing
//! itself.

mod here;
mod host;

use std::path::Path;

use anyhow::Result;

use crate::core::config::Config;
use crate::core::setup::Step;
use crate::core::setup::grant::Grant;
use crate::edge::journal;
use crate::edge::outcome::Outcome;

/// What was found to be missing.
#[derive(Default)]
struct Missing {
    steps: Vec<Step>,
    /// Commands that take away what no job needs. Nobody has to run them.
    needless: Vec<String>,
}

/// Prints the script for this machine, or for the host called `host`; with `check` only what is missing. `path` is the
/// configuration's.
///
/// # Errors
/// The host is not one of the configuration's, its key cannot be read, or ZFS cannot be asked.
pub fn run(config: &Config, path: &Path, host: Option<&str>, check: bool) -> Result<Outcome> {
    let (place, head, missing) = match host {
        None => (
            "this machine",
            here::HEAD.into(),
            here::missing(config, path)?,
        ),
        Some(name) => (name, host::head(name), host::missing(config, name)?),
    };
    let is_complete = missing.steps.is_empty();
    if check && is_complete {
        journal::print(format!("{place}: nothing is missing"));
    } else if check {
        missing
            .steps
            .iter()
            .for_each(|step| journal::print(&step.why));
    } else {
        missing.print(&head);
    }
    Ok(match check && !is_complete {
        true => Outcome::Failed,
        false => Outcome::Done,
    })
}

impl Missing {
    /// Adds what the user of a grant lacks. `printed` is what `zfs allow` prints of the dataset; `all` are the grants of this
    /// machine.
    fn add_grant(&mut self, grant: &Grant, printed: &str, all: &[Grant]) {
        self.steps.extend(grant.allow(&grant.lacking(printed)));
        self.needless.extend(grant.unallow(printed, all));
    }

    fn print(&self, head: &str) {
        if !self.steps.is_empty() {
            journal::print(head);
            journal::print("set -eu");
        }
        for step in &self.steps {
            // A path may hold the end of a line, and what followed would be a command.
            let why = step.why.replace('\n', " ");
            journal::print(format!("\n# {why}\n{}", step.commands).trim_end());
        }
        for command in &self.needless {
            journal::print(format!(
                "\n# No job of this configuration needs this, but one of another machine that uses the account may; to take it \
                 away: {command}"
            ));
        }
    }
}
