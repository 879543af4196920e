//! Retention: the properties that the contract names, on random histories, and a second, slow writing of its rule.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Weekday};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use zam::core::config::Window;
use zam::core::listing::Snapshot;
use zam::core::name::Prefix;
use zam::core::period::Period;
use zam::core::retention::{self, Reason};
use zam::core::span::Span;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// 2024-02-01, a Thursday in a leap year.
const BEGIN: i64 = 1_706_745_600;
const PERIODS: [&str; 14] = [
    "7min", "10min", "50min", "1h", "7h", "11h", "1d", "2d", "3d", "1w", "2w", "1mo", "3mo", "1y",
];
const AGES: [&str; 14] = [
    "50min", "1h", "6h", "1d", "2d", "3d", "1w", "2w", "1mo", "40d", "3mo", "1mo 1w", "1y", "1y 1d",
];

/// What a plan depends on.
#[derive(Clone, Debug)]
struct Scene {
    snapshots: Vec<Snapshot>,
    windows: Vec<Window>,
    now: i64,
    /// GUIDs that the caller forces.
    pinned: HashSet<u64>,
}

type Guids = BTreeSet<u64>;

impl Scene {
    /// What is kept. None: the clock rule held everything back, which is all that there is to check then.
    fn kept(&self) -> Option<Guids> {
        let forced = |s: &Snapshot| self.pinned.contains(&s.guid).then_some(Reason::Base);
        let plan = retention::plan(
            &Prefix::default(),
            &self.snapshots,
            &self.windows,
            self.now,
            forced,
        );
        let order: Vec<u64> = plan.verdicts.iter().map(|v| v.snapshot.createtxg).collect();
        assert!(
            order.is_sorted() && order.len() == self.snapshots.len(),
            "a verdict on each, oldest first"
        );
        assert!(
            !plan.suspicious || plan.verdicts.iter().all(|v| v.keep()),
            "a suspicious clock destroys nothing"
        );
        (!plan.suspicious).then(|| {
            plan.verdicts
                .iter()
                .filter(|v| v.keep())
                .map(|v| v.snapshot.guid)
                .collect()
        })
    }

    fn prune(&mut self) {
        if let Some(kept) = self.kept() {
            self.snapshots.retain(|s| kept.contains(&s.guid));
        }
    }

    fn owned(&self) -> impl Iterator<Item = &Snapshot> {
        self.snapshots.iter().filter(|s| is_owned(s))
    }

    fn newest(&self) -> Option<&Snapshot> {
        self.owned().max_by_key(|s| s.createtxg)
    }

    fn reference(&self) -> i64 {
        self.newest()
            .map_or(self.now, |newest| newest.creation.min(self.now))
    }

    fn is_forced(&self, s: &Snapshot) -> bool {
        let newest = self.newest().is_some_and(|newest| newest.guid == s.guid);
        !is_owned(s)
            || newest
            || s.held
            || s.cloned
            || s.creation > self.now
            || self.pinned.contains(&s.guid)
    }

    fn with(&self, snapshots: impl IntoIterator<Item = Snapshot>) -> Scene {
        Scene {
            snapshots: snapshots.into_iter().collect(),
            ..self.clone()
        }
    }

    /// The contract's rule, by its words: for each snapshot and window look at every other snapshot.
    fn by_the_words(&self) -> Option<Guids> {
        let owned: Vec<&Snapshot> = self.owned().collect();
        let wants = |w: &Window, s: &Snapshot| {
            let mine = bucket(w.period, s.creation);
            let is_oldest = !owned
                .iter()
                .any(|o| o.createtxg < s.createtxg && bucket(w.period, o.creation) == mine);
            is_oldest
                && w.max_age
                    .is_none_or(|age| end(w.period, mine) > before(age, self.reference()))
        };
        let keep = |s: &&Snapshot| self.is_forced(s) || self.windows.iter().any(|w| wants(w, s));
        let kept: Guids = self.snapshots.iter().filter(keep).map(|s| s.guid).collect();
        let destroys = self.snapshots.len() - kept.len();
        (!(follows_a_leap(&owned) && destroys * 2 > owned.len())).then_some(kept)
    }
}

/// By its form; the planner parses the name instead.
fn is_owned(s: &Snapshot) -> bool {
    s.name.starts_with("zam_2") && s.name.ends_with('Z')
}

fn follows_a_leap(owned: &[&Snapshot]) -> bool {
    let mut owned = owned.to_vec();
    owned.sort_by_key(|s| s.createtxg);
    (1..owned.len())
        .any(|i| owned[i].creation - owned[i - 1].creation > 30 * DAY && owned.len() - i < 20)
}

fn date(year: i64, month0: i64, day: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year as i32, month0 as u32 + 1, day)
}

fn epoch(day: u32) -> NaiveDate {
    date(1970, 0, day).expect("a date")
}

fn bucket(period: Period, time: i64) -> i64 {
    let date = DateTime::from_timestamp(time, 0)
        .expect("a time")
        .date_naive();
    match period {
        Period::Seconds(n) => time / n,
        Period::Days(n) => (date - epoch(1)).num_days() / n,
        Period::Weeks(n) => {
            (date.week(Weekday::Mon).first_day() - epoch(5)).num_weeks() / i64::from(n)
        }
        Period::Months(n) => months(time) / i64::from(n),
    }
}

fn months(time: i64) -> i64 {
    let date = DateTime::from_timestamp(time, 0).expect("a time");
    i64::from(date.year() - 1970) * 12 + i64::from(date.month0())
}

fn end(period: Period, bucket: i64) -> i64 {
    let next = bucket + 1;
    let date = match period {
        Period::Seconds(n) => return next * n,
        Period::Days(n) => epoch(1) + Days::new((next * n) as u64),
        Period::Weeks(n) => epoch(5) + Days::new((next * 7 * i64::from(n)) as u64),
        Period::Months(n) => epoch(1) + Months::new(next as u32 * n),
    };
    date.and_time(NaiveTime::MIN).and_utc().timestamp()
}

fn before(age: Span, time: i64) -> i64 {
    let month = months(time) - i64::from(age.months);
    let time = DateTime::from_timestamp(time, 0).expect("a time");
    let day = (1..=time.day())
        .rev()
        .find_map(|day| date(1970 + month / 12, month % 12, day))
        .expect("a day");
    day.and_time(time.time()).and_utc().timestamp() - i64::from(age.weeks) * 7 * DAY - age.seconds
}

fn any_window() -> impl Strategy<Value = Window> {
    let age = prop_oneof![1 => Just(None), 4 => select(&AGES[..]).prop_map(|age| Some(age.parse().expect(age)))];
    (select(&PERIODS[..]), age).prop_map(|(period, max_age)| Window {
        max_age,
        period: period.parse().expect(period),
    })
}

/// Without months below the day, of which see `at_the_end_of_a_month_the_limit_steps_back_by_less_than_a_day`.
fn a_window() -> impl Strategy<Value = Window> {
    any_window().prop_map(|w| match (w.period, w.max_age) {
        (Period::Seconds(_), Some(age)) if age.months > 0 => Window {
            max_age: "40d".parse().ok(),
            ..w
        },
        _ => w,
    })
}

/// Histories on a grid of seconds, 10 minutes, hours or days, so that they meet the edges of buckets. In a `wild` one
/// the clock steps back at times.
fn a_scene(wild: bool) -> impl Strategy<Value = Scene> {
    let unit = || select(&[1, 600, HOUR, DAY][..]);
    let history = prop::collection::vec((unit(), 0i64..30, 0u8..40), 0..60);
    let late = prop_oneof![Just(0), 0..2 * HOUR, -5 * DAY..0, 0..400 * DAY];
    let windows = prop::collection::vec(a_window(), 1..=4);
    (unit(), 0..800 * DAY, history, windows, late).prop_map(
        move |(grid, start, history, windows, late)| {
            let mut time = BEGIN + start / grid * grid;
            let mut snapshots = Vec::new();
            let mut pinned = HashSet::new();
            for (i, (unit, n, kind)) in history.into_iter().enumerate() {
                let gap = n * unit.max(grid);
                time += if wild && kind < 2 {
                    -gap
                } else {
                    gap * if kind == 2 { 2 } else { 1 }
                };
                let s = snapshot(i, time);
                let name = if (3..6).contains(&kind) {
                    "by hand".into()
                } else {
                    s.name
                };
                pinned.extend((kind == 6).then_some(s.guid));
                snapshots.push(Snapshot {
                    name,
                    held: kind == 7,
                    cloned: kind == 8,
                    ..s
                });
            }
            Scene {
                snapshots,
                windows,
                now: time + late,
                pinned,
            }
        },
    )
}

/// An owned one, named for another time than its creation: a name says only who owns it.
fn snapshot(i: usize, creation: i64) -> Snapshot {
    let name = Prefix::default().snapshot(BEGIN - 1000 * i as i64).into();
    let guid = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Snapshot {
        name,
        guid,
        createtxg: 10 + i as u64 * 5,
        creation,
        written: 0,
        held: false,
        cloned: false,
    }
}

/// The plan of a scene; a case that the clock rule decides ends here (see [`Scene::kept`], `the_clock_rule_is_rare`).
macro_rules! kept {
    ($scene:expr) => {
        match $scene.kept() {
            Some(kept) => kept,
            None => return Ok(()),
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn the_planner_follows_the_words(mut scene in a_scene(true), more in prop::collection::vec(any_window(), 0..2)) {
        scene.windows.extend(more);
        prop_assert_eq!(scene.kept(), scene.by_the_words());
    }

    #[test]
    fn idempotent(mut scene in a_scene(true)) {
        let kept = kept!(scene);
        scene.prune();
        prop_assert_eq!(kept!(scene), kept);
    }

    #[test]
    fn the_newest_the_forced_and_the_unowned_stay(scene in a_scene(true)) {
        let kept = kept!(scene);
        prop_assert!(scene.snapshots.iter().filter(|s| scene.is_forced(s)).all(|s| kept.contains(&s.guid)));
    }

    /// A refused run in between only puts off what the next one does.
    #[test]
    fn history_independent(scene in a_scene(false), pruned in any::<u64>(), delay in 0..3 * DAY) {
        let mut early = scene.with([]);
        for (i, s) in scene.snapshots.iter().enumerate() {
            early.now = scene.now.min(s.creation + delay);
            early.snapshots.push(s.clone());
            if pruned >> i & 1 == 1 {
                early.prune();
            }
        }
        early.now = scene.now;
        prop_assert_eq!(kept!(early), kept!(scene));
    }

    #[test]
    fn monotone_in_time(scene in a_scene(true), later in 0..400 * DAY) {
        let after = kept!(Scene { now: scene.now + later, ..scene.clone() });
        prop_assert!(after.is_subset(&kept!(scene)));
    }

    #[test]
    fn the_order_of_the_input_is_irrelevant(scene in a_scene(true), keys in prop::collection::vec(any::<u8>(), 60)) {
        let mut shuffled: Vec<_> = scene.snapshots.iter().cloned().zip(keys).collect();
        shuffled.sort_by_key(|(_, key)| *key);
        prop_assert_eq!(scene.with(shuffled.into_iter().map(|(s, _)| s)).kept(), scene.kept());
    }

    #[test]
    fn every_live_bucket_keeps_one(scene in a_scene(true)) {
        let kept = kept!(scene);
        for w in &scene.windows {
            let of = |s: &Snapshot| bucket(w.period, s.creation);
            let live = |bucket: &i64| w.max_age.is_none_or(|age| end(w.period, *bucket) > before(age, scene.reference()));
            let filled: BTreeSet<i64> = scene.owned().map(of).filter(live).collect();
            let served: BTreeSet<i64> = scene.owned().filter(|s| kept.contains(&s.guid)).map(of).collect();
            prop_assert!(filled.is_subset(&served), "{:?}", w);
        }
    }

    #[test]
    fn a_wider_window_deletes_no_more(scene in a_scene(true), at in any::<prop::sample::Index>(), more in select(&AGES[..]), ever in any::<bool>()) {
        let mut wider = scene.clone();
        let window = at.get(&scene.windows);
        let more: Span = more.parse().expect(more);
        let sum = |a: Span| Span { months: a.months + more.months, weeks: a.weeks + more.weeks, seconds: a.seconds + more.seconds };
        wider.windows[at.index(scene.windows.len())].max_age = window.max_age.filter(|_| !ever).map(sum);
        let kept = kept!(scene);
        prop_assert!(kept.is_subset(&kept!(wider)));
    }

    #[test]
    fn as_many_as_the_windows_have_buckets(scene in a_scene(false)) {
        let kept = kept!(scene);
        let first = scene.snapshots.first().map_or(scene.now, |s| s.creation);
        let reference = scene.reference();
        let buckets = |w: &Window| {
            let from = w.max_age.map_or(first, |age| before(age, reference));
            let length = match w.period {
                Period::Months(n) => (months(reference) - months(from)) / i64::from(n),
                other => (reference - from) / other.seconds(),
            };
            length.max(0) as usize + 2
        };
        let forced = scene.snapshots.iter().filter(|s| scene.is_forced(s)).count();
        prop_assert!(kept.len() <= scene.windows.iter().map(buckets).sum::<usize>() + forced);
    }

    /// With the clock stepping back, only as long as the newest, which is the reference, is not what somebody destroyed.
    #[test]
    fn a_destroyed_snapshot_pulls_no_other_along(scene in a_scene(true), wild in any::<bool>(), gone in any::<u64>()) {
        let mut scene = scene;
        let newest = scene.newest().map(|s| s.guid);
        if !wild {
            let mut times: Vec<i64> = scene.snapshots.iter().map(|s| s.creation).collect();
            times.sort();
            scene.snapshots.iter_mut().zip(times).for_each(|(s, time)| s.creation = time);
        }
        let kept = kept!(scene);
        let left = scene.snapshots.iter().enumerate().filter(|(i, s)| gone >> i & 1 == 0 || wild && Some(s.guid) == newest);
        let left = scene.with(left.map(|(_, s)| s.clone()));
        let still = kept!(left);
        let stayed = left.snapshots.iter().map(|s| s.guid).collect::<Guids>();
        prop_assert!(kept.intersection(&stayed).all(|guid| still.contains(guid)));
    }

    /// Bits of `acts` say when the source is pruned, the replica is pruned, and the replica is brought up to date.
    #[test]
    fn both_sides_end_with_the_same(scene in a_scene(false), acts in prop::collection::vec(0u8..8, 60)) {
        let plain = scene.snapshots.iter().filter(|s| is_owned(s)).map(|s| Snapshot { held: false, cloned: false, ..s.clone() });
        let whole = Scene { pinned: HashSet::new(), ..scene.with(plain) };
        let mut source = whole.with([]);
        let mut replica = whole.with([]);
        for (s, act) in whole.snapshots.iter().zip(acts.into_iter().chain([7])) {
            (source.now, replica.now) = (whole.now.min(s.creation), whole.now.min(s.creation));
            source.snapshots.push(s.clone());
            if act & 1 == 1 { source.prune() }
            if act & 2 == 2 { replica.prune() }
            if act & 4 == 4 { send(&source, &mut replica) }
        }
        send(&source, &mut replica);
        (source.now, replica.now) = (whole.now, whole.now);
        prop_assert_eq!(kept!(source), kept!(replica));
    }
}

/// All that is newer; another pool counts its transaction groups in another way.
fn send(source: &Scene, replica: &mut Scene) {
    let newest = replica.snapshots.last().map(|s| s.guid);
    let at = source
        .snapshots
        .iter()
        .position(|s| Some(s.guid) == newest)
        .map_or(0, |at| at + 1);
    let arrive = |s: &Snapshot| Snapshot {
        createtxg: s.createtxg * 3 + 7,
        ..s.clone()
    };
    replica
        .snapshots
        .extend(source.snapshots[at..].iter().map(arrive));
}

/// 29 March 10:00 and 30 March 09:00 less a month are both on 28 February, but in the wrong order, since the calendar
/// has no 29th: a limit may step back, by less than a day. With a period of a day or more no bucket ends between.
#[test]
fn at_the_end_of_a_month_the_limit_steps_back_by_less_than_a_day() {
    let month: Span = "1mo".parse().expect("a span");
    let march = 1_772_323_200; // 2026-03-01
    let limits: Vec<i64> = (0..24 * 34)
        .map(|hour| month.before(march + hour * HOUR))
        .collect();
    assert!(limits.windows(2).all(|pair| pair[1] > pair[0] - DAY) && !limits.is_sorted());
}

/// So the properties above look at nine in ten of their cases.
#[test]
fn the_clock_rule_is_rare() {
    let mut runner = TestRunner::deterministic();
    let scene = a_scene(true);
    let decided = |_: &usize| {
        scene
            .new_tree(&mut runner)
            .expect("a scene")
            .current()
            .kept()
            .is_none()
    };
    let share = (0..2_000).filter(decided).count();
    assert!((20..300).contains(&share), "{share} of 2000");
}

/// Daily snapshots, a leap of `gap` seconds, daily snapshots again, pruned to the last two; the first `held` are held.
fn leap(before: usize, gap: i64, after: usize, held: usize) -> Scene {
    let time = |i: usize| BEGIN + DAY * i as i64 + if i < before { 0 } else { gap - DAY };
    let snapshots = (0..before + after)
        .map(|i| Snapshot {
            held: i < held,
            ..snapshot(i, time(i))
        })
        .collect();
    let windows = vec![Window {
        max_age: "1d".parse().ok(),
        period: Period::Seconds(HOUR),
    }];
    Scene {
        snapshots,
        windows,
        now: time(before + after),
        pinned: HashSet::new(),
    }
}

#[test]
fn the_clock_rule_has_exact_edges() {
    let refuses = |scene: Scene| scene.kept().is_none();
    let over = 30 * DAY + 1;
    assert!(
        refuses(leap(10, over, 19, 0)) && !refuses(leap(10, over, 20, 0)),
        "20 snapshots make a leap believed"
    );
    assert!(!refuses(leap(10, 30 * DAY, 19, 0)), "30 days are no leap");
    // of 20 the last two stay by their window, and the first few are held
    let goes = |scene: &Scene| scene.snapshots.len() - scene.kept().map_or(0, |kept| kept.len());
    assert_eq!(goes(&leap(10, over, 10, 8)), 10, "exactly half may go");
    assert!(refuses(leap(10, over, 10, 7)), "one more may not");
}

#[test]
fn the_clock_rule_counts_owned_snapshots_alone() {
    let mut bridged = leap(10, 40 * DAY, 10, 0);
    let foreign = Snapshot {
        name: "by hand".into(),
        createtxg: 57,
        ..snapshot(99, BEGIN + 30 * DAY)
    };
    bridged.snapshots.extend((0..30).map(|i| Snapshot {
        guid: i + 1,
        ..foreign.clone()
    }));
    assert!(
        bridged.kept().is_none(),
        "a foreign one in the gap does not shorten it, nor make half of them stay"
    );
    let mut believed = leap(10, 40 * DAY, 30, 0);
    assert!(believed.kept().is_some());
    let again = believed.now + 40 * DAY;
    believed.snapshots.push(snapshot(40, again));
    believed.now = again;
    assert!(
        believed.kept().is_none(),
        "a second leap begins the count again"
    );
}

#[test]
fn what_the_clock_rule_kept_says_so() {
    let scene = leap(10, 40 * DAY, 10, 1);
    let plan = retention::plan(
        &Prefix::default(),
        &scene.snapshots,
        &scene.windows,
        scene.now,
        |_| None,
    );
    let reasons: Vec<&[Reason]> = plan.verdicts.iter().map(|v| v.reasons.as_slice()).collect();
    assert_eq!(
        (reasons[0], reasons[1]),
        (&[Reason::Held][..], &[Reason::SuspiciousClock][..])
    );
    assert!(plan.suspicious && reasons[19].contains(&Reason::Newest));
}
