//! `zam replicate` as it is installed, on a ZFS of rows (the script `zfs` beside this): what it marks, what it gives up,
//! and what it says when things are not as they should be.

use std::fs;

use zam::core::name::Prefix;
use zam::core::replication::set_aside;

use world::*;

mod rollbacks;
mod tokens;
mod world;

#[test]
fn a_cursor_that_an_absent_replica_may_need_stays_until_a_stream_has_arrived() {
    let world = World::new();
    world.holds("tank/a", &[6, 7]);
    world.bookmark(&cursor("tank/a", 5), 5);
    world.dataset("nas/tank", "-", "-");
    world.write("refuse", "out of space");
    for _ in 0..2 {
        let said = world.replicate("tank/a", 1);
        has(
            &said,
            "nas/tank/a is not there, although tank/a#zam_12345678_0000000000000005 says",
        );
        has(&said, "rename it back");
    }
    let marks = world
        .read("rows")
        .lines()
        .filter(|row| row.starts_with("tank/a#"))
        .count();
    assert_eq!(
        (world.has(&cursor("tank/a", 5)), marks),
        (true, 1),
        "and failing runs leave no marks of their own"
    );
    // Renamed back, it goes on from there.
    fs::remove_file(world.path("refuse")).expect("it refused");
    let before = world.read("rows");
    world.holds("nas/tank/a", &[4, 5]);
    world.replicate("tank/a", 0);
    assert!(
        world.was_asked("send -Lc -i tank/a#zam_12345678_0000000000000005"),
        "{}",
        world.read("log")
    );
    // If it stays away, a new one begins, and then the cursor goes.
    world.write("rows", &before);
    world.replicate("tank/a", 0);
    assert!(!world.has(&cursor("tank/a", 5)) && world.has(&cursor("tank/a", 7)));
}

/// Each bookmark of a run that fails would keep pruning away from one more snapshot, until the pool of the source is full.
#[test]
fn a_destination_that_refuses_again_and_again_holds_back_no_more_of_the_source() {
    for (hook, token) in [
        ("", ""),
        (GROWS_A_TOKEN, "\ttoguid = 0x3\n\tfromguid = 0x2\n"),
    ] {
        let world = World::new();
        world.dataset("nas/tank", "-", "-");
        world.holds("tank/a", &[1, 2]);
        world.replicate("tank/a", 0);
        world.write("refuse", "out of space");
        world.write("token", token);
        world.write("hook", hook);
        for guid in [3, 4, 5] {
            world.snapshot("tank/a", &name(guid), guid, 0);
            world.replicate("tank/a", 1);
            assert_eq!(world.cursors("tank/a"), [2, 3]);
        }
        // What was begun comes first, and then the rest, in one run.
        fs::remove_file(world.path("refuse")).expect("it refused");
        world.write("hook", "");
        world.remove(|name| name == "nas/tank/a");
        world.dataset("nas/tank/a", "-", "-");
        has(
            &world.zam(&["replicate", "-n", "tank/a"]).said,
            "then on from there",
        );
        world.replicate("tank/a", 0);
        assert_eq!(world.cursors("tank/a"), [5]);
        assert!(world.has(&format!("nas/tank/a@{}", name(5))));
    }
}

/// So does a first stream that is cut, or a tree that is pulled and waits for its top.
#[test]
fn a_first_stream_that_is_cut_again_and_again_holds_back_no_more_of_the_source() {
    let pulled = "hosts: {laptop: {ssh: root@localhost}}
destinations: {nas: {root: nas}}
datasets: {'laptop:tank': {recursive: true, destinations: [nas]}}";
    for (configuration, entry) in [(ENTRIES, "tank/a"), (pulled, "laptop:tank")] {
        let world = World::new();
        world.write("zam.yaml", configuration);
        world.snapshot("tank", &name(1), 1, 0);
        world.holds("tank/a", &[1, 2]);
        world.write("refuse", "invalid stream (checksum mismatch)");
        world.write("token", "\ttoguid = 0x1\n");
        if entry == "tank/a" {
            world.dataset("nas/tank", "-", "-");
            world.write("hook", GROWS_A_TOKEN);
        }
        for guid in [3, 4, 5] {
            let said = world.replicate(entry, 1);
            assert_eq!(
                world.cursors("tank/a"),
                [1, 2],
                "{entry} {guid}: {said}{}",
                world.read("log")
            );
            world.snapshot("tank/a", &name(guid), guid, 0);
        }
    }
}

/// The receiver keeps a part of the stream, and each time another one.
const GROWS_A_TOKEN: &str = r#"if [[ "$1 $2" == 'receive -s' ]]; then
  grep -v $'^nas/tank/a\t' "$rows" >"$rows.new"
  printf 'nas/tank/a\t77\t1\t1\tfilesystem\t0\t-\t1-%s\ton\n' $RANDOM >>"$rows.new"
  mv "$rows.new" "$rows"
fi
"#;

#[test]
fn the_newest_in_common_is_marked_before_a_divergence_is_reported() {
    let world = World::new();
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/a", &[1, 2, 3]);
    world.holds("nas/tank/a", &[1, 2]);
    world.snapshot("nas/tank/a", "foreign", 77, 512);
    has(&world.replicate("tank/a", 1), "zfs rollback -r nas/tank/a@");
    assert!(
        world.has(&cursor("tank/a", 2)) && !world.has(&cursor("tank/a", 3)),
        "{}",
        world.read("rows")
    );
    has(
        &world.zam(&["replicate", "-n", "--json", "tank/a"]).said,
        r#""state":"diverged","cause":"foreign-snapshots""#,
    );
    // Pruned, and mended as the message says.
    world
        .remove(|name| name == format!("tank/a@{}", self::name(2)) || name == "nas/tank/a@foreign");
    world.replicate("tank/a", 0);
}

#[test]
fn what_has_no_snapshot_yet_is_a_line_and_the_rest_arrives() {
    let world = World::new();
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/a", &[1, 2]);
    world.holds("tank/a/new", &[]);
    world.dataset("tank/a/half", "-", "1-abc");
    let said = world.replicate("tank/a", 0);
    has(
        &said,
        "tank/a/new has no snapshot of zam's yet, so there is nothing to send",
    );
    has(&said, "tank/a/half is itself still being received");
    assert!(world.has(&format!("nas/tank/a@{}", name(2))));
    has(
        &world.zam(&["status", "--json", "tank/a"]).said,
        r#""snapshots":2,"state":"ok","state_before":null,"why":null"#,
    );
    world.holds("tank/b", &[]);
    has(
        &world.replicate("tank/b", 0),
        "tank/b has no snapshot of zam's yet",
    );
}

#[test]
fn a_child_that_vanishes_at_any_step_is_a_line_and_no_failure() {
    for step in [
        "bookmark tank/a/kid",
        "send -Lc tank/a/kid",
        "receive -s -u -o readonly=on -o canmount=noauto nas/tank/a/kid",
    ] {
        let world = World::new();
        world.dataset("nas/tank", "-", "-");
        ["tank/a", "tank/a/kid", "tank/a/other"]
            .iter()
            .for_each(|dataset| world.holds(dataset, &[1, 2]));
        let vanish = r#"grep -v '^tank/a/kid' "$rows" >"$rows.new"; mv "$rows.new" "$rows"; touch "$FAKE/refuse""#;
        let vanish = if step.starts_with("receive") {
            vanish
        } else {
            vanish.split("; touch").next().unwrap_or(vanish)
        };
        world.write(
            "hook",
            &format!("rm -f \"$FAKE/refuse\"\nif [[ \"$*\" == '{step}'* ]]; then {vanish}; fi\n"),
        );
        let said = world.replicate("tank/a", 0);
        has(&said, "tank/a/kid is gone since this run began");
        assert!(
            world.has(&format!("nas/tank/a/other@{}", name(2))),
            "{step}: {}",
            world.read("rows")
        );
    }
    let world = World::new();
    has(&world.replicate("tank/a", 1), "tank/a does not exist");
}

#[test]
fn a_replica_that_is_renamed_while_it_is_listed_is_not_sent_anew() {
    let world = World::new();
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/a", &[1, 2]);
    world.holds("nas/tank/a", &[1]);
    world.write(
        "hook",
        r#"if [[ $* == *creation* ]]; then sed -i s,nas/tank/a,nas/tank/old, "$rows"; fi"#,
    );
    has(
        &world.replicate("tank/a", 75),
        "was renamed or replaced while they were listed",
    );
    assert!(
        !world.was_asked("send") && !world.was_asked("bookmark"),
        "{}",
        world.read("log")
    );
}

#[test]
fn a_plain_child_below_a_raw_replica_is_received_without_encryption() {
    let world = World::new();
    world.dataset("nas/tank", "-", "-");
    world.dataset("tank/a", "tank/a", "-");
    world.snapshot("tank/a", &name(1), 1, 0);
    world.holds("tank/a/plain", &[1]);
    world.replicate("tank/a", 0);
    assert!(
        world.was_asked("receive -s -u -o readonly=on -o canmount=noauto nas/tank/a"),
        "{}",
        world.read("log")
    );
    let plain =
        "receive -s -u -o readonly=on -o canmount=noauto -o encryption=off nas/tank/a/plain";
    assert!(world.was_asked(plain), "{}", world.read("log"));
    // In a vault it is encrypted by that.
    let vault = World::new();
    vault.write(
        "rows",
        &vault
            .read("rows")
            .replace("filesystem\t0\t-\t-\ton", "filesystem\t0\tnas\t-\ton"),
    );
    vault.dataset("nas/tank", "nas", "-");
    vault.holds("tank/b", &[1]);
    vault.replicate("tank/b", 0);
    assert!(!vault.was_asked("encryption=off"));
    vault.holds("tank/a", &[1]);
    vault.write("refuse", "inherited key must be loaded");
    has(&vault.replicate("tank/a", 1), "zfs load-key nas");
}

#[test]
fn two_halves_of_a_split_mirror_used_in_turn_both_go_on() {
    let world = World::new();
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/a", &[3, 4, 5]);
    world.bookmark(&cursor("tank/a", 5), 5);
    world.holds("nas/tank/a", &[3]);
    let aside = format!("tank/a#{}", set_aside(&Prefix::default(), ROOT, 5));
    let said = world.replicate("tank/a", 0);
    has(&said, "half of a split mirror");
    has(&said, &format!("zfs destroy '{aside}'"));
    assert!(
        world.has(&aside) && world.has(&cursor("tank/a", 5)) && !world.has(&cursor("tank/a", 3)),
        "{}",
        world.read("rows")
    );
    // Time goes by with this half: everything up to 7 is pruned.
    world.remove(|name| name.starts_with("tank/a@"));
    [7, 8]
        .iter()
        .for_each(|guid| world.snapshot("tank/a", &name(*guid), *guid, 0));
    world.replicate("tank/a", 0);
    assert!(
        world.has(&aside) && world.has(&cursor("tank/a", 8)) && !world.has(&cursor("tank/a", 5))
    );
    // The other half is back.
    world.remove(|name| name.starts_with("nas/tank/a"));
    world.holds("nas/tank/a", &[3, 5]);
    world.replicate("tank/a", 0);
    assert!(
        world.has(&format!("nas/tank/a@{}", name(8))) && !world.has(&aside),
        "{}",
        world.read("rows")
    );
}

#[test]
fn a_source_that_cannot_be_written_to_is_sent_without_marks() {
    let world = World::new();
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/a", &[1, 2, 3]);
    world.bookmark(&cursor("tank/a", 1), 1);
    world.holds("nas/tank/a", &[1]);
    world.write("read-only", "");
    has(
        &world.replicate("tank/a", 0),
        "the pool tank is read-only, so no bookmark can mark what is sent",
    );
    assert!(world.has(&format!("nas/tank/a@{}", name(3))) && world.has(&cursor("tank/a", 1)));
    // Cursors of a run that failed before cannot be swept, and hold nothing back.
    world.bookmark(&cursor("tank/a", 3), 3);
    [4, 5]
        .iter()
        .for_each(|guid| world.snapshot("tank/a", &name(*guid), *guid, 0));
    world.bookmark(&cursor("tank/a", 4), 4);
    world.replicate("tank/a", 0);
    assert!(world.has(&format!("nas/tank/a@{}", name(5))));
}

#[test]
fn a_destination_inside_its_source_under_another_name_of_this_machine_is_refused() {
    let world = World::new();
    world.write(
        "zam.yaml",
        "hosts: {me: {ssh: root@localhost}}
destinations: {nas: {host: me, root: tank/zam}}
datasets: {tank: {recursive: true, destinations: [nas]}}",
    );
    world.snapshot("tank", &name(1), 1, 0);
    world.holds("tank/zam", &[1]);
    has(
        &world.replicate("tank", 1),
        "the destination's root tank/zam on me is tank/zam itself",
    );
    assert!(
        !world.was_asked("send") && !world.was_asked("bookmark"),
        "{}",
        world.read("log")
    );
}

/// Another disk's bookmark is older than the rollback, which takes that of the disk in use.
#[test]
fn a_job_remembers_where_it_sent_so_that_a_rollback_makes_nobody_forget_it() {
    let world = World::new();
    world.write(
        "zam.yaml",
        "destinations: {nas: {root: nas, replication-period: 1h}}
datasets: {tank/b: {windows: [{max-age: 1d, period: 1d}], destinations: [nas]}}",
    );
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/b", &[1, 2, 3, 4]);
    let other = Prefix::default().bookmark(ROOT + 1, 1);
    world.bookmark(&format!("tank/b#{other}"), 1);
    let words = ["replicate", "--to", "nas", "tank/b"];
    let ran = world.job("replicate:nas-tank-b", &words);
    assert_eq!(ran.code, 0, "{}", ran.said);
    let lost = format!("tank/b@{}", name(4));
    world.remove(|row| row == lost || row == cursor("tank/b", 4));
    let pruning = world.zam(&["prune", "-n", "tank/b"]).said;
    let kept = format!("tank/b@{}  (a destination may have it", name(2));
    has(&pruning, &kept);
}

#[test]
fn what_waits_for_its_parent_is_not_marked() {
    let world = World::new();
    world.write("zam.yaml", &ENTRIES.replace("tank/b", "tank/a/x/y"));
    world.holds("tank/a/x/y", &[1, 2]);
    let why = "waits for its parent nas/tank/a, which `zam replicate tank/a` brings";
    let planned = world.zam(&["replicate", "-n", "tank/a/x/y"]).said;
    has(&planned, &format!("  not yet: nas/tank/a/x/y {why}"));
    has(&world.replicate("tank/a/x/y", 75), why);
    assert!(!world.was_asked("bookmark"), "{}", world.read("log"));
}

#[test]
fn what_would_wait_for_a_parent_that_no_timer_brings_fails() {
    let world = World::new();
    world.write(
        "zam.yaml",
        "destinations: {nas: {root: nas}}
datasets: {tank/a: {destinations: [nas]}, tank/a/x: {destinations: [{to: nas, replication-period: 1h}]}}",
    );
    world.holds("tank/a", &[1]);
    world.holds("tank/a/x", &[2]);
    let said = world.replicate("tank/a/x", 1);
    has(
        &said,
        "waits for its parent nas/tank/a, which no timer brings: zam replicate tank/a",
    );
    world.dataset("nas/tank", "-", "-");
    world.replicate("tank/a", 0);
    world.replicate("tank/a/x", 0);
}

#[test]
fn what_waits_for_a_parent_without_a_snapshot_is_not_marked() {
    let pulled = "hosts: {laptop: {ssh: root@localhost}}
destinations: {nas: {root: nas}}
datasets: {'laptop:tank': {recursive: true, destinations: [nas]}}";
    let pushed = "destinations: {nas: {root: nas}}
datasets: {tank: {recursive: true, destinations: [nas]}}";
    let snapshot = pushed.replace("recursive", "snapshot-period: 1h, recursive");
    for (configuration, entry, code, advice) in [
        (pulled, "laptop:tank", 1, "snapshot tank on laptop too"),
        (
            pushed,
            "tank",
            1,
            "let what snapshots tank/a snapshot tank too",
        ),
        (&snapshot, "tank", 75, "which has no snapshot of zam's yet"),
    ] {
        let world = World::new();
        world.write("zam.yaml", configuration);
        world.holds("tank/a", &[1, 2]);
        has(&world.replicate(entry, code), advice);
        assert!(!world.was_asked("bookmark"), "{}", world.read("log"));
        world.snapshot("tank", &name(3), 3, 0);
        world.replicate(entry, 0);
        assert_eq!(world.cursors("tank/a"), [2]);
    }
}

/// What a machine receives and sends on lies below datasets that were made to hold it.
#[test]
fn below_what_only_holds_others_everything_arrives_once_that_is_made_as_the_error_says() {
    let world = World::new();
    world.write(
        "zam.yaml",
        "destinations: {nas: {root: nas}}\ndatasets: {tank/all: {recursive: true, destinations: [nas]}}",
    );
    world.dataset("tank/all", "-", "-");
    world.holds("tank/all/a", &[1, 2]);
    let said = world.replicate("tank/all", 1);
    has(
        &said,
        "make its replica: zfs create -u -o canmount=off nas/tank && zfs create -u -o canmount=off nas/tank/all",
    );
    world.dataset("nas/tank", "-", "-");
    world.dataset("nas/tank/all", "-", "-");
    has(
        &world.replicate("tank/all", 0),
        "tank/all has no snapshot of zam's yet, so there is nothing to send",
    );
    assert!(world.has(&format!("nas/tank/all/a@{}", name(2))));
}

#[test]
fn snapshots_that_a_machine_takes_of_a_replica_are_told() {
    let world = World::new();
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/a", &[1, 2]);
    world.holds("nas/tank/a", &[1]);
    world.snapshot("nas/tank/a", &name(50), 50, 0);
    let said = world.replicate("tank/a", 0);
    has(&said, "somebody snapshots the replica");
    has(
        &said,
        &format!("what it has in common with its source, @{}", name(1)),
    );
}

#[test]
fn a_mend_in_a_message_is_quoted_where_a_name_has_a_space() {
    let world = World::new();
    world.write("zam.yaml", &ENTRIES.replace("tank/b", "tank/my data"));
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/my data", &[1]);
    world.holds("nas/tank/my data", &[2]);
    has(
        &world.replicate("tank/my data", 1),
        "zfs rename 'nas/tank/my data' 'nas/tank/my data-old'",
    );
}
