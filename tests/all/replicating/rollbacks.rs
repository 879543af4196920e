//! Somebody rolls a source back, or replaces it by a clone of itself, while its destination is away: no bookmark says any
//! more what the destination has. Pruning must not take what both have in common, however the replication had gone.

use std::fs;

use zam::core::name::destination_id;

use super::world::*;

/// Replicates tank/b, whose snapshots 1 to 6 are there, in some way.
type Story = fn(&World);

const STORIES: [(&str, Story); 10] = [
    ("all is well", |world| {
        world.replicate("tank", 0);
    }),
    ("another dataset of the entry diverged", |world| {
        world.holds("nas/tank", &[1]);
        world.holds("nas/tank/c", &[90]);
        world.replicate("tank", 1);
    }),
    ("another dataset's stream is refused for ever", |world| {
        world.replicate("tank", 0);
        world.snapshot("tank/c", &name(8), 8, 0);
        world.snapshot("tank/b", &name(7), 7, 0);
        world.write("hook", NO_C);
        world.replicate("tank", 1);
        world.write("hook", "");
    }),
    ("it was replicated alone", |world| {
        world.dataset("nas/tank", "-", "-");
        world.replicate("tank/b", 0);
    }),
    (
        "the replica was there, and its stream is refused",
        |world| {
            world.dataset("nas/tank", "-", "-");
            world.holds("nas/tank/b", &[1, 2, 3, 4, 5]);
            world.write("refuse", "out of space");
            world.replicate("tank/b", 1);
            fs::remove_file(world.path("refuse")).expect("it refused");
        },
    ),
    ("the destination was called otherwise", |world| {
        world.replicate("tank", 0);
        let renamed = CONFIG.replace("nas: {root", "olympus: {root");
        world.write("zam.yaml", &renamed.replace("[nas]", "[olympus]"));
    }),
    ("the entry was another one", |world| {
        world.replicate("tank", 0);
        world.write("zam.yaml", &CONFIG.replace("{tank:", "{tank/b:"));
    }),
    ("another disk is behind the name since", |world| {
        world.replicate("tank", 0);
        let before = world.read("rows");
        world.remove(|name| name.starts_with("nas/"));
        let root = ROOT.to_string();
        world.write("rows", &world.read("rows").replace(&root, "77"));
        world.replicate("tank", 0);
        let of_the_other = format!("run/done/arrived-nas-tank@{:08x}", destination_id(77));
        fs::remove_file(world.path(&of_the_other)).expect("its file");
        world.write("rows", &before);
    }),
    ("the last stream was cut after a part of it", |world| {
        world.remove(|name| [4, 5, 6].iter().any(|guid| name == of_b(*guid)));
        world.replicate("tank", 0);
        for guid in [4, 5, 6] {
            world.snapshot("tank/b", &name(guid), guid, 0);
        }
        world.write("hook", CUTS_B);
        world.replicate("tank", 1);
        world.write("hook", "");
    }),
    ("zam was killed while it sent another dataset", |world| {
        world.holds("tank/b/kid", &[1]);
        world.write("hook", KILLS);
        world.zam(&["replicate", "tank"]);
        world.write("hook", "");
    }),
];

const CONFIG: &str = "destinations: {nas: {root: nas, replication-period: 1h}}
datasets: {tank: {recursive: true, snapshot-period: 1h, windows: [{max-age: 1d, period: 1d}], destinations: [nas]}}";

/// ZFS takes nothing for this replica.
const NO_C: &str = r#"[[ "$1 ${!#}" != 'receive nas/tank/c' ]] || { echo 'cannot receive: out of space' >&2; exit 1; }"#;

/// Of what is sent to this replica, two snapshots arrive.
const CUTS_B: &str = r#"if [[ "$1 ${!#}" == 'receive nas/tank/b' ]]; then
  stream=$(head -n 2 <<<"$stream")
  trap 'echo "cannot receive: out of space" >&2; exit 1' EXIT
fi"#;

const KILLS: &str = r#"[[ "$1 ${!#}" != 'receive nas/tank/b/kid' ]] || { kill -9 $PPID; exit 1; }"#;

/// The full name of a snapshot of tank/b.
fn of_b(guid: u64) -> String {
    format!("tank/b@{}", name(guid))
}

fn begin() -> World {
    let world = World::new();
    world.write("zam.yaml", CONFIG);
    world.snapshot("tank", &name(1), 1, 0);
    world.holds("tank/b", &[1, 2, 3, 4, 5, 6]);
    world.holds("tank/c", &[1]);
    world
}

/// What `zfs rollback -r tank/b@4` leaves, and the snapshots that came then.
fn roll_back(world: &World) {
    let guid = |name: &str| {
        let rows = world.read("rows");
        let row = rows
            .lines()
            .find(|row| row.split('\t').next() == Some(name));
        row.and_then(|row| row.split('\t').nth(1)?.parse::<u64>().ok())
    };
    let is_of_b = |name: &str| name.starts_with("tank/b@") || name.starts_with("tank/b#");
    world.remove(|name| is_of_b(name) && guid(name).is_some_and(|guid| guid > 4));
    for guid in [20, 30, 40, 50] {
        world.snapshot("tank/b", &name(guid), guid, 0);
    }
}

/// What is left when a clone of tank/b@4 was promoted, and got the name.
fn promote(world: &World) {
    roll_back(world);
    world.remove(|name| name.starts_with("tank/b#") || name == "tank/b");
    world.dataset("tank/b", "-", "-");
}

/// What is left when tank/b was lost, and restored from its replica up to 4: the transaction groups are others.
fn restore(world: &World) {
    promote(world);
    let mut rows = String::new();
    for row in world.read("rows").lines() {
        let mut fields: Vec<String> = row.split('\t').map(str::to_owned).collect();
        if fields[0].starts_with("tank/b@") {
            fields[2].insert(0, '9');
        }
        rows += &(fields.join("\t") + "\n");
    }
    world.write("rows", &rows);
}

#[test]
fn what_both_have_in_common_stays_when_a_source_is_rolled_back() {
    let changes: [fn(&World); 3] = [roll_back, promote, restore];
    for (story, replicate) in STORIES {
        for change in changes {
            let world = begin();
            replicate(&world);
            change(&world);
            let pruned = world.zam(&["prune", "tank/b"]);
            assert_eq!(pruned.code, 0, "{story}: {}", pruned.said);
            let left = [4, 20, 50].map(|guid| world.has(&of_b(guid)));
            assert_eq!(left, [true, false, true], "{story}: {}", pruned.said);
        }
    }
}

/// The guard is no more than that: what no destination has goes, and what a destination has got anew.
#[test]
fn what_no_destination_needs_goes_after_a_rollback() {
    let world = begin();
    roll_back(&world);
    world.zam(&["prune", "tank/b"]);
    assert!(!world.has(&of_b(4)));

    let world = begin();
    world.replicate("tank", 0);
    roll_back(&world);
    has(&world.replicate("tank", 1), "zfs rollback");
    has(
        &world.zam(&["prune", "tank/b"]).said,
        "6 snapshots destroyed",
    );
    assert_eq!(world.cursors("tank/b"), [4]);
}

/// Each run would else remember a newer snapshot that never goes there, and pruning would keep more and more.
#[test]
fn a_destination_whose_token_cannot_be_given_up_holds_back_no_more() {
    let world = World::new();
    world.dataset("nas/tank", "-", "-");
    world.holds("tank/a", &[2, 3]);
    world.dataset("nas/tank/a", "-", "1-abc");
    world.snapshot("nas/tank/a", &name(2), 2, 0);
    world.bookmark(&cursor("tank/a", 1), 1);
    world.write("token", "\ttoguid = 0x1\n");
    world.write("hook", REFUSES_TO_GIVE_UP);
    for guid in [4, 5, 6] {
        world.snapshot("tank/a", &name(guid), guid, 0);
        has(&world.replicate("tank/a", 1), "receive -A");
        let known = world.read("run/done/arrived-nas-tank-a@12345678");
        assert_eq!(known, "2 20240201T020000Z tank/a\n");
    }
}

const REFUSES_TO_GIVE_UP: &str = r#"[[ "$1 $2" != 'receive -A' ]] ||
  { echo 'cannot destroy: permission denied' >&2; exit 1; }"#;

/// It is in no record; but the job had sent everything.
#[test]
fn what_a_clone_under_a_new_name_has_in_common_stays() {
    let world = begin();
    let words = ["replicate", "tank", "--to", "nas"];
    assert_eq!(world.job("replicate:nas-tank", &words).code, 0);
    promote(&world);
    let rows = world.read("rows");
    world.write("rows", &rows.replace("\ntank/b", "\ntank/new"));
    world.zam(&["prune", "tank"]);
    assert!(world.has(&of_b(4).replace("tank/b", "tank/new")));
}

/// It has recorded that its job succeeded, and no more; another destination has its bookmarks.
#[test]
fn what_an_earlier_zam_has_sent_stays() {
    let world = begin();
    let words = ["replicate", "tank", "--to", "nas"];
    assert_eq!(world.job("replicate:nas-tank", &words).code, 0);
    fs::remove_file(world.path("run/done/arrived-nas-tank@12345678")).expect("its file");
    roll_back(&world);
    world.bookmark(&format!("tank/b#zam_0000abcd_{:016x}", 50), 50);
    world.zam(&["prune", "tank/b"]);
    assert!(world.has(&of_b(4)));
}

/// It ended with an error, and yet has brought the first snapshot.
#[test]
fn what_a_first_stream_has_brought_stays_though_it_failed() {
    let world = begin();
    world.dataset("nas/tank", "-", "-");
    world.write("hook", FAILS_AFTERWARDS);
    world.replicate("tank/b", 1);
    world.write("hook", "");
    promote(&world);
    world.zam(&["prune", "tank/b"]);
    assert!(world.has(&of_b(1)));
}

const FAILS_AFTERWARDS: &str = r#"[[ "$1 ${!#}" != 'receive nas/tank/b' ]] ||
  trap 'echo "cannot receive: connection lost" >&2; exit 1' EXIT"#;

/// Whoever throws a disk away, and then its bookmarks, is told what is left of it.
#[test]
fn a_destination_that_is_gone_for_good_is_forgotten_with_its_file() {
    let world = begin();
    world.replicate("tank", 0);
    let renamed = CONFIG.replace("nas: {root: nas", "new: {root: new");
    world.write("zam.yaml", &renamed.replace("[nas]", "[new]"));
    world.add("new\t77\t1\t1\tfilesystem\t0\t-\t-\ton");
    world.replicate("tank", 0);
    world.remove(|row| row.starts_with("tank/b#zam_12345678"));
    let shown = world.zam(&["prune", "-n", "tank/b"]).said;
    has(&shown, "if it is gone for good, see arrived-*@12345678");
    fs::remove_file(world.path("run/done/arrived-nas-tank@12345678")).expect("its file");
    let pruned = world.zam(&["prune", "tank/b"]).said;
    has(&pruned, "4 snapshots destroyed");
}
