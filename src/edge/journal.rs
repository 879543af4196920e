//! What is said, and where: structured events to the journal, errors and warnings to stderr, where systemd knows the
//! unit of every line (a native message of a process that ends at once can lose it: systemd issue 2913).

use std::fmt::Display;
use std::io::{Write, stderr, stdout};
use std::os::unix::fs::MetadataExt;

use rustix::termios::tcgetwinsize;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::core::printable::printable;

/// True when stderr is a stream to the journal: systemd says which one that is, and who inherits the variable may have
/// another (systemd.exec(5)).
pub fn is_journal() -> bool {
    let stream = std::fs::metadata("/proc/self/fd/2")
        .map(|stderr| format!("{}:{}", stderr.dev(), stderr.ino()));
    stream
        .is_ok_and(|stream| std::env::var("JOURNAL_STREAM").is_ok_and(|journal| journal == stream))
}

/// Sends events to the journal when systemd runs us; by hand nobody would read them.
pub fn start() {
    if !is_journal() {
        return;
    }
    if let Ok(layer) = tracing_journald::layer() {
        let unit = std::env::var("ZAM_UNIT").unwrap_or_default();
        let layer = layer
            .with_field_prefix(None)
            .with_syslog_identifier("zam".into());
        let layer = layer.with_custom_fields([("OBJECT_SYSTEMD_UNIT", unit.as_str())]);
        // Losing an event loses no data; a second subscriber cannot be.
        let _ = tracing_subscriber::registry().with(layer).try_init();
    }
}

/// A line of the result. Who closed the pipe (`| head`) wants no more of it; the work goes on.
pub fn print(line: impl Display) {
    let _ = writeln!(stdout(), "{}", printable(&line.to_string()));
}

/// A line with colours, of words and names alone that are known to be harmless.
pub fn print_colored(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}

/// Overwrites the last line of a terminal; an empty text clears it. A terminal that has gone stops no run.
pub fn progress(text: &str) {
    let _ = write!(stderr(), "\r\x1b[K{}", printable(text));
}

/// How wide a line may be: what COLUMNS or the terminal says.
pub fn columns() -> usize {
    let told = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let terminal =
        || Some(tcgetwinsize(stdout()).ok()?.ws_col.into()).filter(|columns| *columns > 0);
    told.or_else(terminal).unwrap_or(80)
}

pub fn error(message: impl Display) {
    say("<3>", &message.to_string());
}

pub fn warn(message: impl Display) {
    say("<4>", &message.to_string());
}

/// systemd takes `<N>` at the start of each line as its priority (sd-daemon(3)).
fn say(priority: &str, message: &str) {
    let prefix = if is_journal() { priority } else { "zam: " };
    for line in printable(message).lines() {
        // On a full disk nobody can be told, and the work goes on.
        let _ = writeln!(stderr(), "{prefix}{line}");
    }
}
