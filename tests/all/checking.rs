//! `zam check` from one hour to the next, as systemd runs it: what it remembers, and when it tells something anew.

use std::fs;

use chrono::TimeDelta;
use serde_json::Value;
use zam::edge::clock::now;

use crate::outside::{SSH, World};

const CONFIG: &str = "\
hosts: {far: {ssh: root@far}}
destinations: {away: {host: far, root: backup/zam, replication-period: 1h, alert-after: 2d}}
datasets: {tank/home: {snapshot-period: 1d, destinations: [away]}}
";
const SILENT: &str =
    "#!/bin/sh\necho 'ssh: connect to host far port 22: No route to host' >&2; exit 255\n";
const RECORD: &str = "state/done/check.json";

/// A machine whose pool is in this health.
fn world(health: &str) -> World {
    let world = World::new();
    world.write("zam.yaml", CONFIG);
    world.write("bin/ssh", SSH);
    world.hold(&[6, 1], &[6, 1]);
    pool(&world, health);
    world
}

fn pool(world: &World, health: &str) {
    let script = format!("#!/bin/sh\nprintf 'tank\\t{health}\\t10\\nbackup\\tONLINE\\t10\\n'\n");
    world.write("bin/zpool", &script);
}

/// The last line of a check that failed; none when it did not.
fn news(world: &World) -> Option<String> {
    let output = world.zam(&["check", "--record"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().last().unwrap_or_default().to_owned();
    (!output.status.success()).then_some(last)
}

fn record(world: &World) -> Value {
    serde_json::from_str(&world.read(RECORD)).expect("a record")
}

fn missing_since(world: &World) -> Value {
    record(world)["datasets"][0]["destinations"][0]["missing_since"].clone()
}

/// So many days go by, of which the record tells.
fn pass(world: &World, days: i64) {
    let mut record = record(world);
    let since = &mut record["datasets"][0]["destinations"][0]["missing_since"];
    if let Some(time) = since.as_str() {
        let time: chrono::DateTime<chrono::Utc> = time.parse().expect("a time");
        *since = serde_json::to_value(time - TimeDelta::days(days)).expect("a time");
    }
    world.write(RECORD, &record.to_string());
}

fn succeed(world: &World, user: &str, days: i64) {
    let folder = match user {
        "root" => "state/done".to_owned(),
        user => format!("state/users/{user}/done"),
    };
    fs::create_dir_all(world.path(&folder)).expect("a folder");
    let time = (now() - TimeDelta::days(days)).timestamp();
    let file = format!("{folder}/replicate:away-tank-home");
    world.write(&file, &time.to_string());
}

#[test]
fn what_was_never_there_is_stale_after_alert_after() {
    let unreachable = |world: &World| world.write("bin/ssh", SILENT);
    let never = |world: &World| world.hold(&[6, 1], &[]);
    let cases: [fn(&World); 2] = [unreachable, never];
    for miss in cases {
        let world = world("ONLINE");
        miss(&world);
        assert_eq!(news(&world), None, "it has just been configured");
        for _ in 0..2 {
            pass(&world, 1);
            let before = missing_since(&world);
            assert_eq!((news(&world), missing_since(&world)), (None, before));
        }
        pass(&world, 1);
        let told = news(&world).expect("news");
        assert!(told.ends_with("tank/home to away (stale)"), "{told}");
        world.write("bin/ssh", SSH);
        world.hold(&[6, 1], &[6, 1]);
        assert_eq!((news(&world), missing_since(&world)), (None, Value::Null));
        miss(&world);
        assert_eq!(news(&world), None, "it was there an hour ago");
    }
}

#[test]
fn neither_another_user_nor_a_success_dated_ahead_makes_a_silence_shorter_for_ever() {
    for (user, days) in [("root", -400), ("former", 1)] {
        let world = world("ONLINE");
        world.write("bin/ssh", SILENT);
        succeed(&world, user, days);
        assert_eq!(news(&world), None);
        pass(&world, 3);
        assert!(news(&world).is_some(), "{user}");
    }
    // The record of the user who checked before, until there is another.
    let world = world("ONLINE");
    world.write("bin/ssh", SILENT);
    assert_eq!(news(&world), None);
    pass(&world, 3);
    let before = "state/users/former/done";
    fs::create_dir_all(world.path(before)).expect("a folder");
    let file = world.path(before).join("check.json");
    fs::rename(world.path(RECORD), file).expect("a record");
    assert!(news(&world).is_some());
}

/// The source was made so many days ago.
fn made(world: &World, days: i64) {
    let time = (now() - TimeDelta::days(days)).timestamp();
    let row = format!("tank/home\t9\t2\t{time}\t");
    let table = world.read("table").replace("tank/home\t9\t2\t100\t", &row);
    assert!(table.contains(&row));
    world.write("table", &table);
}

#[test]
fn datasets_that_come_and_go_are_not_missing() {
    let world = world("ONLINE");
    world.hold(&[6, 1], &[]);
    assert_eq!(news(&world), None);
    for days in [1, 3] {
        pass(&world, 3);
        world.hold(&[1], &[]);
        made(&world, days);
        assert_eq!(news(&world).is_some(), days == 3);
    }
}

/// Pruning gives up what was never sent.
#[test]
fn a_source_that_keeps_its_snapshots_for_less_than_alert_after_hides_no_silence() {
    let world = world("ONLINE");
    for days in 0..4 {
        world.hold(&[1, 0], &[]);
        assert_eq!(news(&world).is_some(), days > 2, "day {days}");
        pass(&world, 1);
    }
}

/// Its pool may be asleep.
#[test]
fn what_was_grave_when_it_was_last_reached_is_not_over_while_it_is_out_of_reach() {
    let world = world("ONLINE");
    world.hold(&[3, 2], &[4]);
    let diverged = news(&world);
    assert!(diverged.is_some());
    for _ in 0..2 {
        world.write("bin/ssh", SILENT);
        assert_eq!(news(&world), diverged);
    }
    world.write("bin/ssh", SSH);
    assert_eq!(news(&world), diverged);
    world.hold(&[6, 1], &[6, 1]);
    assert_eq!(news(&world), None);
}

/// As with a disk that is plugged in between two checks.
#[test]
fn what_was_grave_is_over_once_a_job_has_reached_it() {
    let world = world("ONLINE");
    world.hold(&[6, 1], &[6]);
    assert!(news(&world).is_some());
    world.write("bin/ssh", SILENT);
    assert!(news(&world).is_some());
    let mut before = record(&world);
    before["time"] = serde_json::to_value(now() - TimeDelta::hours(1)).expect("a time");
    world.write(RECORD, &before.to_string());
    succeed(&world, "root", 0);
    for _ in 0..2 {
        assert_eq!(news(&world), None);
    }
}

#[test]
fn what_was_well_an_hour_ago_is_not_stale_at_once() {
    let world = world("ONLINE");
    succeed(&world, "root", 3);
    assert_eq!(news(&world), None);
    world.write("bin/ssh", SILENT);
    assert_eq!(news(&world), None);
    pass(&world, 3);
    assert!(news(&world).is_some());
}

#[test]
fn a_source_without_its_first_snapshot_is_late_after_two_periods() {
    let world = world("ONLINE");
    world.hold(&[], &[]);
    assert_eq!(news(&world), None);
    let mut record = record(&world);
    record["datasets"][0]["missing_since"] =
        serde_json::to_value(now() - TimeDelta::days(3)).expect("a time");
    world.write(RECORD, &record.to_string());
    let told = news(&world).expect("news");
    assert!(told.contains("tank/home (late)"), "{told}");
}

#[test]
fn a_success_that_is_known_says_since_when() {
    for (days, is_stale) in [(1, false), (3, true)] {
        let world = world("ONLINE");
        world.write("bin/ssh", SILENT);
        succeed(&world, "root", days);
        assert_eq!(news(&world).is_some(), is_stale);
    }
}

#[test]
fn what_grows_worse_is_told_anew_and_what_stays_is_not() {
    let world = world("DEGRADED");
    world.hold(&[6, 1], &[6]);
    let mut told = Vec::new();
    let worse: [fn(&World); 4] = [
        |_| {},
        |world| world.hold(&[5, 1], &[5]),
        |world| pool(world, "FAULTED"),
        |world| world.hold(&[3, 2], &[4]),
    ];
    for change in worse {
        change(&world);
        told.push(news(&world).expect("news"));
    }
    assert_eq!(told[0], told[1]);
    told.dedup();
    let expected = [
        "tank/home to away (stale), pool tank (degraded)",
        "tank/home to away (stale), pool tank (faulted)",
        "tank/home to away (diverged), pool tank (faulted)",
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.ends_with(expected), "{told}");
    }
}
