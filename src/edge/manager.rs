//! systemd's manager over D-Bus (org.freedesktop.systemd1(5)), with a limit to each question.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedObjectPath as Path};

use crate::core::unit_name::is_job;
use crate::edge::bus::{UNSTOPPED, ask, has_hung_up, is_denied};

/// For an answer of systemd, which is either there or not.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// For the generators: systemd ends them after 90 s, and systemctl too waits twice as long.
const PATIENCE_OF_RELOAD: Duration = Duration::from_secs(180);
/// For the end of jobs on timers and targets, which take moments.
const PATIENCE_OF_JOBS: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(500);
const STARTS: usize = 3;

pub(super) const TARGET: &str = "zam.target";

/// A unit as `ListUnitsByPatterns` describes it; [`Unit`] says what we want of it.
type UnitRow = (
    String,
    String,
    String,
    String,
    String,
    String,
    Path,
    u32,
    String,
    Path,
);
/// A job as `ListJobs` describes it. Its own path stands last but one.
type JobRow = (u32, String, String, String, Path, Path);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Systemd {
    fn reload(&self) -> zbus::Result<()>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<Path>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<Path>;
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    fn list_units_by_patterns(
        &self,
        states: &[&str],
        patterns: &[&str],
    ) -> zbus::Result<Vec<UnitRow>>;
    fn list_jobs(&self) -> zbus::Result<Vec<JobRow>>;
}

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Timer",
    default_service = "org.freedesktop.systemd1"
)]
trait Timer {
    #[zbus(property)]
    fn next_elapse_u_sec_realtime(&self) -> zbus::Result<u64>;
}

/// A unit that systemd has in memory.
pub(super) struct Unit {
    pub(super) name: String,
    /// `loaded`, `masked`, ...
    pub(super) load: String,
    /// `active`, `failed`, ...
    pub(super) active: String,
    path: Path,
}

impl Unit {
    pub(super) fn is_active(&self) -> bool {
        ["active", "activating", "deactivating", "reloading"].contains(&self.active.as_str())
    }

    /// The instance of the job that a timer or a service is for.
    pub(super) fn instance(&self) -> Option<&str> {
        let timer = self.name.strip_prefix("zam-");
        let timer = timer.and_then(|name| name.strip_suffix(".timer"));
        let service = self.name.strip_prefix("zam@");
        let service = service.and_then(|name| name.strip_suffix(".service"));
        timer.or(service).filter(|instance| is_job(instance))
    }
}

pub(super) struct Manager {
    connection: Connection,
    proxy: SystemdProxy<'static>,
    signalled: Arc<AtomicBool>,
    /// For each answer, but that to a reload or a start.
    patience: Duration,
}

impl Manager {
    pub(super) fn new(connection: Connection, patience: Duration) -> Result<Self> {
        let bus = connection.clone();
        let proxy = ask(patience, &UNSTOPPED, async move {
            SystemdProxy::new(&bus).await
        })?;
        Ok(Manager {
            connection,
            proxy,
            signalled: Arc::default(),
            patience,
        })
    }

    /// From now on a signal ends every question but that for a start.
    pub(super) fn watch_signals(&self) -> Result<()> {
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, self.signalled.clone())
                .context("cannot watch for signals")?;
        }
        Ok(())
    }

    pub(super) fn has_been_signalled(&self) -> bool {
        self.signalled.load(Ordering::Relaxed)
    }

    fn ask<T, Q>(
        &self,
        patience: Duration,
        question: impl FnOnce(SystemdProxy<'static>) -> Q,
    ) -> Result<T>
    where
        T: Send + 'static,
        Q: Future<Output = zbus::Result<T>> + Send + 'static,
    {
        ask(patience, &self.signalled, question(self.proxy.clone()))
    }

    pub(super) fn list(&self, patterns: &'static [&'static str]) -> Result<Vec<Unit>> {
        let rows = self.ask(self.patience, |systemd| async move {
            systemd.list_units_by_patterns(&[], patterns).await
        })?;
        let mut units = Vec::new();
        for (name, _, load, active, _, _, path, ..) in rows {
            units.push(Unit {
                name,
                load,
                active,
                path,
            });
        }
        Ok(units)
    }

    /// When a timer fires next, in epoch seconds; none when it does not.
    pub(super) fn next_elapse(&self, timer: &Unit) -> Result<Option<i64>> {
        let connection = self.connection.clone();
        let path = timer.path.clone();
        let microseconds = ask(self.patience, &UNSTOPPED, async move {
            let timer = TimerProxy::builder(&connection)
                .path(path)
                .cache_properties(CacheProperties::No)
                .build()
                .await?;
            timer.next_elapse_u_sec_realtime().await
        })?;
        Ok(match microseconds {
            0 | u64::MAX => None,
            microseconds => Some((microseconds / 1_000_000) as i64),
        })
    }

    /// Returns systemd's job that stops the timer.
    pub(super) fn stop(&self, timer: &Unit) -> Result<Path> {
        let name = timer.name.clone();
        self.ask(self.patience, |systemd| async move {
            systemd.stop_unit(&name, "replace").await
        })
    }

    /// Asks again when systemd hangs up on us: now and then it takes up its connection to the bus anew (seen with 252).
    pub(super) fn reload(&self) -> Result<()> {
        match self.try_to_reload() {
            Err(error) if has_hung_up(&error) => {
                sleep(PAUSE);
                self.try_to_reload()
            }
            reloaded => reloaded,
        }
    }

    fn try_to_reload(&self) -> Result<()> {
        self.ask(PATIENCE_OF_RELOAD, |systemd| async move {
            systemd.reload().await
        })
    }

    pub(super) fn reset_failed(&self, unit: &str) {
        let unit = unit.to_owned();
        // Most units have nothing to reset.
        let _ = self.ask(self.patience, |systemd| async move {
            systemd.reset_failed_unit(&unit).await
        });
    }

    /// Starts the target and what it wants, whatever signal has come, and more than once if that must be.
    pub(super) fn start(&self) -> Result<()> {
        let mut started = self.try_to_start();
        for _ in 1..STARTS {
            if started.as_ref().map_or_else(is_denied, |_| true) {
                break;
            }
            sleep(PAUSE);
            started = self.try_to_start();
        }
        let job = started
            .context("cannot start zam.target (if it is masked: systemctl unmask zam.target)")?;
        self.wait(&[job])
    }

    fn try_to_start(&self) -> Result<Path> {
        let systemd = self.proxy.clone();
        ask(PATIENCE, &UNSTOPPED, async move {
            systemd.start_unit(TARGET, "replace").await
        })
    }

    /// Waits until systemd's jobs are done.
    pub(super) fn wait(&self, jobs: &[Path]) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE_OF_JOBS {
            let waiting = self.ask(
                self.patience,
                |systemd| async move { systemd.list_jobs().await },
            )?;
            if !waiting.iter().any(|(.., path, _)| jobs.contains(path)) {
                return Ok(());
            }
            sleep(Duration::from_millis(50));
        }
        bail!(
            "systemd did not finish its jobs on zam's timers within {} s",
            PATIENCE_OF_JOBS.as_secs()
        )
    }
}
