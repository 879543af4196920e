//! When systemd last had zam look whether everything is as promised: nobody would hear of a check that does not run.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::core::span::Rough;
use crate::edge::records;

/// Hours after which a check says little about now.
const OLD: i64 = 3;

/// What every record of a check begins with.
#[derive(Deserialize)]
struct Checked {
    time: DateTime<Utc>,
}

/// Whether what was found at a time is too old to rely on.
pub(super) fn is_old(time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - time).num_hours() >= OLD
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
    let ago = Rough((now - last).num_seconds());
    Some(format!(
        "last checked {ago} ago (systemctl status zam-check.timer)"
    ))
}
