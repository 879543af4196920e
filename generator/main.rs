//! `zam-generator`: a systemd.generator(7). Reads the configuration, writes the units, and nothing else: it talks to no
//! process and no network, never fails a boot, and drops only the entry that is wrong, loudly (invariant 9).

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use zam::core::printable::printable;
use zam::core::units::units;
use zam::edge::configuration;

/// A record of the kernel's log has at most 1024 bytes; a longer write fails (tried).
const RECORD_MAX: usize = 950;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.len() != 1 && arguments.len() != 3 {
        let _ = writeln!(
            io::stderr(),
            "usage: zam-generator NORMAL-DIR [EARLY-DIR LATE-DIR]"
        );
        return ExitCode::from(2);
    }
    let told = |name: &str, value: &str| std::env::var(name).is_ok_and(|v| v == value);
    if told("SYSTEMD_IN_INITRD", "1") || told("SYSTEMD_SCOPE", "user") {
        return ExitCode::SUCCESS;
    }
    let path = configuration::path(None);
    let loaded = match configuration::read(&path) {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(loaded)) => loaded,
        Err(fault) => configuration::Loaded::nothing(&path, fault),
    };
    loaded.faults.iter().for_each(|fault| log(fault));
    let mut folder = PathBuf::new();
    for (path, text) in units(&loaded.config, &loaded.sources, !loaded.faults.is_empty()) {
        if let Err(e) = write(&Path::new(&arguments[0]).join(path), &text, &mut folder) {
            log(&e.to_string());
        }
    }
    ExitCode::SUCCESS
}

/// Refuses to write a file twice: two jobs with one name would be a bug, and must not pass silently.
/// `folder` is the one that was made last: units of one folder come together.
fn write(path: &Path, text: &str, folder: &mut PathBuf) -> io::Result<()> {
    let parent = path.parent().unwrap_or(path);
    if parent != folder {
        fs::create_dir_all(parent)?;
        *folder = parent.to_owned();
    }
    let written = File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|e| io::Error::new(e.kind(), format!("cannot write {}: {e}", path.display())))
}

/// To the kernel's log when systemd runs us (it sends our stderr nowhere), otherwise to stderr.
fn log(message: &str) {
    let message = printable(message);
    let by_systemd =
        std::env::var("SYSTEMD_EXEC_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    match OpenOptions::new().write(true).open("/dev/kmsg") {
        Ok(mut kmsg) if by_systemd => {
            for line in message.lines() {
                let mut record =
                    format!("<3>zam-generator[{}]: {line}", std::process::id()).into_bytes();
                record.truncate(RECORD_MAX);
                // Without its end of line Linux 6.1 holds a record back until the next one (seen).
                record.push(b'\n');
                // There is nowhere left to say that this failed.
                let _ = kmsg.write_all(&record);
            }
        }
        _ => drop(writeln!(io::stderr(), "zam-generator: {message}")),
    }
}
