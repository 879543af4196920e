//! What zam must never do to the model: the invariants of the contract, looked at in the moment of each destroying.

use zam::core::config::Window;
use zam::core::listing::{self, SNAPSHOT_COLUMNS, State};
use zam::core::name::Prefix;
use zam::core::pruning::{self, Keeping};

use super::model::{Dataset, Partial, Snapshot, World};
use super::zfs::rows;

/// The root of the one destination.
pub(super) const ROOT: &str = "backup/zam";

/// In YAML, as the configurations of all scenes have them: of the source and of the replica.
pub(super) const WINDOWS: &str = "[{max-age: 4h, period: 1h}]";
pub(super) const WINDOWS_THERE: &str = "[{max-age: 4h, period: 1h}, {period: 3h}]";

fn windows(is_replica: bool) -> Vec<Window> {
    let window = |age: Option<&str>, period: &str| Window {
        max_age: age.map(|age| age.parse().expect("a span")),
        period: period.parse().expect("a period"),
    };
    let mut windows = vec![window(Some("4h"), "1h")];
    if is_replica {
        windows.push(window(None, "3h"));
    }
    windows
}

pub(super) fn place(source: &str) -> String {
    format!("{ROOT}/{source}")
}

/// The source of a replica, where it is one.
fn source_of(place: &str) -> Option<&str> {
    place.strip_prefix(ROOT)?.strip_prefix('/')
}

fn state(world: &World, name: &str) -> Option<State> {
    world.datasets.get(name)?;
    let columns: Vec<&str> = SNAPSHOT_COLUMNS.split(',').collect();
    let text = rows(world, name, &["snapshot", "bookmark"], &columns, 1);
    listing::parse(SNAPSHOT_COLUMNS, &text)
        .expect("a listing")
        .into_values()
        .next()
}

/// The names of the snapshots that the plan for this dataset, as it is, would destroy.
pub(super) fn doomed(world: &World, name: &str) -> Vec<String> {
    let source = source_of(name).and_then(|source| state(world, source));
    let Some(pruned) = state(world, name) else {
        return vec![];
    };
    let prefix = Prefix::default();
    let windows = windows(source_of(name).is_some());
    let wish = Keeping {
        prefix: &prefix,
        windows: &windows,
        replicated: vec![],
        now: super::now(),
    };
    let plan = pruning::plan(&wish, &pruned, source.as_ref());
    plan.verdicts
        .iter()
        .filter(|v| !v.keep())
        .map(|v| v.snapshot.name.to_string())
        .collect()
}

/// The newest snapshot of `replica` that `source` has, or a bookmark of: its place in the replica.
fn in_common(source: &Dataset, replica: &Dataset) -> Option<usize> {
    replica
        .snapshots
        .iter()
        .rposition(|s| source.createtxg_of(s.guid).is_some())
}

/// Datasets in other pools than `name`'s, with what they have in common with it.
fn grounds<'w>(world: &'w World, name: &str, dataset: &Dataset) -> Vec<(&'w str, Option<u64>)> {
    let pool = name.split('/').next().unwrap_or_default();
    let others = world
        .datasets
        .iter()
        .filter(|(other, _)| other.split('/').next() != Some(pool));
    let ground = |(other, state): (&'w String, &Dataset)| {
        let (source, replica) = if source_of(name).is_some() {
            (state, dataset)
        } else {
            (dataset, state)
        };
        (
            other.as_str(),
            in_common(source, replica).map(|at| replica.snapshots[at].guid),
        )
    };
    others.map(ground).collect()
}

/// Crimes in destroying these snapshots, which exist.
pub(super) fn snapshots(world: &World, name: &str, these: &[Snapshot]) -> Vec<String> {
    let dataset = &world.datasets[name];
    let doomed = doomed(world, name);
    let newest = dataset.newest_owned().map(|s| s.guid);
    let why = |s: &Snapshot| match s {
        s if !s.is_owned() => Some("it is not zam's"),
        s if newest == Some(s.guid) => Some("it is the newest"),
        s if s.creation > super::now() => Some("it is dated in the future"),
        s if !doomed.contains(&s.name) => Some("its own plan keeps it"),
        _ => None,
    };
    let mut crimes: Vec<String> = these
        .iter()
        .filter_map(|s| Some(format!("destroyed {name}@{}: {}", s.name, why(s)?)))
        .collect();
    let mut after = dataset.clone();
    after.snapshots.retain(|s| !these.contains(s));
    crimes.extend(lost_ground(world, name, &after));
    crimes
}

fn lost_ground(world: &World, name: &str, after: &Dataset) -> Vec<String> {
    let before = grounds(world, name, &world.datasets[name]);
    let lost = before
        .into_iter()
        .zip(grounds(world, name, after))
        .filter(|(before, after)| before != after);
    lost.map(|((other, _), _)| format!("{name} lost what it had in common with {other}"))
        .collect()
}

/// Crimes in destroying this bookmark. Until something later has arrived, wherever it is now, a replica that was renamed
/// counts as one.
pub(super) fn bookmark(world: &World, name: &str, mark: &str) -> Vec<String> {
    let Some(dataset) = world.datasets.get(name) else {
        return vec![];
    };
    let Some(bookmark) = dataset.bookmarks.get(mark) else {
        return vec![];
    };
    if Prefix::default()
        .owns_bookmark(mark, bookmark.guid)
        .is_none()
    {
        return vec![format!("destroyed {name}#{mark}: it is not zam's")];
    }
    let mut after = dataset.clone();
    after.bookmarks.remove(mark);
    let has_later = |other: &Dataset| {
        other.snapshots.iter().any(|s| {
            dataset
                .createtxg_of(s.guid)
                .is_some_and(|txg| txg > bookmark.createtxg)
        })
    };
    let has_arrived = world
        .datasets
        .iter()
        .any(|(other, state)| other.starts_with(ROOT) && has_later(state));
    let counts = |crime: &String| !has_arrived || crime.ends_with(&format!(" {}", place(name)));
    lost_ground(world, name, &after)
        .into_iter()
        .filter(counts)
        .collect()
}

/// Crimes in giving up what was received by half.
pub(super) fn token(place: &str, partial: &Partial) -> Vec<String> {
    if partial.is_strangers {
        vec![format!(
            "discarded the token of {place}, which is somebody else's"
        )]
    } else {
        vec![]
    }
}

/// What is not yet as it should be after a replication; nothing: all is up to date.
pub(super) fn not_replicated(world: &World, sources: &[String]) -> Vec<String> {
    sources
        .iter()
        .filter_map(|source| Some(format!("{source}: {}", lacks(world, source)?)))
        .collect()
}

fn lacks(world: &World, name: &str) -> Option<&'static str> {
    let source = world.datasets.get(name)?;
    let newest = source.newest_owned()?;
    let Some(replica) = world.datasets.get(&place(name)) else {
        return Some("it has no replica");
    };
    let base = in_common(source, replica).map(|at| replica.snapshots[at].guid);
    let is_ours = |(mark, bookmark): (&String, &super::model::Bookmark)| {
        Prefix::default().owns_bookmark(mark, bookmark.guid)
            == Some(zam::core::name::destination_id(world.datasets[ROOT].guid))
    };
    let cursors: Vec<u64> = source
        .bookmarks
        .iter()
        .filter(|mark| is_ours(*mark))
        .map(|(_, bookmark)| bookmark.guid)
        .collect();
    match base.and_then(|base| source.createtxg_of(base)) {
        None => Some("the replica has nothing in common with it"),
        Some(txg) if txg < newest.createtxg => Some("the replica lacks the newest"),
        _ if replica.partial.is_some() => Some("a token is left"),
        _ if replica
            .properties
            .get("readonly")
            .is_none_or(|value| value != "on") =>
        {
            Some("the replica is writable")
        }
        _ if cursors != Vec::from_iter(base) => {
            Some("there is not one cursor on what the replica ends with")
        }
        _ => None,
    }
}
