//! The simulation: what it holds at the end against retention's rule applied once to all that was ever taken, its slots
//! against the calendar, and what `zam simulate` prints of the example. `BLESS=1 cargo test` rewrites that.

use chrono::{DateTime, Weekday};
use proptest::prelude::*;
use proptest::sample::select;
use zam::core::config::{Config, Window};
use zam::core::fault::Source;
use zam::core::gate::Moment;
use zam::core::listing::Snapshot;
use zam::core::load::load;
use zam::core::name::Prefix;
use zam::core::retention;
use zam::core::simulate::summary::{Growth, growth};
use zam::core::simulate::{Side, play};

use crate::common;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn at(time: &str) -> i64 {
    DateTime::parse_from_rfc3339(time).expect(time).timestamp()
}

fn config(text: &str) -> Config {
    let (config, faults) = load(&[Source {
        path: "zam.yaml".into(),
        text: text.into(),
    }])
    .expect("it parses");
    assert_eq!(faults, [], "{text}");
    config
}

/// A clock on the wall that is ahead of UTC by `offset` seconds.
fn wall(epoch: i64, offset: i64) -> Moment {
    let local = epoch + offset;
    let weekday = Weekday::try_from(((local.div_euclid(DAY) + 3) % 7) as u8).expect("a day"); // 1970 began on a Thursday
    Moment {
        epoch,
        wall: local,
        weekday,
        minute: (local.rem_euclid(DAY) / 60) as u32,
    }
}

fn played(text: &str, from: i64, until: i64) -> Vec<Side> {
    play(
        &Prefix::default(),
        &config(text).entries[0],
        from,
        until,
        &|epoch| wall(epoch, 0),
    )
}

/// The snapshots that one run of pruning at `now` keeps, of those taken at these times.
fn kept(windows: &[Window], taken: impl Iterator<Item = i64>, now: i64) -> Vec<i64> {
    let snapshot = |(i, creation)| {
        let name = Prefix::default().snapshot(creation).into();
        let guid = i as u64 + 1;
        Snapshot {
            name,
            guid,
            createtxg: guid,
            creation,
            written: 0,
            held: false,
            cloned: false,
        }
    };
    let snapshots: Vec<Snapshot> = taken.enumerate().map(snapshot).collect();
    let plan = retention::plan(&Prefix::default(), &snapshots, windows, now, |_| None);
    assert!(!plan.suspicious);
    plan.verdicts
        .iter()
        .filter(|v| v.keep())
        .map(|v| v.snapshot.creation)
        .collect()
}

/// In the text of a configuration. Months are taken off by the calendar, where a limit can step back by less than a day.
fn windows() -> impl Strategy<Value = String> {
    let short = (
        select(&["1d", "2d", "3d", "1w"][..]),
        select(&["10min", "30min", "1h", "7h"][..]),
    );
    let long = (
        select(&["1w", "3w", "1mo"][..]),
        select(&["1d", "2d", "1w"][..]),
    );
    let window = |(age, period)| format!("{{max-age: {age}, period: {period}}}");
    prop::collection::vec(
        prop_oneof![short.prop_map(window), long.prop_map(window)],
        1..4,
    )
    .prop_map(|all| all.join(", "))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    /// Pruning and replicating again and again, with what each run needs of those before it, ends where one run would.
    #[test]
    fn both_sides_hold_what_their_windows_promise(
        here in windows(),
        there in windows(),
        snapshot in select(&[600, 1800, HOUR][..]),
        prune in select(&[HOUR, 3 * HOUR, DAY][..]),
        replicate in select(&[HOUR, 2 * HOUR, DAY][..]),
        minutes in 1..45 * 24 * 60i64,
    ) {
        let text = format!(
            "destinations: {{nas: {{root: b/zam, replication-period: {replicate}s, prune-period: {replicate}s, windows: [{there}]}}}}\n\
             datasets: {{tank/a: {{snapshot-period: {snapshot}s, prune-period: {prune}s, destinations: [nas],\n\
             windows: [{{max-age: 1d, period: {snapshot}s}}, {here}]}}}}"
        );
        let from = at("2026-01-20T00:00:00Z");
        let config = config(&text);
        let until = from + minutes * 60;
        let entry = &config.entries[0];
        let sides = play(&config.prefix, entry, from, until, &|epoch| wall(epoch, 0));
        let last = |period: i64| (until - 1).div_euclid(period) * period;
        let taken = |until: i64| (from..=until).step_by(snapshot as usize);

        let pruned = last(prune);
        let promised = kept(&entry.windows, taken(pruned), pruned).into_iter().chain(taken(until - 1).filter(|at| *at > pruned));
        prop_assert_eq!(&sides[0].holds, &promised.collect::<Vec<_>>());
        let replicated = last(replicate);
        prop_assert_eq!(&sides[1].holds, &kept(&entry.destinations[0].windows, taken(replicated), replicated));
        prop_assert!(sides.iter().all(|side| side.days.last() == Some(&side.holds.len()) && side.peak >= side.holds.len()));
    }
}

/// One per 1h for 1d: the buckets of 24 hours and the one that ends with the reference, which is 25 snapshots on the
/// evening of the second day for the first time.
#[test]
fn it_stops_growing_on_the_first_day_that_has_all() {
    let text = "datasets: {tank: {snapshot-period: 1h, windows: [{max-age: 1d, period: 1h}]}}";
    let from = at("2026-11-24T00:00:00Z");
    let side = |days: i64| played(text, from, from + days * DAY).remove(0);
    let four = side(4);
    assert_eq!(
        (&*four.days, four.peak, growth(&four)),
        (&[24, 25, 25, 25][..], 26, Growth::Steady(1))
    );
    assert_eq!(growth(&side(1)), Growth::Filling);
    assert_eq!(
        growth(&side(2)),
        Growth::Filling,
        "a day has to follow that has no more"
    );
}

/// Pruned at 23:00 to what ends after 21:00; at midnight the base of the day before is long gone, and its bookmark is not.
#[test]
fn a_replication_goes_on_from_its_bookmark() {
    let text = "destinations: {nas: {root: b/zam, replication-period: 1d}}\n\
                datasets: {tank: {snapshot-period: 1h, windows: [{max-age: 2h, period: 1h}], destinations: [nas]}}";
    let from = at("2026-11-24T00:00:00Z");
    let sides = played(text, from, from + 2 * DAY + HOUR);
    let hours: Vec<i64> = sides[1].holds.iter().map(|at| (at - from) / HOUR).collect();
    assert_eq!(hours, [0, 21, 22, 23, 24, 45, 46, 47, 48]);
}

#[test]
fn what_nothing_prunes_grows_for_ever() {
    let windows = |prune: &str, windows: &str| {
        let text = format!(
            "destinations: {{nas: {{root: b/zam, replication-period: 1h{prune}, windows: [{windows}]}}}}\n\
             datasets: {{tank: {{snapshot-period: 1h, destinations: [nas]}}}}"
        );
        let from = at("2026-11-24T00:00:00Z");
        played(&text, from, from + 60 * DAY)
            .iter()
            .map(growth)
            .collect::<Vec<_>>()
    };
    let hourly = Growth::Unpruned {
        more: 28 * 24,
        days: 28,
    };
    assert_eq!(
        windows("", "{max-age: 1d, period: 1h}"),
        [hourly.clone(), hourly.clone()]
    );
    let monthly = "{max-age: 1d, period: 1h}, {period: 1y}, {period: 1mo}";
    assert_eq!(
        windows(", prune-period: 1d", monthly),
        [hourly, Growth::OneMorePer("1mo".parse().expect("a period"))]
    );
}

/// When a job that replicates `every` so often runs: nothing but the first snapshot is wanted besides the newest.
fn runs(
    every: &str,
    idle: &str,
    from: &str,
    days: i64,
    clock: &dyn Fn(i64) -> Moment,
) -> Vec<String> {
    let text = format!(
        "destinations: {{nas: {{root: b/zam, replication-period: {every}, idle: {{{idle}}}, windows: [{{period: 100y}}]}}}}\n\
         datasets: {{tank: {{snapshot-period: 15min, destinations: [nas]}}}}"
    );
    let config = config(&text);
    let sides = play(
        &config.prefix,
        &config.entries[0],
        at(from),
        at(from) + days * DAY,
        clock,
    );
    let time = |at: &i64| {
        DateTime::from_timestamp(*at, 0)
            .expect("a time")
            .format("%m-%d %H:%M")
            .to_string()
    };
    sides[1].holds.iter().map(time).collect()
}

/// Berlin leaves summer time on 2026-10-25 and begins it on 2027-03-28, both at 01:00 UTC.
fn berlin(epoch: i64) -> Moment {
    let winter = at("2026-10-25T01:00:00Z")..at("2027-03-28T01:00:00Z");
    wall(
        epoch,
        if winter.contains(&epoch) {
            HOUR
        } else {
            2 * HOUR
        },
    )
}

/// The times as `systemd-analyze calendar` lists them: the first of an hour that comes twice, and none of one that is left out.
#[test]
fn slots_follow_the_clock_on_the_wall() {
    let night = r#"windows: ["01:00-04:00"]"#;
    let autumn = [
        "10-24 23:00",
        "10-24 23:30",
        "10-25 00:00",
        "10-25 00:30",
        "10-25 02:00",
        "10-25 02:30",
    ];
    // the first run brings the first snapshot besides
    let first = |time: &str| [&[time.to_owned()][..], &[]].concat();
    assert_eq!(
        runs("30min", night, "2026-10-24T12:00:00Z", 1, &berlin),
        [first("10-24 12:00"), autumn.map(String::from).into()].concat()
    );
    let spring = ["03-28 00:00", "03-28 00:30", "03-28 01:00", "03-28 01:30"];
    assert_eq!(
        runs("30min", night, "2027-03-27T12:00:00Z", 1, &berlin),
        [first("03-27 12:00"), spring.map(String::from).into()].concat()
    );
}

#[test]
fn a_job_that_is_asked_more_often_runs_once_a_period() {
    let utc = |epoch| wall(epoch, 0);
    // 2026-11-25 is a Wednesday
    assert_eq!(
        runs("1w", "on-ac-power: true", "2026-11-25T00:00:00Z", 14, &utc),
        ["11-25 00:00", "11-30 00:00", "12-07 00:00"]
    );
    let night = r#"windows: ["22:00-06:00"], user-idle: 15min"#;
    assert_eq!(
        runs("1d", night, "2026-11-25T12:00:00Z", 2, &utc),
        ["11-25 12:00", "11-25 22:00", "11-26 22:00"]
    );
}

fn zam(arguments: &[&str]) -> String {
    let mut command = common::zam();
    let output = command
        .args(arguments)
        .envs([("TZ", "UTC"), ("COLUMNS", "80")])
        .output()
        .expect("zam starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_example_looks_as_recorded() {
    let drawn = tempfile::NamedTempFile::new().expect("a file");
    let svg = drawn.path().to_str().expect("UTF-8");
    let text = zam(&[
        "--config",
        "zam.yaml.example",
        "simulate",
        "--from",
        "2026-11-24T00:00:00Z",
        "--svg",
        svg,
    ]);
    let picture = std::fs::read_to_string(svg).expect("the picture");
    for (file, got) in [
        ("tests/simulate/example.txt", text),
        ("tests/simulate/example.svg", picture),
    ] {
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(file, &got).expect(file);
        }
        assert_eq!(
            std::fs::read_to_string(file).unwrap_or_default(),
            got,
            "{file}"
        );
    }
}

#[test]
fn json_has_every_entry_though_those_alike_are_played_once() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = "hosts: {laptop: {ssh: zam@laptop}}\n\
                defaults: {snapshot-period: 6h, windows: [{max-age: 1d, period: 6h}]}\n\
                destinations: {nas: {root: b/zam, replication-period: 1d, prune-period: 1d, windows: [{max-age: 1w, period: 1d}]}}\n\
                datasets: {tank/a: {}, tank/b: {destinations: [nas]}, tank/c: {}}";
    std::fs::write(&file, text).expect("the configuration");
    let path = file.path().to_str().expect("UTF-8");
    let run = [
        "--config",
        path,
        "simulate",
        "--json",
        "--from",
        "2026-11-24T00:00:00Z",
        "--for",
        "3d",
    ];
    let all: serde_json::Value = serde_json::from_str(&zam(&run)).expect("JSON");
    let names: Vec<&str> = all
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|entry| entry["dataset"].as_str())
        .collect();
    assert_eq!(names, ["tank/a", "tank/b", "tank/c"]);
    assert_eq!(all[0]["sides"], all[2]["sides"]);
    assert_eq!(all[0]["sides"][0], all[1]["sides"][0]);
    // every 6 hours for a day: four and the one that has just gone out of it
    let day = |date: &str, count: u32| serde_json::json!({"date": date, "count": count});
    let days = [
        day("2026-11-24", 4),
        day("2026-11-25", 5),
        day("2026-11-26", 5),
    ];
    assert_eq!(all[0]["sides"][0]["days"], serde_json::json!(days));
    assert_eq!(
        (
            &all[0]["sides"][0]["steady_from"],
            &all[0]["sides"][0]["peak"]
        ),
        (&"2026-11-25".into(), &6.into())
    );
    let replica = serde_json::json!({
        "destination": "nas", "snapshots_at_end": 3, "peak": 3, "steady_from": null,
        "days": [day("2026-11-24", 1), day("2026-11-25", 2), day("2026-11-26", 3)],
        "holds": ["2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"],
    });
    assert_eq!(all[1]["sides"][1], replica);
    let one: serde_json::Value =
        serde_json::from_str(&zam(&[&run[..], &["tank/b"]].concat())).expect("JSON");
    assert_eq!(one, serde_json::json!([all[1]]));
}
