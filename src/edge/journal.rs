//! Where zam's words go: structured events to the journal, errors and warnings to stderr, where systemd knows the unit of
//! every line (a native message of a process that ends at once can lose it: systemd issue 2913).

use std::fmt::Display;
use std::io::{Write, stderr, stdout};
use std::os::unix::fs::MetadataExt;

use rustix::termios::tcgetwinsize;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::core::printable::printable;

/// Whether stderr is a stream to the journal. systemd says in a variable which stream that is (systemd.exec(5)); a process
/// that inherits the variable may have another stderr.
pub fn is_journal() -> bool {
    let (Ok(stderr), Ok(journal)) = (
        std::fs::metadata("/proc/self/fd/2"),
        std::env::var("JOURNAL_STREAM"),
    ) else {
        return false;
    };
    journal == format!("{}:{}", stderr.dev(), stderr.ino())
}

/// Sends events to the journal when systemd runs us; by hand nobody would read them.
pub fn start() {
    if is_journal() {
        connect();
    }
}

/// Sends events to the journal, whoever runs us.
pub fn connect() {
    if let Ok(journal) = tracing_journald::layer() {
        let unit = std::env::var("ZAM_UNIT").unwrap_or_default();
        let journal = journal
            .with_field_prefix(None)
            .with_syslog_identifier("zam".into())
            .with_custom_fields([("OBJECT_SYSTEMD_UNIT", unit.as_str())]);
        // Losing an event loses no data, and there is no second subscriber.
        let _ = tracing_subscriber::registry().with(journal).try_init();
    }
}

/// Prints a line of the result. If the reader has closed the pipe (`| head`) nobody wants it; the work goes on.
pub fn print(line: impl Display) {
    let _ = writeln!(stdout(), "{}", printable(&line.to_string()));
}

/// Prints a line with colours. It may hold only words and names that are known to be harmless.
pub fn print_colored(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}

/// Overwrites the last line of a terminal; an empty text clears it. A terminal that has gone stops no run.
pub fn progress(text: &str) {
    let _ = write!(stderr(), "\r\x1b[K{}", printable(text));
}

/// How wide a line may be: what COLUMNS says, or the terminal, or 80.
pub fn columns() -> usize {
    let told = std::env::var("COLUMNS").unwrap_or_default();
    if let Ok(columns) = told.parse() {
        return columns;
    }
    match tcgetwinsize(stdout()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => 80,
    }
}

pub fn error(message: impl Display) {
    say("<3>", &message.to_string());
}

/// Good news that nobody asked for.
pub fn notice(message: impl Display) {
    say("<5>", &message.to_string());
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
