//! Datasets with many more snapshots than their windows keep: pruning is stuck.

use chrono::{DateTime, Utc};

use crate::core::config::{Config, Entry, Window, key};
use crate::core::listing::State;
use crate::core::name::Dataset;
use crate::core::period::Period;
use crate::core::retention;
use crate::core::selection::governs;
use crate::core::shell::quoted;
use crate::core::trouble::Trouble;
use crate::verbs::status::trees::Trees;

/// So many beyond what two prunings may leave are no accident.
const CROWD: i64 = 20;

pub(super) fn of_crowds(
    config: &Config,
    entry: &Entry,
    trees: &Trees,
    now: DateTime<Utc>,
) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let Ok(sources) = trees.at(entry.host_name(), &entry.dataset) else {
        return troubles;
    };
    let look = Look { config, entry, now };
    let governed = sources
        .iter()
        .filter(|(dataset, _)| governs(config, entry, dataset));
    for (dataset, state) in governed {
        let name = quoted(&key(entry.host_name(), dataset));
        if entry.host.is_none() {
            let command = format!("zam prune -n {name}");
            troubles.extend(look.crowd(
                dataset,
                state,
                &entry.windows,
                entry.prune_period,
                &command,
            ));
        }
        for to in &entry.destinations {
            let replica = to.replica(dataset);
            if let Some(period) = to.prune_period
                && let Ok(there) = trees.at(to.host_name(), &to.root)
                && let Some(state) = there.get(&replica)
            {
                let command = format!("zam prune -n --to {} {name}", to.name);
                troubles.extend(look.crowd(&replica, state, &to.windows, period, &command));
            }
        }
    }
    troubles
}

struct Look<'l> {
    config: &'l Config,
    entry: &'l Entry,
    now: DateTime<Utc>,
}

impl Look<'_> {
    /// The trouble with a dataset that is pruned in this period; `command` says why its snapshots stay.
    fn crowd(
        &self,
        dataset: &Dataset,
        state: &State,
        windows: &[Window],
        period: Period,
        command: &str,
    ) -> Option<Trouble> {
        if windows.is_empty() {
            return None;
        }
        let prefix = &self.config.prefix;
        let now = self.now.timestamp();
        let plan = retention::plan(prefix, &state.snapshots, windows, now, |_| None);
        let crowd = plan.given_up().count() as i64;
        if crowd <= 2 * self.taken_in(period, state) + CROWD {
            return None;
        }
        let why =
            format!("it has {crowd} snapshots that no window keeps; why they stay: {command}");
        Some(Trouble::warning(dataset.as_str(), "crowded", why))
    }

    /// How many are taken from one pruning to the next. What others take is counted in the last such time.
    fn taken_in(&self, period: Period, state: &State) -> i64 {
        if let Some(snapshots) = self.entry.snapshot_period {
            return period.seconds() / snapshots.seconds().max(1);
        }
        let times = state.owned(&self.config.prefix).map(|s| s.creation);
        let newest = times.clone().max().unwrap_or(0);
        let last = times.filter(|time| newest - time < period.seconds());
        last.count() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::listing::Snapshot;
    use crate::core::load::config;
    use crate::core::span::HOUR;

    /// What is told of the one dataset of a configuration, with so many snapshots, so many seconds apart, until now.
    fn troubles(text: &str, snapshots: i64, gap: i64) -> Vec<String> {
        let config = config(text);
        let snapshot = |number: i64| Snapshot {
            name: config.prefix.snapshot(number * gap).into(),
            guid: number.unsigned_abs(),
            createtxg: number.unsigned_abs(),
            creation: number * gap,
            written: 1,
            held: false,
            cloned: false,
        };
        let state = State {
            snapshots: (1..=snapshots).map(snapshot).collect(),
            ..State::default()
        };
        let entry = &config.entries[0];
        let trees = Trees::of_this_machine([(entry.dataset.clone(), state)].into());
        let now = DateTime::from_timestamp(snapshots * gap, 0).expect("a time");
        let found = of_crowds(&config, entry, &trees, now);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn more_than_two_prunings_may_leave_are_a_crowd() {
        for period in ["snapshot-period: 1h,", ""] {
            let text = format!(
                "datasets: {{a b: {{{period} prune-period: 6h, windows: [{{max-age: 1d, period: 1h}}]}}}}"
            );
            let calm = 24 + 12 + CROWD;
            assert!(troubles(&text, calm, HOUR).is_empty());
            let told = troubles(&text, calm + 5, HOUR);
            assert_eq!(told.len(), 1);
            assert!(
                told[0]
                    .ends_with("snapshots that no window keeps; why they stay: zam prune -n 'a b'"),
                "{told:?}"
            );
        }
    }

    #[test]
    fn many_that_others_send_in_a_day_are_no_crowd() {
        let text = "datasets: {a: {prune-period: 1d, windows: [{max-age: 1w, period: 1h}]}}";
        let is_crowd = |days: i64| !troubles(text, days * 144, HOUR / 6).is_empty();
        assert_eq!([1, 2, 3].map(is_crowd), [false, false, true]);
    }
}
