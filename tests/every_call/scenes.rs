//! Where runs begin: a configuration, a world, a verb, and what is reached in the end.

use super::faults::Swap;
use super::judge::{ROOT, WINDOWS, WINDOWS_THERE, doomed, not_replicated, place};
use super::model::{BEGIN, HOUR, Partial, World};

pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) config: String,
    pub(super) argv: Vec<&'static str>,
    pub(super) world: World,
    pub(super) goal: Goal,
    /// Whom somebody else may change meanwhile.
    pub(super) victims: Vec<String>,
}

/// What a run has reached when it says that all is done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Goal {
    /// These have a snapshot of today.
    Taken(Vec<String>),
    /// The replicas of these are up to date.
    Replicated(Vec<String>),
    /// Nothing is left that their plans would destroy.
    Pruned(Vec<String>),
    /// A person has to decide: zam says so, and changes nothing but cursors.
    Refused,
}

impl Goal {
    /// What is missing.
    pub(super) fn lacks(&self, world: &World) -> Vec<String> {
        let is_old = |name: &&String| {
            world.datasets.get(*name).is_some_and(|state| {
                state
                    .newest_owned()
                    .is_none_or(|s| s.creation < super::now() - 3600)
            })
        };
        match self {
            Goal::Taken(names) => names
                .iter()
                .filter(is_old)
                .map(|name| format!("{name} has no new snapshot"))
                .collect(),
            Goal::Replicated(names) => not_replicated(world, names),
            Goal::Pruned(names) => {
                let left = |name: &String| {
                    doomed(world, name)
                        .into_iter()
                        .map(move |snapshot| format!("{snapshot} is left"))
                };
                names.iter().flat_map(left).collect()
            }
            Goal::Refused => vec![],
        }
    }

    fn is_reached_after(&self, swap: Swap) -> bool {
        match self {
            Goal::Taken(_) | Goal::Pruned(_) => swap != Swap::Gone,
            Goal::Replicated(_) => swap.lets_replication_go_on(),
            Goal::Refused => false,
        }
    }
}

impl Scene {
    /// Whether runs that nothing disturbs reach the goal after somebody did this. A replica that has lost its source is
    /// pruned no more.
    pub(super) fn is_reached_after(&self, swap: Swap) -> bool {
        let has_lost_its_source =
            matches!(swap, Swap::Namesake | Swap::ChildGone) && self.argv.contains(&"--to");
        !has_lost_its_source && self.goal.is_reached_after(swap)
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).into()).collect()
}

/// One entry; where its source and its destination are.
fn config(key: &str, recursive: bool, destination_is_remote: bool) -> String {
    let host = if destination_is_remote {
        "host: nas, "
    } else {
        ""
    };
    let settings = if key.contains(':') {
        String::new()
    } else {
        format!("snapshot-period: 1h, windows: {WINDOWS}, ")
    };
    format!(
        "hosts: {{nas: {{ssh: zam@nas}}}}\n\
         destinations: {{there: {{{host}root: {ROOT}, replication-period: 1h, prune-period: 1h, windows: {WINDOWS_THERE}}}}}\n\
         datasets:\n  \"{key}\": {{recursive: {recursive}, {settings}destinations: [there]}}\n"
    )
}

/// `tank/a` with a day's half of snapshots; below it `tank/a/b` where asked.
fn sources(with_child: bool) -> World {
    let mut world = World::default();
    for name in ["tank", "backup", ROOT, "tank/a", "tank/a/b"]
        .iter()
        .take(if with_child { 5 } else { 4 })
    {
        world.create(name);
        if name.starts_with("tank/") {
            world.history(name, 0..12);
        }
    }
    world
}

/// The replica of `name` holds the first `count` of its snapshots, and the cursor stands on the last of them.
fn replicated(world: &mut World, name: &str, count: usize) {
    if !world.datasets.contains_key(&place("tank")) {
        world.create(&place("tank"));
    }
    world.replica(name, &place(name), count);
    world.cursor(name, ROOT, count - 1);
}

fn at_rest_until(count: usize, with_child: bool) -> World {
    let mut world = sources(with_child);
    replicated(&mut world, "tank/a", count);
    if with_child {
        replicated(&mut world, "tank/a/b", count);
    }
    world
}

fn replicate(name: &'static str, config: String, argv: Vec<&'static str>, world: World) -> Scene {
    let sources = world.within("tank/a");
    Scene {
        name,
        config,
        argv,
        world,
        goal: Goal::Replicated(sources),
        victims: names(&["tank/a"]),
    }
}

fn refused(name: &'static str, world: World) -> Scene {
    let local = config("tank/a", false, false);
    Scene {
        goal: Goal::Refused,
        ..replicate(name, local, vec!["replicate", "tank/a"], world)
    }
}

pub(super) fn all() -> Vec<Scene> {
    [snapshots(), replications(), refusals(), prunings()]
        .into_iter()
        .flatten()
        .collect()
}

fn snapshots() -> Vec<Scene> {
    let scene = |name, recursive| {
        let world = sources(recursive);
        let goal = Goal::Taken(world.within("tank/a"));
        let config = config("tank/a", recursive, false);
        Scene {
            name,
            config,
            argv: vec!["snapshot", "tank/a"],
            world,
            goal,
            victims: names(&["tank/a"]),
        }
    };
    vec![scene("snapshot::one", false), scene("snapshot::tree", true)]
}

fn replications() -> Vec<Scene> {
    let local = |recursive| config("tank/a", recursive, false);
    let argv = || vec!["replicate", "tank/a"];
    let mut by_bookmark = at_rest_until(5, false);
    by_bookmark
        .datasets
        .get_mut("tank/a")
        .expect("a source")
        .snapshots
        .drain(..6);
    let mut renamed = sources(false);
    renamed.replica("tank/a", &format!("{ROOT}/elsewhere"), 5);
    renamed.cursor("tank/a", ROOT, 4);
    renamed
        .datasets
        .get_mut("tank/a")
        .expect("a source")
        .snapshots
        .drain(..6);
    let pulled = config("nas:tank/a", false, false);
    vec![
        replicate("replicate::first", local(true), argv(), sources(true)),
        replicate(
            "replicate::incremental",
            local(false),
            argv(),
            at_rest_until(3, false),
        ),
        replicate(
            "replicate::tree",
            local(true),
            argv(),
            at_rest_until(9, true),
        ),
        replicate(
            "replicate::nothing_to_do",
            local(true),
            argv(),
            at_rest_until(12, true),
        ),
        replicate("replicate::first_resumed", local(false), argv(), cut_at(0)),
        replicate("replicate::resumed", local(false), argv(), cut_at(5)),
        replicate(
            "replicate::from_a_bookmark",
            local(false),
            argv(),
            by_bookmark,
        ),
        replicate(
            "replicate::anew_after_a_rename",
            local(false),
            argv(),
            renamed,
        ),
        replicate(
            "replicate::pushed",
            config("tank/a", false, true),
            argv(),
            at_rest_until(8, false),
        ),
        replicate(
            "replicate::pulled",
            pulled,
            vec!["replicate", "nas:tank/a"],
            at_rest_until(8, false),
        ),
        replicate(
            "replicate::pushed_first",
            config("tank/a", false, true),
            argv(),
            sources(false),
        ),
    ]
}

/// A replica of the first `count` snapshots; the stream of the next was cut.
fn cut_at(count: usize) -> World {
    let mut world = if count > 0 {
        at_rest_until(count, false)
    } else {
        sources(false)
    };
    if count == 0 {
        world.create(&place("tank"));
        world
            .create(&place("tank/a"))
            .properties
            .insert("readonly".into(), "on".into());
    }
    let next = world.datasets["tank/a"].snapshots[count].clone();
    world.cursor("tank/a", ROOT, count);
    let replica = world.datasets.get_mut(&place("tank/a")).expect("a replica");
    replica
        .properties
        .insert("canmount".into(), "noauto".into());
    let from = replica.snapshots.last().map(|s| s.guid);
    replica.partial = Some(Partial {
        to: next.guid,
        from,
        name: format!("tank/a@{}", next.name),
        is_strangers: false,
    });
    world
}

fn refusals() -> Vec<Scene> {
    let mut diverged = at_rest_until(6, false);
    diverged.take(&place("tank/a"), "by-hand", BEGIN + 30 * HOUR);
    let mut stranger = sources(false);
    stranger.create(&place("tank"));
    Swap::ForeignToken.act(&mut stranger, "tank/a");
    let mut later_stranger = at_rest_until(6, false);
    Swap::ForeignToken.act(&mut later_stranger, "tank/a");
    let mut unlike = sources(false);
    unlike.create(&place("tank"));
    unlike.create(&place("tank/a"));
    unlike.history(&place("tank/a"), 0..4);
    let mut rolled_back = at_rest_until(9, false);
    Swap::RolledBack.act(&mut rolled_back, "tank/a");
    rolled_back.history("tank/a", 20..24);
    let mut away = sources(false);
    away.datasets.remove(ROOT);
    vec![
        refused("replicate::diverged", diverged),
        refused("replicate::a_strangers_token", stranger),
        refused("replicate::a_strangers_later_token", later_stranger),
        refused("replicate::nothing_in_common", unlike),
        refused("replicate::source_rolled_back", rolled_back),
        refused("replicate::destination_away", away),
    ]
}

fn prunings() -> Vec<Scene> {
    let here = names(&["tank/a"]);
    let there = names(&["tank/a", &place("tank/a")]);
    let scene =
        |name, config: String, argv: &[&'static str], world: World, victims: &Vec<String>| {
            let goal = Goal::Pruned(world.within(&victims[victims.len() - 1]));
            Scene {
                name,
                config,
                argv: argv.to_vec(),
                world,
                goal,
                victims: victims.clone(),
            }
        };
    let local = |recursive| config("tank/a", recursive, false);
    let mut odd = at_rest_until(3, true);
    odd.cursor("tank/a/b", ROOT, 5); // under way
    odd.take("tank/a", "by-hand", BEGIN + 13 * HOUR);
    odd.datasets.get_mut("tank/a").expect("a source").snapshots[1].holds = 1;
    odd.datasets.get_mut("tank/a").expect("a source").snapshots[2].clones = names(&["tank/clone"]);
    let to = ["prune", "--to", "there", "tank/a"];
    vec![
        scene(
            "prune::source",
            local(true),
            &["prune", "tank/a"],
            odd,
            &here,
        ),
        scene(
            "prune::one",
            local(false),
            &["prune", "tank/a"],
            at_rest_until(4, false),
            &here,
        ),
        scene(
            "prune::replica",
            local(true),
            &to,
            at_rest_until(9, true),
            &there,
        ),
        scene(
            "prune::remote_replica",
            config("tank/a", false, true),
            &to,
            at_rest_until(9, false),
            &there,
        ),
        scene(
            "prune::pulled_replica",
            config("nas:tank/a", false, false),
            &["prune", "--to", "there", "nas:tank/a"],
            at_rest_until(9, false),
            &there,
        ),
    ]
}
