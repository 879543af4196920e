//! The timers of an entry, as systemd fires them, and the gate that each run passes.

use chrono::Weekday;

use crate::core::config::Entry;
use crate::core::gate::{Moment, is_due, is_gated};
use crate::core::job::Job;
use crate::core::schedule::Slots;
use crate::core::span::{DAY, Epoch, MINUTE};

const MINUTES: i64 = DAY / MINUTE;

/// Says what the clock on the wall shows at a moment.
pub(super) type Clock<'c> = dyn Fn(Epoch) -> Moment + 'c;

pub(super) struct Timer<'c> {
    pub(super) job: Job<'c>,
    slots: Slots,
    /// The minutes of every day in UTC; empty if the timer goes by the clock on the wall.
    minutes: Vec<i64>,
    last: Option<Moment>,
}

/// The timers of an entry's jobs, in the order in which jobs run that fire together: the snapshot, replications, pruning.
pub(super) fn timers_of(entry: &Entry) -> Vec<Timer<'_>> {
    let mut jobs = entry.jobs();
    jobs.sort_by_key(|job| (job.verb, job.destination.is_some()));
    jobs.into_iter().map(Timer::new).collect()
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Firing {
    pub(super) at: Epoch,
    /// The index of the timer.
    pub(super) timer: usize,
}

/// When timers fire on a day (counted from 1970-01-01, UTC), in order.
pub(super) fn firings(timers: &[Timer], day: i64, clock: &Clock) -> Vec<Firing> {
    let wall = if timers.iter().any(|timer| timer.slots.is_local()) {
        wall(day, clock)
    } else {
        Vec::new()
    };
    let mut firings = Vec::new();
    for (index, timer) in timers.iter().enumerate() {
        for minute in timer.minutes_on(day, &wall) {
            for second in &timer.slots.seconds {
                firings.push(Firing {
                    at: minute + i64::from(*second),
                    timer: index,
                });
            }
        }
    }
    firings.sort_unstable();
    firings
}

impl<'c> Timer<'c> {
    fn new(job: Job<'c>) -> Self {
        let slots = Slots::new(&job.timing());
        let mut minutes = Vec::new();
        if !slots.is_local() {
            let is_slot = |minute: &i64| slots.contains(Weekday::Mon, *minute as u32);
            minutes.extend((0..MINUTES).filter(is_slot));
        }
        Timer {
            job,
            slots,
            minutes,
            last: None,
        }
    }

    /// The minutes of a day in which it fires; `wall` is [`wall`]'s for that day.
    fn minutes_on(&self, day: i64, wall: &[Moment]) -> Vec<Epoch> {
        if !self.slots.is_local() {
            let minutes = self.minutes.iter();
            return minutes.map(|minute| day * DAY + minute * MINUTE).collect();
        }
        let is_slot = |at: &&Moment| self.slots.contains(at.weekday, at.minute);
        wall.iter().filter(is_slot).map(|at| at.epoch).collect()
    }

    /// Whether `zam gate` lets the job run now. If it does, the run is remembered.
    pub(super) fn is_let(&mut self, at: Epoch, clock: &Clock) -> bool {
        if !is_gated(&self.job) {
            return true;
        }
        let now = clock(at);
        if !is_due(self.job.period, &self.slots.week, now, self.last) {
            return false;
        }
        self.last = Some(now);
        true
    }
}

/// The minutes of a day (counted from 1970-01-01, UTC) as the clock on the wall shows them. In autumn it shows some of them
/// twice, 30 or 60 minutes apart. Only the first counts: systemd's timers pass over the second.
fn wall(day: i64, clock: &Clock) -> Vec<Moment> {
    let minutes = (-60..MINUTES).map(|minute| clock(day * DAY + minute * MINUTE));
    let minutes: Vec<Moment> = minutes.collect();
    let mut shown_once = Vec::new();
    for (i, now) in minutes.iter().enumerate().skip(60) {
        let is_again = [30, 60].iter().any(|back| {
            let before = minutes[i - back];
            (before.weekday, before.minute) == (now.weekday, now.minute)
        });
        if !is_again {
            shown_once.push(*now);
        }
    }
    shown_once
}
