//! The one reading of the clock.

use std::time::Duration;

use chrono::{DateTime, Datelike, Local, Timelike, Utc};
use rustix::time::{ClockId, clock_gettime};

use crate::core::gate::Moment;

#[expect(clippy::disallowed_methods, reason = "here and nowhere else")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// How long the machine has slept since its boot (clock_gettime(2)).
pub fn slept() -> Duration {
    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    read(ClockId::Boottime).saturating_sub(read(ClockId::Monotonic))
}

/// Now, as the clock on the wall shows it too.
pub fn moment() -> Moment {
    of(now())
}

/// As the clock on the wall showed it, or will.
pub fn of(time: DateTime<Utc>) -> Moment {
    let local = time.with_timezone(&Local);
    Moment {
        epoch: local.timestamp(),
        weekday: local.weekday(),
        minute: local.hour() * 60 + local.minute(),
    }
}
