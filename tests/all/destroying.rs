//! What the real program destroys and takes while somebody else acts between its steps: tests/destroying/zfs stands in for
//! ZFS, and what each test names happens before one of its calls.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::common::{path_with, zam};

const CONFIG: &str = "
destinations: {local: {root: backup/zam, replication-period: 1h, prune-period: 1d, windows: [{max-age: 1h, period: 1h}]}}
datasets:
  tank: {recursive: true, snapshot-period: 1h, windows: [{max-age: 1h, period: 1h}], destinations: [local]}
";
const DAY: i64 = 86_400;
/// 2024-01-01T00:00:00Z
const BEGIN: i64 = 1_704_067_200;

struct Machine(TempDir);

/// What a run left to see.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Machine {
    /// With datasets (and their snapshots, one a day) as `tank/a 5` says: what nothing keeps are all but the newest.
    fn new(datasets: &[(&str, i64)]) -> Self {
        let machine = Machine(TempDir::new().expect("a directory"));
        for directory in ["bin", "run", "state"] {
            fs::create_dir(machine.path(directory)).expect("a directory");
        }
        fs::write(machine.path("bin/zfs"), include_str!("../destroying/zfs")).expect("the fake");
        fs::set_permissions(machine.path("bin/zfs"), PermissionsExt::from_mode(0o755))
            .expect("executable");
        fs::write(machine.path("zam.yaml"), CONFIG).expect("the configuration");
        for (index, (name, snapshots)) in datasets.iter().enumerate() {
            machine.add(&rows(name, 1000 * (index as i64 + 1), *snapshots));
        }
        machine.meanwhile("");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn add(&self, rows: &str) {
        fs::write(self.path("rows"), self.read("rows") + rows).expect("rows");
    }

    /// Somebody else, in bash, before each call; `call N WHAT` is true before the Nth call that begins with WHAT.
    fn meanwhile(&self, script: &str) {
        let call = "call() { [[ $(tail -n 1 calls) == \"$2\"* && $(grep -c \"^$2\" calls) == \"$1\" ]]; }\n";
        fs::write(self.path("meanwhile"), format!("{call}{script}\n")).expect("somebody else");
    }

    fn zam(&self, arguments: &str) -> Ran {
        let path = path_with(&self.path("bin"));
        let output = zam()
            .arg("--config")
            .arg(self.path("zam.yaml"))
            .args(arguments.split(' '))
            .env("PATH", path)
            .env("FAKE", self.0.path())
            .env("ZAM_RUN", self.path("run"))
            .env("ZAM_STATE", self.path("state"))
            .env_remove("JOURNAL_STREAM")
            .output()
            .expect("zam");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// GUIDs of the snapshots of `dataset`, in their order.
    fn guids(&self, dataset: &str) -> Vec<i64> {
        let cells = |row: &str| row.split('\t').map(String::from).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = self.read("rows").lines().map(cells).collect();
        let of = rows.iter().filter(|row| {
            row[0]
                .split_once('@')
                .is_some_and(|(name, _)| name == dataset)
        });
        of.map(|row| row[2].parse().expect("a GUID")).collect()
    }

    fn calls(&self, verb: &str) -> usize {
        self.read("calls")
            .lines()
            .filter(|call| call.starts_with(verb))
            .count()
    }
}

/// A dataset with the GUID `guid`, and its snapshots, one a day, with those that follow.
fn rows(name: &str, guid: i64, snapshots: i64) -> String {
    let dataset = format!("{name}\tfilesystem\t{guid}\t1\t{BEGIN}\t-\t-\n");
    let day = |n: i64| {
        format!(
            "{name}@{}\tsnapshot\t{}\t{}\t{}\t0\t-\n",
            snapshot(n),
            guid + n,
            100 + n,
            BEGIN + n * DAY
        )
    };
    dataset + &(1..=snapshots).map(day).collect::<String>()
}

/// The name of the snapshot of the Nth day.
fn snapshot(n: i64) -> String {
    let day = chrono::DateTime::from_timestamp(BEGIN + n * DAY, 0).expect("a day");
    day.format("zam_%Y%m%dT%H%M%SZ").to_string()
}

#[track_caller]
fn expect(ran: &Ran, code: i32, stdout: &str, stderr: &str) {
    let found = ran.code == code && ran.stdout.contains(stdout) && ran.stderr.contains(stderr);
    assert!(
        found,
        "exit {}, wanted {code}, {stdout:?}, {stderr:?}\n{}\n{}",
        ran.code, ran.stdout, ran.stderr
    );
}

#[test]
fn what_nothing_keeps_goes_and_each_dataset_that_loses_costs_one_listing_more() {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 5), ("tank/b", 4), ("tank/c", 1)]);
    let ran = machine.zam("prune tank");
    expect(&ran, 0, "tank/a: 4 snapshots destroyed, 1 kept\n", "");
    expect(&ran, 0, "tank/b: 3 snapshots destroyed, 1 kept\n", "");
    assert_eq!(
        (
            machine.guids("tank/a"),
            machine.guids("tank/b"),
            machine.guids("tank/c")
        ),
        (vec![2005], vec![3004], vec![4001])
    );
    assert_eq!((machine.calls("list"), machine.calls("destroy")), (3, 2));
    expect(&machine.zam("prune tank"), 0, "", "");
    assert_eq!(
        (machine.calls("list"), machine.calls("destroy")),
        (4, 2),
        "nothing to do is one process"
    );
}

#[test]
fn a_thousand_snapshots_go_a_hundred_at_a_time() {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 250)]);
    expect(
        &machine.zam("prune tank"),
        0,
        "tank/a: 249 snapshots destroyed, 1 kept\n",
        "",
    );
    assert_eq!(
        (machine.guids("tank/a"), machine.calls("destroy")),
        (vec![2250], 3)
    );
}

#[test]
fn a_dry_run_prints_no_dataset_without_snapshots_and_destroys_nothing() {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 2)]);
    let ran = machine.zam("prune -n --json tank");
    expect(
        &ran,
        0,
        r#"[{"dataset":"tank/a","destination":null,"snapshots":[{"name":"zam_20240102T000000Z","keep":false"#,
        "",
    );
    assert_eq!((machine.calls("list"), machine.calls("destroy")), (1, 0));
}

/// A cursor of a destination on the Nth snapshot of tank/a.
fn cursor(n: i64) -> String {
    let guid = 2000 + n;
    format!(
        r"printf 'tank/a#zam_0000abcd_{guid:016x}\tbookmark\t{guid}\t{}\t1\t-\t-\n' >>rows",
        100 + n
    )
}

#[test]
fn a_transfer_that_begins_after_the_listing_keeps_what_lies_between_its_cursors() {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 9)]);
    machine.meanwhile(&format!(
        "if call 2 list; then {}; {}; fi",
        cursor(3),
        cursor(6)
    ));
    expect(
        &machine.zam("prune tank"),
        0,
        "tank/a: 4 snapshots destroyed, 5 kept (it has changed since it was listed)",
        "",
    );
    assert_eq!(machine.guids("tank/a"), [2003, 2004, 2005, 2006, 2009]);
    machine.meanwhile("");
    expect(&machine.zam("prune tank"), 0, "", "");
    assert_eq!(machine.guids("tank/a"), [2003, 2004, 2005, 2006, 2009]);
}

#[test]
fn a_dataset_put_in_the_place_of_another_loses_nothing() {
    for guid in [7000, 2001] {
        let machine = Machine::new(&[("tank", 0), ("tank/a", 9), ("tank/b", 3)]);
        fs::write(machine.path("other"), rows("tank/a", guid, 5)).expect("another");
        let swap = "sed -i 's,^tank/a,tank/a-old,' rows; cat other >>rows; touch swapped";
        machine.meanwhile(&format!(
            "if [[ $(tail -n 1 calls) == *tank/a && ! -f swapped ]]; then {swap}; fi"
        ));
        let ran = machine.zam("prune tank");
        expect(
            &ran,
            75,
            "tank/b: 2 snapshots destroyed, 1 kept",
            "tank/a was replaced by another since it was listed",
        );
        assert_eq!(machine.guids("tank/a").len(), 5);
        assert_eq!(machine.guids("tank/a-old").len(), 9);
        machine.meanwhile("");
        expect(
            &machine.zam("prune tank"),
            0,
            "tank/a: 4 snapshots destroyed",
            "",
        );
    }
}

#[test]
fn a_snapshot_that_has_the_name_of_one_that_was_judged_stays() {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 5)]);
    // Rolled back to the second and taken again: equal names, other GUIDs.
    machine.meanwhile(
        "if call 2 list; then sed -Ei 's/(tank.a@zam_2024010[456].*snapshot\\t)20/\\199/' rows; fi",
    );
    expect(
        &machine.zam("prune tank"),
        0,
        "tank/a: 2 snapshots destroyed, 3 kept",
        "",
    );
    assert_eq!(machine.guids("tank/a"), [9903, 9904, 9905]);
}

#[test]
fn a_rollback_after_the_listing_leaves_the_newest_that_is_left() {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 5)]);
    machine.meanwhile("if call 2 list; then sed -i '/^tank.a@zam_2024010[56]/d' rows; fi");
    expect(
        &machine.zam("prune tank"),
        0,
        "tank/a: 2 snapshots destroyed, 1 kept",
        "",
    );
    assert_eq!(machine.guids("tank/a"), [2003]);
}

#[test]
fn a_snapshot_renamed_after_the_listing_is_judged_by_its_new_name() {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 4)]);
    // Two names change places with others; one is given away to what is not ours.
    machine.meanwhile(
        "if call 2 list; then sed -i 's/@zam_20240102/@keep/; s/@zam_20240103/@zam_20240109/; s/@zam_20240105/@zam_20240103/' rows; fi",
    );
    expect(
        &machine.zam("prune tank"),
        0,
        "tank/a: 2 snapshots destroyed, 2 kept",
        "",
    );
    assert_eq!(machine.guids("tank/a"), [2001, 2004]);
}

#[test]
fn a_hold_a_clone_or_a_newer_snapshot_that_comes_after_the_listing_counts() {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 5)]);
    machine.meanwhile("if call 2 list; then sed -Ei '/20240102T/s/0\\t-$/1\\t-/; /20240103T/s/-$/tank\\/clone/' rows; fi");
    expect(
        &machine.zam("prune tank"),
        0,
        "tank/a: 2 snapshots destroyed, 3 kept",
        "",
    );
    assert_eq!(machine.guids("tank/a"), [2001, 2002, 2005]);
}

#[test]
fn one_that_is_held_as_the_command_runs_stays_with_the_reason_and_the_others_go() {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 9)]);
    machine.meanwhile("if call 1 destroy; then sed -Ei '/20240104T/s/0\\t-$/1\\t-/' rows; fi");
    let ran = machine.zam("prune tank");
    expect(
        &ran,
        1,
        "tank/a: 7 snapshots destroyed, 2 kept",
        &format!("tank/a@{} stays: ", snapshot(3)),
    );
    assert!(ran.stderr.contains("it's being held"), "{}", ran.stderr);
    assert_eq!(machine.guids("tank/a"), [2003, 2009]);
}

#[test]
fn after_a_refusal_the_dataset_is_looked_at_again() {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 9)]);
    fs::write(machine.path("other"), rows("tank/a", 7000, 5)).expect("another");
    machine.meanwhile(
        "if call 1 destroy; then echo 'cannot destroy snapshots: out of space' >&2; \
         sed -i 's,^tank/a,tank/a-old,' rows; cat other >>rows; exit 1; fi",
    );
    expect(&machine.zam("prune tank"), 75, "", "was replaced");
    assert_eq!(
        (
            machine.guids("tank/a").len(),
            machine.guids("tank/a-old").len()
        ),
        (5, 9)
    );
}

/// Of nine snapshots at the source the replica has six.
fn with_a_replica() -> Machine {
    let machine = Machine::new(&[
        ("tank", 0),
        ("tank/a", 9),
        ("backup/zam", 0),
        ("backup/zam/tank", 0),
    ]);
    machine.add(&rows("backup/zam/tank/a", 2000, 6));
    machine
}

#[test]
fn a_replica_is_looked_at_again_as_well() {
    let machine = with_a_replica();
    fs::write(machine.path("other"), rows("backup/zam/tank/a", 7000, 5)).expect("another");
    let swap = "sed -i 's,^backup/zam/tank/a,backup/old,' rows; cat other >>rows";
    machine.meanwhile(&format!("if call 3 list; then {swap}; fi"));
    expect(
        &machine.zam("prune --to local tank"),
        75,
        "",
        "backup/zam/tank/a was replaced",
    );
    assert_eq!(
        (
            machine.guids("backup/zam/tank/a").len(),
            machine.guids("backup/old").len()
        ),
        (5, 6)
    );
}

/// What both have in common is older then, or nothing.
#[test]
fn the_source_of_a_replica_is_looked_at_again_too() {
    for (rolled_back, code, left) in [
        ("/^tank.a@zam_202401(0[5-9]|10)/d", 0, vec![2003, 2006]),
        ("/^tank.a@/d", 75, vec![2001, 2002, 2003, 2004, 2005, 2006]),
        (
            "s/^tank.a@/tank\\/moved@/",
            75,
            vec![2001, 2002, 2003, 2004, 2005, 2006],
        ),
    ] {
        let machine = with_a_replica();
        machine.meanwhile(&format!(
            "if call 3 list; then sed -Ei '{rolled_back}' rows; fi"
        ));
        expect(&machine.zam("prune --to local tank"), code, "", "");
        assert_eq!(machine.guids("backup/zam/tank/a"), left, "{rolled_back}");
    }
}

#[test]
fn a_saved_listing_without_what_is_to_be_pruned_is_an_error() {
    let machine = Machine::new(&[]);
    let file = machine.path("saved");
    fs::write(&file, "").expect("a listing");
    let file = file.display();
    expect(
        &machine.zam(&format!("prune -n --snapshots {file} tank")),
        1,
        "",
        "has no tank",
    );
    fs::write(machine.path("saved"), "tank\t1\t2\t3\t-\t-\n").expect("a listing");
    let ran = machine.zam(&format!("prune -n --to local --snapshots {file} tank"));
    expect(&ran, 1, "", "has no backup/zam/tank");
}

#[test]
fn a_replica_whose_source_is_not_here_is_left_alone() {
    let machine = Machine::new(&[
        ("tank", 0),
        ("tank/a", 9),
        ("tank/b", 1),
        ("backup/zam", 0),
        ("backup/zam/tank", 0),
    ]);
    machine.add(&rows("backup/zam/tank/a", 2000, 6));
    machine.add(&rows("backup/zam/tank/b", 8000, 5)); // of another machine's tank/b
    machine.add(&rows("backup/zam/tank/c", 9000, 5));
    let ran = machine.zam("prune --to local tank");
    expect(
        &ran,
        0,
        "backup/zam/tank/a: 5 snapshots destroyed",
        "backup/zam/tank/b is not pruned: tank/b has no snapshot in common",
    );
    expect(
        &ran,
        0,
        "",
        "backup/zam/tank/c is not pruned: tank/c does not exist",
    );
    assert_eq!(
        (
            machine.guids("backup/zam/tank/b").len(),
            machine.guids("backup/zam/tank/c").len()
        ),
        (5, 5)
    );
}

#[test]
fn a_dataset_that_was_renamed_away_from_its_entry_waits() {
    let machine = Machine::new(&[("tank", 0), ("tank/virtual", 5), ("tank/b", 1)]);
    let entry = "  tank/vm: {snapshot-period: 1h, windows: [{period: 1d}]}\n";
    fs::write(machine.path("zam.yaml"), format!("{CONFIG}{entry}")).expect("the configuration");
    let why = "tank/virtual: pruning waits: tank/vm stands in the configuration and does not exist";
    expect(&machine.zam("prune -n tank"), 75, "", why);
    expect(&machine.zam("prune tank"), 75, "", why);
    expect(&machine.zam("prune tank/virtual"), 75, "", why);
    // The other entry may be at fault.
    let at_fault = entry.replace("1h", "1 fortnight");
    fs::write(machine.path("zam.yaml"), format!("{CONFIG}{at_fault}")).expect("the configuration");
    expect(&machine.zam("prune tank"), 75, "", why);
    assert_eq!(machine.guids("tank/virtual").len(), 5);
    fs::write(machine.path("zam.yaml"), CONFIG).expect("the configuration");
    expect(&machine.zam("prune tank"), 0, "4 snapshots destroyed", "");
}

#[test]
fn beside_an_entry_without_a_dataset_pruning_goes_on_as_usual() {
    let machine = Machine::new(&[("tank", 0), ("tank/b", 2)]);
    let entry = "  tank/vm: {snapshot-period: 1h}\n";
    fs::write(machine.path("zam.yaml"), format!("{CONFIG}{entry}")).expect("the configuration");
    expect(&machine.zam("prune tank"), 0, "1 snapshot destroyed", "");
}

/// A machine with five snapshots of tank/a, and what one of its destinations may have of it.
fn sent(destination: &str, newest: &str) -> Machine {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 5)]);
    fs::create_dir(machine.path("state/done")).expect("a directory");
    let file = format!("state/done/arrived-local-tank@{destination}");
    fs::write(machine.path(&file), format!("{newest} tank/a\nnonsense\n")).expect("a record");
    machine
}

fn bookmark(machine: &Machine, guid: u64) {
    let name = format!("tank/a#zam_0000abcd_{guid:016x}");
    let createtxg = guid - 1900;
    machine.add(&format!("{name}\tbookmark\t{guid}\t{createtxg}\t1\t-\t-\n"));
}

#[test]
fn what_a_destination_may_have_stays_when_the_bookmark_of_that_is_gone() {
    // By the time in its name alone, if it was restored since.
    for createtxg in [103, 7] {
        let machine = sent("0000abcd", &format!("{createtxg} 20240104T000000Z"));
        let shown = machine.zam("prune -n tank");
        let kept = "tank/a@zam_20240104T000000Z  (a destination may have it";
        expect(&shown, 0, kept, "");
        expect(&shown, 0, "see arrived-*@0000abcd", "");
        let ran = machine.zam("prune tank");
        expect(&ran, 0, "tank/a: 1 snapshot destroyed", "");
        assert_eq!(machine.guids("tank/a"), [2001, 2002, 2003, 2005]);
        bookmark(&machine, 2003);
        let ran = machine.zam("prune tank");
        expect(&ran, 0, "tank/a: 3 snapshots destroyed", "");
    }
}

/// A stream had begun at the bookmark that is left: what lies between may have arrived.
#[test]
fn what_a_destination_may_have_stays_though_an_older_bookmark_is_left() {
    let machine = sent("0000abcd", "103 20240104T000000Z");
    bookmark(&machine, 2001);
    let ran = machine.zam("prune tank");
    expect(&ran, 0, "tank/a: 2 snapshots destroyed", "");
    assert_eq!(machine.guids("tank/a"), [2002, 2003, 2005]);
}

/// A disk that was replaced leaves its bookmark on the source, and a rollback takes that of the disk in use.
#[test]
fn what_a_destination_may_have_stays_though_another_has_a_bookmark() {
    let machine = sent("12345678", "103 20240104T000000Z");
    bookmark(&machine, 2001);
    let ran = machine.zam("prune tank");
    expect(&ran, 0, "tank/a: 1 snapshot destroyed", "");
    assert_eq!(machine.guids("tank/a"), [2001, 2002, 2003, 2005]);
}

/// Somebody corrects it while the run waits for its turn.
#[test]
fn nothing_is_destroyed_by_a_configuration_that_was_changed_meanwhile() {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 5)]);
    let config = CONFIG.replace("snapshot-period: 1h, ", "");
    fs::write(machine.path("zam.yaml"), &config).expect("the configuration");
    machine.meanwhile("if call 1 list; then sed -i 's/max-age: 1h/max-age: 10y/' zam.yaml; fi");
    let why = "the configuration was changed meanwhile";
    expect(&machine.zam("prune tank"), 75, "", why);
    assert_eq!(machine.guids("tank/a").len(), 5);
    // Between the plan and the look right before.
    fs::write(machine.path("zam.yaml"), CONFIG).expect("the configuration");
    machine.meanwhile("if call 2 list; then sed -i 's/max-age: 1h/max-age: 10y/' zam.yaml; fi");
    fs::remove_file(machine.path("calls")).expect("calls");
    expect(&machine.zam("prune tank"), 75, "", why);
    assert_eq!(machine.guids("tank/a").len(), 5);
    machine.meanwhile("");
    expect(&machine.zam("prune tank"), 0, "", "");
    assert_eq!(machine.guids("tank/a").len(), 5);
}

#[test]
fn a_dataset_that_vanished_after_the_listing_is_a_line_and_no_failure() {
    for before in ["call 2 list", "call 1 destroy"] {
        let machine = Machine::new(&[("tank", 0), ("tank/a", 5)]);
        machine.meanwhile(&format!("if {before}; then sed -i '/^tank.a/d' rows; fi"));
        let ran = machine.zam("prune tank");
        assert!(
            ran.code == 0 && !ran.stdout.contains("4 snapshots destroyed"),
            "{}{}",
            ran.stdout,
            ran.stderr
        );
        assert!((ran.stdout + &ran.stderr).contains("tank/a"));
    }
}

#[test]
fn a_bad_exit_with_a_line_that_is_not_of_zfs_is_no_success() {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 3)]);
    machine.meanwhile("if [[ $1 == destroy ]]; then echo \"/etc/greeting does not exist\ncannot destroy snapshot: permission denied\" >&2; exit 1; fi");
    expect(
        &machine.zam("prune tank"),
        1,
        "0 snapshots destroyed, 3 kept",
        "stays",
    );
}

#[test]
fn a_listing_cut_anywhere_in_its_last_row_destroys_and_takes_nothing() {
    let machine = Machine::new(&[("tank", 3), ("tank/a", 5)]);
    let before = machine.read("rows");
    for call in [1, 2] {
        for cut in [1, 2, 3, 4, 5, 6, 8, 12, 17, 30] {
            fs::write(machine.path("calls"), "").expect("calls");
            machine.meanwhile(&format!(
                "[[ $1 == destroy ]] || (( $(grep -c ^list calls) < {call} )) || cut={cut}"
            ));
            let ran = machine.zam("prune tank");
            expect(&ran, 1, "", "cut short");
            assert_eq!(
                (machine.read("rows") == before, machine.calls("destroy")),
                (true, 0),
                "call {call}, {cut} bytes"
            );
        }
    }
    machine.meanwhile("cut=3");
    for verb in [
        "snapshot tank",
        "replicate tank",
        "prune --to local tank",
        "prune -n tank",
    ] {
        expect(&machine.zam(verb), 1, "", "cut short");
    }
    assert_eq!(machine.read("rows"), before);
}

#[test]
fn a_listing_that_prints_nothing_or_lacks_its_root_is_an_error() {
    let machine = Machine::new(&[("tank", 3), ("tank/a", 5), ("backup/zam", 0)]);
    let before = machine.read("rows");
    for (somebody, why) in [
        ("exit 0", "printed nothing"),
        ("sed -n 2p rows | cut -f 1,3-7; exit 0", ""),
    ] {
        machine.meanwhile(&format!("if [[ $1 == list ]]; then {somebody}; fi"));
        for verb in [
            "snapshot tank",
            "snapshot -n tank",
            "prune tank",
            "prune -n tank",
            "prune --to local tank",
            "replicate tank",
        ] {
            expect(&machine.zam(verb), 1, "", why);
        }
    }
    assert_eq!(
        (
            machine.read("rows"),
            machine.calls("snapshot"),
            machine.calls("destroy")
        ),
        (before, 0, 0)
    );
}

const TREE: [(&str, i64); 5] = [
    ("tank", 0),
    ("tank/a", 0),
    ("tank/b", 0),
    ("tank/b/in", 0),
    ("tank/c", 0),
];

/// The datasets that got a snapshot, and those of them that stand in what was printed.
fn taken(machine: &Machine, ran: &Ran) -> Vec<&'static str> {
    let names = TREE.map(|(name, _)| name);
    let taken: Vec<&str> = names
        .into_iter()
        .filter(|name| !machine.guids(name).is_empty())
        .collect();
    let printed = names
        .into_iter()
        .filter(|name| ran.stdout.contains(&format!("{name}@zam_")));
    assert_eq!(
        printed.collect::<Vec<_>>(),
        taken,
        "what was taken is printed\n{}",
        ran.stdout
    );
    taken
}

#[test]
fn what_refuses_a_snapshot_is_left_out_with_its_reason_and_the_others_have_theirs() {
    for (refuse, left, code) in [
        (
            r"tank/a\tout of space",
            vec!["tank", "tank/b", "tank/b/in", "tank/c"],
            1,
        ),
        (
            r"tank/a\tdataset is busy\ntank/b\tout of space",
            vec!["tank", "tank/b/in", "tank/c"],
            1,
        ),
        (
            r"tank\tdataset is busy",
            vec!["tank/a", "tank/b", "tank/b/in", "tank/c"],
            1,
        ),
        (
            r"tank/c\tpool I/O error of a kind that nobody knows",
            vec!["tank", "tank/a", "tank/b", "tank/b/in"],
            1,
        ),
    ] {
        let machine = Machine::new(&TREE);
        machine.meanwhile(&format!("refuse=$'{refuse}'"));
        let ran = machine.zam("snapshot tank");
        expect(&ran, code, "", " gets no snapshot: ");
        assert_eq!(taken(&machine, &ran), left);
        assert_eq!(machine.calls("snapshot"), 2, "all the others at once");
    }
}

#[test]
fn the_json_of_a_snapshot_lists_what_was_taken() {
    let machine = Machine::new(&TREE);
    machine.meanwhile(r"refuse=$'tank/b\tdataset is busy'");
    let ran = machine.zam("snapshot --json tank");
    let names: Vec<String> = serde_json::from_str(&ran.stdout).expect("an array");
    assert_eq!((ran.code, names.len()), (1, 4));
}

#[test]
fn children_that_vanish_one_after_the_other_are_lines_and_no_failure() {
    let machine = Machine::new(&TREE);
    machine.meanwhile(
        "if call 1 snapshot; then sed -i '/^tank.a/d' rows; fi
         if call 2 snapshot; then sed -i '/^tank.b/d' rows; fi
         if call 3 snapshot; then refuse=$'tank/c\\tdataset does not exist'; fi",
    );
    let ran = machine.zam("snapshot tank");
    expect(
        &ran,
        0,
        "tank@zam_",
        "tank/b/in is gone since it was listed; it is left out",
    );
    assert_eq!(taken(&machine, &ran), ["tank"]);
}

#[test]
fn one_that_is_gone_and_not_named_is_found_by_a_new_listing() {
    let machine = Machine::new(&TREE);
    let gone = "echo 'cannot create snapshots : dataset does not exist' >&2; exit 1";
    machine.meanwhile(&format!(
        "if call 1 snapshot; then sed -i '/^tank.a/d' rows; {gone}; fi"
    ));
    let ran = machine.zam("snapshot tank");
    expect(&ran, 0, "", "tank/a is gone");
    assert_eq!(
        taken(&machine, &ran),
        ["tank", "tank/b", "tank/b/in", "tank/c"]
    );
    machine.meanwhile(&format!("if [[ $1 == snapshot ]]; then {gone}; fi"));
    expect(
        &machine.zam("snapshot tank"),
        1,
        "",
        "dataset does not exist",
    );
}

#[test]
fn an_entry_that_is_gone_itself_is_an_error() {
    let machine = Machine::new(&TREE);
    machine.meanwhile("if call 1 snapshot; then sed -i '/^tank/d' rows; fi");
    expect(&machine.zam("snapshot tank"), 1, "", "tank does not exist");
}

#[test]
fn when_all_refuse_or_zfs_names_nobody_nothing_is_taken_and_the_run_ends() {
    for somebody in [
        r"refuse=$'tank\tout of space\ntank/a\tout of space\ntank/b\tout of space\ntank/b/in\tx\ntank/c\ty'",
        "if [[ $1 == snapshot ]]; then echo 'cannot create snapshots : permission denied' >&2; exit 1; fi",
        "if [[ $1 == snapshot ]]; then echo \"cannot create snapshot 'tank': out of space\" >&2; exit 1; fi",
        "if [[ $1 == snapshot ]]; then exit 1; fi",
    ] {
        let machine = Machine::new(&TREE);
        machine.meanwhile(somebody);
        let ran = machine.zam("snapshot tank");
        expect(&ran, 1, "", "zam: ");
        assert!(
            taken(&machine, &ran).is_empty() && machine.calls("snapshot") == 1,
            "{somebody}"
        );
    }
}

#[test]
fn a_child_whose_name_leaves_no_room_for_a_snapshot_is_left_out_beforehand() {
    let machine = Machine::new(&TREE);
    let longest = format!(
        "tank/{}",
        "x".repeat(255 - "tank/".len() - "@zam_20240101T000000Z".len())
    );
    machine.add(&(rows(&longest, 7000, 0) + &rows(&format!("{longest}x"), 8000, 0)));
    let ran = machine.zam("snapshot tank");
    expect(&ran, 1, "", "xx gets no snapshot: its name leaves no room");
    assert_eq!(
        (
            taken(&machine, &ran).len(),
            machine.guids(&longest).len(),
            machine.calls("snapshot")
        ),
        (5, 1, 1)
    );
}

#[test]
fn a_name_that_exists_gives_the_whole_tree_that_of_the_next_second() {
    let machine = Machine::new(&TREE);
    machine.meanwhile(
        "if call 1 snapshot; then printf '%s\\tsnapshot\\t77\\t9\\t1\\t0\\t-\\n' \"$3\" >>rows; fi",
    );
    let ran = machine.zam("snapshot tank");
    expect(&ran, 0, "", "");
    assert_eq!(
        (
            machine.guids("tank").len(),
            machine.guids("tank/c").len(),
            machine.calls("snapshot")
        ),
        (2, 1, 2)
    );
    machine.meanwhile("if [[ $1 == snapshot ]]; then for name in \"${@:3}\"; do printf '%s\\tsnapshot\\t78\\t9\\t1\\t0\\t-\\n' \"$name\" >>rows; done; fi");
    expect(
        &machine.zam("snapshot tank"),
        1,
        "",
        "exists already, and so does the next second's; nothing was taken",
    );
}

/// A disk that was pulled out without an export, for example.
#[test]
fn a_pool_that_is_suspended_hides_no_other() {
    let machine = Machine::new(&[("tank", 0), ("tank/a", 1), ("backup/zam", 0)]);
    fs::rename(machine.path("bin/zfs"), machine.path("bin/real")).expect("the fake");
    let suspended = "#!/bin/bash\n[[ \"$*\" != *backup* ]] || \
                     { echo \"cannot open 'backup/zam': pool I/O is currently suspended\" >&2; exit 1; }\n\
                     exec \"${0%/*}/real\" \"$@\"\n";
    fs::write(machine.path("bin/zfs"), suspended).expect("a fake before the fake");
    let executable = PermissionsExt::from_mode(0o755);
    fs::set_permissions(machine.path("bin/zfs"), executable).expect("executable");
    let ran = machine.zam("status --json");
    let shown: serde_json::Value = serde_json::from_str(&ran.stdout).expect(&ran.stderr);
    let tank = &shown["datasets"][0];
    assert_eq!(
        (&tank["dataset"], &tank["snapshots"]),
        (&"tank".into(), &1.into())
    );
    let replica = &tank["destinations"][0];
    assert_eq!(replica["state"], "unreachable");
    let why = replica["why"].as_str().expect("a reason");
    assert!(why.contains("pool I/O is currently suspended"), "{why}");
}
