//! How well a replica keeps up with its source: judged by what both hold, never by what was said to have been done. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::core::config::{Destination, Entry};
use crate::core::name::Prefix;
use crate::core::period::Period;
use crate::core::replication::{Kind, Plan, Side, Wish, plan};
use crate::core::schedule::Week;
use crate::core::span::{DAY, Epoch, HOUR, MINUTE, Span};

/// Ordered by gravity: a tree is in the state of its worst dataset.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Ok,
    /// Its job has had its turn since the source's snapshot, and has not brought it.
    Late,
    /// Nothing is there yet.
    Never,
    /// Older than `alert-after`.
    Stale,
    Diverged,
    Unreachable,
}

impl Health {
    pub const ALL: [Health; 6] = [
        Health::Ok,
        Health::Late,
        Health::Never,
        Health::Stale,
        Health::Diverged,
        Health::Unreachable,
    ];
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

/// What there is to say of one replica.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub health: Health,
    /// When the newest snapshot that both sides have was taken.
    pub newest: Option<Epoch>,
    /// Seconds from that one to the source's newest.
    pub lag: Option<i64>,
    /// When the source was made, if nothing has arrived yet.
    pub awaited_since: Option<Epoch>,
    /// The reason, when the state alone does not say it.
    pub why: Option<String>,
}

impl Judgement {
    /// Of what nothing is known but that.
    pub fn new(health: Health) -> Self {
        Judgement {
            health,
            newest: None,
            lag: None,
            awaited_since: None,
            why: None,
        }
    }
}

/// The seconds after which a snapshot should have been sent, even if a run takes its time.
const GRACE: i64 = HOUR;
const LONGEST_MONTH: i64 = 31 * DAY;

/// The replica of one source at `to`. Both sides are listed with TREE_COLUMNS.
pub fn judge(
    prefix: &Prefix,
    to: &Destination,
    source: &Side,
    replica: Option<&Side>,
    now: Epoch,
) -> Judgement {
    let wish = Wish {
        prefix,
        windows: &to.windows,
        decrypt: to.decrypt,
        now,
        root: None,
    };
    let planned = plan(&wish, source, replica, None);
    let newest = newest_common(&planned, replica);
    let sent_until = planned.base.as_ref().map_or(0, |base| base.createtxg);
    let ours = source.state.owned(prefix);
    let last = ours.clone().next_back();
    let unsent = ours.filter(|s| s.createtxg > sent_until);
    // Not the first: a clock that was wrong may have dated that in the future.
    let oldest_unsent = unsent.map(|s| s.creation).min();
    let health = match (planned.kind, newest, oldest_unsent) {
        (Kind::Diverged, ..) => Health::Diverged,
        (_, None, _) => Health::Never,
        (_, Some(newest), Some(oldest)) => punctuality(to, now - newest, now - oldest),
        (_, Some(_), None) => Health::Ok,
    };
    Judgement {
        health,
        newest,
        lag: newest
            .zip(last)
            .map(|(newest, last)| (last.creation - newest).max(0)),
        awaited_since: (health == Health::Never).then_some(source.state.creation),
        why: (health == Health::Diverged).then_some(planned.why),
    }
}

/// When the newest snapshot that both sides have was taken.
fn newest_common(plan: &Plan, replica: Option<&Side>) -> Option<Epoch> {
    let base = replica?.state.snapshot(plan.base.as_ref()?.guid)?;
    Some(base.creation)
}

/// The health of a replica whose newest snapshot has this age, while a newer one has waited on the source for `waiting`
/// (both in seconds). It is stale only if that one has waited for an hour: it may have just been taken.
fn punctuality(to: &Destination, age: i64, waiting: i64) -> Health {
    // A replica of which the newest is dated in the future is at least as old as what waits for it.
    let age = if age < 0 { waiting } else { age };
    let is_old = to.alert_after.is_some_and(|after| age > after.seconds());
    if is_old && waiting >= GRACE {
        return Health::Stale;
    }
    match to.replication_period {
        Some(period) if waiting > turn(to, period) + GRACE => Health::Late,
        _ => Health::Ok,
    }
}

/// The seconds in which a replication has its turn, whenever they begin: its period, or from the last slot in a window to the
/// next window.
fn turn(to: &Destination, period: Period) -> i64 {
    let longest = match period {
        Period::Months(months) => i64::from(months) * LONGEST_MONTH,
        period => period.seconds(),
    };
    let step = (longest.min(DAY) / MINUTE).max(1);
    let gap = Week::new(to.idle_windows()).longest_gap(step as u32);
    longest.max(i64::from(gap) * MINUTE)
}

/// Whether a source that was made then has not had its turn to be replicated yet.
pub fn is_new(to: &Destination, made: Epoch, now: Epoch) -> bool {
    let period = to.replication_period;
    period.is_some_and(|period| now - made <= turn(to, period) + GRACE)
}

/// Whether a source's own snapshots come as they should: judged by when its newest was taken.
pub fn of_source(entry: &Entry, newest: Option<Epoch>, now: Epoch) -> Health {
    match (newest, entry.snapshot_period) {
        (None, _) => Health::Never,
        (Some(newest), Some(period)) if now - newest > 2 * period.seconds() => Health::Late,
        _ => Health::Ok,
    }
}

/// Whether the machine of a source that is pulled takes snapshots no more: the newest is older than `alert-after`, and
/// than two periods. The period is the longest time between any two of the last few, which were `taken` then, oldest first;
/// a single one says nothing of it, and a week is assumed.
pub fn has_stopped(entry: &Entry, taken: &[Epoch], now: Epoch) -> bool {
    const FEW: usize = 5;
    let last = &taken[taken.len().saturating_sub(FEW)..];
    let period = last.windows(2).map(|pair| pair[1] - pair[0]).max();
    let (Some(_), Some(after), Some(newest)) = (&entry.host, alert_after(entry), last.last())
    else {
        return false;
    };
    let age = now - newest;
    age > after.seconds() && age > 2 * period.unwrap_or(7 * DAY)
}

/// How old a replica of the entry may become before somebody is told of it.
pub fn alert_after(entry: &Entry) -> Option<Span> {
    let spans = entry.destinations.iter().filter_map(|to| to.alert_after);
    spans.min_by_key(|span| span.seconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::listing::{Snapshot, State};
    use crate::core::load::config;

    /// Snapshots of ours taken at these hours, in this order; the same hour is the same snapshot on both sides.
    fn state(hours: &[i64]) -> State {
        let snapshot = |hour: &i64| Snapshot {
            name: Prefix::default().snapshot(hour * HOUR).into(),
            guid: 1000 + hour.unsigned_abs(),
            createtxg: hour.unsigned_abs(),
            creation: hour * HOUR,
            written: 1,
            held: false,
            cloned: false,
        };
        State {
            snapshots: hours.iter().map(snapshot).collect(),
            ..State::default()
        }
    }

    fn judged(settings: &str, source: &[i64], replica: Option<&[i64]>, now: i64) -> Judgement {
        judged_of(settings, &state(source), replica.map(state).as_ref(), now)
    }

    fn judged_of(settings: &str, source: &State, replica: Option<&State>, now: i64) -> Judgement {
        let config = config(&format!(
            "destinations: {{nas: {{root: b/zam, replication-period: 1h{settings}}}}}\ndatasets: {{a: {{destinations: [nas]}}}}"
        ));
        let to = &config.entries[0].destinations[0];
        let replica = replica.map(|state| Side {
            name: "b/zam/a".into(),
            state,
        });
        judge(
            &config.prefix,
            to,
            &Side {
                name: "a".into(),
                state: source,
            },
            replica.as_ref(),
            now,
        )
    }

    fn health(settings: &str, source: &[i64], replica: Option<&[i64]>, now: i64) -> Health {
        judged(settings, source, replica, now).health
    }

    #[test]
    fn by_what_both_sides_hold() {
        let same = judged("", &[1, 2], Some(&[1, 2]), 100 * HOUR);
        assert_eq!(
            same,
            Judgement {
                health: Health::Ok,
                newest: Some(2 * HOUR),
                lag: Some(0),
                awaited_since: None,
                why: None
            }
        );
        let behind = judged("", &[1, 2, 3, 4], Some(&[1, 2]), 4 * HOUR);
        assert_eq!((behind.health, behind.lag), (Health::Ok, Some(2 * HOUR)));
        assert_eq!(
            health("", &[1, 2, 3, 4], Some(&[1, 2]), 5 * HOUR + 1),
            Health::Late
        );
        let never = judged("", &[1, 2], None, HOUR);
        assert_eq!(
            (never.health, never.awaited_since),
            (Health::Never, Some(0))
        );
        let foreign = judged("", &[1, 2], Some(&[1, 5]), 5 * HOUR);
        assert!(foreign.health == Health::Diverged && foreign.why.is_some());
        assert_eq!(foreign.newest, Some(HOUR), "what both have");
    }

    #[test]
    fn a_name_that_the_replica_has_already_is_seen_before_a_run_fails_of_it() {
        let mut source = state(&[1, 2]);
        let mut replica = state(&[1, 2]);
        source.snapshots[1].guid = 99;
        replica.snapshots[1].written = 0;
        let text = "destinations: {nas: {root: b/zam}}\ndatasets: {a: {destinations: [nas]}}";
        let config = config(text);
        let there = Side {
            name: "b/zam/a".into(),
            state: &replica,
        };
        let here = Side {
            name: "a".into(),
            state: &source,
        };
        let judged = judge(
            &config.prefix,
            &config.entries[0].destinations[0],
            &here,
            Some(&there),
            2 * HOUR,
        );
        assert_eq!(judged.health, Health::Diverged);
    }

    #[test]
    fn stale_only_where_there_was_something_to_bring() {
        let settings = ", alert-after: 3d";
        assert_eq!(health(settings, &[1], Some(&[1]), 90 * DAY), Health::Ok);
        assert_eq!(health(settings, &[1, 2], Some(&[1]), 3 * DAY), Health::Late);
        assert_eq!(
            health(settings, &[1, 2], Some(&[1]), 3 * DAY + 2 * HOUR),
            Health::Stale
        );
        // The newer one has just been taken.
        assert_eq!(
            health(settings, &[1, 240], Some(&[1]), 10 * DAY + HOUR / 2),
            Health::Ok
        );
    }

    #[test]
    fn snapshots_dated_in_the_future_hide_no_delay() {
        let settings = ", alert-after: 3d";
        // By their createtxg the one of hour 5000 is older than the one of hour 10, as after a clock that was wrong.
        let mut source = state(&[1, 5000, 10]);
        source.snapshots[1].createtxg = 2;
        let mut replica = state(&[1]);
        for (hour, expected) in [(11, Health::Ok), (13, Health::Late), (90, Health::Stale)] {
            let judged = judged_of(settings, &source, Some(&replica), hour * HOUR);
            assert_eq!(judged.health, expected, "hour {hour}");
        }
        replica.snapshots.push(source.snapshots[1].clone());
        for (hour, expected) in [(11, Health::Ok), (13, Health::Late), (90, Health::Stale)] {
            let judged = judged_of(settings, &source, Some(&replica), hour * HOUR);
            assert_eq!(judged.health, expected, "hour {hour}, sent");
        }
    }

    #[test]
    fn while_its_windows_are_shut_a_replica_is_not_late() {
        let night = r#", idle: {windows: ["22:00-06:00"]}"#;
        // From the slot at 5:00 to that at 22:00, and an hour.
        assert_eq!(health(night, &[1, 2], Some(&[1]), 20 * HOUR), Health::Ok);
        assert_eq!(health(night, &[1, 2], Some(&[1]), 21 * HOUR), Health::Late);
    }

    #[test]
    fn a_source_is_judged_by_its_newest() {
        let text = "datasets: {a: {snapshot-period: 1h}, b: {windows: [{period: 1d}]}}";
        let config = config(text);
        let of = |entry: usize, newest| of_source(&config.entries[entry], newest, 10 * HOUR);
        assert_eq!(
            [
                of(0, None),
                of(0, Some(8 * HOUR)),
                of(0, Some(8 * HOUR - 1))
            ],
            [Health::Never, Health::Ok, Health::Late]
        );
        assert_eq!(of(1, Some(0)), Health::Ok);
    }

    #[test]
    fn what_is_pulled_has_stopped_after_alert_after_and_two_periods() {
        let text = "
hosts: {laptop: {ssh: zam@laptop}}
destinations: {usb: {root: u/zam, alert-after: 3d}, nas: {root: n/zam, alert-after: 1d}, away: {root: a/zam}}
datasets: {tank: {destinations: [usb]}, 'laptop:a': {destinations: [usb, nas]}, 'laptop:b': {destinations: [away]}}";
        let config = config(text);
        let stops_after = |key, taken: &[Epoch]| {
            let entry = config.entry(key).expect("an entry");
            let mut days = 0..100;
            days.find(|days| has_stopped(entry, taken, days * DAY + 1))
        };
        assert_eq!(stops_after("laptop:a", &[-HOUR, 0]), Some(1));
        assert_eq!(stops_after("laptop:a", &[0]), Some(14));
        // One by hand does not make a week shorter.
        let weekly = [-300, -21, -14, -7, -7, 0].map(|day| day * DAY);
        assert_eq!(stops_after("laptop:a", &weekly), Some(14));
        for (key, taken) in [
            ("laptop:b", &[-HOUR, 0][..]),
            ("tank", &[-HOUR, 0]),
            ("laptop:a", &[]),
        ] {
            assert_eq!(stops_after(key, taken), None, "{key}");
        }
    }
}
