//! What systemd and the journal know of a unit that has failed.

use std::thread::sleep;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::core::alert::{Alert, ERRORS};
use crate::core::printable::printable;
use crate::edge::command::Machine;

const LINES: &str = "10";
/// Characters of a line that are kept. The commands of `notify` get the last one in their environment, where Linux takes
/// no more than 128 KiB (execve(2)).
const WIDTH: usize = 16_000;
/// The journal may get the last words of a unit a moment after systemd has seen its end.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

pub(super) fn failure(instance: &str, time: DateTime<Utc>) -> Alert {
    let mut unit = told_by_systemd("UNIT");
    if unit.is_empty() {
        unit = format!("zam@{instance}.service");
    }
    let invocation = told_by_systemd("INVOCATION_ID");
    let lines = last_lines(&unit, &invocation);
    Alert {
        unit,
        result: told_by_systemd("SERVICE_RESULT"),
        status: told_by_systemd("EXIT_STATUS"),
        time,
        since: Some(time),
        count: 1,
        lines,
        // By these it is known again, so it takes more of them.
        errors: logged(&invocation, &["-n", &ERRORS.to_string(), "-p", "err"]),
        ..Alert::default()
    }
}

/// Empty when systemd does not say; nor does it when a person runs us.
pub(super) fn told_by_systemd(name: &str) -> String {
    std::env::var(format!("MONITOR_{name}")).unwrap_or_default()
}

/// What the failed run said last; never empty.
fn last_lines(unit: &str, invocation: &str) -> Vec<String> {
    for look in 0..LOOKS {
        if look > 0 {
            sleep(PAUSE);
        }
        let lines = logged(invocation, &["-n", LINES]);
        if !lines.is_empty() {
            return lines;
        }
    }
    vec![format!(
        "it printed nothing; see what systemd says of it: journalctl -u '{unit}'"
    )]
}

/// The last lines of a run in the journal, harmless for a terminal and for an environment; none when the journal cannot be
/// asked.
fn logged(invocation: &str, which: &[&str]) -> Vec<String> {
    let filter = format!("_SYSTEMD_INVOCATION_ID={invocation}");
    let argv = [&["journalctl", "-q", "-o", "cat"], which, &[&filter]].concat();
    let text = Machine::default().text(&argv).unwrap_or_default();
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let line: String = line.chars().take(WIDTH).collect();
        lines.push(printable(&line).into_owned());
    }
    lines
}
