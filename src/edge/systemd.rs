//! systemd: D-Bus to its manager, and what a service tells it while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use zbus::OwnedObjectPath;
use zbus::proxy::CacheProperties;

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;
    fn reload(&self) -> zbus::Result<()>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    #[allow(clippy::type_complexity, reason = "as org.freedesktop.systemd1(5) has it")]
    fn list_units_by_patterns(
        &self,
        states: &[&str],
        patterns: &[&str],
    ) -> zbus::Result<Vec<(String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath)>>;
    fn list_jobs(&self) -> zbus::Result<Vec<(u32, String, String, String, OwnedObjectPath, OwnedObjectPath)>>;
}

#[zbus::proxy(interface = "org.freedesktop.systemd1.Timer", default_service = "org.freedesktop.systemd1")]
trait Timer {
    #[zbus(property)]
    fn next_elapse_u_sec_realtime(&self) -> zbus::Result<u64>;
}

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

/// For how long nobody has used the machine, in seconds; none while somebody does. Without any session it is for ever,
/// and so it is where the clock was set back since.
pub fn idle_for(now: i64) -> Result<Option<u64>> {
    zbus::block_on(async {
        let login = LoginProxy::new(&zbus::Connection::system().await?).await?;
        // Microseconds of the clock; 0 without a session.
        let since = login.idle_since_hint().await? / 1_000_000;
        Ok::<_, zbus::Error>(login.idle_hint().await?.then(|| now.unsigned_abs().checked_sub(since).unwrap_or(u64::MAX)))
    })
    .context("cannot ask logind whether the machine is in use")
}

pub fn is_on_mains() -> Result<bool> {
    zbus::block_on(async { LoginProxy::new(&zbus::Connection::system().await?).await?.on_external_power().await })
        .context("cannot ask logind about mains power")
}

/// Without NetworkManager nothing is known to be metered. 1 is yes, 3 a guess at it (NMMetered).
pub fn is_metered() -> bool {
    zbus::block_on(async { NetworkProxy::new(&zbus::Connection::system().await?).await?.metered().await })
        .is_ok_and(|metered| [1, 3].contains(&metered))
}

/// What systemd knows of our jobs.
#[derive(Debug, Default)]
pub struct Jobs {
    /// When a timer fires next, in epoch seconds, by its name; without those that do not.
    pub next: BTreeMap<String, i64>,
    /// The services that run now.
    pub running: BTreeSet<String>,
}

pub fn jobs() -> Result<Jobs> {
    zbus::block_on(async {
        let connection = zbus::Connection::system().await?;
        let manager = ManagerProxy::new(&connection).await?;
        let mut jobs = Jobs::default();
        for unit in
            manager.list_units_by_patterns(&["active", "activating", "deactivating"], &["zam-*.timer", "zam@*.service"]).await?
        {
            let (name, path) = (unit.0, unit.6);
            if name.ends_with(".service") {
                jobs.running.insert(name);
                continue;
            }
            let timer = TimerProxy::builder(&connection).path(path).cache_properties(CacheProperties::No).build().await?;
            // Microseconds; 0 and the largest number mean never.
            let next = timer.next_elapse_u_sec_realtime().await?;
            jobs.next.extend((next > 0 && next < u64::MAX).then_some((name, (next / 1_000_000) as i64)));
        }
        Ok::<_, zbus::Error>(jobs)
    })
    .context("cannot ask systemd about the jobs")
}

/// Stops the timers, has the generators run, and starts the timers anew. In this order, because a plain reload starts
/// no new timer and leaves the timer of a removed entry failed. Running services are not touched.
pub fn reload_timers() -> Result<()> {
    zbus::block_on(async {
        let connection = zbus::Connection::system().await.context("cannot reach systemd over D-Bus")?;
        let manager = ManagerProxy::new(&connection).await?;
        let refused = "systemd refuses; only root may reload";
        let stopping = manager.stop_unit("zam.target", "replace").await.context(refused);
        // Before the first start systemd does not know the target, and there is nothing to stop.
        if let Ok(job) = stopping {
            wait(&manager, &job).await?;
        }
        manager.reload().await.context(refused)?;
        // What is mended is not failed any more; what is not fails again in a moment. Unknown is the rule.
        let _ = manager.reset_failed_unit("zam-config.service").await;
        let job = manager
            .start_unit("zam.target", "replace")
            .await
            .context("cannot start zam.target (if it is masked: systemctl unmask zam.target)")?;
        wait(&manager, &job).await
    })
}

/// Stopping and starting a target takes moments; it is waited for so that no timer is still there at the reload.
async fn wait(manager: &ManagerProxy<'_>, job: &OwnedObjectPath) -> Result<()> {
    for _ in 0..600 {
        if !manager.list_jobs().await?.iter().any(|(.., path, _)| path == job) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("systemd did not finish the job on zam.target within 30 s")
}

/// Shown by `systemctl status`.
pub fn status(text: &str) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Status(text)]);
}

/// Feeds the watchdog (WatchdogSec=), if there is one.
pub fn alive() {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
}
