//! A directory with the script `zfs` of tests/replicating, its rows, and a configuration.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;
use zam::core::name::Prefix;

use crate::common::zam;

pub(super) const ROOT: u64 = 0x1234_5678_9abc_def0;
pub(super) const BEGIN: i64 = 1_706_745_600;
pub(super) const ENTRIES: &str = "destinations: {nas: {root: nas, replication-period: 1h}}
datasets: {tank/a: {recursive: true, snapshot-period: 1h, destinations: [nas]}, tank/b: {destinations: [nas]}}";

/// The name of the snapshot with this GUID.
pub(super) fn name(guid: u64) -> String {
    Prefix::default().snapshot(BEGIN + 3600 * guid as i64)
}

pub(super) fn cursor(dataset: &str, guid: u64) -> String {
    format!("{dataset}#{}", Prefix::default().bookmark(ROOT, guid))
}

pub(super) struct World(TempDir);

pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) said: String,
}

impl World {
    /// With the destination's root, and the pool of the sources.
    pub(super) fn new() -> World {
        let world = World(TempDir::new().expect("a directory"));
        for program in ["zfs", "ssh"] {
            let script = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/replicating")
                .join(program);
            symlink(script, world.path(program)).expect("a link");
        }
        fs::create_dir_all(world.path("run/done")).expect("a directory");
        world.write("hook", "");
        world.write("zam.yaml", ENTRIES);
        world.write(
            "rows",
            &format!("nas\t{ROOT}\t1\t1\tfilesystem\t0\t-\t-\ton\n"),
        );
        world.dataset("tank", "-", "-");
        world
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect(name);
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(super) fn add(&self, row: &str) {
        self.write("rows", &format!("{}{row}\n", self.read("rows")));
    }

    pub(super) fn dataset(&self, name: &str, encryption_root: &str, token: &str) {
        let guid = 5000 + self.read("rows").lines().count();
        self.add(&format!(
            "{name}\t{guid}\t1\t1\tfilesystem\t0\t{encryption_root}\t{token}\ton"
        ));
    }

    /// A dataset with its snapshots, by their GUIDs.
    pub(super) fn holds(&self, dataset: &str, guids: &[u64]) {
        self.dataset(dataset, "-", "-");
        guids
            .iter()
            .for_each(|guid| self.snapshot(dataset, &name(*guid), *guid, 0));
    }

    pub(super) fn snapshot(&self, dataset: &str, name: &str, guid: u64, written: u64) {
        let creation = BEGIN + 3600 * guid as i64;
        self.add(&format!(
            "{dataset}@{name}\t{guid}\t{guid}\t{creation}\tsnapshot\t{written}\t-\t-\t-"
        ));
    }

    pub(super) fn bookmark(&self, name: &str, guid: u64) {
        self.add(&format!("{name}\t{guid}\t{guid}\t1\tbookmark\t-\t-\t-\t-"));
    }

    pub(super) fn remove(&self, is_gone: impl Fn(&str) -> bool) {
        let rows = self.read("rows");
        let left = rows
            .lines()
            .filter(|row| !is_gone(row.split('\t').next().unwrap_or(row)));
        self.write(
            "rows",
            &left.map(|row| format!("{row}\n")).collect::<String>(),
        );
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.read("rows")
            .lines()
            .any(|row| row.split('\t').next() == Some(name))
    }

    pub(super) fn zam(&self, words: &[&str]) -> Ended {
        self.job("", words)
    }

    /// As systemd runs the job with this instance.
    pub(super) fn job(&self, instance: &str, words: &[&str]) -> Ended {
        self.write("log", "");
        let mut zam = zam();
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        zam.arg("--config")
            .arg(self.path("zam.yaml"))
            .args(words)
            .env("PATH", path)
            .env("FAKE", self.0.path());
        let output = zam
            .env("ZAM_INSTANCE", instance)
            .env("ZAM_RUN", self.path("run"))
            .env("ZAM_STATE", self.path("run"))
            .output()
            .expect("zam runs");
        assert!(!self.read("log").contains("CRIME"), "{}", self.read("log"));
        let said = [output.stdout, output.stderr].concat();
        Ended {
            code: output.status.code().unwrap_or(-1),
            said: String::from_utf8_lossy(&said).into_owned(),
        }
    }

    pub(super) fn replicate(&self, dataset: &str, code: i32) -> String {
        let ended = self.zam(&["replicate", dataset]);
        assert_eq!(
            ended.code,
            code,
            "{}\n{}\n{}",
            ended.said,
            self.read("log"),
            self.read("rows")
        );
        ended.said
    }

    /// The GUIDs of the snapshots on which a cursor stands.
    pub(super) fn cursors(&self, dataset: &str) -> Vec<u64> {
        let guids = 1..100;
        guids
            .filter(|guid| self.has(&cursor(dataset, *guid)))
            .collect()
    }

    /// Whether a command with this text was run that is no listing.
    pub(super) fn was_asked(&self, text: &str) -> bool {
        self.read("log")
            .lines()
            .any(|line| !line.starts_with("list ") && line.contains(text))
    }
}

pub(super) fn has(said: &str, text: &str) {
    assert!(said.contains(text), "{said}\nlacks: {text}");
}
