//! How a run ended, and the exit codes that say so: 0 done, 1 failed, 2 usage, 75 later, 78 configuration, and 255 when
//! the gate cannot tell.

use std::fmt;
use std::process::ExitCode;

/// Ordered by gravity, except `Level`, which comes alone: of several results in one run the gravest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Done,
    /// Locked, unreachable, stopped, waiting for a parent: the next run will do it.
    Later,
    /// Pruning waits for what no run mends: 75 as well, but for no longer than a day.
    Waits,
    Failed,
    /// What a monitoring system wants to be told by the exit code.
    Level(u8),
}

impl Outcome {
    /// What an error makes of the run that met it.
    pub fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref() {
            Some(Exit::Later(_) | Exit::Unreachable(_)) => Outcome::Later,
            Some(Exit::Waits(_) | Exit::Locked(_)) => Outcome::Waits,
            _ => Outcome::Failed,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => 0,
            Outcome::Later | Outcome::Waits => 75,
            Outcome::Failed => 1,
            Outcome::Level(level) => level,
        }
        .into()
    }
}

/// An error whose kind decides the exit code, and its text. A run that meets any other error has failed: exit 1.
#[derive(Debug)]
pub enum Exit {
    /// Another run may not meet it: exit 75.
    Later(String),
    /// So is another machine that is not reached.
    Unreachable(String),
    /// The configuration leaves it in doubt what may be pruned: exit 75, and 78 after a day.
    Waits(String),
    /// Somebody keeps locked what is locked for moments only: exit 75, and 1 after a day.
    Locked(String),
    /// An error in the configuration: exit 78.
    Misconfigured(String),
    /// What was typed makes no sense here: exit 2.
    Usage(String),
    /// The gate cannot tell: exit 255, since systemd takes less for a skip (systemd.service(5), ExecCondition=).
    Undecided(String),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Exit::Later(text)
            | Exit::Unreachable(text)
            | Exit::Waits(text)
            | Exit::Locked(text)
            | Exit::Misconfigured(text)
            | Exit::Usage(text)
            | Exit::Undecided(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Exit {}

/// Whether another run may not meet this error.
pub fn is_later(error: &anyhow::Error) -> bool {
    Outcome::of(error) == Outcome::Later
}

/// Whether it is that another machine is not reached.
pub fn is_unreachable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Exit::Unreachable(_)))
}

/// The exit code of a run that ended with an error.
pub fn code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref() {
        Some(Exit::Usage(_)) => 2.into(),
        Some(Exit::Misconfigured(_)) => 78.into(),
        Some(Exit::Undecided(_)) => 255.into(),
        _ => Outcome::of(error).into(),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn each_kind_of_error_has_its_exit_code_also_below_a_context() {
        let text = String::new;
        let cases = [
            (anyhow!("something else"), 1),
            (Exit::Usage(text()).into(), 2),
            (Exit::Later(text()).into(), 75),
            (Exit::Unreachable(text()).into(), 75),
            (Exit::Waits(text()).into(), 75),
            (Exit::Misconfigured(text()).into(), 78),
            (Exit::Undecided(text()).into(), 255),
        ];
        for (error, expected) in cases {
            let error = error.context("while something was done");
            assert_eq!(code(&error), ExitCode::from(expected), "{error:?}");
        }
    }

    #[test]
    fn the_gravest_outcome_of_a_run_wins() {
        let outcomes = [
            Outcome::Later,
            Outcome::Failed,
            Outcome::Waits,
            Outcome::Done,
        ];
        assert_eq!(outcomes.into_iter().max(), Some(Outcome::Failed));
        assert_eq!(outcomes.into_iter().min(), Some(Outcome::Done));
        assert!(Outcome::Waits > Outcome::Later);
    }
}
