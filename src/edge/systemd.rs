//! systemd: D-Bus to its manager, and what a service tells it while it runs.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use zbus::OwnedObjectPath;

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
    fn list_jobs(&self) -> zbus::Result<Vec<(u32, String, String, String, OwnedObjectPath, OwnedObjectPath)>>;
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
