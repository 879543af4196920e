//! `zam serve` under attack: what a key may run is what zam sends, within the key's roots, and nothing else.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use zam::core::serve::{Key, Role, token};
use zam::core::shell;

use self::harmless::is_harmless;
use crate::common::zam;

#[path = "../serve/harmless.rs"]
mod harmless;

const ROLES: [Role; 3] = [Role::Push, Role::AppendOnly, Role::ReadOnly];
const NAME: &str = "zam_20261122T213727Z";
const MARK: &str = "zam_0123abcd_0123456789abcdef";
const SETTINGS: &str = "-o readonly=on -o canmount=noauto";
const LIST: &str = "zfs list -Hp -t filesystem,volume,snapshot,bookmark -o name,guid,createtxg";

fn key(role: Role) -> Key {
    let roots = ["nas/zam", "nas/by name"].map(|root| root.parse().expect(root));
    Key {
        roots: roots.to_vec(),
        role,
        prefix: "zam".parse().expect("a prefix"),
    }
}

/// The line for a pipeline whose words have single spaces between them, `~` standing for a space in a word.
fn sent(text: &str) -> String {
    let mut programs = Vec::new();
    for program in text.split(" | ") {
        let words = program.split(' ').map(|word| word.replace('~', " "));
        programs.push(words.collect::<Vec<String>>());
    }
    shell::pipeline(&programs).expect("a line")
}

/// What zam sends, and which keys may: Push, AppendOnly, ReadOnly.
fn sound() -> Vec<(String, [bool; 3])> {
    let all = [true, true, true];
    let receive = [true, true, false];
    let discard = [true, false, false];
    let pull = [false, false, true];
    let set = |texts: &[&str], who| -> Vec<(String, [bool; 3])> {
        texts.iter().map(|text| (sent(text), who)).collect()
    };
    let snapshot = &format!("nas/zam/tank@{NAME}");
    [
        set(
            &[
                &format!("{LIST} -r nas/zam nas/by~name"),
                &format!("{LIST} -d 0 nas/zam/tank@{NAME}"),
                &format!("{LIST} -d 1 nas/zam/tank/a~b:c"),
                "zfs allow nas/zam",
                "zpool status nas",
                "zfs get -Hp -o value readonly,canmount,encryptionroot nas/zam/tank",
                &format!("zfs get -Hp -o value guid nas/zam/tank@{NAME}"),
            ],
            all,
        ),
        set(
            &[
                "zfs receive -s -u nas/zam/tank",
                &format!("zfs receive -s -u {SETTINGS} nas/by~name/tank"),
                &format!("zstd -dqc | zfs receive -s -u {SETTINGS} -o encryption=off nas/zam/tank"),
                "zfs create -u -o canmount=off nas/zam/tank",
            ],
            receive,
        ),
        set(
            &[
                "zfs receive -A nas/zam/tank",
                &format!("zfs destroy {snapshot}"),
                &format!("zfs destroy {snapshot},zam_20261122T213728Z"),
            ],
            discard,
        ),
        set(
            &[
                &format!("zfs send -Lc {snapshot}"),
                &format!("zfs send -Lcw -I nas/zam/tank@x {snapshot}"),
                &format!("zfs send -LcnvP -i nas/zam/tank#{MARK} {snapshot}"),
                &format!("zfs send -Lc -i nas/zam/tank@x {snapshot} | zstd -qc"),
                "zfs send -t 1-abc-def-0123",
                "zfs send -wt 1-abc-def-0123 | zstd -qc",
                &format!("zfs bookmark {snapshot} nas/zam/tank#{MARK}"),
                &format!("zfs destroy nas/zam/tank#{MARK}"),
            ],
            pull,
        ),
    ]
    .concat()
}

#[test]
fn each_key_runs_what_zam_sends_in_its_role() {
    for (line, who) in sound() {
        for (role, may) in ROLES.into_iter().zip(who) {
            let verdict = key(role).judge(&line);
            assert_eq!(verdict.is_ok(), may, "{role:?}: {line}: {verdict:?}");
        }
    }
}

/// Words of a command that would do harm, or reach what is not the key's, in the place of a name.
const STRANGE_NAMES: [&str; 32] = [
    "nas",
    "nas/",
    "/nas/zam",
    "nas/zamx",
    "nas/zam-evil",
    "nas/zam_evil/x",
    "nas/other",
    "nas/by",
    "nas/by~name~",
    "tank",
    "tank/home",
    "nas/zam/..",
    "nas/zam/../other",
    "nas/zam/./x",
    "nas/zam//x",
    "nas/zam/",
    "-r",
    "-F",
    "-rf",
    "--",
    "",
    "nas/zam/%recv",
    "nas/zam/a@b@c",
    "nas/zam/a#b#c",
    "nas/zam/a@",
    "nas/zam/a@b%c",
    "nas/zam/a@%",
    "other/zam/x@y",
    "nas/zam/a@b/c",
    "$(reboot)",
    "nas/zam/`reboot`",
    "nas/zam/x;reboot",
];

/// Whole commands that zam does not send.
const STRANGE: [&str; 53] = [
    "sh",
    "sh -c reboot",
    "zfs",
    "zfs destroy -r nas/zam/tank",
    "zfs destroy -R nas/zam/tank@zam_20261122T213727Z",
    "zfs destroy nas/zam/tank",
    "zfs destroy nas/zam/tank@%",
    "zfs destroy nas/zam/tank@zam_20261122T213727Z%",
    "zfs destroy nas/zam/tank@daily",
    "zfs destroy nas/zam/tank@zam_20261122T213727Z,daily",
    "zfs destroy nas/zam/tank@zam_20261122T213727Z nas/zam/b@zam_20261122T213727Z",
    "zfs destroy nas/zam/tank@zam_2026",
    "zfs destroy nas/zam/tank#mine",
    "zfs receive -F nas/zam/tank",
    "zfs receive -s -u -F nas/zam/tank",
    "zfs receive -s -u -d nas/zam",
    "zfs receive -s -u -e nas/zam",
    "zfs receive -s nas/zam/tank",
    "zfs receive -s -u -o mountpoint=/etc nas/zam/tank",
    "zfs receive -s -u -o readonly=off nas/zam/tank",
    "zfs receive -s -u -o canmount=on nas/zam/tank",
    "zfs receive -s -u -x readonly nas/zam/tank",
    "zfs receive -s -u -o readonly=on -F nas/zam/tank",
    "zfs receive -s -u -o nas/zam/tank",
    "zfs create nas/zam/tank",
    "zfs create -u -o canmount=on nas/zam/tank",
    "zfs create -p -u -o canmount=off nas/zam/tank",
    "zfs create -V 1G nas/zam/tank",
    "zfs rollback nas/zam/tank@x",
    "zfs rename nas/zam/tank nas/zam/b",
    "zfs set readonly=off nas/zam/tank",
    "zfs allow everyone destroy nas/zam",
    "zfs allow -s @x destroy nas/zam",
    "zfs unallow nas/zam",
    "zfs program nas x.lua",
    "zfs mount nas/zam/tank",
    "zfs list",
    "zfs list -Hp -t filesystem -o name -r",
    "zfs list -Hp -t filesystem -o name,keylocation -r nas/zam",
    "zfs list -Hp -t all -o name -r nas/zam",
    "zfs list -Hp -t filesystem -o name -d 99 nas/zam",
    "zfs get -Hp -o value all nas/zam",
    "zfs send -R nas/zam/tank@x",
    "zfs send -Lcp nas/zam/tank@x",
    "zfs send nas/zam/tank@x",
    "zfs send -t 1-abc;reboot",
    "zfs send -t -nv",
    "zpool destroy nas",
    "zpool status",
    "zpool status tank",
    "zpool status nas tank",
    "zpool status -v nas",
    "zpool status nas/zam",
];

/// What is written into a line that zam made.
const INSERTED: [&str; 30] = [
    ";reboot",
    " ; reboot",
    "&&reboot",
    " & reboot",
    "|reboot",
    " | reboot",
    " | sh",
    "\nreboot",
    "\r\nreboot",
    "\0",
    "\0reboot",
    "$(reboot)",
    "`reboot`",
    "${IFS}x",
    "$HOME",
    " >/etc/passwd",
    " </dev/zero",
    " #",
    "'",
    "''",
    "\"",
    "\\",
    "\t",
    "  ",
    " -F",
    " -R",
    "*",
    "~root",
    "\u{a0}",
    "\u{1b}[2J",
];

fn is_refused_to_all(line: &str) {
    for role in ROLES {
        let verdict = key(role).judge(line);
        assert!(verdict.is_err(), "{role:?} may run {line:?}");
    }
}

#[test]
fn no_command_but_zams_is_run() {
    let mut tried = 0;
    for text in STRANGE {
        is_refused_to_all(&sent(text));
        // As a shell would take it, without what comes before zam's own.
        is_refused_to_all(&text.replace('~', " "));
        tried += 2;
    }
    println!("{tried} commands refused to each of three keys");
}

#[test]
fn nothing_outside_the_roots_is_touched() {
    let commands = [
        format!("{LIST} -r NAME"),
        format!("{LIST} -r nas/zam NAME"),
        "zfs get -Hp -o value guid NAME".into(),
        "zfs receive -s -u NAME".into(),
        "zfs receive -A NAME".into(),
        "zfs create -u -o canmount=off NAME".into(),
        format!("zfs destroy NAME@{NAME}"),
        format!("zfs destroy NAME#{MARK}"),
        format!("zfs send -Lc NAME@{NAME}"),
        format!("zfs send -Lc -i NAME@x nas/zam/tank@{NAME}"),
        format!("zfs send -Lc -i nas/zam/tank@x NAME@{NAME}"),
        format!("zfs bookmark NAME@{NAME} nas/zam/tank#{MARK}"),
        format!("zfs bookmark nas/zam/tank@{NAME} NAME#{MARK}"),
    ];
    let mut tried = 0;
    for command in &commands {
        for name in STRANGE_NAMES {
            is_refused_to_all(&sent(&command.replace("NAME", name)));
            tried += 1;
        }
    }
    println!("{tried} names refused to each of three keys");
    assert!(tried > 300);
}

#[test]
fn nothing_can_be_added_to_a_line() {
    let mut tried = 0;
    for (line, _) in sound() {
        let ends: Vec<usize> = (0..=line.len()).filter(|at| is_edge(&line, *at)).collect();
        for inserted in INSERTED {
            for at in &ends {
                let changed = format!("{}{inserted}{}", &line[..*at], &line[*at..]);
                is_refused_to_all(&changed);
                tried += 1;
            }
        }
    }
    println!("{tried} lines refused to each of three keys");
}

/// Whether a word begins or ends there. What is added between quotes belongs to a name.
fn is_edge(line: &str, at: usize) -> bool {
    if line[..at].matches('\'').count() % 2 == 1 {
        return false;
    }
    let is_space = |at: usize| line.as_bytes().get(at).is_none_or(|byte| *byte == b' ');
    at == 0 || is_space(at) || is_space(at - 1)
}

#[test]
fn a_changed_line_runs_nothing_else() {
    let lines: Vec<String> = sound().into_iter().map(|(line, _)| line).collect();
    let change = (
        0..2000usize,
        0..3usize,
        "[ -~]{0,12}|zfs|destroy|-F|-r|nas|@x|,|#y",
    );
    let strategy = (
        prop::sample::select(lines),
        prop::collection::vec(change, 1..4),
    );
    let mut runner = TestRunner::new(Config {
        cases: 20_000,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&strategy, |(mut line, changes)| {
        for (at, removed, inserted) in changes {
            let at = at % (line.len() + 1);
            let end = line.len().min(at + removed);
            line.replace_range(at..end, &inserted);
        }
        for role in ROLES {
            if let Ok(programs) = key(role).judge(&line) {
                prop_assert!(is_harmless(role, &programs), "{role:?}: {line}");
            }
        }
        Ok(())
    });
    result.expect("no harm");
}

#[test]
fn a_token_is_judged_by_the_snapshot_that_zfs_found() {
    let key = key(Role::ReadOnly);
    let of = |found: &str| {
        format!(
            "resume token contents:\nnvlist version: 0\n\ttoname = nas/zam/x@y\n{found}size\t99\n"
        )
    };
    for sound in [
        "full\tnas/zam/x@y\t99\n",
        "incremental\ty\tnas/by name/x@z\t99\n",
    ] {
        assert_eq!(key.judge_resumed(&of(sound)), Ok(()), "{sound}");
    }
    for wrong in [
        "",
        "full\ttank/x@y\t99\n",
        "full\tnas/zamx@y\t99\n",
        "incremental\tnas/zam/x@y\ttank/x@z\t99\n",
        "full\tnas/zam/x@y\t99\nfull\ttank/x@y\t99\n",
        "full\tnas/zam/x\t99\n",
        "full\tnas/zam/x@y\n",
    ] {
        assert!(key.judge_resumed(&of(wrong)).is_err(), "{wrong}");
    }
    let programs = key.judge(&sent("zfs send -t 1-ab-cd")).expect("allowed");
    assert_eq!(token(&programs), Some("1-ab-cd"));
}

#[test]
fn no_stream_chooses_where_it_is_mounted() {
    for (settings, expected) in [
        (
            "",
            "-x reservation -x refreservation -x mountpoint -x sharenfs -x sharesmb -x quota -x refquota -x canmount ",
        ),
        (
            "-o readonly=on -o canmount=noauto ",
            "-x reservation -x refreservation -x mountpoint -x sharenfs -x sharesmb -x quota -x refquota ",
        ),
        (
            "-o readonly=on -o volmode=none ",
            "-x reservation -x refreservation ",
        ),
    ] {
        let line = sent(&format!("zfs receive -s -u {settings}nas/zam/x"));
        let programs = key(Role::AppendOnly).judge(&line).expect("allowed");
        let run = format!("zfs receive -s -u {settings}{expected}nas/zam/x");
        assert_eq!(programs[0].join(" "), run);
    }
}

#[test]
fn a_key_hears_what_it_may_do() {
    let mut serve = zam();
    serve.args([
        "serve",
        "--root",
        "nas/zam",
        "--root",
        "nas/x",
        "--append-only",
    ]);
    let answer = serve.env("SSH_ORIGINAL_COMMAND", "zam serve").output();
    let said = String::from_utf8(answer.expect("zam").stdout).expect("text");
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["role"], "append-only");
    assert_eq!(said["roots"], serde_json::json!(["nas/zam", "nas/x"]));
}

#[test]
fn what_is_refused_is_said_and_does_not_run() {
    let mut serve = zam();
    serve.args([
        "serve",
        "--root",
        "nas/zam",
        "--append-only",
        "--key",
        "laptop",
    ]);
    let by_hand = serve.output().expect("zam");
    assert_eq!(by_hand.status.code(), Some(2));
    let place = tempfile::tempdir().expect("a directory");
    let made = place.path().join("made");
    let command = format!("touch {}; \x1b[2J", made.display());
    serve.env("SSH_ORIGINAL_COMMAND", command);
    let refused = serve.output().expect("zam");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("refuses the key laptop this: "), "{said}");
    assert!(!said.contains('\x1b'), "{said}");
    assert!(!made.exists());
}
