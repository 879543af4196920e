//! How people are told: by the commands of `notify`, and on the desktops.

use crate::core::alert::{Alert, Over};
use crate::core::config::Config;
use crate::core::unit_name;
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
    /// The commands that have failed.
    pub(super) untold: Vec<String>,
}

/// Tells it by all commands of `notify`, and shows it on the desktops. What does not go well is said, and stops nothing.
pub(super) fn tell(config: &Config, instance: &str, alert: &Alert, event: &Event) -> Told {
    let untold = tell_by(&config.notify, config, instance, alert, event);
    // A command that fails is tried again with each failure; a desktop has shown it.
    let is_new = untold.is_empty() || alert.count <= 1;
    let is_shown = is_new && event.show(config);
    Told {
        is_told: is_shown || untold.len() < config.notify.len(),
        untold,
    }
}

/// Tells it by those commands that have not told it yet, and still stand in the configuration. Returns those that fail.
pub(super) fn tell_untold(
    config: &Config,
    instance: &str,
    alert: &Alert,
    event: &Event,
) -> Vec<String> {
    let mut commands = alert.untold.clone();
    commands.retain(|command| config.notify.contains(command));
    tell_by(&commands, config, instance, alert, event)
}

/// Runs commands side by side. Returns those that have failed.
fn tell_by(
    commands: &[String],
    config: &Config,
    instance: &str,
    alert: &Alert,
    event: &Event,
) -> Vec<String> {
    let environment = environment(config, instance, alert, event);
    let run = |command: &String| {
        let result = notifier::run(command, &environment, &event.text);
        let failed =
            result.inspect_err(|error| journal::error(format!("notify: {command}: {error:#}")));
        failed.is_err().then(|| command.clone())
    };
    let failed = side_by_side(commands.iter().collect(), commands.len(), run);
    failed.into_iter().flatten().collect()
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
