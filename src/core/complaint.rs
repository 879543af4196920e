//! The complaints of zfs on stderr, line by line. It puts each name into quotes; a line without a quoted name comes from a
//! shell (a greeting, a warning about a locale), or concerns no dataset.

/// `cannot create snapshot 'tank/a@x': out of space`
#[derive(Debug, PartialEq, Eq)]
pub struct Complaint {
    /// A dataset, or one of its snapshots or bookmarks.
    pub name: String,
    pub reason: String,
}

/// The reason of a first attempt that ZFS itself repeated (two snapshots in one transaction group): it refuses nothing.
const TRY_AGAIN: &str = "pool I/O is currently suspended";

/// The name and the reason of a complaint, if the line is one that has both.
fn parts(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.trim().strip_prefix("cannot ")?.split_once(" '")?;
    rest.split_once("': ")
}

/// Those of `datasets` that `zfs snapshot` refused, each once, with the reason. If zfs names a dataset itself and not its
/// snapshot (it cannot be opened; its `snapshot_limit` is reached), everything below it is refused as well.
pub fn refused(stderr: &str, datasets: &[&str]) -> Vec<Complaint> {
    let mut named: Vec<(&str, &str)> = stderr.lines().filter_map(parts).collect();
    named.retain(|(_, reason)| *reason != TRY_AGAIN);
    let mut refused = Vec::new();
    for dataset in datasets {
        if let Some((_, reason)) = named.iter().find(|(name, _)| concerns(name, dataset)) {
            refused.push(Complaint {
                name: dataset.to_string(),
                reason: reason.to_string(),
            });
        }
    }
    refused
}

fn concerns(name: &str, dataset: &str) -> bool {
    match name.split_once('@') {
        Some((named, _)) => named == dataset,
        None => dataset
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    }
}

/// Whether `zfs destroy NAME` failed because there is no such thing, and for no other reason.
pub fn was_gone(stderr: &str, name: &str) -> bool {
    let dataset = name.split(['@', '#']).next().unwrap_or(name);
    let quoted = [format!("'{name}'"), format!("'{dataset}'")];
    let mut was_gone = false;
    for line in stderr.lines() {
        let is_absent = line.contains("does not exist") && quoted.iter().any(|q| line.contains(q));
        if is_absent || line.starts_with("could not find any snapshots to destroy") {
            was_gone = true;
        } else if line.starts_with("cannot ") {
            return false;
        }
    }
    was_gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_a_snapshot_is_named_with_the_reason() {
        let stderr = "bash: warning: setlocale: cannot change locale (de_DE)\n\
                      cannot create snapshot 't/a@x': out of space\n\
                      cannot create snapshot 't/b@x': dataset is busy\n\
                      cannot create snapshot 't/e@x': pool I/O is currently suspended\n\
                      no snapshots were created\n";
        let all = ["t", "t/a", "t/a/below", "t/ab", "t/b", "t/e"];
        let expected = [
            Complaint {
                name: "t/a".into(),
                reason: "out of space".into(),
            },
            Complaint {
                name: "t/b".into(),
                reason: "dataset is busy".into(),
            },
        ];
        assert_eq!(refused(stderr, &all), expected);
        let gone = refused(
            "cannot open 't/a': dataset does not exist\nusage:\n\tsnapshot [-r] 'x': y\n",
            &all,
        );
        assert_eq!(
            gone.iter().map(|c| &c.name).collect::<Vec<_>>(),
            ["t/a", "t/a/below"]
        );
        for nobody in [
            "cannot create snapshots : out of space\n",
            "cannot create snapshot 'u@x': out of space\n",
            "",
        ] {
            assert_eq!(refused(nobody, &all), [], "{nobody}");
        }
    }

    #[test]
    fn gone_is_what_zfs_says_of_that_name_alone() {
        for (stderr, name) in [
            (
                "could not find any snapshots to destroy; check snapshot names.\n",
                "t/a@x,y",
            ),
            ("cannot open 't/a': dataset does not exist\n", "t/a@x"),
            (
                "Could not chdir to home directory\nbookmark 't/a#m' does not exist.\n",
                "t/a#m",
            ),
        ] {
            assert!(was_gone(stderr, name), "{stderr}");
        }
        for (stderr, name) in [
            (
                "sh: /etc/greeting does not exist\ncannot destroy snapshot t/a@x: permission denied\n",
                "t/a@x",
            ),
            ("/etc/greeting does not exist\n", "t/a#m"),
            ("cannot open 't': dataset does not exist\n", "t/a@x"),
            (
                "could not find any snapshots to destroy\ncannot destroy snapshot t/a@y: dataset is busy\n",
                "t/a@x,y",
            ),
        ] {
            assert!(!was_gone(stderr, name), "{stderr}");
        }
    }
}
