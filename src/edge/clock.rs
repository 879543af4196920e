//! The one reading of the clock.

use chrono::{DateTime, Datelike, Local, Timelike, Utc};

use crate::core::gate::Moment;

#[expect(clippy::disallowed_methods, reason = "here and nowhere else")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The same, as the clock on the wall shows it too.
pub fn moment() -> Moment {
    of(now())
}

/// As the clock on the wall showed it, or will.
pub fn of(time: DateTime<Utc>) -> Moment {
    let local = time.with_timezone(&Local);
    Moment { epoch: local.timestamp(), weekday: local.weekday(), minute: local.hour() * 60 + local.minute() }
}
