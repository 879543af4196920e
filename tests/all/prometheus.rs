//! packaging/ in a real Prometheus, which reads through a real node exporter what `zam check` has written: each rule
//! fires and clears, and each panel of the dashboard has something to show.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use regex_lite::Regex;
use serde_json::Value;
use zam::edge::clock::now;

use crate::common::program;
use crate::outside::{SSH, World};

const RULES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/packaging/prometheus-rules.yml"
);
const DASHBOARD: &str = include_str!("../../packaging/grafana-dashboard.json");
const MANUAL: &str = include_str!("../../man/zam.yaml.5");
type Failure = fn(&Monitoring);

/// Ends with the process that it holds.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where Prometheus's programs are; none where Debian's packages cannot be had. `tests/setup` insists on them.
fn directory_of_programs() -> Option<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/prometheus");
    let output = program(script).output().expect("tests/prometheus");
    let directory = String::from_utf8_lossy(&output.stdout);
    output
        .status
        .success()
        .then(|| PathBuf::from(directory.trim()))
}

fn unused_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").to_string()
}

fn start(command: &mut Command) -> Service {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    Service(command.spawn().expect("a service"))
}

struct Monitoring {
    world: World,
    programs: PathBuf,
    url: String,
    _services: [Service; 2],
}

impl Monitoring {
    fn new(programs: PathBuf) -> Self {
        let world = World::new();
        fs::create_dir(world.path("metrics")).expect("a directory");
        world.write(
            "bin/zpool",
            "#!/bin/sh\nprintf 'tank\\tONLINE\\t10\\nbackup\\tONLINE\\t10\\n'\n",
        );
        world.write("bin/journalctl", "#!/bin/sh\n");
        let exporter = unused_address();
        let server = unused_address();
        world.write("rules.yml", &impatient_rules());
        world.write(
            "prometheus.yml",
            &format!(
                "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
                 rule_files: [rules.yml]\n\
                 scrape_configs: [{{job_name: node, static_configs: [{{targets: ['{exporter}']}}]}}]\n"
            ),
        );
        let metrics = world.path("metrics");
        let reader = start(
            program(programs.join("prometheus-node-exporter"))
                .args(["--collector.disable-defaults", "--collector.textfile"])
                .arg(format!("--web.listen-address={exporter}"))
                .arg(format!(
                    "--collector.textfile.directory={}",
                    metrics.display()
                )),
        );
        let config = world.path("prometheus.yml");
        let storage = world.path("storage");
        let prometheus = start(
            program(programs.join("prometheus"))
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", storage.display()))
                .arg(format!("--web.listen-address={server}")),
        );
        let url = format!("http://{server}");
        let monitoring = Monitoring {
            world,
            programs,
            url,
            _services: [reader, prometheus],
        };
        monitoring.heal();
        monitoring
    }

    /// All is well: the replica has the source's snapshot, and a job that failed has been forgotten.
    fn heal(&self) {
        let _ = fs::remove_dir_all(self.world.path("state"));
        fs::create_dir(self.world.path("state")).expect("a directory");
        self.world.write("zam.yaml", &self.config());
        self.world.write("bin/ssh", SSH);
        self.world.hold(&[1], &[1]);
        self.check();
    }

    fn config(&self) -> String {
        let file = self.world.path("metrics/zam.prom");
        format!(
            "metrics-file: {}\n\
             hosts: {{far: {{ssh: root@far}}}}\n\
             destinations:\n\
             \x20 local: {{root: backup/zam, replication-period: 1h, alert-after: 2d}}\n\
             \x20 away: {{host: far, root: backup/zam, replication-period: 1h, alert-after: 2d}}\n\
             datasets: {{tank/home: {{snapshot-period: 1d, destinations: [local, away]}}}}\n",
            file.display()
        )
    }

    /// What zam@check.service runs. Whether it finds something wrong is the other's to say.
    fn check(&self) {
        self.world.zam(&["check", "--record"]);
        let published = self.world.zam(&["check", "--publish"]);
        assert!(published.status.success(), "{published:?}");
    }

    /// What is written of this machine; nothing when the file is gone.
    fn metrics(&self) -> String {
        fs::read_to_string(self.world.path("metrics/zam.prom")).unwrap_or_default()
    }

    /// The values that a query has, each with its labels.
    fn query(&self, expression: &str) -> Vec<Value> {
        let output = program(self.programs.join("promtool"))
            .args(["query", "instant", "--format=json", &self.url, expression])
            .output()
            .expect("promtool");
        // It fails until the server is there.
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn firing(&self) -> Vec<String> {
        let mut names = Vec::new();
        for alert in self.query(r#"ALERTS{alertstate="firing"}"#) {
            names.push(
                alert["metric"]["alertname"]
                    .as_str()
                    .expect("a name")
                    .to_owned(),
            );
        }
        names.sort();
        names.dedup();
        names
    }

    fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(
                begun.elapsed() < Duration::from_secs(120),
                "{what}; firing: {:?}; metrics:\n{}",
                self.firing(),
                self.metrics()
            );
            sleep(Duration::from_millis(300));
        }
    }

    fn fires(&self, alerts: &[&str]) {
        self.wait_until(&format!("{alerts:?} do not fire alone"), || {
            self.firing() == alerts
        });
    }
}

fn check_rules(programs: &Path) {
    let output = program(programs.join("promtool"))
        .args(["check", "rules", RULES])
        .output()
        .expect("promtool");
    assert!(output.status.success(), "{output:?}");
}

/// The rules as they are, but that they wait for no more than a second.
fn impatient_rules() -> String {
    let text = fs::read_to_string(RULES).expect("the rules");
    let mut lines = Vec::new();
    for line in text.lines() {
        match line.split_once("for: ") {
            Some((indent, _)) => lines.push(format!("{indent}for: 1s")),
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

fn stale(monitoring: &Monitoring) {
    monitoring.world.hold(&[6, 1], &[6]);
    monitoring.check();
}

fn diverged(monitoring: &Monitoring) {
    monitoring.world.hold(&[2, 0], &[1]);
    monitoring.check();
}

fn unreachable(monitoring: &Monitoring) {
    let refusing =
        "#!/bin/sh\necho 'ssh: connect to host far port 22: Connection refused' >&2; exit 255\n";
    monitoring.world.write("bin/ssh", refusing);
    monitoring.check();
}

/// The source has no new snapshot, of which nothing but the check knows.
fn ceased(monitoring: &Monitoring) {
    monitoring.world.hold(&[6], &[6]);
    monitoring.check();
}

/// A unit that is no job.
fn not_reloaded(monitoring: &Monitoring) {
    notify(monitoring, "reload", "zam-reload.service");
    monitoring.check();
}

fn notify(monitoring: &Monitoring, instance: &str, unit: &str) {
    let words = ["notify", instance];
    let mut command = monitoring.world.command(env!("CARGO_BIN_EXE_zam"), &words);
    command
        .env("MONITOR_UNIT", unit)
        .env("MONITOR_SERVICE_RESULT", "signal")
        .env("MONITOR_EXIT_STATUS", "KILL");
    assert!(command.status().expect("zam").success());
}

/// Nothing has ever arrived, which the first check has noticed long ago.
fn never(monitoring: &Monitoring) {
    monitoring.world.hold(&[6, 1], &[]);
    monitoring.check();
    let file = "state/done/check.json";
    let text = monitoring.world.read(file);
    let mut record: Value = serde_json::from_str(&text).expect("JSON");
    for replica in record["datasets"][0]["destinations"]
        .as_array_mut()
        .expect("replicas")
    {
        assert_eq!(replica["state"], "never");
        replica["missing_since"] = (now() - TimeDelta::days(3)).to_rfc3339().into();
    }
    monitoring.world.write(file, &record.to_string());
    monitoring.check();
}

/// Out of reach for longer than its alert-after.
fn gone(monitoring: &Monitoring) {
    let success = (now() - TimeDelta::days(3)).timestamp();
    let done = monitoring.world.path("state/done");
    fs::create_dir_all(&done).expect("a directory");
    let record = done.join("replicate:away-tank-home");
    fs::write(record, success.to_string()).expect("a record");
    // The check before has seen it.
    fs::remove_file(done.join("check.json")).expect("a record");
    unreachable(monitoring);
}

fn failing(monitoring: &Monitoring) {
    let instance = "replicate:local-tank-home";
    notify(monitoring, instance, &format!("zam@{instance}.service"));
    monitoring.check();
}

fn misconfigured(monitoring: &Monitoring) {
    let wrong = monitoring.config().replace(
        "datasets: {",
        "datasets: {tank/wrong: {snapshot-period: soon}, ",
    );
    monitoring.world.write("zam.yaml", &wrong);
    monitoring.check();
}

fn removed(monitoring: &Monitoring) {
    fs::remove_file(monitoring.world.path("metrics/zam.prom")).expect("the metrics");
}

/// zam has written nothing for four hours.
fn old(monitoring: &Monitoring) {
    let mut lines = Vec::new();
    for line in monitoring.world.read("metrics/zam.prom").lines() {
        match line.strip_prefix("zam_check_timestamp_seconds ") {
            Some(time) => {
                let time: i64 = time.parse().expect("seconds");
                lines.push(format!("zam_check_timestamp_seconds {}", time - 4 * 3600));
            }
            None => lines.push(line.to_owned()),
        }
    }
    let text = lines.join("\n") + "\n";
    monitoring.world.write("metrics/zam.prom", &text);
}

/// A replication that had something to send.
fn succeed(monitoring: &Monitoring) {
    monitoring.world.hold(&[1, 0], &[1]);
    let words = ["replicate", "--to", "local", "tank/home"];
    let mut job = monitoring.world.command(env!("CARGO_BIN_EXE_zam"), &words);
    job.env("ZAM_INSTANCE", "replicate:local-tank-home");
    let output = job.output().expect("zam");
    assert!(output.status.success(), "{output:?}");
    monitoring.check();
}

/// What the dashboard asks, with every machine and every destination chosen.
fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let mut expressions = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"].as_str().expect("an expression");
            let chosen = expression.replace("$instance", ".*");
            expressions.push(chosen.replace("$destination", ".*"));
        }
    }
    assert!(!expressions.is_empty());
    expressions
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let name = Regex::new("zam_[a-z_]+").expect("a pattern");
    name.find_iter(text).map(|found| found.as_str()).collect()
}

#[test]
fn each_rule_fires_and_clears_and_each_panel_has_data() {
    let Some(programs) = directory_of_programs() else {
        println!("not tried, since Prometheus is not here: tests/setup brings it");
        return;
    };
    let monitoring = Monitoring::new(programs);
    check_rules(&monitoring.programs);
    let is_read = || !monitoring.query("zam_check_timestamp_seconds").is_empty();
    monitoring.wait_until("nothing is read", is_read);
    monitoring.wait_until("an alert fires though all is well", || {
        monitoring.firing().is_empty()
    });
    let failures: [(&[&str], Failure); 11] = [
        (&["ZamReplicaStale"], stale),
        (&["ZamReplicaDiverged"], diverged),
        (&["ZamReplicaUnreachable"], unreachable),
        (&["ZamReplicaStale", "ZamReplicaUnreachable"], gone),
        (&["ZamReplicaStale"], never),
        (&["ZamAlerts", "ZamJobFailing"], failing),
        (&["ZamAlerts"], not_reloaded),
        (&["ZamTroubles"], ceased),
        (&["ZamConfigInvalid"], misconfigured),
        (&["ZamSilent"], removed),
        (&["ZamSilent"], old),
    ];
    let mut written = String::new();
    for (alerts, fail) in failures {
        fail(&monitoring);
        written += &monitoring.metrics();
        monitoring.fires(alerts);
        monitoring.heal();
        let is_over = || monitoring.firing().is_empty();
        monitoring.wait_until(&format!("{alerts:?} go on"), is_over);
    }
    let rules = fs::read_to_string(RULES).expect("the rules");
    for line in rules.lines() {
        let name = line.trim().strip_prefix("- alert: ");
        let is_tried = |name| failures.iter().any(|(alerts, _)| alerts.contains(&name));
        assert!(name.is_none_or(is_tried), "{line} is not tried");
    }
    succeed(&monitoring);
    written += &monitoring.metrics();
    assert_eq!(names(&written), names(MANUAL));
    let used = names(&rules).into_iter().chain(names(DASHBOARD));
    let unknown: Vec<&str> = used.filter(|name| !written.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for expression in expressions() {
        let has_data = || !monitoring.query(&expression).is_empty();
        monitoring.wait_until(&format!("nothing to show for {expression}"), has_data);
    }
}
