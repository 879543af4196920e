//! The names of a job's units. systemd-escape(1) and systemd.unit(5) give the rules.

use crate::core::config::Config;
use crate::core::job::{Job, Verb};

/// The name of a job's service.
pub fn service(job: &Job) -> String {
    format!("zam@{}.service", instance(job))
}

/// The part between `zam@` and `.service`.
pub fn instance(job: &Job) -> String {
    escape(&job.path())
}

/// The job of this instance.
pub fn job_called<'c>(config: &'c Config, name: &str) -> Option<Job<'c>> {
    config.jobs().find(|job| instance(job) == name)
}

/// Whether a name can be a job's: the other units of zam (`check`, `reload`, ...) begin with no verb.
pub fn is_job(instance: &str) -> bool {
    let verb = instance.split(['-', ':']).next().unwrap_or_default();
    verb.len() < instance.len() && verb.parse::<Verb>().is_ok()
}

/// The longest escaped name that is kept whole. Together with its prefix and suffix it stays below systemd's limits: 231
/// bytes for a service with LogExtraFields=, 249 for a timer with Persistent= (both tried on 252 and 257).
const WHOLE_MAX: usize = 180;

/// Escapes as `systemd-escape` does. A name that is too long is cut between two characters and gets a hash of the whole.
/// A cut name is longer than any whole one, so the two never meet.
pub fn escape(path: &str) -> String {
    let mut escaped = String::new();
    let mut cut = 0;
    for byte in path.bytes() {
        if escaped.len() <= WHOLE_MAX - 12 {
            cut = escaped.len();
        }
        match byte {
            b'/' => escaped.push('-'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => {
                escaped.push(byte as char)
            }
            _ => escaped += &format!("\\x{byte:02x}"),
        }
    }
    if escaped.len() > WHOLE_MAX {
        escaped.truncate(cut);
        escaped += &format!("_{:016x}", fnv1a(path));
    }
    escaped
}

/// FNV-1a, 64 bits: the same on every machine and in every release, which std's hasher does not promise.
fn fnv1a(text: &str) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_systemd_does() {
        assert_eq!(escape("snapshot/tank/my-data"), "snapshot-tank-my\\x2ddata");
        assert_eq!(
            escape("replicate:local-backup/a b"),
            "replicate:local\\x2dbackup-a\\x20b"
        );
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_longer_than_a_whole_one() {
        for extra in 0..12 {
            let path = format!("snapshot/{}{}", "a".repeat(extra), "-".repeat(200));
            let name = escape(&path);
            assert!(
                (WHOLE_MAX + 1..=231 - "zam@.service".len()).contains(&name.len()),
                "{}",
                name.len()
            );
            let (kept, hash) = name.rsplit_once('_').expect("a hash");
            assert!(hash.len() == 16 && kept.ends_with("\\x2d"), "{name}");
        }
        assert_eq!(escape(&"a".repeat(WHOLE_MAX)).len(), WHOLE_MAX);
    }
}
