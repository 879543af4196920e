//! A check's result as Prometheus's node exporter reads it from a file: timestamps, never ages, and nothing of what never
//! happened. The names are a contract: dashboards and rules of other people know them.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, Utc};

use crate::core::alert::Alert;
use crate::core::health::Health;
use crate::verbs::check::record::Record;
use crate::verbs::status::shown::ShownJob;

/// Samples by the name of their metric.
#[derive(Default)]
struct Metrics(BTreeMap<&'static str, Vec<(String, f64)>>);

/// `alerts` is the number of those that are open. Without a record there is what is known without it.
pub(super) fn text(record: Option<&Record>, is_config_valid: bool, alerts: usize) -> String {
    let mut metrics = Metrics::default();
    let version = labels(&[("version", env!("CARGO_PKG_VERSION"))]);
    metrics.add("zam_info", version, 1.0);
    metrics.add(
        "zam_config_valid",
        String::new(),
        f64::from(u8::from(is_config_valid)),
    );
    metrics.add("zam_alerts", String::new(), alerts as f64);
    if let Some(record) = record {
        metrics.add_record(record);
    }
    metrics.text()
}

impl Metrics {
    fn add(&mut self, name: &'static str, labels: String, value: f64) {
        self.0.entry(name).or_default().push((labels, value));
    }

    fn add_if(&mut self, name: &'static str, labels: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.add(name, labels.to_owned(), value);
        }
    }

    fn add_record(&mut self, record: &Record) {
        let time = record.time.timestamp() as f64;
        self.add("zam_check_timestamp_seconds", String::new(), time);
        for entry in &record.datasets {
            let of = labels(&[("dataset", &entry.dataset)]);
            let newest = seconds(entry.newest);
            let snapshots = entry.snapshots.map(|number| number as f64);
            self.add_if("zam_dataset_snapshots", &of, snapshots);
            self.add_if("zam_dataset_newest_snapshot_timestamp_seconds", &of, newest);
            for job in &entry.jobs {
                self.add_job(&entry.dataset, job);
            }
        }
        self.add_replicas(record);
        self.add_troubles(record);
    }

    /// Two may have the same labels, as of datasets of one name on two machines; a sample has to be the only one.
    fn add_troubles(&mut self, record: &Record) {
        let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
        for trouble in &record.troubles {
            let gravity = trouble.gravity.to_string();
            let of = labels(&[
                ("gravity", &gravity),
                ("kind", &trouble.kind),
                ("about", &trouble.about),
            ]);
            *numbers.entry(of).or_default() += 1;
        }
        for (of, number) in numbers {
            self.add("zam_troubles", of, number.into());
        }
    }

    fn add_replicas(&mut self, record: &Record) {
        for (entry, replica) in record.replicas() {
            let pair = [
                ("dataset", entry.dataset.as_str()),
                ("destination", &replica.name),
            ];
            let of = labels(&pair);
            let newest = seconds(replica.newest);
            let lag = replica.lag_seconds.map(|lag| lag as f64);
            let after = replica.alert_after_seconds.map(|after| after as f64);
            let snapshots = replica.snapshots.map(|number| number as f64);
            self.add_if("zam_replica_snapshots", &of, snapshots);
            self.add_if("zam_replica_newest_snapshot_timestamp_seconds", &of, newest);
            self.add_if("zam_replica_lag_seconds", &of, lag);
            self.add_if("zam_replica_alert_after_seconds", &of, after);
            let missing = seconds(replica.missing_since);
            let name = "zam_replica_missing_since_timestamp_seconds";
            self.add_if(name, &of, missing);
            for state in Health::ALL {
                let of = labels(&[pair[0], pair[1], ("state", &state.to_string())]);
                let holds = f64::from(u8::from(replica.state == state));
                self.add("zam_replica_state", of, holds);
            }
        }
    }

    fn add_job(&mut self, dataset: &str, job: &ShownJob) {
        let verb = job.verb.to_string();
        let to = job.destination.as_deref().unwrap_or_default();
        let of = labels(&[("verb", &verb), ("dataset", dataset), ("destination", to)]);
        let failed = job.alert.as_ref().map(status);
        let status = failed.or(job.success.map(|_| 0.0));
        self.add_if("zam_job_last_run_timestamp_seconds", &of, seconds(job.last));
        self.add_if(
            "zam_job_last_success_timestamp_seconds",
            &of,
            seconds(job.success),
        );
        self.add_if("zam_job_last_exit_status", &of, status);
        self.add_if(
            "zam_job_last_duration_seconds",
            &of,
            job.seconds.map(|seconds| seconds as f64),
        );
        self.add_if(
            "zam_job_last_bytes",
            &of,
            job.bytes.map(|bytes| bytes as f64),
        );
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, samples) in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# TYPE {name} gauge");
            for (labels, value) in samples {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        }
        text
    }
}

/// The exit status of a unit that failed. A signal has a name instead of a number, and what failed after a job that went well
/// is no success.
fn status(alert: &Alert) -> f64 {
    match alert.status.parse() {
        Ok(0 | 75) | Err(_) => 255.0,
        Ok(status) => f64::from(status),
    }
}

/// `{dataset="tank/home",destination="nas"}`
fn labels(pairs: &[(&str, &str)]) -> String {
    let mut texts = Vec::new();
    for (name, value) in pairs {
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        texts.push(format!("{name}=\"{value}\""));
    }
    format!("{{{}}}", texts.join(","))
}

/// Since 1970.
fn seconds(time: Option<DateTime<Utc>>) -> Option<f64> {
    Some(time?.timestamp() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::check::example::record;

    #[test]
    fn what_never_happened_is_absent_and_names_are_quoted() {
        let mut record = record();
        record.troubles.push(record.troubles[1].clone());
        let text = text(Some(&record), false, 2);
        for line in [
            "zam_config_valid 0",
            "zam_alerts 2",
            "zam_check_timestamp_seconds 1800000000",
            r#"zam_dataset_snapshots{dataset="tank/my \"data\""} 12"#,
            r#"zam_replica_state{dataset="tank/my \"data\"",destination="nas",state="stale"} 1"#,
            r#"zam_replica_state{dataset="tank/my \"data\"",destination="nas",state="ok"} 0"#,
            r#"zam_replica_alert_after_seconds{dataset="tank/my \"data\"",destination="nas"} 259200"#,
            r#"zam_replica_missing_since_timestamp_seconds{dataset="tank/my \"data\"",destination="usb"} 1799000000"#,
            r#"zam_troubles{gravity="critical",kind="stale",about="tank/my \"data\" to nas"} 1"#,
            r#"zam_troubles{gravity="warning",kind="full",about="pool tank"} 2"#,
            r#"zam_job_last_success_timestamp_seconds{verb="replicate",dataset="tank/my \"data\"",destination="nas"} 1799900000"#,
            r#"zam_job_last_bytes{verb="replicate",dataset="tank/my \"data\"",destination="nas"} 4096"#,
            r#"zam_job_last_exit_status{verb="replicate",dataset="tank/my \"data\"",destination="nas"} 0"#,
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "no {line} in {text}"
            );
        }
        assert!(
            !text.contains(
                r#"zam_replica_lag_seconds{dataset="tank/my \"data\"",destination="usb"}"#
            )
        );
        // Each metric has its type once, before its samples.
        let types = text
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .count();
        let names = text.lines().filter(|line| !line.starts_with('#'));
        let names: std::collections::BTreeSet<_> = names
            .filter_map(|line| line.split(['{', ' ']).next())
            .collect();
        assert_eq!(types, names.len());
    }

    #[test]
    fn without_a_record_the_rest_is_said() {
        let text = text(None, true, 0);
        assert!(text.contains("zam_config_valid 1\n") && !text.contains("zam_check_timestamp"));
    }
}
