//! When systemd last had zam look whether everything is as promised: nobody would hear of a check that does not run.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::edge::records;
use crate::verbs::say::ago;

/// Hours after which a check says little about now.
const OLD: i64 = 3;

/// What every record of a check begins with.
#[derive(Deserialize)]
struct Checked {
    time: DateTime<Utc>,
}

/// Whether what was found at a time is too old to rely on. What lies in the future was found under another clock.
pub(super) fn is_old(time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - time).num_hours().abs() >= OLD
}

/// Says since when nobody has checked, if that is too long. Before the first check there is nothing to say.
pub(super) fn silence(now: DateTime<Utc>) -> Option<String> {
    let mut times = Vec::new();
    for text in records::checks() {
        if let Ok(checked) = serde_json::from_str::<Checked>(&text) {
            times.push(checked.time);
        }
    }
    let last = times.into_iter().max().filter(|last| is_old(*last, now))?;
    let ago = ago(Some(last), now);
    Some(format!(
        "last checked {ago} (systemctl status zam-check.timer)"
    ))
}
