//! What may go wrong at one call of a program, and what somebody else may do just before it.

use serde::{Deserialize, Serialize};
use zam::core::name::Prefix;

use super::judge::{ROOT, doomed, place};
use super::model::{BEGIN, HOUR, Partial, World};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Fault {
    /// Exit 1, with nothing done.
    Fails,
    /// Done, and yet exit 1.
    FailsAfter,
    /// The program dies by a signal.
    Killed,
    KilledAfter,
    /// A receiver dies by a signal in the middle of its stream; zam does.
    KilledMidway,
    ZamKilledMidway,
    /// zam dies by SIGKILL.
    ZamKilled,
    ZamKilledAfter,
    /// Standard output is cut short, with exit 0.
    Cut(Cut),
    /// A sender fails in the middle of its stream.
    CutAndFails(Cut),
    /// Words on standard error that are not zfs's.
    Noise,
    /// ssh loses the connection: before the command, or after it.
    Lost,
    LostAfter,
    /// Somebody else acts just before.
    Swap(Swap),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Cut {
    Everything,
    /// The first row is left.
    Row,
    MidRow,
    LastCell,
    LastByte,
    /// Two bytes less: one of the last cell.
    LastDigit,
}

impl Cut {
    pub(super) const ALL: [Cut; 6] = [
        Cut::Everything,
        Cut::Row,
        Cut::MidRow,
        Cut::LastCell,
        Cut::LastByte,
        Cut::LastDigit,
    ];

    pub(super) fn length(self, out: &[u8]) -> usize {
        let end = |byte: u8| out.iter().rposition(|b| *b == byte).unwrap_or(0);
        let kept = match self {
            Cut::Everything => 0,
            Cut::Row => out.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1),
            Cut::MidRow => out[..out.len() / 2]
                .iter()
                .rposition(|b| *b == b'\n')
                .map_or(out.len() / 2, |at| at + 3),
            Cut::LastCell => end(b'\t'),
            Cut::LastByte => out.len().saturating_sub(1),
            Cut::LastDigit => out.len().saturating_sub(2),
        };
        kept.min(out.len())
    }
}

/// What somebody else does, to one dataset or to its replica.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Swap {
    /// It is renamed, and an older state of it restored in its place.
    Restored,
    /// It is renamed, and one with other snapshots of some of the same names put in its place.
    Namesake,
    /// The newest gets the name of one that may go.
    Renamed,
    RolledBack,
    /// Another destination's two cursors: what lies between them is needed.
    Cursors,
    Held,
    Taken,
    NewestGone,
    ChildNew,
    ChildGone,
    Gone,
    ReplicaAway,
    ReplicaForeign,
    /// The replica gets a snapshot of its own with the name that the source's newest has.
    ReplicaNamesake,
    /// Another machine's first stream to the same place is cut, or its later one.
    ForeignToken,
}

impl Swap {
    pub(super) const ALL: [Swap; 15] = [
        Swap::Restored,
        Swap::Namesake,
        Swap::Renamed,
        Swap::RolledBack,
        Swap::Cursors,
        Swap::Held,
        Swap::Taken,
        Swap::NewestGone,
        Swap::ChildNew,
        Swap::ChildGone,
        Swap::Gone,
        Swap::ReplicaAway,
        Swap::ReplicaForeign,
        Swap::ReplicaNamesake,
        Swap::ForeignToken,
    ];

    /// Just before a `zfs destroy` this cannot be seen any more, whoever looks.
    pub(super) fn can_hide(self) -> bool {
        matches!(
            self,
            Swap::Restored
                | Swap::Namesake
                | Swap::Renamed
                | Swap::RolledBack
                | Swap::Cursors
                | Swap::NewestGone
        )
    }

    /// Replication goes on by itself afterwards; of the others the two sides diverged, or somebody has to decide.
    pub(super) fn lets_replication_go_on(self) -> bool {
        use Swap::{ChildGone, ChildNew, Cursors, Held, ReplicaAway, Taken};
        matches!(
            self,
            Cursors | Held | Taken | ChildNew | ChildGone | ReplicaAway
        )
    }

    /// Changes the dataset `victim` (a source or a replica), or what belongs to it.
    pub(super) fn act(self, world: &mut World, victim: &str) {
        if !world.datasets.contains_key(victim) {
            return;
        }
        match self {
            Swap::Restored | Swap::Namesake => self.replace(world, victim),
            Swap::Renamed => rename_newest(world, victim),
            Swap::RolledBack => roll_back(world, victim),
            Swap::Cursors => cursors(world, victim),
            Swap::Held => doomed(world, victim).first().into_iter().for_each(|name| {
                edit(world, victim, |state| {
                    state
                        .snapshots
                        .iter_mut()
                        .filter(|s| s.name == *name)
                        .for_each(|s| s.holds = 1)
                });
            }),
            Swap::Taken => {
                world.take(victim, "zam_20231130T000000Z", BEGIN + 400 * HOUR);
            }
            Swap::NewestGone => edit(world, victim, |state| drop(state.snapshots.pop())),
            Swap::ChildNew => drop(world.create(&format!("{victim}/new"))),
            Swap::ChildGone => drop(world.datasets.remove(&format!("{victim}/b"))),
            Swap::Gone => world
                .within(victim)
                .iter()
                .for_each(|name| drop(world.datasets.remove(name))),
            Swap::ReplicaAway => world.rename(&place(victim), &format!("{ROOT}/away")),
            Swap::ReplicaForeign | Swap::ReplicaNamesake => self.take_on_replica(world, victim),
            Swap::ForeignToken => foreign_token(world, victim),
        }
    }

    fn replace(self, world: &mut World, victim: &str) {
        let old = world.datasets[victim].clone();
        let aside = format!("{victim}-old");
        let count = old.snapshots.len() / 2;
        if let Some(gone) = world.datasets.remove(victim) {
            world.datasets.insert(aside, gone);
        }
        world.create(victim).properties = old.properties;
        for mut snapshot in old.snapshots.into_iter().take(count) {
            if self == Swap::Namesake {
                snapshot.guid = world.guid();
            }
            world.receive(victim, snapshot);
        }
    }

    fn take_on_replica(self, world: &mut World, victim: &str) {
        let newest = world.datasets[victim]
            .snapshots
            .last()
            .map(|s| s.name.clone());
        let name = if self == Swap::ReplicaForeign {
            "by-hand".into()
        } else {
            newest.unwrap_or_default()
        };
        let replica = place(victim);
        if world
            .datasets
            .get(&replica)
            .is_some_and(|state| state.snapshot(&name).is_none())
        {
            world.take(&replica, &name, BEGIN + 300 * HOUR);
        }
    }
}

fn edit(world: &mut World, name: &str, change: impl FnOnce(&mut super::model::Dataset)) {
    if let Some(state) = world.datasets.get_mut(name) {
        change(state);
    }
}

fn rename_newest(world: &mut World, victim: &str) {
    let doomed = doomed(world, victim).first().cloned();
    edit(world, victim, |state| {
        let name = doomed.unwrap_or_else(|| "renamed".into());
        state
            .snapshots
            .iter_mut()
            .filter(|s| s.name == name)
            .for_each(|s| s.name = "kept".into());
        if let Some(newest) = state.snapshots.last_mut() {
            newest.name = name;
        }
    });
}

/// Takes later snapshots and bookmarks with it, as `zfs rollback -r` does.
fn roll_back(world: &mut World, victim: &str) {
    let doomed = doomed(world, victim).first().cloned();
    edit(world, victim, |state| {
        let middle = state.snapshots.len() / 2;
        let at = state
            .snapshots
            .iter()
            .position(|s| doomed.as_ref() == Some(&s.name))
            .unwrap_or(middle);
        state.snapshots.truncate(at + 1);
        let txg = state.snapshots.last().map_or(0, |s| s.createtxg);
        state.bookmarks.retain(|_, mark| mark.createtxg <= txg);
    });
}

fn cursors(world: &mut World, victim: &str) {
    let elsewhere = 0xfeed_beef_0000_0000;
    edit(world, victim, |state| {
        let ends = [state.snapshots.first(), state.snapshots.last()].map(|s| s.cloned());
        for s in ends.into_iter().flatten() {
            let bookmark = super::model::Bookmark {
                guid: s.guid,
                createtxg: s.createtxg,
                creation: s.creation,
            };
            state
                .bookmarks
                .insert(Prefix::default().bookmark(elsewhere, s.guid), bookmark);
        }
    });
}

/// The part of a stream that another machine has left: its first stream where no replica was, or a later one.
fn foreign_token(world: &mut World, victim: &str) {
    let replica = place(victim);
    let guid = world.guid();
    if !world.datasets.contains_key(&replica)
        && world
            .datasets
            .contains_key(replica.rsplit_once('/').map_or("", |(up, _)| up))
    {
        world.create(&replica);
    }
    edit(world, &replica, |state| {
        let from = state.snapshots.last().map(|s| s.guid);
        state.partial = Some(Partial {
            to: guid,
            from,
            name: format!("{victim}@theirs"),
            is_strangers: true,
        });
    });
}
