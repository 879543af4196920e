//! A question over D-Bus, with a limit: a name on the bus may belong to somebody who never answers, and the bus itself may
//! be one that takes the connection and says nothing. zbus has a limit for calls alone, none for the handshake.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use zbus::fdo;

use crate::edge::outcome::Exit::Later;

const TICK: Duration = Duration::from_millis(20);

/// The `stop` of a question that no signal ends.
pub(super) static UNSTOPPED: AtomicBool = AtomicBool::new(false);

/// There was no answer for so long.
#[derive(Debug)]
pub(super) struct Silence(Duration);

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "no answer over D-Bus for {} s", self.0.as_secs())
    }
}

impl std::error::Error for Silence {}

/// Returns the answer to the question. If there is none, the question's thread stays until zam ends.
///
/// # Errors
/// The question's own; [`Silence`] after `limit`; [`Later`] when `stop` was set meanwhile.
pub(super) fn ask<T, Q>(limit: Duration, stop: &AtomicBool, question: Q) -> Result<T>
where
    T: Send + 'static,
    Q: Future<Output = zbus::Result<T>> + Send + 'static,
{
    let (sender, answer) = mpsc::channel();
    thread::Builder::new().spawn(move || sender.send(zbus::block_on(question)))?;
    let begun = Instant::now();
    while begun.elapsed() < limit {
        match answer.recv_timeout(TICK) {
            Ok(answer) => return answer.map_err(told_once),
            Err(RecvTimeoutError::Disconnected) => bail!("the question over D-Bus came to nothing"),
            Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => {
                return Err(Later("stopped by a signal".into()).into());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    Err(Silence(limit).into())
}

/// Whether the one asked went away without an answer.
pub(super) fn has_hung_up(error: &anyhow::Error) -> bool {
    matches!(refusal(error), Some(fdo::Error::NoReply(_)))
}

/// Whether the one asked says that we may not ask for that. systemd says so to all but root.
pub(super) fn is_denied(error: &anyhow::Error) -> bool {
    use fdo::Error::{AccessDenied, InteractiveAuthorizationRequired};
    matches!(
        refusal(error),
        Some(AccessDenied(_) | InteractiveAuthorizationRequired(_))
    )
}

fn refusal(error: &anyhow::Error) -> Option<&fdo::Error> {
    error.downcast_ref()
}

/// zbus has the words of a cause in its error and gives the cause beside it: a chain of causes would say them twice.
fn told_once(error: zbus::Error) -> anyhow::Error {
    match error {
        zbus::Error::FDO(refusal) => (*refusal).into(),
        other => anyhow!("{other}"),
    }
}
