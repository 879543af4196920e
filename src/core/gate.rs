//! Whether it is time for a job, asked again at the moment of starting. A timer also fires when the machine comes back
//! after its slots, and more often than the period when something besides the clock decides. Pure: the moment comes in.

use chrono::Weekday;

use crate::core::job::Job;
use crate::core::period::Period;
use crate::core::schedule::Week;
use crate::core::span::{DAY, Epoch, MINUTE, Rough};

/// A moment, and how the clock on the wall shows it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub epoch: Epoch,
    /// The clock on the wall, in seconds since it showed 1970.
    pub wall: i64,
    pub weekday: Weekday,
    /// Of the day.
    pub minute: u32,
}

/// Whether systemd has to ask `zam gate` before the job: its timer fires more often than it is due, or may fire outside
/// its windows.
pub fn is_gated(job: &Job) -> bool {
    job.idle().is_some() || job.period.seconds() >= DAY
}

/// Why it is not time for the job; none if it is. `last` is when it last ended with 0; a success that lies in the future
/// proves nothing.
pub fn not_now(job: &Job, now: Moment, last: Option<Moment>) -> Option<String> {
    let windows = job.timing().windows;
    let week = Week::new(windows);
    if !week.contains(now.weekday, now.minute) {
        let windows: Vec<String> = windows.iter().map(ToString::to_string).collect();
        return Some(format!("outside its windows ({})", windows.join(", ")));
    }
    if is_due(job.period, &week, now, last) {
        return None;
    }
    let ago = Rough(now.epoch - last?.epoch);
    Some(format!(
        "it is not due: done {ago} ago, and wanted every {}",
        job.period
    ))
}

/// Whether there was no success yet in the period to which `now` belongs.
pub fn is_due(period: Period, week: &Week, now: Moment, last: Option<Moment>) -> bool {
    let last = last.filter(|last| last.epoch <= now.epoch);
    last.is_none_or(|last| turn(period, week, last) != turn(period, week, now))
}

/// The number of the period to which a moment belongs. With a period of a day or more, a window belongs to the day on which
/// it opens, as the clock on the wall has it, since in UTC two nights may open on one day; in one that stays open for days,
/// each day begins at the hour at which it has opened, as its slots do.
fn turn(period: Period, week: &Week, at: Moment) -> i64 {
    if week.is_always_open() || period.seconds() < DAY {
        return period.bucket(at.epoch);
    }
    let open_for = week.open_for(at.weekday, at.minute);
    period.bucket(at.wall - i64::from(open_for) * MINUTE % DAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::load::config;
    use crate::core::span::HOUR;

    /// 2026-11-23 is a Monday; local time is UTC here.
    const MONDAY: i64 = 1_795_392_000;

    fn moment(epoch: i64) -> Moment {
        let week = (epoch - MONDAY).rem_euclid(7 * DAY);
        let weekday = Weekday::try_from((week / DAY) as u8).expect("a day");
        Moment {
            epoch,
            wall: epoch,
            weekday,
            minute: (week % DAY / 60) as u32,
        }
    }

    fn not_now_at(period: &str, windows: &str, now: i64, last: Option<i64>) -> Option<String> {
        let config = config(&format!(
            "destinations: {{nas: {{root: b/zam, replication-period: {period}, idle: {{windows: {windows}}}}}}}\n\
             datasets: {{a: {{destinations: [nas]}}}}"
        ));
        let job = config.jobs().next().expect("a job");
        not_now(
            &job,
            moment(MONDAY + now),
            last.map(|last| moment(MONDAY + last)),
        )
    }

    #[test]
    fn only_inside_the_windows() {
        let night = r#"["22:00-06:00"]"#;
        assert_eq!(
            not_now_at("1h", night, 21 * HOUR + 3599, None).as_deref(),
            Some("outside its windows (22:00-06:00)")
        );
        assert_eq!(not_now_at("1h", night, 22 * HOUR, None), None);
        assert_eq!(not_now_at("1h", night, 30 * HOUR - 1, None), None);
        assert!(not_now_at("1h", night, 30 * HOUR, None).is_some());
    }

    #[test]
    fn once_a_period() {
        let night = r#"["22:00-06:00"]"#;
        assert!(not_now_at("1h", night, 23 * HOUR + 900, Some(23 * HOUR)).is_some());
        assert_eq!(
            not_now_at("1h", night, 24 * HOUR, Some(23 * HOUR + 900)),
            None
        );
        // A night has two dates and one run, and a run of the night before does not count.
        assert!(not_now_at("1d", night, 25 * HOUR, Some(22 * HOUR)).is_some());
        assert_eq!(not_now_at("1d", night, 46 * HOUR, Some(25 * HOUR)), None);
        assert!(not_now_at("1w", night, 5 * 24 * HOUR, Some(22 * HOUR)).is_some());
        assert_eq!(
            not_now_at("1w", night, 7 * 24 * HOUR + 22 * HOUR, Some(22 * HOUR)),
            None
        );
    }

    /// As often as its timer fires for it: each day at the hour at which the window has opened.
    #[test]
    fn a_window_of_several_days_has_a_run_a_day() {
        let day = r#"["Mon-Fri"]"#;
        let week = r#"["22:00-06:00", "Sat,Sun"]"#;
        assert_eq!(not_now_at("1d", day, 24 * HOUR, Some(0)), None);
        assert!(not_now_at("1d", day, 47 * HOUR, Some(24 * HOUR)).is_some());
        // Friday 22:00 to Monday 06:00.
        let friday = 4 * 24 * HOUR + 22 * HOUR;
        for later in [24, 48] {
            let last = Some(friday + (later - 24) * HOUR);
            assert_eq!(not_now_at("1d", week, friday + later * HOUR, last), None);
        }
        assert!(not_now_at("1d", week, friday + 23 * HOUR, Some(friday)).is_some());
        assert!(not_now_at("1w", week, friday + 55 * HOUR, Some(friday)).is_some());
    }

    /// The clock is put forward between them, in Berlin an hour after the first has opened.
    #[test]
    fn two_nights_that_open_on_one_day_of_utc_are_two() {
        let week = Week::new(&["01:00-05:00".parse().expect("a window")]);
        let night = |day: i64, offset| {
            let shown = moment(MONDAY + day * DAY + HOUR);
            Moment {
                epoch: shown.wall - offset,
                ..shown
            }
        };
        let winter = night(6, HOUR);
        let summer = night(7, 2 * HOUR);
        assert_eq!(
            Period::Days(1).bucket(winter.epoch),
            Period::Days(1).bucket(summer.epoch)
        );
        for period in ["1d", "1w"] {
            let period = period.parse().expect("a period");
            assert!(is_due(period, &week, summer, Some(winter)), "{period}");
        }
    }

    #[test]
    fn a_success_in_the_future_proves_nothing() {
        assert_eq!(
            not_now_at("1h", r#"["22:00-06:00"]"#, 22 * HOUR, Some(366 * 24 * HOUR)),
            None
        );
    }
}
