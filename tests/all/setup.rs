//! What `zam setup` finds missing on another machine, and the script that mends it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{TempDir, tempdir};
use zam::core::config::Config;
use zam::core::fault::Source;
use zam::core::load::load;
use zam::core::serve::Role;
use zam::core::setup::grant::Grant;
use zam::core::setup::here::{Users, dangers, grants, name_users};
use zam::core::setup::host::{Needs, account_grants, needs};
use zam::core::setup::reach::Reach;

use crate::common::{path_with, program, zam};

const PUSHED: &str = "hosts: {nas: {ssh: far@nas, identity: KEY}, idle: {ssh: a@b}}
destinations: {there: {host: nas, root: pool/my zam, replication-period: 1h, prune-period: 1d, windows: [{period: 1d}]}}
datasets: {tank/a: {destinations: [there]}, tank/b: {destinations: [there]}}";

fn config(text: &str) -> Config {
    let path = "zam.yaml".into();
    let text = text.replace("KEY", "/k");
    let (config, faults) = load(&[Source { path, text }]).expect("a configuration");
    assert!(faults.is_empty());
    config
}

fn needed(text: &str) -> Needs {
    needs(&config(text), "nas").expect("needs")
}

#[test]
fn the_role_follows_from_the_jobs() {
    let appended = PUSHED.replace(" prune-period: 1d,", "");
    let fetched = "hosts: {nas: {ssh: far@nas}}
destinations: {here: {root: backup, replication-period: 1h, prune-period: 1d, windows: [{period: 1d}]}}
datasets: {'nas:tank/a': {destinations: [here]}, 'nas:tank/b c': {recursive: true, destinations: [here]}}";
    for (text, role, roots) in [
        (PUSHED, Role::Push, vec!["pool/my zam"]),
        (&appended, Role::AppendOnly, vec!["pool/my zam"]),
        (fetched, Role::ReadOnly, vec!["tank/a", "tank/b c"]),
    ] {
        let needed = needed(text);
        let names: Vec<&str> = needed.roots.iter().map(|root| root.as_str()).collect();
        assert_eq!((needed.role, names), (role, roots), "{text}");
    }
    let nothing = needs(&config(PUSHED), "idle").expect_err("nothing");
    assert!(nothing.contains("nothing is replicated"), "{nothing}");
    let both = format!("{PUSHED}\n").replace("tank/b: {", "'nas:tank/b': {");
    let both = needs(&config(&both), "nas").expect_err("both");
    assert!(both.contains("with a key each"), "{both}");
    let kept = "destinations: {kept: {host: nas, root: pool/kept, replication-period: 1h}, ";
    let mixed = PUSHED.replace("destinations: {there: {", &format!("{kept}there: {{"));
    let mixed = mixed.replace(
        "tank/b: {destinations: [there]}",
        "tank/b: {destinations: [kept]}",
    );
    let mixed = needs(&config(&mixed), "nas").expect_err("no right to prune both");
    assert!(mixed.contains("with a key each"), "{mixed}");
}

/// As OpenZFS 2.1 and 2.3 print it.
fn printed(permissions: &str) -> String {
    format!(
        "---- Permissions on pool/my zam -----------\nPermission sets:\n\t@x destroy\nLocal permissions:\n\tuser far destroy\n\
         Local+Descendent permissions:\n\tuser near all,destroy\n\tuser far {permissions}\n\teveryone send\n"
    )
}

/// Lets a user do what it lacks, where `zfs allow` prints this.
fn commands(grant: &Grant, printed: &str) -> String {
    let steps = grant.allow(&grant.lacking(printed));
    let commands: Vec<&str> = steps.iter().map(|step| &*step.commands).collect();
    commands.join("\n")
}

#[test]
fn each_permission_that_is_taken_away_is_found_missing() {
    for (text, all) in [
        (
            PUSHED,
            "canmount,create,destroy,mount,readonly,receive,volmode",
        ),
        (
            &PUSHED.replace(" prune-period: 1d,", ""),
            "canmount,create,mount,readonly,receive:append,volmode",
        ),
    ] {
        let grant = needed(text).grants("far").remove(0);
        assert!(grant.lacking(&printed(all)).is_empty());
        for taken in all.split(',') {
            let left: Vec<&str> = all.split(',').filter(|left| *left != taken).collect();
            let commands = commands(&grant, &printed(&left.join(",")));
            // It has `destroy` on the dataset itself, all the same.
            let flag = if taken == "destroy" { "-d " } else { "" };
            let expected = format!("zfs allow {flag}-u far {taken} 'pool/my zam'");
            assert!(commands.starts_with(&expected), "{commands}");
        }
        // The wider one, before OpenZFS 2.3.2.
        let older = all.replace("receive:append", "receive");
        assert!(grant.lacking(&printed(&older)).is_empty());
        assert_eq!(grant.lacking("").len(), all.split(',').count());
    }
}

const HERE: &str = "user: zam
hosts: {nas: {ssh: far@nas}}
destinations:
  local: {root: pool/zam, replication-period: 1h, prune-period: 1d, windows: [{period: 1d}]}
  kept: {root: pool/kept, replication-period: 1h, decrypt: true}
  nas: {host: nas, root: pool/nas, replication-period: 1h, prune-period: 1d, windows: [{period: 1d}]}
datasets:
  tank/a: {recursive: true, snapshot-period: 1h, windows: [{period: 1d}], destinations: [local, nas]}
  tank/b: {snapshot-period: 1h}
  tank/d: {snapshot-period: 1h, windows: [{period: 1d}], destinations: [nas]}
  'nas:tank/c': {destinations: [kept]}";

/// What the users are given who have nothing.
fn granted(text: &str) -> Vec<String> {
    let config = config(text);
    let encrypted = BTreeSet::from(["tank/e".parse().expect("a dataset")]);
    let mut granted = Vec::new();
    for grant in grants(&config, &Users::of(&config), &encrypted) {
        for step in grant.allow(&grant.lacking("")) {
            granted.push(step.why.replace(" lacks", ""));
        }
    }
    granted
}

#[test]
fn each_user_is_given_what_its_jobs_need_and_no_more() {
    let expected = [
        "zam receive:append,create,mount,readonly,canmount,volmode on pool/kept",
        "zam receive:append,create,mount,readonly,canmount,volmode on pool/zam",
        "zam-prune destroy,mount on the snapshots of pool/zam and, with them, on its children",
        "zam snapshot,hold,bookmark,destroy on tank/a",
        "zam send on the snapshots of tank/a and, with them, on its children",
        "zam-prune destroy,mount on the snapshots of tank/a and, with them, on its children",
        "zam snapshot on tank/b",
        "zam snapshot,hold,bookmark,destroy on tank/d",
        "zam send on the snapshots of tank/d and, with them, on its children",
        "zam-prune destroy,mount on the snapshots of tank/d and, with them, on its children",
    ];
    assert_eq!(granted(HERE), expected);
    // Setting up a machine whose jobs are root's gives them to zam.
    assert_eq!(granted(&HERE.replace("user: zam\n", "")), expected);
    assert!(granted(&HERE.replace("user: zam", "user: root")).is_empty());
    let pruned = granted(&HERE.replace("user: zam", "user: root\nprune-user: p"));
    assert_eq!(
        pruned,
        [
            "p destroy,mount on the snapshots of pool/zam and, with them, on its children",
            "p destroy,mount on the snapshots of tank/a and, with them, on its children",
            "p destroy,mount on the snapshots of tank/d and, with them, on its children",
        ]
    );
}

/// One user does both where it is told to: what it needs of the dataset and of its snapshots is one permission then.
#[test]
fn what_two_jobs_need_of_one_dataset_is_given_once() {
    let both = "user: zam
prune-user: zam
destinations: {local: {root: pool/zam, replication-period: 1h}}
datasets: {tank/d: {snapshot-period: 1h, windows: [{period: 1d}], destinations: [local]}}";
    let expected = [
        "zam receive:append,create,mount,readonly,canmount,volmode on pool/zam",
        "zam destroy on tank/d",
        "zam snapshot,hold,bookmark on tank/d",
        "zam send,mount on the snapshots of tank/d and, with them, on its children",
    ];
    assert_eq!(granted(both), expected);
}

#[test]
fn what_is_sent_raw_needs_no_permission_to_send_plain_text() {
    let encrypted = HERE.replace("tank/a", "tank/e");
    let snapshots = "the snapshots of tank/e and, with them, on its children";
    let expected = format!("zam send:encrypted on {snapshots}");
    assert!(granted(&encrypted).contains(&expected));
    let decrypted = encrypted.replace("prune-period: 1d,", "prune-period: 1d, decrypt: true,");
    let expected = format!("zam send on {snapshots}");
    assert!(granted(&decrypted).contains(&expected));
}

fn grant(dataset: &str, names: &[&'static str], reach: Reach) -> Grant {
    let dataset = dataset.parse().expect("a dataset");
    let mut grant = Grant::new("far", &dataset);
    grant.add(names, reach);
    grant
}

#[test]
fn a_permission_that_zfs_does_not_know_falls_back_to_the_wider_one_alone() {
    let names = ["receive:append", "create", "send:encrypted"];
    let grant = grant("pool/my zam", &names, Reach::BOTH);
    let commands = commands(&grant, "");
    let lines: Vec<&str> = commands
        .lines()
        .filter(|line| !line.contains('#'))
        .collect();
    let expected = [
        "zfs allow -u far receive:append 'pool/my zam' 2>/dev/null ||",
        "  zfs allow -u far receive 'pool/my zam'",
        "zfs allow -u far send:encrypted 'pool/my zam' 2>/dev/null ||",
        "  zfs allow -u far send 'pool/my zam'",
        "zfs allow -u far create 'pool/my zam'",
    ];
    assert_eq!(lines, expected);
    assert!(grant.lacking(&printed("receive,create,send")).is_empty());
    // `destroy` is always there, and needless.
    for (granted, needless) in [
        ("receive,create,send", vec!["-l -u far destroy"]),
        (
            "receive,receive:append,create,send,send:encrypted",
            vec!["-u far receive,send", "-l -u far destroy"],
        ),
    ] {
        let commands = needless.iter();
        let commands = commands.map(|words| format!("zfs unallow {words} 'pool/my zam'"));
        assert_eq!(
            grant.unallow(&printed(granted), &[]),
            Vec::from_iter(commands)
        );
    }
}

/// ZFS takes a dataset's snapshots for something below it: what is allowed with -l does not count for them (as tried).
#[test]
fn a_grant_reaches_as_far_as_zfs_says() {
    let reaches = [Reach::BOTH, Reach::ITSELF, Reach::BELOW];
    // What is still to be given, for each of these that is needed.
    for (heading, scope, lacking) in [
        ("tank/a", "Local+Descendent", ["", "", ""]),
        ("tank", "Local+Descendent", ["", "", ""]),
        ("tank/a", "Local", ["-d", "", "-d"]),
        ("tank", "Local", ["both", "-l", "-d"]),
        ("tank", "Descendent", ["", "", ""]),
        ("tank/a", "Descendent", ["-l", "-l", ""]),
    ] {
        let text = format!(
            "---- Permissions on {heading} ------\n{scope} permissions:\n\tuser far snapshot,send\n\tuser far2 all\n"
        );
        for (reach, flag) in reaches.into_iter().zip(lacking) {
            let grant = grant("tank/a", &["snapshot"], reach);
            let expected = match flag {
                "" => String::new(),
                "both" => "zfs allow -u far snapshot tank/a".into(),
                flag => format!("zfs allow {flag} -u far snapshot tank/a"),
            };
            assert_eq!(commands(&grant, &text), expected, "{heading} {scope}");
        }
    }
}

/// Also where it is needed, but does not reach as far.
#[test]
fn what_no_job_needs_can_be_taken_away() {
    let given = "---- Permissions on tank/a ------\nLocal permissions:\n\tuser far hold\n\
                 Local+Descendent permissions:\n\tuser far send,snapshot\n";
    let mut grant = grant("tank/a", &["snapshot"], Reach::ITSELF);
    grant.add(&["send"], Reach::BOTH);
    let expected = [
        "zfs unallow -l -u far hold tank/a",
        "zfs unallow -d -u far snapshot tank/a",
    ];
    assert_eq!(grant.unallow(given, &[]), expected);
    let above = given.replace("on tank/a", "on tank");
    assert!(grant.unallow(&above, &[]).is_empty());
}

/// What is below inherits it, and was given nothing of its own.
#[test]
fn what_another_grant_below_needs_is_not_needless() {
    let given = "---- Permissions on tank ------\nLocal+Descendent permissions:\n\
                 \tuser far hold,send,send:encrypted,snapshot\n";
    let above = grant("tank", &["snapshot"], Reach::BOTH);
    let below = grant("tank/a", &["hold", "send"], Reach::BOTH);
    let beside = grant("tanks", &["send:encrypted"], Reach::BOTH);
    let mut of_another = grant("tank/b", &["send:encrypted"], Reach::BOTH);
    of_another.user = "near".into();
    let all = [above.clone(), below, beside, of_another];
    let expected = [
        "zfs unallow -u far send:encrypted tank",
        "zfs unallow -l -u far hold,send tank",
    ];
    assert_eq!(above.unallow(given, &all), expected);
}

/// `zfs allow` fills its heading up to 70 characters: after a long name no dash is left.
#[test]
fn a_long_name_is_read_like_a_short_one() {
    for length in [1, 43, 44, 45, 100] {
        let name = format!("tank/{}", "x".repeat(length));
        let dashes = "-".repeat(48_usize.saturating_sub(name.len()));
        let text = format!(
            "---- Permissions on {name} {dashes}\nLocal permissions:\n\tuser far snapshot\n\
             Descendent permissions:\n\tuser far hold\n"
        );
        let mut grant = grant(&name, &["snapshot"], Reach::ITSELF);
        assert!(grant.lacking(&text).is_empty(), "{length}");
        assert_eq!(grant.unallow(&text, &[]).len(), 1, "{length}");
        grant.add(&["hold"], Reach::ITSELF);
        assert_eq!(grant.lacking(&text).len(), 1, "{length}");
    }
}

/// A stream of another machine's that was cut at the first snapshot is given up with the dataset itself.
#[test]
fn who_prunes_what_another_machine_sends_may_give_up_its_beginning() {
    let receiver = "datasets: {tank/zam/a: {windows: [{period: 1d}]}}";
    assert_eq!(granted(receiver), ["zam-prune destroy,mount on tank/zam/a"]);
}

const TWO_NAMES: &str = "hosts: {keep: {ssh: far@nas, identity: /k}, prune: {ssh: far@nas, port: 22, identity: /p}}
destinations:
  keep: {host: keep, root: pool/zam, replication-period: 1h}
  prune: {host: prune, root: pool/zam, replication-period: 1h, prune-period: 1d, windows: [{period: 1d}]}
datasets: {tank/a: {destinations: [keep]}, tank/b: {destinations: [prune]}}";

#[test]
fn an_account_with_two_keys_keeps_what_either_needs() {
    let config = config(TWO_NAMES);
    let all = account_grants(&config, &config.hosts["keep"], "far");
    let kept = needs(&config, "keep")
        .expect("needs")
        .grants("far")
        .remove(0);
    let given =
        "---- Permissions on pool/zam ------\nDescendent permissions:\n\tuser far destroy\n";
    assert!(kept.unallow(given, &all).is_empty());
    assert_eq!(kept.unallow(given, &[]).len(), 1);
}

#[test]
fn who_marks_and_receives_in_one_tree_could_destroy_there() {
    for (root, expected) in [("pool/zam", 0), ("tank/ab", 0), ("tank/a/backup", 1)] {
        let text = HERE.replace("pool/zam", root);
        let config = config(&text.replace(
            "{recursive: true,",
            "{recursive: true, exclude: [tank/a/backup],",
        ));
        let users = Users::of(&config);
        let dangers = dangers(&grants(&config, &users, &BTreeSet::new()), &users);
        assert_eq!(dangers.len(), expected, "{dangers:?}");
        assert!(
            dangers
                .iter()
                .all(|danger| danger.contains("snapshots of tank/a/backup:"))
        );
    }
}

/// A machine with a key, whose `ssh` reaches nobody.
fn machine() -> TempDir {
    let home = tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::write(&path, text).expect(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect(name);
    };
    let key = home.path().join("key");
    write("key.pub", "ssh-ed25519 AAAAC3Nza+/= root@laptop\n");
    write("zam.yaml", &PUSHED.replace("KEY", &key.to_string_lossy()));
    write("ssh", "#!/bin/sh\nexit 255\n");
    write("id", "#!/bin/sh\nexit 1\n");
    write("getent", "#!/bin/sh\necho \"far:x:1:1::$HOME:/bin/sh\"\n");
    for name in ["useradd", "zfs", "chown"] {
        let fails = if name == "zfs" {
            "[ \"$1\" != list ]"
        } else {
            "true"
        };
        write(
            name,
            &format!("#!/bin/sh\necho \"{name} $*\" >>\"$HOME/calls\"\n{fails}\n"),
        );
    }
    write(
        "install",
        "#!/bin/sh\nfor last; do :; done\nmkdir -p \"$last\"\n",
    );
    home
}

struct Ended {
    code: Option<i32>,
    printed: String,
    said: String,
}

fn run_in(home: &Path, arguments: &[&str]) -> Ended {
    let mut zam = zam();
    zam.args(arguments).env("ZAM_CONFIG", home.join("zam.yaml"));
    zam.env("PATH", path_with(home)).env("HOME", home);
    zam.env("ZAM_STATE", home.join("state"));
    let output = zam.output().expect("zam");
    Ended {
        code: output.status.code(),
        printed: String::from_utf8_lossy(&output.stdout).into_owned(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn the_script_makes_the_account_and_binds_its_key() {
    let home = machine();
    let ended = run_in(home.path(), &["setup", "--on", "nas"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let script = ended.printed;
    // A key of somebody else's, in a file without an end to its line, as some editors leave it.
    let other = "ssh-ed25519 AAAAC3other admin@desk";
    fs::create_dir(home.path().join(".ssh")).expect("a directory");
    fs::write(home.path().join(".ssh/authorized_keys"), other).expect("keys");
    for _ in 0..2 {
        let mut shell = program("sh");
        shell.args(["-c", &script]).env("HOME", home.path());
        let ended = shell
            .env("PATH", path_with(home.path()))
            .output()
            .expect("sh");
        assert!(ended.status.success(), "{script}\n{ended:?}");
    }
    let read = |name: &str| fs::read_to_string(home.path().join(name)).expect(name);
    let keys = read(".ssh/authorized_keys");
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let expected = format!(
        "{other}\nrestrict,command=\"zam serve --key {} --root 'pool/my zam'\" ssh-ed25519 AAAAC3Nza+/= root@laptop\n",
        hostname.trim()
    );
    assert_eq!(keys, expected);
    let calls = read("calls");
    for call in [
        "useradd --system --create-home --shell /bin/sh --password * far",
        "zfs create -p pool/my zam",
        "zfs allow -u far receive,create,mount,readonly,canmount,volmode pool/my zam",
        "zfs allow -d -u far destroy pool/my zam",
    ] {
        assert!(calls.lines().any(|line| line == call), "{call}: {calls}");
    }
}

fn has(text: &str, part: &str) {
    assert!(text.contains(part), "{text}");
}

#[test]
fn an_account_that_is_root_gets_its_key_and_a_warning() {
    let home = machine();
    let path = home.path().join("zam.yaml");
    let text = fs::read_to_string(&path).expect("a configuration");
    fs::write(&path, text.replace("far@", "root@")).expect("a file");
    let ended = run_in(home.path(), &["setup", "--on", "nas"]);
    has(&ended.said, "hosts: nas: the account is root");
    has(&ended.printed, "zam serve --key");
    for needless in ["useradd", "zfs allow"] {
        assert!(!ended.printed.contains(needless), "{}", ended.printed);
    }
}

#[test]
fn check_says_what_is_missing_and_exits_1() {
    let home = machine();
    let ended = run_in(home.path(), &["setup", "--on", "nas", "--check"]);
    assert_eq!(ended.code, Some(1));
    has(&ended.printed, "far lacks receive,create,");
    has(
        &ended.said,
        "nobody on nas says what the key may do: cannot reach nas",
    );
    let ended = run_in(home.path(), &["setup", "--on", "olympus"]);
    assert_eq!(ended.code, Some(2));
    has(
        &ended.said,
        "there is no host `olympus`; there are: idle, nas",
    );
    let wrong = PUSHED
        .replace("KEY", "/k")
        .replace("prune-period: 1d", "prune-period: 1x");
    fs::write(home.path().join("wrong.yaml"), wrong).expect("a file");
    let wrong = home.path().join("wrong.yaml");
    let wrong = wrong.to_string_lossy();
    let ended = run_in(home.path(), &["--config", &wrong, "setup", "--on", "nas"]);
    assert_eq!(ended.code, Some(78));
    assert!(!ended.printed.contains("zam serve"), "{}", ended.said);
    fs::remove_file(home.path().join("key.pub")).expect("a file");
    let ended = run_in(home.path(), &["setup", "--on", "nas"]);
    assert_eq!(ended.code, Some(1));
    has(&ended.said, "make the key first: ssh-keygen -t ed25519");
}

const MINE: &str = "hosts: {nas: {ssh: far@nas, port: 2222, identity: KEY}}
destinations:
  local: {root: backup/zam, replication-period: 1h, prune-period: 1d, windows: [{period: 1d}]}
  nas: {host: nas, root: pool/nas, replication-period: 1h}
datasets: {tank/a: {recursive: true, snapshot-period: 1h, windows: [{period: 1d}], destinations: [local, nas]}}";

/// A machine whose `zfs allow`, users and known hosts are what the files `allowed`, `groups` and `known` say.
fn machine_without_users() -> TempDir {
    let home = tempdir().expect("a directory");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::write(&path, text).expect(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect(name);
    };
    let key = home.path().join("keys/nas");
    write("zam.yaml", &MINE.replace("KEY", &key.to_string_lossy()));
    write("id", "#!/bin/sh\ncat \"$HOME/groups\" 2>/dev/null\n");
    write("getent", "#!/bin/sh\necho zam:x:4711:\n");
    write(
        "zfs",
        "#!/bin/sh\ncat \"$HOME/allowed\" 2>/dev/null || true\n",
    );
    write("ssh-keygen", "#!/bin/sh\ncat \"$HOME/known\" 2>/dev/null\n");
    home
}

fn whys(printed: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = printed.lines().collect();
    lines.retain(|line| line.starts_with("# "));
    lines.remove(0);
    lines
}

#[test]
fn a_machine_is_set_up_in_an_order_that_breaks_no_job() {
    let home = machine_without_users();
    let run = |words: &[&str]| run_in(home.path(), words);
    let ended = run(&["setup"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let whys = whys(&ended.printed);
    let expected = [
        "there is no user zam, or",
        "the jobs of zam cannot remember",
        "there is no user zam-prune, or",
        "the jobs of zam-prune cannot remember",
        "zam lacks receive:append,create,mount,readonly,canmount,volmode on backup/zam",
        "zam-prune lacks destroy,mount on the snapshots of backup/zam",
        "zam lacks snapshot,hold,bookmark,destroy on tank/a",
        "zam lacks send on the snapshots of tank/a",
        "zam-prune lacks destroy,mount on the snapshots of tank/a",
        "there is no key for nas",
        "no user but root may know the key of nas",
        "all jobs run as root",
    ];
    assert_eq!(whys.len(), expected.len(), "{whys:#?}");
    for (why, expected) in whys.iter().zip(expected) {
        assert!(why.contains(expected), "{why}: {expected}");
    }
    assert_eq!(run(&["setup", "--check"]).code, Some(1));
}

#[test]
fn a_dataset_that_is_absent_or_cannot_be_asked_is_no_dataset_that_lacks_nothing() {
    let home = machine_without_users();
    let zfs = |says: &str| {
        let script = format!(
            "#!/bin/sh\n[ \"$1 $2\" != 'allow tank/a' ] || {{ echo \"{says}\" >&2; exit 1; }}\n"
        );
        fs::write(home.path().join("zfs"), script).expect("zfs");
    };
    zfs("cannot open 'tank/a': dataset does not exist");
    let ended = run_in(home.path(), &["setup", "--check"]);
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    has(&ended.printed, "tank/a does not exist: import its pool");
    assert!(!ended.printed.contains(" on tank/a"), "{}", ended.printed);
    let ended = run_in(home.path(), &["setup"]);
    assert_eq!(ended.printed.matches("tank/a does not").count(), 1);
    zfs("cannot open 'tank/a': I/O error");
    let ended = run_in(home.path(), &["setup", "--check"]);
    assert_eq!(ended.code, Some(1), "{}", ended.printed);
    has(&ended.said, "tank/a': I/O error");
}

#[test]
fn a_file_that_names_who_prunes_is_kept() {
    for before in ["", "prune-user: p", "prune-user: p\n"] {
        let home = tempdir().expect("a directory");
        let file = home.path().join("zam.d/users.yaml");
        fs::create_dir(home.path().join("zam.d")).expect("zam.d");
        fs::write(&file, before).expect("users.yaml");
        let config = config(HERE.split_once('\n').expect("a line").1);
        let step = name_users(&file.to_string_lossy(), &Users::of(&config));
        let output = program("sh").args(["-euc", &step.commands]).output();
        assert!(output.expect("sh").status.success());
        let text = fs::read_to_string(&file).expect("users.yaml");
        let mut lines = Vec::from_iter(before.lines());
        lines.push("user: zam");
        let mut found = Vec::from_iter(text.lines());
        found.retain(|line| !line.is_empty());
        assert_eq!(found, lines);
    }
}

#[test]
fn once_all_is_there_setup_prints_nothing() {
    let home = machine_without_users();
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).expect(name);
    let all = "snapshot,send,hold,bookmark,destroy,receive,create,mount,readonly,canmount,volmode";
    for folder in [
        "keys",
        "zam.d",
        "state/users/zam/done",
        "state/users/zam/waiting",
    ] {
        fs::create_dir_all(home.path().join(folder)).expect(folder);
        let folder = folder.replace("users/zam/", "users/zam-prune/");
        fs::create_dir_all(home.path().join(folder)).expect("a folder");
    }
    write("keys/nas", "");
    write("groups", "users zam");
    write("known", "nas ssh-ed25519 AAAA");
    write("zam.d/users.yaml", "user: zam");
    for dataset in ["tank", "backup"] {
        let heading = format!("---- Permissions on {dataset} ----");
        let given = format!(
            "{heading}\nLocal+Descendent permissions:\n\tuser zam {all}\n\tuser zam-prune {all}\n"
        );
        write("allowed", &given);
        let ended = run_in(home.path(), &["setup"]);
        assert_eq!(
            (ended.code, ended.printed.as_str()),
            (Some(0), ""),
            "{}",
            ended.said
        );
    }
    let ended = run_in(home.path(), &["setup", "--check"]);
    assert_eq!(ended.code, Some(0));
    has(&ended.printed, "this machine: nothing is missing");

    fs::set_permissions(
        home.path().join("zam.yaml"),
        fs::Permissions::from_mode(0o600),
    )
    .expect("permissions");
    let ended = run_in(home.path(), &["setup"]);
    has(&ended.printed, "the group zam may not read");
    has(&ended.printed, "zam.yaml && chmod g+r ");
}
