//! `zam-generator`: a systemd.generator(7). Reads the configuration, writes the units, and nothing else: it talks to no
//! process and no network, never fails a boot, and drops only the entry that is wrong, loudly (invariant 9).

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use zam::core::printable::printable;
use zam::core::units::{ALL_MADE, units};
use zam::edge::configuration::{self, Loaded};

/// Bytes of a line in the kernel's log. A record has at most 1024; a longer write fails (tried).
const RECORD_MAX: usize = 950;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // With one directory, as a person would call it, or with the three of systemd.generator(7).
    let ([normal] | [normal, _, _]) = arguments.as_slice() else {
        log_to_stderr("usage: zam-generator NORMAL-DIR [EARLY-DIR LATE-DIR]");
        return ExitCode::from(2);
    };
    if is_told("SYSTEMD_IN_INITRD", "1") || is_told("SYSTEMD_SCOPE", "user") {
        return ExitCode::SUCCESS;
    }
    let path = configuration::path(None);
    let loaded = match configuration::read(&path) {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(loaded)) => loaded,
        Err(fault) => Loaded::nothing(&path, fault),
    };
    for fault in &loaded.faults {
        log(fault);
    }
    write_units(&loaded, Path::new(normal));
    ExitCode::SUCCESS
}

fn is_told(variable: &str, value: &str) -> bool {
    std::env::var(variable).is_ok_and(|told| told == value)
}

fn write_units(loaded: &Loaded, directory: &Path) {
    let is_faulty = !loaded.faults.is_empty();
    let mut folder = PathBuf::new();
    let mut files = units(&loaded.config, &loaded.sources, is_faulty);
    let all_made = files.remove_entry(ALL_MADE);
    let mut is_complete = true;
    for (path, text) in files {
        if let Err(e) = write(&directory.join(path), &text, &mut folder) {
            log(&e.to_string());
            is_complete = false;
        }
    }
    if let Some((path, text)) = all_made.filter(|_| is_complete)
        && let Err(e) = write(&directory.join(path), &text, &mut folder)
    {
        log(&e.to_string());
    }
}

/// Refuses to write a file twice: two jobs with one name would be a bug, and must not pass silently.
/// `folder` is the one that was made last, so that each is made once: units of one folder come together.
fn write(path: &Path, text: &str, folder: &mut PathBuf) -> io::Result<()> {
    let parent = path.parent().unwrap_or(path);
    if parent != folder {
        fs::create_dir_all(parent)?;
        *folder = parent.to_owned();
    }
    let written = File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|e| io::Error::new(e.kind(), format!("cannot write {}: {e}", path.display())))
}

/// To the kernel's log when systemd runs us, because it sends our stderr nowhere; otherwise to stderr.
fn log(message: &str) {
    let message = printable(message);
    let pid = std::process::id();
    let by_systemd = is_told("SYSTEMD_EXEC_PID", &pid.to_string());
    match OpenOptions::new().write(true).open("/dev/kmsg") {
        Ok(mut kmsg) if by_systemd => {
            for line in message.lines() {
                // There is nowhere left to say that this failed.
                let _ = kmsg.write_all(&record(pid, line));
            }
        }
        _ => log_to_stderr(&format!("zam-generator: {message}")),
    }
}

/// A line for the kernel's log, as an error.
fn record(pid: u32, line: &str) -> Vec<u8> {
    let mut record = format!("<3>zam-generator[{pid}]: {line}").into_bytes();
    record.truncate(RECORD_MAX);
    // Without its end of line Linux 6.1 holds a record back until the next one (seen).
    record.push(b'\n');
    record
}

fn log_to_stderr(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
