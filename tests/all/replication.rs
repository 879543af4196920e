//! Replication on a model of ZFS: two sides, on which plans are carried out as the contract says, with runs killed at
//! any point and anything else going on between them. And a table of single cases.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use rustix::time::{ClockId, clock_gettime};
use zam::core::config::Window;
use zam::core::divergence::Cause;
use zam::core::listing::{Bookmark, Snapshot, State};
use zam::core::name::Prefix;
use zam::core::pruning::{self, Keeping};
use zam::core::replication::{
    Base, Kind, Mark, Plan, Side, Stream, Token, TokenUse, Wish, is_at_rest, leap, never_given,
    plan, set_aside, to_look_at, unconfirmed,
};
use zam::core::retention::{self, Reason};

const HOUR: i64 = 3600;
const BEGIN: i64 = 1_706_745_600;
const SOURCE: &str = "tank/a";
const REPLICA: &str = "nas/tank/a";
/// The GUID of the destination's root.
const ROOT: u64 = 0x1234_5678_9abc_def0;
/// Windows as `max-age/period`.
const POLICIES: [&[&str]; 6] = [
    &["2h/10min"],
    &["1d/1h", "/1d"],
    &["6h/1h"],
    &["3h/7min", "1w/1d"],
    &["/1mo"],
    &["50min/10min", "1w/11h"],
];

fn windows(policy: &[&str]) -> Vec<Window> {
    let window = |text: &&str| {
        let (age, period) = text.split_once('/').expect("a slash");
        Window {
            max_age: age.parse().ok(),
            period: period.parse().expect(period),
        }
    };
    policy.iter().map(window).collect()
}

fn is_owned(s: &Snapshot) -> bool {
    Prefix::default().owns_snapshot(&s.name)
}

/// Both sides, and what is configured.
#[derive(Clone, Debug, PartialEq)]
struct World {
    source: State,
    replica: Option<State>,
    token: Option<Token>,
    now: i64,
    /// Counts transaction groups, GUIDs and names.
    count: u64,
    kept_here: Vec<Window>,
    kept_there: Vec<Window>,
}

/// A run ended by a signal, somewhere.
#[derive(Debug)]
struct Killed;

/// How many steps a run may take.
struct Life {
    steps: usize,
    leaves_token: bool,
}

impl Life {
    fn step(&mut self) -> Result<(), Killed> {
        self.steps = self.steps.checked_sub(1).ok_or(Killed)?;
        Ok(())
    }
}

impl World {
    fn new(here: &[&str], there: &[&str]) -> World {
        let source = State::default();
        let kept_here = windows(here);
        let kept_there = windows(there);
        World {
            source,
            replica: None,
            token: None,
            now: BEGIN,
            count: 1,
            kept_here,
            kept_there,
        }
    }

    fn take(&mut self, owned: bool, gap: i64) {
        self.now += gap;
        self.count += 1;
        let guid = self.count;
        let name = if owned {
            self.fresh_name()
        } else {
            format!("by hand {}", self.count)
        };
        self.source
            .snapshots
            .push(snapshot(&name, guid, self.count, self.now));
    }

    fn fresh_name(&self) -> String {
        Prefix::default().snapshot(BEGIN + self.count as i64)
    }

    fn prune_source(&mut self) {
        let known = self.is_chained();
        prune(&mut self.source, None, &self.kept_here, self.now);
        assert!(!known || self.is_chained(), "pruning broke the chain");
    }

    fn prune_replica(&mut self) {
        let Some(replica) = &mut self.replica else {
            return;
        };
        prune(replica, Some(&self.source), &self.kept_there, self.now);
    }

    /// Whether an incremental stream can continue the replica: it ends with something that the source knows, but for
    /// snapshots that changed nothing.
    fn is_chained(&self) -> bool {
        let Some(replica) = &self.replica else {
            return true;
        };
        let mut last = replica
            .snapshots
            .iter()
            .rev()
            .skip_while(|s| !knows(&self.source, s.guid) && s.written == 0);
        let chained =
            last.next().is_some_and(|s| knows(&self.source, s.guid)) && replica.written == 0;
        chained || replica.snapshots.is_empty() && replica.resume_token.is_some()
    }

    fn plan(&self) -> Plan {
        let wish = Wish {
            prefix: &Prefix::default(),
            windows: &self.kept_there,
            decrypt: false,
            now: self.now,
            root: Some(ROOT),
        };
        let replica = self.replica.as_ref().map(|state| Side {
            name: REPLICA.into(),
            state,
        });
        let plan = plan(
            &wish,
            &Side {
                name: SOURCE.into(),
                state: &self.source,
            },
            replica.as_ref(),
            self.token.as_ref(),
        );
        assert_eq!(
            plan,
            self.plan_by_a_look(&wish),
            "it needs to know more than it is told"
        );
        assert_eq!(plan.kind == Kind::Diverged, !self.is_chained(), "{plan:?}");
        assert!(
            plan.kind != Kind::Full || replica.is_none_or(|r| r.state.snapshots.is_empty()),
            "a full resend: {plan:?}"
        );
        if self.is_at_rest() {
            let cursors: Vec<u64> = self.source.bookmarks.iter().map(|b| b.guid).collect();
            assert_eq!(
                (plan.kind, plan.token),
                (Kind::UpToDate, TokenUse::None),
                "{plan:?}"
            );
            assert_eq!(
                cursors,
                plan.base.iter().map(|base| base.guid).collect::<Vec<_>>()
            );
        }
        // A plan that begins with a resumed stream is carried out up to the end of that one (see `a_resumed_plan_...`).
        if plan.kind != Kind::Diverged && plan.kind != Kind::Resume {
            let brought: Vec<String> = plan
                .streams
                .iter()
                .flat_map(|s| s.snapshots.clone())
                .collect();
            let mut promised = self.promised_and_begun();
            if self.has_leapt() {
                promised = self
                    .newer()
                    .iter()
                    .filter(|s| is_owned(s))
                    .cloned()
                    .collect();
            }
            if plan.has_more {
                let end = self.end_of_what_was_begun().expect("an end").createtxg;
                promised.retain(|s| s.createtxg <= end);
            }
            let promised: Vec<String> = promised.iter().map(|s| s.name.to_string()).collect();
            assert_eq!(brought, promised, "{plan:?}");
            assert!(
                plan.has_more
                    || self.newer().len() > 10
                    || plan.streams.len() == self.fewest(&plan),
                "not the fewest: {plan:?}"
            );
        }
        plan
    }

    /// The plan by what is known of single snapshots after a look at their GUIDs.
    fn plan_by_a_look(&self, wish: &Wish) -> Plan {
        let [here, there] = to_look_at(
            wish.prefix,
            wish.windows,
            &self.source,
            self.replica.as_ref(),
        );
        let (here, there): (HashSet<u64>, HashSet<u64>) = (
            here.iter().map(|s| s.guid).collect(),
            there.iter().map(|s| s.guid).collect(),
        );
        let looked = |state: &State, known: HashSet<u64>| {
            let mut state = state.clone();
            state
                .snapshots
                .iter_mut()
                .filter(|s| !known.contains(&s.guid))
                .for_each(|s| (s.creation, s.written) = (0, 0));
            state
        };
        let source = looked(&self.source, here);
        let replica = self.replica.as_ref().map(|r| looked(r, there));
        let replica = replica.as_ref().map(|state| Side {
            name: REPLICA.into(),
            state,
        });
        plan(
            wish,
            &Side {
                name: SOURCE.into(),
                state: &source,
            },
            replica.as_ref(),
            self.token.as_ref(),
        )
    }

    /// By what a listing of the GUIDs shows.
    fn is_at_rest(&self) -> bool {
        let skimmed = |state: &State| {
            let mut state = state.clone();
            state
                .snapshots
                .iter_mut()
                .for_each(|s| (s.creation, s.written) = (0, 0));
            state
        };
        let replica = self.replica.as_ref();
        replica.is_some_and(|replica| {
            is_at_rest(
                &Prefix::default(),
                ROOT,
                &skimmed(&self.source),
                &skimmed(replica),
            )
        })
    }

    /// The source's snapshots after the last that the replica has of it, oldest first.
    fn newer(&self) -> &[Snapshot] {
        let replicas = self.replica.iter().flat_map(|r| r.snapshots.iter().rev());
        let txg = |s: &Snapshot| {
            let bookmark = || self.source.bookmark(s.guid).map(|b| b.createtxg);
            self.source
                .snapshot(s.guid)
                .map(|s| s.createtxg)
                .or_else(bookmark)
        };
        let base = replicas.filter_map(txg).next().unwrap_or(0);
        &self.source.snapshots[self
            .source
            .snapshots
            .partition_point(|s| s.createtxg <= base)..]
    }

    /// Those of them that the replica's windows keep once they are there, and the newest.
    fn promised(&self) -> Vec<Snapshot> {
        let new: Vec<Snapshot> = self
            .newer()
            .iter()
            .filter(|s| is_owned(s))
            .cloned()
            .collect();
        let old = self
            .replica
            .iter()
            .flat_map(|r| r.snapshots.clone())
            .filter(is_owned);
        let both = old.chain(new.clone()).enumerate().map(|(i, s)| Snapshot {
            createtxg: i as u64,
            ..s
        });
        let both: Vec<Snapshot> = both.collect();
        let plan = retention::plan(
            &Prefix::default(),
            &both,
            &self.kept_there,
            self.now,
            |_| None,
        );
        let in_window = |reason: &Reason| matches!(reason, Reason::Window(_) | Reason::Newest);
        let kept = plan
            .verdicts
            .iter()
            .filter(|v| v.reasons.iter().any(in_window))
            .map(|v| v.snapshot.guid);
        let kept: HashSet<u64> = kept.collect();
        new.into_iter()
            .filter(|s| self.kept_there.is_empty() || kept.contains(&s.guid))
            .collect()
    }

    /// Windows pass over nothing then.
    fn has_leapt(&self) -> bool {
        let mut replica = self.replica.iter().flat_map(|r| &r.snapshots);
        let newest = replica.rfind(|s| is_owned(s));
        let new = self.newer().iter().filter(|s| is_owned(s));
        let looked_at: Vec<&Snapshot> = newest.into_iter().chain(new).collect();
        retention::has_leapt(&looked_at, leap(&self.kept_there))
    }

    /// The newest snapshot with a cursor, if there are several.
    fn end_of_what_was_begun(&self) -> Option<&Snapshot> {
        let cursors: HashSet<u64> = self.source.bookmarks.iter().map(|b| b.guid).collect();
        let mut snapshots = self.source.snapshots.iter();
        let end = snapshots.rfind(|s| is_owned(s) && cursors.contains(&s.guid));
        end.filter(|_| cursors.len() > 1)
    }

    /// What is promised, and what earlier runs have promised to send.
    fn promised_and_begun(&self) -> Vec<Snapshot> {
        let mut promised = self.promised();
        if let Some(end) = self.end_of_what_was_begun()
            && self.newer().iter().any(|s| s.guid == end.guid)
            && promised.iter().all(|s| s.guid != end.guid)
        {
            promised.push(end.clone());
            promised.sort_by_key(|s| s.createtxg);
        }
        promised
    }

    /// By trying every way. What is left of a cut stream counts as one and begins as a bookmark would.
    fn fewest(&self, plan: &Plan) -> usize {
        let sent = plan.streams.iter().flat_map(|stream| &stream.snapshots);
        let sent: HashSet<&String> = sent.collect();
        let is_sent = |s: &&Snapshot| sent.contains(&s.name.to_string());
        let promised: HashSet<u64> = self
            .newer()
            .iter()
            .filter(is_sent)
            .map(|s| s.guid)
            .collect();
        let from_snapshot = plan.kind != Kind::Resume
            && matches!(plan.base.as_ref().map(|b| &b.mark), Some(Mark::Snapshot(_)));
        fewest(self.newer(), &promised, from_snapshot)
    }

    /// Does as verbs/replicate/transfer.rs does. The plan, if somebody has to mend something first.
    fn replicate(&mut self, life: &mut Life) -> Result<Option<Plan>, Killed> {
        let mut discarded = false;
        loop {
            let plan = self.plan();
            self.mark_way(&plan, life)?;
            if plan.kind == Kind::Diverged || plan.token == TokenUse::Foreign {
                return Ok(Some(plan));
            }
            if plan.token == TokenUse::Discard {
                assert!(!std::mem::replace(&mut discarded, true), "a second token");
                life.step()?;
                self.discard_token();
                continue;
            }
            self.follow(&plan, life)?;
            if plan.kind != Kind::Resume && !plan.has_more {
                return Ok(None);
            }
        }
    }

    /// On a first stream that was cut nothing is left.
    fn discard_token(&mut self) {
        self.token = None;
        self.replica = self.replica.take().filter(|r| !r.snapshots.is_empty());
        self.replica.iter_mut().for_each(|r| r.resume_token = None);
    }

    fn follow(&mut self, plan: &Plan, life: &mut Life) -> Result<(), Killed> {
        let is_resumed = plan.kind == Kind::Resume;
        let end = plan.streams.last().map(|last| last.guid);
        for stream in plan
            .streams
            .iter()
            .take(if is_resumed { 1 } else { usize::MAX })
        {
            self.mark(&Mark::Snapshot(stream.to.clone()), stream.guid, life)?;
            if is_resumed {
                self.resume(stream, life)?
            } else {
                self.transfer(stream, life)?
            }
            // Until a new replica holds it all, an earlier one may come back.
            if plan.base.is_some() || Some(stream.guid) == end {
                self.drop_cursors(&[Some(stream.guid), end], life)?;
            }
        }
        match (&plan.base, plan.streams.is_empty()) {
            (Some(base), true) => self.drop_cursors(&[Some(base.guid)], life),
            _ => Ok(()),
        }
    }

    /// Does as verbs/replicate/bookmarks.rs does.
    fn mark_way(&mut self, plan: &Plan, life: &mut Life) -> Result<(), Killed> {
        let streams = if plan.token == TokenUse::Foreign {
            &[][..]
        } else {
            &plan.streams
        };
        match (&plan.base, streams.first()) {
            (Some(base), _) => self.mark(&base.mark, base.guid, life)?,
            (None, Some(first)) => {
                self.mark(&Mark::Snapshot(first.to.clone()), first.guid, life)?
            }
            (None, None) => {}
        }
        streams.last().map_or(Ok(()), |last| {
            self.mark(&Mark::Snapshot(last.to.clone()), last.guid, life)
        })
    }

    fn mark(&mut self, mark: &Mark, guid: u64, life: &mut Life) -> Result<(), Killed> {
        life.step()?;
        let createtxg = match mark {
            Mark::Snapshot(name) => self
                .source
                .snapshots
                .iter()
                .find(|s| *s.name == **name)
                .map(|s| (s.guid, s.createtxg)),
            Mark::Bookmark(name) => self
                .source
                .bookmarks
                .iter()
                .find(|b| *b.name == **name)
                .map(|b| (b.guid, b.createtxg)),
        };
        let (marked, createtxg) = createtxg.expect("what is bookmarked exists");
        assert_eq!(marked, guid);
        let name = Prefix::default().bookmark(ROOT, guid);
        if !self.source.bookmarks.iter().any(|b| *b.name == *name) {
            self.source.bookmarks.push(Bookmark {
                name: name.into(),
                guid,
                createtxg,
            });
        }
        Ok(())
    }

    fn drop_cursors(&mut self, keep: &[Option<u64>], life: &mut Life) -> Result<(), Killed> {
        while let Some(at) = self
            .source
            .bookmarks
            .iter()
            .position(|b| !keep.contains(&Some(b.guid)))
        {
            life.step()?;
            self.source.bookmarks.remove(at);
        }
        Ok(())
    }

    /// `zfs send | zfs receive -s`, which refuses all that ZFS refuses.
    fn transfer(&mut self, stream: &Stream, life: &mut Life) -> Result<(), Killed> {
        assert!(self.token.is_none(), "a token blocks every other stream");
        let at = |name: &str| {
            self.source
                .snapshots
                .iter()
                .position(|s| *s.name == *name)
                .expect("it exists")
        };
        let to = at(&stream.to);
        let (first, mut from) = match &stream.from {
            None => (to, None),
            Some(Mark::Snapshot(name)) if stream.has_intermediates() => {
                (at(name) + 1, Some(self.source.snapshots[at(name)].guid))
            }
            Some(Mark::Snapshot(name)) => (to, Some(self.source.snapshots[at(name)].guid)),
            Some(Mark::Bookmark(name)) => (
                to,
                Some(
                    self.source
                        .bookmarks
                        .iter()
                        .find(|b| *b.name == **name)
                        .expect("it exists")
                        .guid,
                ),
            ),
        };
        let from_snapshot = matches!(stream.from, Some(Mark::Snapshot(_)));
        assert!(
            from_snapshot || !stream.has_intermediates(),
            "-I begins at a snapshot"
        );
        let newest = self.replica.iter().flat_map(|r| r.snapshots.iter().rev());
        assert_eq!(
            from,
            newest
                .skip_while(|s| s.written == 0 && Some(s.guid) != from)
                .map(|s| s.guid)
                .next(),
            "its base"
        );
        assert!(
            from.is_some() || self.replica.is_none(),
            "a full stream onto nothing"
        );
        let part: Vec<Snapshot> = self.source.snapshots[first..=to].to_vec();
        assert_eq!(
            part.iter().map(|s| s.name.to_string()).collect::<Vec<_>>(),
            stream.snapshots
        );
        for s in part {
            if life.step().is_err() {
                if life.leaves_token {
                    self.token = Some(Token {
                        toguid: s.guid,
                        fromguid: from,
                        raw: false,
                    });
                    self.replica.get_or_insert_default().resume_token = Some("1-abc".into());
                }
                return Err(Killed);
            }
            from = Some(s.guid);
            self.arrive(s);
        }
        Ok(())
    }

    /// `zfs send -t | zfs receive -s`. A token stays until its snapshot is there.
    fn resume(&mut self, stream: &Stream, life: &mut Life) -> Result<(), Killed> {
        let token = self.token.clone().expect("a token");
        let s = self
            .source
            .snapshot(token.toguid)
            .expect("the token's snapshot")
            .clone();
        assert_eq!(
            (&stream.snapshots, stream.guid),
            (&vec![s.name.to_string()], s.guid)
        );
        assert!(
            token.fromguid.is_none_or(|guid| knows(&self.source, guid)),
            "where it begins"
        );
        assert_eq!(
            self.replica
                .as_ref()
                .and_then(|r| r.snapshots.last())
                .map(|s| s.guid),
            token.fromguid
        );
        life.step()?;
        self.token = None;
        self.arrive(s);
        Ok(())
    }

    fn arrive(&mut self, s: Snapshot) {
        self.count += 1;
        let replica = self.replica.get_or_insert_default();
        assert!(
            replica.snapshots.iter().all(|there| there.name != s.name),
            "destination already exists"
        );
        replica.resume_token = None;
        replica.snapshots.push(Snapshot {
            createtxg: self.count,
            ..s
        });
    }

    /// What the message of a divergence tells a person to do.
    fn mend(&mut self, plan: &Plan) {
        match plan.divergence.as_ref().map(|divergence| &divergence.cause) {
            Some(
                Cause::ForeignSnapshots { common, .. } | Cause::Written { newest: common, .. },
            ) => {
                let replica = self.replica.as_mut().expect("a replica");
                let mut snapshots = replica.snapshots.iter();
                let at = snapshots.position(|s| *s.name == **common);
                replica.snapshots.truncate(at.expect("it exists") + 1);
                replica.written = 0;
            }
            Some(Cause::NoCommon { .. }) => (self.replica, self.token) = (None, None),
            Some(cause) => panic!("the model gives no cause for {cause:?}"),
            None => self.discard_token(),
        }
    }

    /// `reports` is how often it may say that something is wrong: a divergence may hide a token that is not provably ours.
    fn run_undisturbed(&mut self, reports: usize) {
        let mut before = self.clone();
        if let Some(plan) = self
            .replicate(&mut Life {
                steps: usize::MAX,
                leaves_token: false,
            })
            .expect("nobody kills it")
        {
            assert!(
                reports == 2 || reports == 1 && plan.divergence.is_none(),
                "{}",
                plan.why
            );
            assert_eq!(
                self.replica, before.replica,
                "a diverged replica is not touched"
            );
            assert_eq!(
                (&self.source.snapshots, &self.token),
                (&before.source.snapshots, &before.token)
            );
            let lost = before
                .source
                .bookmarks
                .iter()
                .find(|b| !self.source.bookmarks.contains(b));
            assert_eq!(lost, None, "a cursor that a mend may need");
            // The mend that helps now helps after pruning, too.
            self.take(true, 24 * HOUR);
            self.prune_source();
            self.mend(&plan);
            return self.run_undisturbed(reports - 1);
        }
        // A stream that was begun is brought to its end, wanted still or not: a first stream may take longer than windows are wide.
        if let (Kind::Resume, stream) = {
            let plan = before.plan();
            (plan.kind, plan.streams.into_iter().next())
        } {
            before
                .resume(
                    &stream.expect("a stream"),
                    &mut Life {
                        steps: 1,
                        leaves_token: false,
                    },
                )
                .expect("one step");
        }
        let guids = |state: &Option<State>| {
            state
                .iter()
                .flat_map(|r| &r.snapshots)
                .map(|s| s.guid)
                .collect::<Vec<_>>()
        };
        let expected = [
            guids(&before.replica),
            before.promised_and_begun().iter().map(|s| s.guid).collect(),
        ]
        .concat();
        let arrived = guids(&self.replica);
        // In a second pass the leap may lie behind it, and windows count again.
        if before.has_leapt() {
            let is_there = |guid| arrived.contains(guid);
            assert!(expected.iter().all(is_there), "{expected:?}: {arrived:?}");
        } else {
            assert_eq!(arrived, expected, "what its windows promise, in order");
        }
        if let Some(last) = expected
            .iter()
            .rev()
            .find(|guid| knows(&self.source, **guid))
        {
            assert_eq!(
                self.source
                    .bookmarks
                    .iter()
                    .map(|b| b.guid)
                    .collect::<Vec<_>>(),
                [*last],
                "one cursor, at rest"
            );
            let newest = self
                .source
                .snapshots
                .iter()
                .rfind(|s| is_owned(s))
                .map(|s| s.guid);
            let ends_there = newest.is_some() && newest == guids(&self.replica).last().copied();
            assert_eq!(
                self.is_at_rest(),
                ends_there,
                "the next run has nothing to do"
            );
        }
        let again = self.plan();
        assert!(
            self.token.is_none() && again.kind == Kind::UpToDate && again.streams.is_empty(),
            "{again:?}"
        );
    }
}

fn snapshot(name: &str, guid: u64, createtxg: u64, creation: i64) -> Snapshot {
    Snapshot {
        name: name.into(),
        guid,
        createtxg,
        creation,
        written: 4096,
        held: false,
        cloned: false,
    }
}

fn knows(source: &State, guid: u64) -> bool {
    source.snapshot(guid).is_some() || source.bookmark(guid).is_some()
}

fn prune(side: &mut State, source: Option<&State>, windows: &[Window], now: i64) {
    if !windows.is_empty() {
        let wish = Keeping {
            prefix: &Prefix::default(),
            windows,
            replicated: vec![],
            now,
        };
        let plan = pruning::plan(&wish, side, source);
        side.snapshots = plan
            .verdicts
            .into_iter()
            .filter(|v| v.keep())
            .map(|v| v.snapshot.clone())
            .collect();
    }
}

fn fewest(newer: &[Snapshot], wanted: &HashSet<u64>, from_snapshot: bool) -> usize {
    let is_wanted = |s: &Snapshot| wanted.contains(&s.guid);
    let Some(first) = newer.iter().position(is_wanted) else {
        return 0;
    };
    let through = if from_snapshot {
        newer.iter().take_while(|s| is_wanted(s)).count()
    } else {
        0
    };
    let ends = (1..=through).chain([first + 1]);
    ends.map(|end| 1 + fewest(&newer[end..], wanted, true))
        .min()
        .unwrap_or(0)
}

#[derive(Clone, Debug)]
enum Act {
    Take {
        owned: bool,
        gap: i64,
    },
    /// The destination is away for so many snapshots, and the source is pruned all the while.
    Offline {
        count: usize,
        gap: i64,
    },
    PruneSource,
    PruneReplica,
    Replicate,
    Killed {
        steps: usize,
        leaves_token: bool,
    },
    Rename(Index),
    Destroy(Index),
    SnapshotReplica {
        written: u64,
    },
    Write,
}

fn an_act(wild: bool) -> impl Strategy<Value = Act> {
    let gap = || select(&[1, 60, 600, HOUR, 5 * HOUR, 24 * HOUR, 40 * 24 * HOUR][..]);
    let wild = u32::from(wild);
    prop_oneof![
        8 => (prop::bool::weighted(0.8), gap()).prop_map(|(owned, gap)| Act::Take { owned, gap }),
        3 => (1usize..20, gap()).prop_map(|(count, gap)| Act::Offline { count, gap }),
        4 => Just(Act::PruneSource),
        2 => Just(Act::PruneReplica),
        3 => Just(Act::Replicate),
        6 => (0usize..16, any::<bool>()).prop_map(|(steps, leaves_token)| Act::Killed { steps, leaves_token }),
        1 => any::<Index>().prop_map(Act::Rename),
        1 + wild => any::<Index>().prop_map(Act::Destroy),
        wild => select(&[0, 0, 512][..]).prop_map(|written| Act::SnapshotReplica { written }),
        wild => Just(Act::Write),
    ]
}

impl World {
    fn act(&mut self, act: Act, wild: bool) {
        match act {
            Act::Take { owned, gap } => self.take(owned, gap),
            Act::Offline { count, gap } => (0..count).for_each(|_| {
                self.take(true, gap);
                self.prune_source();
            }),
            Act::PruneSource => self.prune_source(),
            Act::PruneReplica => self.prune_replica(),
            Act::Replicate => self.run_undisturbed(if wild { 2 } else { 0 }),
            Act::Killed {
                steps,
                leaves_token,
            } => drop(self.replicate(&mut Life {
                steps,
                leaves_token,
            })),
            Act::Rename(which) if !self.source.snapshots.is_empty() => {
                self.count += 1;
                let at = which.index(self.source.snapshots.len());
                let owned = is_owned(&self.source.snapshots[at]) && self.count.is_multiple_of(2);
                let name = if owned {
                    self.fresh_name()
                } else {
                    format!("renamed {}", self.count)
                };
                self.source.snapshots[at].name = name.into();
            }
            Act::Destroy(which) if !self.source.snapshots.is_empty() => {
                let before = self.clone();
                self.source
                    .snapshots
                    .remove(which.index(self.source.snapshots.len()));
                // Nobody can tell whose a token is whose snapshot is gone.
                let is_known = self
                    .token
                    .as_ref()
                    .is_none_or(|token| knows(&self.source, token.toguid));
                if !(wild || self.is_chained() && is_known) {
                    *self = before;
                }
            }
            Act::SnapshotReplica { written } => {
                self.count += 1;
                let s = Snapshot {
                    written,
                    ..snapshot(
                        &format!("there {}", self.count),
                        self.count,
                        self.count,
                        self.now,
                    )
                };
                self.replica
                    .iter_mut()
                    .filter(|r| r.resume_token.is_none())
                    .for_each(|r| r.snapshots.push(s.clone()));
            }
            Act::Write => self
                .replica
                .iter_mut()
                .filter(|r| r.resume_token.is_none())
                .for_each(|r| r.written = 512),
            Act::Rename(_) | Act::Destroy(_) => {}
        }
    }
}

fn a_world() -> impl Strategy<Value = World> {
    let there = prop_oneof![1 => Just(&[][..]), 4 => select(&POLICIES[..])];
    (select(&POLICIES[..]), there).prop_map(|(here, there)| World::new(here, there))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    /// Runs are killed, streams are cut, snapshots renamed and destroyed, but never the last that both sides have.
    #[test]
    fn an_interrupted_chain_never_breaks(mut world in a_world(), acts in prop::collection::vec(an_act(false), 1..40)) {
        acts.into_iter().for_each(|act| world.act(act, false));
        world.run_undisturbed(0);
    }

    /// Whatever happens: a plan can be carried out, or says what is wrong and what to run, which then helps.
    #[test]
    fn a_broken_chain_is_told_and_mended(mut world in a_world(), acts in prop::collection::vec(an_act(true), 1..40)) {
        acts.into_iter().for_each(|act| world.act(act, true));
        world.run_undisturbed(2);
    }
}

fn name(guid: u64) -> String {
    Prefix::default().snapshot(BEGIN + guid as i64)
}

/// Owned snapshots with these GUIDs, oldest first; encrypted with `root` as their encryption root.
fn side(guids: &[u64], root: Option<&str>) -> State {
    let snapshots = guids
        .iter()
        .map(|guid| snapshot(&name(*guid), *guid, *guid, BEGIN + *guid as i64));
    State {
        snapshots: snapshots.collect(),
        encryption_root: root.map(Into::into),
        ..State::default()
    }
}

fn with_token(state: State) -> State {
    State {
        resume_token: Some("1-abc".into()),
        ..state
    }
}

fn ask_for(
    windows: &[Window],
    decrypt: bool,
    source: &State,
    replica: Option<&State>,
    token: Option<&Token>,
) -> Plan {
    let wish = Wish {
        prefix: &Prefix::default(),
        windows,
        decrypt,
        now: BEGIN + HOUR,
        root: None,
    };
    ask_with(&wish, source, replica, token)
}

fn ask_with(wish: &Wish, source: &State, replica: Option<&State>, token: Option<&Token>) -> Plan {
    let replica = replica.map(|state| Side {
        name: REPLICA.into(),
        state,
    });
    plan(
        wish,
        &Side {
            name: SOURCE.into(),
            state: source,
        },
        replica.as_ref(),
        token,
    )
}

fn ask(source: &State, replica: &State, token: Option<&Token>) -> Plan {
    ask_for(&[], false, source, Some(replica), token)
}

fn diverged(plan: &Plan, command: &str) {
    assert!(
        plan.kind == Kind::Diverged && plan.streams.is_empty() && plan.token == TokenUse::None,
        "{plan:?}"
    );
    assert!(
        plan.why.contains(command),
        "{} does not say {command}",
        plan.why
    );
}

#[test]
fn a_foreign_snapshot_that_changed_nothing_is_passed_over_by_plain_streams_alone() {
    let replica = |written, root| {
        let mut state = side(&[1, 2], root);
        state.snapshots.push(Snapshot {
            written,
            ..snapshot("there", 99, 99, BEGIN)
        });
        state
    };
    let rollback = format!("zfs rollback -r {REPLICA}@{}", name(2));
    let plain = ask(&side(&[1, 2, 3], None), &replica(0, None), None);
    assert_eq!(
        (plain.kind, plain.base.map(|b| b.guid)),
        (Kind::Incremental, Some(2))
    );
    diverged(
        &ask(&side(&[1, 2, 3], None), &replica(512, None), None),
        &rollback,
    );
    diverged(
        &ask(
            &side(&[1, 2, 3], Some(SOURCE)),
            &replica(0, Some(REPLICA)),
            None,
        ),
        &rollback,
    );
    let written = State {
        written: 512,
        ..side(&[1, 2], None)
    };
    diverged(&ask(&side(&[1, 2, 3], None), &written, None), &rollback);
}

#[test]
fn a_token_is_used_only_if_it_fits() {
    let token = |toguid, fromguid, raw| {
        Some(Token {
            toguid,
            fromguid,
            raw,
        })
    };
    let by_hand = Snapshot {
        name: "by hand".into(),
        ..snapshot("", 4, 4, BEGIN)
    };
    let used = TokenUse::None;
    let discarded = TokenUse::Discard;
    let foreign = TokenUse::Foreign;
    for (token, expected, why) in [
        (token(3, Some(2), false), used, "fits"),
        (
            token(5, Some(2), false),
            used,
            "skips what no window wanted",
        ),
        (
            token(77, Some(2), false),
            foreign,
            "another machine's, or its snapshot is gone without a trace",
        ),
        (
            token(66, Some(2), false),
            discarded,
            "its snapshot is gone, and has left its bookmark",
        ),
        (
            token(3, Some(1), false),
            discarded,
            "continues an older snapshot",
        ),
        (
            token(3, None, false),
            discarded,
            "a full stream onto something",
        ),
        (token(2, Some(1), false), discarded, "has arrived already"),
        (
            token(4, Some(2), false),
            discarded,
            "brings a snapshot that is not owned",
        ),
        (token(3, Some(2), true), discarded, "raw, on a plain way"),
        (Some(Token::default()), foreign, "not readable"),
        (None, foreign, "not decoded"),
    ] {
        let mut source = side(&[1, 2, 3, 4, 5], None);
        source.snapshots[3] = by_hand.clone();
        source.bookmarks = vec![Bookmark {
            name: Prefix::default().bookmark(ROOT, 66).into(),
            guid: 66,
            createtxg: 2,
        }];
        let plan = ask(&source, &with_token(side(&[1, 2], None)), token.as_ref());
        let kind = if expected == used {
            Kind::Resume
        } else {
            Kind::Incremental
        };
        assert_eq!((plan.kind, plan.token), (kind, expected), "{why}");
    }
    let encrypted = side(&[1, 2, 3], Some(SOURCE));
    let replica = with_token(side(&[1, 2], Some(REPLICA)));
    assert_eq!(
        ask(&encrypted, &replica, token(3, Some(2), true).as_ref()).kind,
        Kind::Resume
    );
    assert_eq!(
        ask(&encrypted, &replica, token(3, Some(2), false).as_ref()).token,
        discarded,
        "plain, on a raw way"
    );
    let first = with_token(side(&[], None));
    assert_eq!(
        ask(&side(&[1, 2], None), &first, token(1, None, false).as_ref()).kind,
        Kind::Resume
    );
    let again = ask(&side(&[2], None), &first, token(1, None, false).as_ref());
    assert_eq!(
        (again.kind, again.token),
        (Kind::Full, foreign),
        "another machine's first stream"
    );
}

/// `replicate -n` shows all of them.
#[test]
fn a_resumed_plan_goes_on_with_what_is_still_wanted_then() {
    let source = side(&[1, 2, 3, 4], None);
    let token = Token {
        toguid: 1,
        fromguid: None,
        raw: false,
    };
    let hourly = windows(&["1d/1h"]);
    let plan = ask_for(
        &hourly,
        false,
        &source,
        Some(&with_token(side(&[], None))),
        Some(&token),
    );
    assert_eq!(
        plan.streams.iter().map(|s| s.guid).collect::<Vec<_>>(),
        [1, 4],
        "2 and 3 are of the same hour as 1"
    );
}

#[test]
fn kinds_of_stream_are_never_mixed() {
    let own = Some(REPLICA);
    let parent = Some("nas");
    for (source, decrypt, replica, raw, continues) in [
        (None, false, None, false, true),
        (None, false, parent, false, true), // its parent encrypts it
        (None, true, None, false, true),    // nothing to decrypt
        (Some(SOURCE), false, own, true, true),
        (Some("tank"), false, own, true, true), // the source inherits its key; its replica cannot
        (Some(SOURCE), false, None, true, false),
        (Some(SOURCE), false, parent, true, false),
        (Some(SOURCE), true, None, false, true),
        (Some(SOURCE), true, parent, false, true),
        (Some(SOURCE), true, own, false, false),
    ] {
        let plan = ask_for(
            &[],
            decrypt,
            &side(&[1, 2], source),
            Some(&side(&[1], replica)),
            None,
        );
        assert_eq!(plan.raw, raw, "{source:?} {decrypt} {replica:?}");
        if continues {
            assert_eq!(
                plan.kind,
                Kind::Incremental,
                "{source:?} {decrypt} {replica:?}: {}",
                plan.why
            );
        } else {
            diverged(&plan, "decrypt: true");
        }
        assert_eq!(
            ask_for(&[], decrypt, &side(&[1], source), None, None).raw,
            raw,
            "the first stream"
        );
    }
}

#[test]
fn without_a_common_base_nothing_is_sent() {
    diverged(
        &ask(&side(&[3, 4], None), &side(&[1, 2], None), None),
        &format!("zfs rename {REPLICA} {REPLICA}-old"),
    );
    diverged(
        &ask(&side(&[], None), &side(&[1, 2], None), None),
        "zfs rename",
    );
    diverged(
        &ask(&side(&[1], None), &side(&[], None), None),
        &format!("zfs receive -F -u -o readonly=on {REPLICA}"),
    );
    let vault = side(&[], Some("nas"));
    for (source, replica) in [
        (side(&[1], Some(SOURCE)), side(&[], None)),
        (side(&[1], None), vault),
    ] {
        let plan = ask(&source, &replica, None);
        diverged(&plan, &format!("zfs rename {REPLICA} {REPLICA}-old"));
        assert!(
            !plan.why.contains("receive -F"),
            "ZFS refuses that: {}",
            plan.why
        );
    }
    let first = ask_for(&[], false, &side(&[1, 2], None), None, None);
    assert_eq!(
        (first.kind, first.streams.len()),
        (Kind::Full, 2),
        "the oldest in full, then -I"
    );
    assert_eq!(
        ask_for(&[], false, &side(&[], None), None, None).kind,
        Kind::UpToDate
    );
}

#[test]
fn a_bookmark_stands_in_for_a_base_and_gives_one_snapshot() {
    let mut source = side(&[2, 3, 4], None);
    source.bookmarks = vec![Bookmark {
        name: "any".into(),
        guid: 1,
        createtxg: 1,
    }];
    let plan = ask(&source, &side(&[1], None), None);
    let streams: Vec<_> = plan
        .streams
        .iter()
        .map(|s| (s.from.clone(), s.guid, s.has_intermediates()))
        .collect();
    let first = Some(Mark::Bookmark("any".into()));
    let second = Some(Mark::Snapshot(name(2)));
    assert_eq!(streams, [(first, 2, false), (second, 4, true)]);
    source.snapshots[0] = Snapshot {
        name: "renamed".into(),
        ..snapshot("", 1, 1, BEGIN)
    };
    let renamed = ask(&source, &side(&[1], None), None);
    assert_eq!(
        renamed.base.map(|b| b.mark),
        Some(Mark::Snapshot("renamed".into())),
        "before the bookmark, by its GUID"
    );
}

/// The other one's job may sweep its bookmark before this stream begins.
#[test]
fn a_base_is_the_cursor_of_this_destination_whatever_others_have() {
    let cursor = |root: u64| Bookmark {
        name: Prefix::default().bookmark(root, 1).into(),
        guid: 1,
        createtxg: 1,
    };
    let replica = side(&[1], None);
    for others in [[1, u64::MAX], [u64::MAX, 1]] {
        let mut source = side(&[2], None);
        source.bookmarks = others.map(cursor).to_vec();
        source.bookmarks.insert(1, cursor(ROOT));
        let wish = Wish {
            prefix: &Prefix::default(),
            windows: &[],
            decrypt: false,
            now: BEGIN + HOUR,
            root: Some(ROOT),
        };
        let plan = ask_with(&wish, &source, Some(&replica), None);
        let own = Prefix::default().bookmark(ROOT, 1);
        assert_eq!(plan.streams[0].from, Some(Mark::Bookmark(own)));
    }
}

/// What windows pass over is never sent, and under a clock that is wrong for an hour they would pass over everything.
#[test]
fn nothing_is_passed_over_until_a_leap_of_the_clock_is_believed() {
    let leap = BEGIN + 400 * 24 * HOUR;
    let hourly =
        |guid: u64, from: i64| snapshot(&name(guid), guid, guid, from + guid as i64 * HOUR);
    for (after, sent) in [(1, 49), (19, 67), (20, 20)] {
        let mut source = State::default();
        source
            .snapshots
            .extend((1..50).map(|guid| hourly(guid, BEGIN)));
        source
            .snapshots
            .extend((50..50 + after).map(|guid| hourly(guid, leap)));
        let windows = windows(&["1w/1h"]);
        let wish = Wish {
            prefix: &Prefix::default(),
            windows: &windows,
            decrypt: false,
            now: leap + 80 * HOUR,
            root: Some(ROOT),
        };
        let plan = ask_with(&wish, &source, Some(&side(&[1], None)), None);
        let brought: usize = plan
            .streams
            .iter()
            .map(|stream| stream.snapshots.len())
            .sum();
        assert_eq!(brought, sent, "{after} after the leap");
    }
}

/// Months of 31 days are gaps of more than 30.
#[test]
fn one_snapshot_a_month_is_no_leap_of_the_clock() {
    let month = 31 * 24 * HOUR;
    let monthly = |guid: u64| snapshot(&name(guid), guid, guid, BEGIN + guid as i64 * month);
    let source = State {
        snapshots: (1..61).map(monthly).collect(),
        ..State::default()
    };
    let windows = windows(&["1y/1mo"]);
    let wish = Wish {
        prefix: &Prefix::default(),
        windows: &windows,
        decrypt: false,
        now: BEGIN + 60 * month,
        root: Some(ROOT),
    };
    let plan = ask_with(&wish, &source, None, None);
    let streams = plan.streams.iter();
    let brought: usize = streams.map(|stream| stream.snapshots.len()).sum();
    assert!((12..=13).contains(&brought), "{brought}");
}

#[test]
fn each_destination_has_its_own_unconfirmed_range() {
    let bookmark = |root: u64, guid: u64| Bookmark {
        name: Prefix::default().bookmark(root, guid).into(),
        guid,
        createtxg: guid,
    };
    let by_hand = Bookmark {
        name: "zam_12345678_0000000000000063".into(),
        guid: 1,
        createtxg: 1,
    };
    let here = ROOT;
    let there = !ROOT;
    let bookmarks = vec![
        by_hand,
        bookmark(here, 7),
        bookmark(there, 3),
        bookmark(here, 5),
        bookmark(here, 9),
    ];
    let source = State {
        bookmarks,
        ..State::default()
    };
    assert_eq!(unconfirmed(&Prefix::default(), &source), [5..=9]);
}

/// What every run marked anew would keep pruning away from more and more of the source, until its pool is full.
#[test]
fn runs_that_fail_again_and_again_hold_back_no_more_of_the_source() {
    for (held, leaves_token) in [(0, false), (0, true), (3, false), (3, true)] {
        let mut world = World::new(&["50min/10min"], &[]);
        if held > 0 {
            (0..held).for_each(|_| world.take(true, 600));
            world
                .replicate(&mut Life {
                    steps: 100,
                    leaves_token,
                })
                .expect("it arrives");
        }
        let mut ends = HashSet::new();
        for _ in 0..20 {
            (0..2).for_each(|_| world.take(true, 600));
            let mut life = Life {
                steps: 3,
                leaves_token,
            };
            world.replicate(&mut life).expect_err("it is cut");
            world.prune_source();
            let unconfirmed = unconfirmed(&Prefix::default(), &world.source);
            ends.extend(unconfirmed.iter().map(|range| *range.end()));
        }
        assert_eq!(ends.len(), 1, "{held} {leaves_token} {ends:?}");
        world
            .replicate(&mut Life {
                steps: 1000,
                leaves_token,
            })
            .expect("it arrives");
        assert!(world.is_at_rest());
    }
}

/// A first stream may take days; what it sends must not be pruned away under it, or it begins again from nothing.
#[test]
fn a_first_stream_that_was_cut_goes_on_after_pruning() {
    // With a single snapshot there is no way to mark: while its stream runs it is busy, and from the second run on there
    // are newer ones.
    for count in [2, 5] {
        let mut world = World::new(&["50min/10min"], &[]);
        (0..count).for_each(|_| world.take(true, 600));
        world
            .replicate(&mut Life {
                steps: 3,
                leaves_token: true,
            })
            .expect_err("it is cut");
        for _ in 0..10 {
            world.take(true, 600);
            world.prune_source();
        }
        assert_eq!(world.plan().kind, Kind::Resume, "of {count}");
    }
}

/// Two machines fire in the same second, and the receiver snapshots its replicas.
#[test]
fn a_name_that_the_replica_has_already_is_a_divergence_with_a_mend_that_loses_nothing() {
    let named = |state: &mut State, name: &str, guid| {
        state.snapshots.push(Snapshot {
            written: 0,
            ..snapshot(name, guid, guid, BEGIN)
        })
    };
    let mend = |guid| format!("zfs rename {REPLICA}@{0} {REPLICA}@{0}-foreign", name(guid));
    for taken in [3, 4, 5] {
        let mut replica = side(&[1, 2], None);
        named(&mut replica, &name(taken), 99);
        let plan = ask(&side(&[1, 2, 3, 4, 5], None), &replica, None);
        diverged(&plan, &mend(taken));
        assert_eq!(
            plan.divergence.map(|divergence| divergence.word()),
            Some("foreign-snapshots"),
            "{taken}"
        );
        assert_eq!(plan.base.map(|base| base.guid), Some(2));
    }
    // Older than the base, where nothing else would show it.
    let mut replica = State::default();
    named(&mut replica, &name(3), 99);
    replica.snapshots.extend(side(&[1, 2], None).snapshots);
    diverged(&ask(&side(&[1, 2, 3], None), &replica, None), &mend(3));
    // The stream that is resumed.
    let mut replica = with_token(side(&[1, 2], None));
    replica.snapshots.insert(
        0,
        Snapshot {
            name: name(3).into(),
            ..snapshot("", 99, 1, BEGIN)
        },
    );
    let token = Token {
        toguid: 3,
        fromguid: Some(2),
        raw: false,
    };
    diverged(
        &ask(&side(&[1, 2, 3], None), &replica, Some(&token)),
        &mend(3),
    );
    // A snapshot that no window wants is not sent, and is nobody's trouble.
    let mut replica = side(&[1, 2], None);
    named(&mut replica, &name(3), 99);
    let plan = ask_for(
        &windows(&["1d/1h"]),
        false,
        &side(&[1, 2, 3, 4], None),
        Some(&replica),
        None,
    );
    assert_eq!(plan.kind, Kind::Incremental, "{}", plan.why);
}

#[test]
fn a_divergence_says_its_cause_and_what_both_sides_have_in_common() {
    let cause = |plan: Plan| {
        (
            plan.divergence.map(|divergence| divergence.word()),
            plan.base.map(|base| base.guid),
        )
    };
    let source = side(&[1, 2, 3], None);
    let mut foreign = side(&[1, 2], None);
    foreign.snapshots.push(snapshot("there", 99, 99, BEGIN));
    assert_eq!(
        cause(ask(&source, &foreign, None)),
        (Some("foreign-snapshots"), Some(2))
    );
    let written = State {
        written: 512,
        ..side(&[1, 2], None)
    };
    assert_eq!(
        cause(ask(&source, &written, None)),
        (Some("written"), Some(2))
    );
    assert_eq!(
        cause(ask(&source, &side(&[77], None), None)),
        (Some("no-common"), None)
    );
    assert_eq!(
        cause(ask(&source, &side(&[], None), None)),
        (Some("no-snapshots"), None)
    );
    let encrypted = side(&[1, 2, 3], Some(SOURCE));
    assert_eq!(
        cause(ask(&encrypted, &side(&[1, 2], None), None)),
        (Some("mixed-kinds"), Some(2))
    );
    let volume = State {
        volume: true,
        ..side(&[77], None)
    };
    assert_eq!(
        cause(ask(&source, &volume, None)),
        (Some("wrong-type"), None)
    );
    let empty = State {
        volume: true,
        ..State::default()
    };
    let plan = ask(&source, &empty, None);
    assert!(
        plan.why.contains(&format!(
            "{REPLICA} is a volume, and {SOURCE} is a filesystem"
        )),
        "{}",
        plan.why
    );
    assert_eq!(cause(plan), (Some("wrong-type"), None));
    assert_eq!(
        cause(ask(&source, &side(&[1], None), None)),
        (None, Some(1))
    );
}

#[test]
fn a_mend_can_be_run_as_it_stands_also_for_names_with_spaces() {
    let source = side(&[1, 2], None);
    let state = side(&[77], None);
    let replica = Side {
        name: "nas/my data".into(),
        state: &state,
    };
    let wish = Wish {
        prefix: &Prefix::default(),
        windows: &[],
        decrypt: false,
        now: BEGIN,
        root: None,
    };
    let plan = plan(
        &wish,
        &Side {
            name: "my data".into(),
            state: &source,
        },
        Some(&replica),
        None,
    );
    assert!(
        plan.why
            .ends_with("zfs rename 'nas/my data' 'nas/my data-old'"),
        "{}",
        plan.why
    );
}

/// A million comparisons, not ten thousand millions: those took 25 s.
#[test]
fn two_sides_without_anything_in_common_are_told_in_linear_time() {
    // What else the machine does counts for nothing.
    let seconds = || clock_gettime(ClockId::ThreadCPUTime).tv_sec;
    let begun = seconds();
    let (here, there): (Vec<u64>, Vec<u64>) =
        ((1..=100_000).collect(), (100_001..=200_000).collect());
    let plan = ask(&side(&here, None), &side(&there, None), None);
    assert_eq!(
        plan.divergence.map(|divergence| divergence.word()),
        Some("no-common")
    );
    let source = side(&here, None);
    let replica = side(&there, None);
    assert_eq!(
        to_look_at(&Prefix::default(), &[], &source, Some(&replica))[1].len(),
        there.len()
    );
    assert!(seconds() - begun < 8, "{} s", seconds() - begun);
}

/// One root dataset, one GUID: the cursor says what the other half has been given.
#[test]
fn two_halves_of_a_split_mirror_share_no_cursor_once_both_were_used() {
    let prefix = Prefix::default();
    let cursor = |guid: u64| Bookmark {
        name: prefix.bookmark(ROOT, guid).into(),
        guid,
        createtxg: guid,
    };
    let base = |guid| Base {
        mark: Mark::Snapshot(name(guid)),
        guid,
        createtxg: guid,
    };
    let source = |cursors: &[u64]| State {
        bookmarks: cursors.iter().map(|guid| cursor(*guid)).collect(),
        ..State::default()
    };
    let told = |cursors: &[u64], at| {
        never_given(&prefix, ROOT, &source(cursors), &base(at))
            .iter()
            .map(|b| b.guid)
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&[5], 3), [5], "it has never had 5");
    assert_eq!(
        told(&[5, 7], 3),
        [5, 7],
        "a run to the other half was killed"
    );
    assert!(
        told(&[3], 3).is_empty() && told(&[3, 5], 3).is_empty() && told(&[2, 5], 3).is_empty(),
        "under way"
    );
    assert!(told(&[], 3).is_empty());
    let aside: Vec<Bookmark> = [5, 7]
        .map(|guid| Bookmark {
            name: set_aside(&prefix, ROOT, guid).into(),
            ..cursor(guid)
        })
        .into();
    assert!(
        aside
            .iter()
            .all(|b| prefix.owns_bookmark(&b.name, b.guid).is_some()),
        "in the form of a cursor"
    );
    let kept = State {
        bookmarks: [aside, vec![cursor(9)]].concat(),
        ..State::default()
    };
    assert!(
        unconfirmed(&prefix, &kept).is_empty(),
        "it holds back no pruning"
    );
    assert!(never_given(&prefix, ROOT, &kept, &base(9)).is_empty());
}
