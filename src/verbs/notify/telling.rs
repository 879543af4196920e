//! How people are told: by the commands of `notify`, and on the desktops.

use crate::core::alert::{Alert, Over};
use crate::core::config::Config;
use crate::core::unit_name::job_called;
use crate::edge::desktop::Notification;
use crate::edge::{journal, notifier};
use crate::verbs::side_by_side;

/// What the commands of `notify` are told.
pub(super) struct Event {
    /// `failed` or `recovered`.
    name: &'static str,
    /// One line.
    subject: String,
    text: String,
}

impl Event {
    pub(super) fn failed(alert: &Alert) -> Self {
        Event {
            name: "failed",
            subject: alert.to_string(),
            text: alert.message(),
        }
    }

    pub(super) fn recovered(over: &Over) -> Self {
        Event {
            name: "recovered",
            subject: over.how.clone(),
            text: format!("{}\n", over.how),
        }
    }

    /// Shows it on the desktops, unless they are not to be. Returns whether one has shown it.
    pub(super) fn show(&self, config: &Config) -> bool {
        let is_urgent = self.name == "failed";
        let notification = Notification {
            summary: match is_urgent {
                true => "A ZFS job has failed",
                false => "A ZFS job works again",
            },
            body: self.subject.clone(),
            is_urgent,
        };
        config.desktop && notification.show()
    }
}

/// What has come of telling something.
pub(super) struct Told {
    /// Somebody has been told.
    pub(super) is_told: bool,
    /// The places of the commands that have failed.
    pub(super) untold: Vec<usize>,
}

/// Tells it by all commands of `notify`, and shows it on the desktops. What does not go well is said, and stops nothing.
pub(super) fn tell(config: &Config, instance: &str, alert: &Alert, event: &Event) -> Told {
    let commands = config.notify.len();
    let untold = tell_by((0..commands).collect(), config, instance, alert, event);
    Told {
        is_told: event.show(config) || untold.len() < commands,
        untold,
    }
}

/// Tells it by the commands that have not told it yet. Returns the places of those that fail.
pub(super) fn tell_untold(
    config: &Config,
    instance: &str,
    alert: &Alert,
    event: &Event,
) -> Vec<usize> {
    let mut places = alert.untold.clone();
    places.retain(|place| *place < config.notify.len());
    tell_by(places, config, instance, alert, event)
}

/// Runs the commands at these places side by side. Returns those of which the command has failed.
fn tell_by(
    places: Vec<usize>,
    config: &Config,
    instance: &str,
    alert: &Alert,
    event: &Event,
) -> Vec<usize> {
    let environment = variables(config, instance, alert, event);
    let at_once = places.len();
    let run = |place: usize| {
        let command = &config.notify[place];
        let error = notifier::run(command, &environment, &event.text).err()?;
        journal::warn(format!("notify: {command}: {error:#}"));
        Some(place)
    };
    let failed = side_by_side(places, at_once, run);
    failed.into_iter().flatten().collect()
}

fn variables(
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
    if let Some(job) = job_called(config, instance) {
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
