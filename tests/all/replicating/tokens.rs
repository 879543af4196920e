//! What a resume token at the replica leads to.

use serde_json::Value;

use super::world::*;

#[test]
fn a_token_that_is_not_provably_ours_is_reported_and_stays() {
    for token in ["toguid = 0xdead\n", "no token at all\n"] {
        let world = World::new();
        world.dataset("nas/tank", "-", "-");
        world.holds("tank/a", &[1, 2]);
        world.dataset("nas/tank/a", "-", "1-abc");
        world.write("token", token);
        let mend = "if nobody needs it: zfs receive -A nas/tank/a";
        let planned = world.zam(&["replicate", "-n", "--json", "tank/a"]).said;
        let plans: Value = serde_json::from_str(&planned).expect("JSON");
        has(plans[0]["obstacle"].as_str().unwrap_or_default(), mend);
        has(&world.replicate("tank/a", 1), mend);
        assert!(
            world.has("nas/tank/a") && !world.was_asked("receive") && !world.was_asked("bookmark"),
            "{}",
            world.read("log")
        );
    }
    let world = World::new();
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/a", &[2, 3]);
    world.dataset("nas/tank/a", "-", "1-abc");
    world.bookmark(&cursor("tank/a", 1), 1);
    world.write("token", "\ttoguid = 0x1\n");
    world.replicate("tank/a", 0);
    assert!(
        world.was_asked("receive -A nas/tank/a") && world.has(&format!("nas/tank/a@{}", name(3)))
    );
}

/// The pool of the source was imported under another name: ZFS looks for the snapshot of a token in the pool of its name.
#[test]
fn a_token_that_zfs_cannot_resume_is_discarded_and_the_rest_arrives() {
    let world = World::new();
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/a", &[1, 2]);
    world.dataset("nas/tank/a", "-", "1-abc");
    world.write("token", "\ttoguid = 0x1\n");
    world.write(
        "hook",
        r#"if [[ "$1 $2" == 'send -t' ]]; then
  echo "cannot resume send: 'old/a@1' used in the initial send no longer exists" >&2
  exit 255
fi
"#,
    );
    world.replicate("tank/a", 0);
    assert!(world.was_asked("receive -A nas/tank/a"));
    assert!(world.has(&format!("nas/tank/a@{}", name(2))));
}

/// A stream of days brings what a run had begun. Pruning keeps that, and takes what was the newest when it was resumed.
#[test]
fn after_the_rest_of_a_stream_the_newest_arrives_though_others_were_pruned_meanwhile() {
    let world = World::new();
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/a", &[2, 5, 10]);
    [2, 5]
        .iter()
        .for_each(|guid| world.bookmark(&cursor("tank/a", *guid), *guid));
    world.dataset("nas/tank/a", "-", "1-abc");
    world.snapshot("nas/tank/a", &name(2), 2, 0);
    world.write("token", "\ttoguid = 0x5\n\tfromguid = 0x2\n");
    let newest = name(10);
    let newer = name(11);
    world.write(
        "hook",
        &format!(
            r#"if [[ "$1 $2" == 'send -t' ]]; then
  awk '!/^tank.a@{newest}/' "$rows" >"$rows.new" && mv "$rows.new" "$rows"
  printf 'tank/a@{newer}\t11\t11\t{BEGIN}\tsnapshot\t0\t-\t-\t-\n' >>"$rows"
  echo '{} 5 {BEGIN}'
  exit
fi
"#,
            name(5)
        ),
    );
    let said = world.replicate("tank/a", 0);
    assert!(world.has(&format!("nas/tank/a@{newer}")), "{said}");
    assert_eq!(world.cursors("tank/a"), [11]);
}

/// The network of an earlier run went silent, and the other machine has not noticed.
#[test]
fn an_earlier_receive_that_still_runs_there_is_waited_for() {
    let world = World::new();
    world.write(
        "zam.yaml",
        "hosts: {far: {ssh: root@localhost}}
destinations: {nas: {host: far, root: nas}}
datasets: {tank/a: {destinations: [nas]}}",
    );
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/a", &[1]);
    world.dataset("nas/tank/a", "-", "1-abc");
    world.write("token", "\ttoguid = 0x1\n");
    world.write(
        "hook",
        r#"[[ "$1 $2" != 'send -t' ]] || { echo x; exit; }
if [[ "$1 $2" == 'receive -s' ]]; then
  echo 'cannot receive resume stream: destination nas/tank/a contains partially-complete state from "zfs receive -s".' >&2
  exit 1
fi
"#,
    );
    let said = world.replicate("tank/a", 75);
    has(&said, "an earlier `zfs receive` still runs there");
    assert!(!world.was_asked("receive -A"));
}

/// ZFS then says of a token what it says when the pool has another name.
#[test]
fn parts_stay_when_the_pool_of_the_source_goes_away() {
    let world = World::new();
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/a", &[1]);
    world.holds("nas/tank/a", &[1]);
    world.bookmark(&cursor("tank/a", 1), 1);
    world.holds("tank/a/b", &[3]);
    world.dataset("nas/tank/a/b", "-", "1-abc");
    world.write("token", "\ttoguid = 0x3\n");
    world.write(
        "hook",
        r#"if [[ "$1 $2" == 'send -t' ]]; then
  awk '!/^tank/' "$rows" >"$rows.new" && mv "$rows.new" "$rows"
  echo "cannot resume send: 'tank/a@1' used in the initial send no longer exists" >&2
  exit 255
fi
"#,
    );
    let said = world.replicate("tank/a", 1);
    has(&said, "no longer exists");
    assert!(world.has("nas/tank/a/b") && !world.was_asked("receive -A"));
}

/// By the second look the other machine is out of reach, which would be 75.
#[test]
fn a_second_pass_that_cannot_begin_hides_no_failure_of_the_first() {
    for (has_diverged_child, code) in [(false, 75), (true, 1)] {
        let world = World::new();
        world.write(
            "zam.yaml",
            "hosts: {far: {ssh: root@localhost}}
destinations: {nas: {host: far, root: nas}}
datasets: {tank/a: {recursive: true, destinations: [nas]}}",
        );
        world.dataset("nas/tank", "-", "-");
        world.holds("tank/a", &[2, 5, 10]);
        world.bookmark(&cursor("tank/a", 2), 2);
        world.bookmark(&cursor("tank/a", 5), 5);
        world.dataset("nas/tank/a", "-", "1-abc");
        world.snapshot("nas/tank/a", &name(2), 2, 0);
        world.write("token", "\ttoguid = 0x5\n\tfromguid = 0x2\n");
        if has_diverged_child {
            world.holds("tank/a/b", &[20]);
            world.holds("nas/tank/a/b", &[21]);
        }
        let resumed = name(5);
        world.write(
            "hook",
            &format!(
                r#"if [[ "$1 $2" == 'send -t' ]]; then
  touch "$FAKE/gone"
  echo '{resumed} 5 {BEGIN}'
  exit
fi
if [[ -e $FAKE/gone && "$* " == 'list '*' nas '* ]]; then
  echo 'ssh: connect to host localhost port 22: Connection refused' >&2
  exit 255
fi
"#
            ),
        );
        let said = world.replicate("tank/a", code);
        has(&said, "Connection refused");
        assert!(world.has(&format!("nas/tank/a@{resumed}")), "{said}");
        assert_eq!(said.contains("the replica diverged"), has_diverged_child);
    }
}

/// A user that may send and receive, and not destroy, on this machine.
#[test]
fn what_this_user_may_not_give_up_is_left_to_pruning_where_that_will_do_it() {
    let users = "user: zam\nprune-user: zam-prune\n";
    let pruned = "prune-period: 1d, windows: [{max-age: 1d, period: 1h}]";
    let later = "its pruning gives that up: zam prune --to nas tank/a";
    let now = "let somebody who may run: zfs receive -A nas/tank/a";
    for (users, destination, code, advice) in [
        (users, pruned, 75, later),
        ("user: zam\nprune-user: zam\n", pruned, 1, now),
        (users, "replication-period: 1h", 1, now),
    ] {
        let world = World::new();
        world.write(
            "zam.yaml",
            &format!(
                "{users}destinations: {{nas: {{root: nas, {destination}}}}}\ndatasets: {{tank/a: {{destinations: [nas]}}}}"
            ),
        );
        world.dataset("nas/tank", "-", "-");
        world.holds("tank/a", &[2, 3]);
        world.dataset("nas/tank/a", "-", "1-abc");
        world.bookmark(&cursor("tank/a", 1), 1);
        world.write("token", "\ttoguid = 0x1\n");
        world.write(
            "hook",
            "[[ \"$1 $2\" != 'receive -A' ]] || { echo 'cannot destroy: permission denied' >&2; exit 1; }\n",
        );
        has(&world.replicate("tank/a", code), advice);
    }
}
