//! `zam notify`: systemd calls it when a unit has failed (OnFailure=), and when one with an open alert has succeeded
//! (OnSuccess=). It keeps alerts as files in /var/lib/zam/alerts, and tells them by the commands of `notify` and on desktops.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::core::alert::Alert;
use crate::core::config::Config;
use crate::core::event;
use crate::core::unit_name;
use crate::edge::command::Machine;
use crate::edge::desktop::Notification;
use crate::edge::outcome::Exit::Usage;
use crate::edge::outcome::Outcome;
use crate::edge::{clock, configuration, journal, notifier, records};
use crate::verbs::loading::load;
use crate::verbs::side_by_side;

const LINES: &str = "10";
/// The journal may get the last words of a unit a moment after systemd has seen its end.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Records the failure of the unit with this instance; systemd tells the rest in the environment (systemd.exec(5),
/// MONITOR_*). What fails at each of its slots for the same reason is told once a day.
pub fn failed(path: &Path, instance: &str, now: DateTime<Utc>) -> Result<Outcome> {
    check(instance)?;
    let mut alert = failure(instance, now);
    // One that nobody has taken back yet, though the job may have said that it has succeeded: what comes after it failed.
    let known = read(instance);
    let is_known = known.is_some_and(|known| alert.follow(&known));
    // On a full disk it is told all the same, though each time.
    let mut kept = write(instance, &alert);
    records::set_well(false);
    announce(&alert, is_known);
    if alert.is_to_be_told()
        && let Some(config) = readable(path)
        && tell(&config, instance, &alert, &Event::of(&alert))
    {
        alert.told = Some(now);
        kept = write(instance, &alert);
    }
    // Not a failure of its own, which nothing would take back: the check and the login tell of the full disk.
    if let Err(error) = kept {
        journal::error(format!("{error:#}"));
    }
    Ok(Outcome::Done)
}

/// Says it in the journal of the unit too (journalctl(1), --unit). What is known already is no new error.
fn announce(alert: &Alert, is_known: bool) {
    let unit = &alert.unit;
    match (journal::is_journal(), is_known) {
        (false, true) => journal::print(alert),
        (false, false) => journal::error(alert),
        (true, true) => {
            tracing::info!(
                message_id = event::FAILED,
                object_systemd_unit = unit,
                "{alert}"
            );
        }
        (true, false) => {
            tracing::error!(
                message_id = event::FAILED,
                object_systemd_unit = unit,
                "{alert}"
            );
        }
    }
}

/// Takes back the alert of the unit with this instance, if it has succeeded since.
pub fn recovered(path: &Path, instance: &str, now: DateTime<Utc>) -> Result<Outcome> {
    check(instance)?;
    let Some(alert) = read(instance) else {
        return Ok(Outcome::Done);
    };
    // Units that are no jobs remember nothing: systemd says that this one has succeeded.
    let has_succeeded = !unit_name::is_job(instance) && told_by_systemd("EXIT_STATUS") == "0";
    if has_succeeded || is_over(instance, &alert) {
        withdraw(path, instance, now);
    }
    Ok(Outcome::Done)
}

/// Takes back the alert of a unit that has succeeded, if it has one.
pub fn withdraw(path: &Path, instance: &str, now: DateTime<Utc>) {
    let Some(alert) = read(instance) else { return };
    let recovery = alert.recovery(now);
    let unit = &alert.unit;
    match records::remove_alert(instance) {
        Ok(true) => {}
        // The job's own recovery and the check's may meet; one of them tells it.
        Ok(false) => return,
        Err(error) => return journal::warn(format!("the alert of {unit} stays: {error}")),
    }
    if journal::is_journal() {
        tracing::info!(
            message_id = event::RECOVERED,
            object_systemd_unit = unit,
            "{recovery}"
        );
    } else {
        journal::notice(&recovery);
    }
    // Also where a command failed to tell the failure: another one may have told it.
    if let Some(config) = readable(path) {
        let event = Event {
            name: "recovered",
            subject: recovery.clone(),
            text: recovery + "\n",
        };
        tell(&config, instance, &alert, &event);
    }
}

/// Tells something by the commands of `notify`, so that a person can see whether it arrives.
///
/// # Errors
/// There are no such commands, and nobody is at a desktop.
pub fn test(path: &Path, now: DateTime<Utc>) -> Result<Outcome> {
    let alert = Alert {
        unit: "zam@test.service".into(),
        result: "test".into(),
        status: "0".into(),
        time: now,
        since: Some(now),
        count: 1,
        told: None,
        lines: vec!["nothing has failed: this is a test of `notify`".into()],
    };
    let config = load(path)?.config;
    match tell(&config, "test", &alert, &Event::of(&alert)) {
        true => Ok(Outcome::Done),
        false if config.notify.is_empty() => {
            let path = path.display();
            Err(Usage(format!(
                "{path} has no `notify`, and no desktop is in use here"
            ))
            .into())
        }
        false => Ok(Outcome::Failed),
    }
}

fn check(instance: &str) -> Result<()> {
    match records::is_file_name(instance) {
        true => Ok(()),
        false => Err(Usage(format!("{instance:?} is not an instance of a unit")).into()),
    }
}

fn write(instance: &str, alert: &Alert) -> Result<()> {
    let text = serde_json::to_string_pretty(alert)? + "\n";
    records::write_alert(instance, &text)
        .with_context(|| format!("cannot write {}", records::alert(instance).display()))
}

fn read(instance: &str) -> Option<Alert> {
    serde_json::from_str(&records::read_alert(instance).ok()?).ok()
}

/// A job that is not root's cannot remove its alert, and says by its record that it has succeeded.
fn is_over(instance: &str, alert: &Alert) -> bool {
    let (now, failed) = (clock::now().timestamp(), alert.time.timestamp());
    let success = records::claimed_success(instance, now);
    // One dated ahead was written while the clock was wrong.
    success.is_some_and(|success| success > failed || failed > now)
}

/// The alert of a unit, if there is one that can be read, and that no success has followed.
pub fn open(instance: &str) -> Option<Alert> {
    read(instance).filter(|alert| !is_over(instance, alert))
}

pub fn all_open() -> Vec<Alert> {
    let instances = records::alerts();
    instances
        .iter()
        .filter_map(|instance| open(instance))
        .collect()
}

/// Takes back every alert that is over, but for those `kept`.
pub fn sweep(path: &Path, now: DateTime<Utc>, kept: &[&str]) {
    for instance in records::alerts() {
        if kept.contains(&instance.as_str()) {
            continue;
        }
        if read(&instance).is_some_and(|alert| is_over(&instance, &alert)) {
            withdraw(path, &instance, now);
        }
    }
}

fn failure(instance: &str, time: DateTime<Utc>) -> Alert {
    let mut unit = told_by_systemd("UNIT");
    if unit.is_empty() {
        unit = format!("zam@{instance}.service");
    }
    let lines = last_lines(&unit, &told_by_systemd("INVOCATION_ID"));
    Alert {
        unit,
        result: told_by_systemd("SERVICE_RESULT"),
        status: told_by_systemd("EXIT_STATUS"),
        time,
        since: Some(time),
        count: 1,
        told: None,
        lines,
    }
}

/// Empty when systemd does not say; nor does it when a person runs us.
fn told_by_systemd(name: &str) -> String {
    std::env::var(format!("MONITOR_{name}")).unwrap_or_default()
}

/// What the failed run said last; never empty.
fn last_lines(unit: &str, invocation: &str) -> Vec<String> {
    for look in 0..LOOKS {
        if look > 0 {
            sleep(PAUSE);
        }
        let lines = logged(invocation);
        if !lines.is_empty() {
            return lines;
        }
    }
    vec![format!(
        "it printed nothing; see what systemd says of it: journalctl -u {unit}"
    )]
}

/// The last lines of a run in the journal; none when the journal cannot be asked.
fn logged(invocation: &str) -> Vec<String> {
    let filter = format!("_SYSTEMD_INVOCATION_ID={invocation}");
    let argv = ["journalctl", "-q", "-o", "cat", "-n", LINES, &filter];
    let Ok(output) = Machine::default().run(&argv) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(Into::into).collect()
}

/// One that cannot be read has failed units of its own.
fn readable(path: &Path) -> Option<Config> {
    let loaded = configuration::read(path).ok()??;
    Some(loaded.config)
}

/// What the commands of `notify` are told.
struct Event {
    /// `failed` or `recovered`.
    name: &'static str,
    /// One line.
    subject: String,
    text: String,
}

impl Event {
    fn of(alert: &Alert) -> Self {
        Event {
            name: "failed",
            subject: alert.to_string(),
            text: alert.message(),
        }
    }

    fn on_desktop(&self) -> Notification {
        let is_urgent = self.name == "failed";
        Notification {
            summary: match is_urgent {
                true => "A ZFS job has failed",
                false => "A ZFS job works again",
            },
            body: self.subject.clone(),
            is_urgent,
        }
    }
}

/// Runs all commands of `notify` side by side, and shows it on the desktops. Returns whether all went well and somebody has
/// been told; what did not go well is said, and stops nothing.
fn tell(config: &Config, instance: &str, alert: &Alert, event: &Event) -> bool {
    let environment = environment(config, instance, alert, event);
    let lines = config.notify.iter().collect();
    let results = side_by_side(lines, config.notify.len(), |line: &String| {
        let result = notifier::run(line, &environment, &event.text);
        result.inspect_err(|error| journal::error(format!("notify: {line}: {error:#}")))
    });
    let went_well = results.iter().all(Result::is_ok);
    // A command that fails is tried again with each failure; a desktop has shown it.
    let is_new = went_well || alert.count <= 1;
    let is_shown = config.desktop && is_new && event.on_desktop().show();
    went_well && (is_shown || !results.is_empty())
}

fn environment(
    config: &Config,
    instance: &str,
    alert: &Alert,
    event: &Event,
) -> Vec<(&'static str, String)> {
    let mut environment = vec![
        ("ZAM_EVENT", event.name.to_owned()),
        ("ZAM_SUBJECT", event.subject.clone()),
        ("ZAM_HOST", host_name()),
        ("ZAM_UNIT", alert.unit.clone()),
        ("ZAM_RESULT", alert.result.clone()),
        ("ZAM_STATUS", alert.status.clone()),
        ("ZAM_COUNT", alert.count.to_string()),
        ("ZAM_SINCE", alert.begun().to_rfc3339()),
    ];
    let job = config
        .jobs()
        .find(|job| unit_name::instance(job) == instance);
    if let Some(job) = job {
        environment.push(("ZAM_VERB", job.verb.to_string()));
        environment.push(("ZAM_DATASET", job.entry.key.clone()));
        let to = job.destination.map(|to| to.name.to_string());
        environment.push(("ZAM_DESTINATION", to.unwrap_or_default()));
    }
    environment
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.unwrap_or_default().trim().to_owned()
}
