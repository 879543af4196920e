//! The only place where the clock is read.

use std::time::Duration;

use chrono::{DateTime, Datelike, Local, Timelike, Utc};
use rustix::time::{ClockId, clock_gettime};

use crate::core::gate::Moment;

#[expect(clippy::disallowed_methods, reason = "here and nowhere else")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// How long the machine has slept since its boot: of these two clocks one stands still meanwhile (clock_gettime(2)).
pub fn slept() -> Duration {
    since_boot(ClockId::Boottime).saturating_sub(since_boot(ClockId::Monotonic))
}

/// When the machine was booted, by the clock of now.
pub fn booted() -> DateTime<Utc> {
    now() - since_boot(ClockId::Boottime)
}

fn since_boot(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// Now, also as the clock on the wall shows it.
pub fn moment() -> Moment {
    of(now())
}

/// A time, also as the clock on the wall shows it then.
pub fn of(time: DateTime<Utc>) -> Moment {
    let local = time.with_timezone(&Local);
    Moment {
        epoch: local.timestamp(),
        wall: local.naive_local().and_utc().timestamp(),
        weekday: local.weekday(),
        minute: local.hour() * 60 + local.minute(),
    }
}
