//! How people are told: by the commands of `notify`, and on the desktops.

use crate::core::alert::Alert;
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

    /// `how` says how the alert ended.
    pub(super) fn recovered(how: String) -> Self {
        Event {
            name: "recovered",
            subject: how.clone(),
            text: how + "\n",
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
pub(super) fn tell(config: &Config, instance: &str, alert: &Alert, event: &Event) -> bool {
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
