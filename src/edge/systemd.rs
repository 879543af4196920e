//! systemd: D-Bus to its manager, and what a service tells it while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedObjectPath};

use crate::core::unit_name::is_job;
use crate::edge::bus::{Silence, ask, has_hung_up, is_denied};

/// For an answer of systemd, which is either there or not.
const PATIENCE: Duration = Duration::from_secs(10);
/// For logind and NetworkManager, which the bus may have to start first.
const PATIENCE_OF_GATE: Duration = Duration::from_secs(15);
/// For the generators: systemd ends them after 90 s, and systemctl too waits twice as long.
const PATIENCE_OF_RELOAD: Duration = Duration::from_secs(180);
/// For the end of jobs on timers and targets, which take moments.
const PATIENCE_OF_JOBS: Duration = Duration::from_secs(120);
/// While somebody else's reload goes on systemd answers nobody: 20 s on a slow machine (seen).
const PATIENCE_OF_CHANGE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);
const STARTS: usize = 3;

const TARGET: &str = "zam.target";

/// As org.freedesktop.systemd1(5) has it; [`Listed`] says what we want of it.
type Unit = (
    String,
    String,
    String,
    String,
    String,
    String,
    OwnedObjectPath,
    u32,
    String,
    OwnedObjectPath,
);

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
    fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str])
    -> zbus::Result<Vec<Unit>>;
    fn list_jobs(
        &self,
    ) -> zbus::Result<
        Vec<(
            u32,
            String,
            String,
            String,
            OwnedObjectPath,
            OwnedObjectPath,
        )>,
    >;
}

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Timer",
    default_service = "org.freedesktop.systemd1"
)]
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
    ask(PATIENCE_OF_GATE, &AtomicBool::new(false), async move {
        let login = LoginProxy::new(&Connection::system().await?).await?;
        // Microseconds of the clock; 0 without a session.
        let since = login.idle_since_hint().await? / 1_000_000;
        Ok(login
            .idle_hint()
            .await?
            .then(|| now.unsigned_abs().checked_sub(since).unwrap_or(u64::MAX)))
    })
    .context("cannot ask logind whether the machine is in use")
}

pub fn is_on_mains() -> Result<bool> {
    let question = async {
        LoginProxy::new(&Connection::system().await?)
            .await?
            .on_external_power()
            .await
    };
    ask(PATIENCE_OF_GATE, &AtomicBool::new(false), question)
        .context("cannot ask logind about mains power")
}

/// Without NetworkManager nothing is known to be metered. 1 is yes, 3 a guess at it (NMMetered).
///
/// # Errors
/// NetworkManager is there, and does not answer.
pub fn is_metered() -> Result<bool> {
    let question = async {
        NetworkProxy::new(&Connection::system().await?)
            .await?
            .metered()
            .await
    };
    match ask(PATIENCE_OF_GATE, &AtomicBool::new(false), question) {
        Err(error) if error.is::<Silence>() => {
            Err(error.context("cannot ask NetworkManager whether the network is metered"))
        }
        metered => Ok(metered.is_ok_and(|metered| [1, 3].contains(&metered))),
    }
}

/// What systemd knows of our jobs.
#[derive(Debug, Default)]
pub struct Jobs {
    /// When a timer fires next, in epoch seconds, by its name; without those that do not.
    pub next: BTreeMap<String, i64>,
    /// The services that run now.
    pub running: BTreeSet<String>,
    /// Why no timer fires at all, and the command that mends it.
    pub stopped: Option<String>,
}

pub fn jobs() -> Result<Jobs> {
    look().context("cannot ask systemd about the jobs")
}

fn look() -> Result<Jobs> {
    let connection = ask(PATIENCE, &AtomicBool::new(false), Connection::system())?;
    let manager = Manager::new(&connection, PATIENCE)?;
    let units = manager.list(&[TARGET, "zam-*.timer", "zam@*.service"])?;
    let mut jobs = Jobs {
        stopped: why_stopped(units.iter().find(|unit| unit.name == TARGET)),
        ..Jobs::default()
    };
    for unit in units
        .into_iter()
        .filter(|unit| unit.is_active() && unit.name != TARGET)
    {
        if unit.name.ends_with(".service") {
            jobs.running.insert(unit.name);
            continue;
        }
        // Microseconds; 0 and the largest number mean never.
        let next = next(&connection, unit.path)?;
        jobs.next.extend(
            (next > 0 && next < u64::MAX).then_some((unit.name, (next / 1_000_000) as i64)),
        );
    }
    Ok(jobs)
}

fn next(connection: &Connection, timer: OwnedObjectPath) -> Result<u64> {
    let connection = connection.clone();
    ask(PATIENCE, &AtomicBool::new(false), async move {
        let timer = TimerProxy::builder(&connection)
            .path(timer)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        timer.next_elapse_u_sec_realtime().await
    })
}

fn why_stopped(target: Option<&Listed>) -> Option<String> {
    let (state, command) = match target {
        Some(target) if target.is_active() => return None,
        Some(target) if target.load == "masked" => (
            "masked",
            "systemctl unmask zam.target && systemctl start zam.target",
        ),
        Some(target) => (target.active.as_str(), "systemctl start zam.target"),
        None => ("not loaded", "zam reload"),
    };
    Some(format!(
        "{TARGET} is {state}, so no timer fires; this starts them: {command}"
    ))
}

/// What is wanted of a unit that systemd has in memory.
struct Listed {
    name: String,
    /// `loaded`, `masked`, ...
    load: String,
    /// `active`, `failed`, ...
    active: String,
    path: OwnedObjectPath,
}

impl Listed {
    fn is_active(&self) -> bool {
        ["active", "activating", "deactivating", "reloading"].contains(&self.active.as_str())
    }

    /// The job that a timer is for.
    fn instance(&self) -> Option<&str> {
        let instance = self.name.strip_prefix("zam-")?.strip_suffix(".timer")?;
        is_job(instance).then_some(instance)
    }
}

/// systemd's manager, with a limit to each question.
struct Manager {
    proxy: ManagerProxy<'static>,
    /// Set by a signal.
    stop: Arc<AtomicBool>,
    /// For each answer, but that to a reload or a start.
    patience: Duration,
}

impl Manager {
    fn new(connection: &Connection, patience: Duration) -> Result<Self> {
        let connection = connection.clone();
        let proxy = ask(patience, &AtomicBool::new(false), async move {
            ManagerProxy::new(&connection).await
        })?;
        Ok(Manager {
            proxy,
            stop: Arc::default(),
            patience,
        })
    }

    fn list(&self, patterns: &'static [&'static str]) -> Result<Vec<Listed>> {
        let proxy = self.proxy.clone();
        let units = ask(self.patience, &self.stop, async move {
            proxy.list_units_by_patterns(&[], patterns).await
        })?;
        let listed = |unit: Unit| Listed {
            name: unit.0,
            load: unit.2,
            active: unit.3,
            path: unit.6,
        };
        Ok(units.into_iter().map(listed).collect())
    }

    fn stop(&self, timer: &str) -> Result<OwnedObjectPath> {
        let (proxy, timer) = (self.proxy.clone(), timer.to_owned());
        ask(self.patience, &self.stop, async move {
            proxy.stop_unit(&timer, "replace").await
        })
    }

    /// Once more when systemd hangs up on us: it takes up its connection to the bus anew now and then (seen with 252).
    fn reload(&self) -> Result<()> {
        let reload = || {
            let proxy = self.proxy.clone();
            ask(PATIENCE_OF_RELOAD, &self.stop, async move {
                proxy.reload().await
            })
        };
        match reload() {
            Err(error) if has_hung_up(&error) => {
                sleep(PAUSE);
                reload()
            }
            reloaded => reloaded,
        }
    }

    /// That there is nothing to reset is the rule.
    fn reset_failed(&self, unit: &str) {
        let (proxy, unit) = (self.proxy.clone(), unit.to_owned());
        let _ = ask(self.patience, &self.stop, async move {
            proxy.reset_failed_unit(&unit).await
        });
    }

    /// Starts the target and what it wants, whatever signal has come, and more than once if that must be.
    fn start(&self) -> Result<()> {
        let start = || {
            let proxy = self.proxy.clone();
            ask(PATIENCE, &AtomicBool::new(false), async move {
                proxy.start_unit(TARGET, "replace").await
            })
        };
        let mut started = start();
        for _ in 1..STARTS {
            if started.as_ref().map_or_else(is_denied, |_| true) {
                break;
            }
            sleep(PAUSE);
            started = start();
        }
        self.wait(&[started
            .context("cannot start zam.target (if it is masked: systemctl unmask zam.target)")?])
    }

    /// Until the jobs are done.
    fn wait(&self, jobs: &[OwnedObjectPath]) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE_OF_JOBS {
            let proxy = self.proxy.clone();
            let waiting = ask(
                self.patience,
                &self.stop,
                async move { proxy.list_jobs().await },
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

/// Has the generators run, and starts what is new; `wanted` are the jobs that the configuration has. Timers of others are
/// stopped before, because a reload would leave them failed; those that stay take their new settings while they run, so
/// that zam can be killed at any moment and no timer that is wanted stands still. Running services are not touched.
///
/// # Errors
/// systemd refuses or does not answer; [`super::outcome::Later`] when a signal came.
pub fn reload_timers(wanted: &BTreeSet<String>) -> Result<()> {
    let connection = ask(PATIENCE, &AtomicBool::new(false), Connection::system())
        .context("cannot reach systemd over D-Bus")?;
    let manager = Manager::new(&connection, PATIENCE_OF_CHANGE)?;
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, manager.stop.clone())
            .context("cannot watch for signals")?;
    }
    let reloaded = replace_units(&manager, wanted);
    // However that ended.
    let started = manager.start();
    match reloaded {
        Err(error) if is_denied(&error) => Err(error.context("systemd refuses; only root may reload")),
        Err(error) if started.is_ok() || manager.stop.load(Ordering::Relaxed) => {
            Err(error.context("not all of the configuration is in force, and the timers run; try zam reload again"))
        }
        Err(error) => Err(error.context("not all of the configuration is in force, and zam.target may be down: zam status")),
        Ok(()) => started,
    }
}

fn replace_units(manager: &Manager, wanted: &BTreeSet<String>) -> Result<()> {
    // Not knowing them costs failed timers, and no more.
    let mut gone = manager.list(&["zam-*.timer"]).unwrap_or_default();
    gone.retain(|timer| {
        timer
            .instance()
            .is_some_and(|instance| !wanted.contains(instance))
    });
    let active = gone.iter().filter(|timer| timer.is_active());
    let stopping = active
        .map(|timer| manager.stop(&timer.name))
        .collect::<Result<Vec<_>>>()?;
    if !stopping.is_empty() {
        manager.wait(&stopping)?;
    }
    manager.reload()?;
    // What is mended is not failed any more; what is not fails again in a moment.
    manager.reset_failed("zam-config.service");
    gone.iter()
        .for_each(|timer| manager.reset_failed(&timer.name));
    Ok(())
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
