//! How a run ended, and the exit codes that say so (design: 0 done, 1 failed, 2 usage, 75 later, 78 configuration).

use std::fmt;
use std::process::ExitCode;

/// Ordered by gravity: of several results in one run the gravest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Done,
    /// Locked, unreachable, stopped, waiting for a parent: the next run will do it.
    Later,
    /// Pruning waits until the configuration is mended: 75 as well, but for no longer than a day.
    Waits,
    Failed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => 0,
            Outcome::Later | Outcome::Waits => 75,
            Outcome::Failed => 1,
        }
        .into()
    }
}

/// An error that another run may not meet: exit 75.
#[derive(Debug)]
pub struct Later(pub String);

/// The configuration leaves it in doubt what may be pruned: exit 75, and 78 after a day.
#[derive(Debug)]
pub struct Waits(pub String);

/// An error in the configuration: exit 78.
#[derive(Debug)]
pub struct Misconfigured(pub String);

/// What was typed makes no sense here: exit 2.
#[derive(Debug)]
pub struct Usage(pub String);

/// The gate cannot tell: exit 255, since systemd takes less for a skip (systemd.service(5), ExecCondition=).
#[derive(Debug)]
pub struct Undecided(pub String);

macro_rules! error_with_text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::error::Error for $name {}
    )*};
}

error_with_text!(Later, Waits, Misconfigured, Usage, Undecided);

/// What an error makes of the run that met it.
pub fn of(error: &anyhow::Error) -> Outcome {
    match error {
        _ if error.is::<Later>() => Outcome::Later,
        _ if error.is::<Waits>() => Outcome::Waits,
        _ => Outcome::Failed,
    }
}

/// The exit code of a run that ended with an error.
pub fn code(error: &anyhow::Error) -> ExitCode {
    match error {
        _ if error.is::<Usage>() => 2.into(),
        _ if error.is::<Misconfigured>() => 78.into(),
        _ if error.is::<Undecided>() => 255.into(),
        _ => of(error).into(),
    }
}
