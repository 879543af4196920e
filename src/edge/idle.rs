//! Whether the machine is idle, as logind and NetworkManager know it: the user, the mains, the network.

use std::time::Duration;

use anyhow::{Context, Result};
use zbus::Connection;

use crate::edge::bus::{Silence, UNSTOPPED, ask};

/// The bus may have to start logind or NetworkManager first.
const PATIENCE: Duration = Duration::from_secs(15);

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Login {
    #[zbus(property)]
    fn idle_hint(&self) -> zbus::Result<bool>;
    #[zbus(property)]
    fn idle_since_hint(&self) -> zbus::Result<u64>;
    #[zbus(property)]
    fn on_external_power(&self) -> zbus::Result<bool>;
}

#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager",
    default_service = "org.freedesktop.NetworkManager",
    default_path = "/org/freedesktop/NetworkManager"
)]
trait Network {
    #[zbus(property)]
    fn metered(&self) -> zbus::Result<u32>;
}

/// For how many seconds nobody has used the machine; none while somebody does. `now` is in epoch seconds. Without any
/// session it is for ever, and so it is when the clock was set back since.
pub fn idle_for(now: i64) -> Result<Option<u64>> {
    let question = async move {
        let login = LoginProxy::new(&Connection::system().await?).await?;
        // Microseconds of the clock; 0 without a session.
        let since = login.idle_since_hint().await? / 1_000_000;
        if !login.idle_hint().await? {
            return Ok(None);
        }
        Ok(Some(
            now.unsigned_abs().checked_sub(since).unwrap_or(u64::MAX),
        ))
    };
    ask(PATIENCE, &UNSTOPPED, question).context("cannot ask logind whether the machine is in use")
}

pub fn is_on_mains() -> Result<bool> {
    let question = async {
        let login = LoginProxy::new(&Connection::system().await?).await?;
        login.on_external_power().await
    };
    ask(PATIENCE, &UNSTOPPED, question).context("cannot ask logind about mains power")
}

/// Whether the network is metered: 1 is yes, 3 a guess at it (NMMetered). Without NetworkManager nothing is known to be.
///
/// # Errors
/// NetworkManager is there, and does not answer.
pub fn is_metered() -> Result<bool> {
    let question = async {
        let network = NetworkProxy::new(&Connection::system().await?).await?;
        network.metered().await
    };
    match ask(PATIENCE, &UNSTOPPED, question) {
        Ok(metered) => Ok([1, 3].contains(&metered)),
        Err(error) if error.is::<Silence>() => {
            Err(error.context("cannot ask NetworkManager whether the network is metered"))
        }
        Err(_) => Ok(false),
    }
}
