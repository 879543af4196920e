//! A small ZFS that remembers: datasets with their snapshots and bookmarks, and what was done to them. It knows what zam
//! relies on (GUIDs, the order of createtxg, holds, resume tokens), and nothing of the command line.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zam::core::name::Prefix;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub(super) name: String,
    pub(super) guid: u64,
    pub(super) createtxg: u64,
    pub(super) creation: i64,
    pub(super) written: u64,
    pub(super) holds: u64,
    pub(super) clones: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Bookmark {
    pub(super) guid: u64,
    pub(super) createtxg: u64,
    pub(super) creation: i64,
}

/// What a receive that was cut has left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Partial {
    pub(super) to: u64,
    pub(super) from: Option<u64>,
    /// The sender's name for it.
    pub(super) name: String,
    /// It belongs to another machine's stream.
    pub(super) is_strangers: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Dataset {
    pub(super) guid: u64,
    pub(super) createtxg: u64,
    /// Bytes since the newest snapshot.
    pub(super) written: u64,
    pub(super) properties: BTreeMap<String, String>,
    /// Oldest first.
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) bookmarks: BTreeMap<String, Bookmark>,
    pub(super) partial: Option<Partial>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct World {
    pub(super) datasets: BTreeMap<String, Dataset>,
    /// The last transaction group of each pool.
    txgs: BTreeMap<String, u64>,
    guids: u64,
    /// What was called since the run began.
    pub(super) calls: Vec<String>,
    /// How often the planned fault was met.
    pub(super) met: usize,
    /// What zam must never do, and did.
    pub(super) crimes: Vec<String>,
}

/// Noon of a day long past (epoch seconds): plans made of old snapshots do not depend on the clock.
pub(super) const BEGIN: i64 = 1_699_963_200;
pub(super) const HOUR: i64 = 3600;

impl Snapshot {
    pub(super) fn is_owned(&self) -> bool {
        Prefix::default().owns_snapshot(&self.name)
    }
}

impl Dataset {
    pub(super) fn snapshot(&self, name: &str) -> Option<&Snapshot> {
        self.snapshots.iter().find(|s| s.name == name)
    }

    pub(super) fn newest_owned(&self) -> Option<&Snapshot> {
        self.snapshots.iter().rfind(|s| s.is_owned())
    }

    /// The createtxg of the snapshot with this GUID, or of a bookmark of it.
    pub(super) fn createtxg_of(&self, guid: u64) -> Option<u64> {
        let snapshot = self
            .snapshots
            .iter()
            .find(|s| s.guid == guid)
            .map(|s| s.createtxg);
        snapshot.or_else(|| {
            self.bookmarks
                .values()
                .find(|b| b.guid == guid)
                .map(|b| b.createtxg)
        })
    }
}

impl World {
    /// A filesystem without snapshots; whatever had that name is gone.
    pub(super) fn create(&mut self, name: &str) -> &mut Dataset {
        let guid = self.guid();
        let createtxg = self.txg(name);
        let properties = BTreeMap::from([
            ("readonly".into(), "off".into()),
            ("canmount".into(), "on".into()),
        ]);
        let dataset = Dataset {
            guid,
            createtxg,
            properties,
            ..Dataset::default()
        };
        self.datasets.insert(name.into(), dataset);
        self.datasets.get_mut(name).expect("it was just made")
    }

    pub(super) fn guid(&mut self) -> u64 {
        self.guids += 1;
        self.guids.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// The next transaction group of the pool in which `name` lies. Those of two pools have nothing to do with each other.
    pub(super) fn txg(&mut self, name: &str) -> u64 {
        let pool = name.split('/').next().unwrap_or(name);
        let first = if pool == "tank" { 5000 } else { 100 };
        let txg = self.txgs.entry(pool.into()).or_insert(first);
        *txg += 10;
        *txg
    }

    pub(super) fn take(&mut self, dataset: &str, name: &str, creation: i64) -> u64 {
        let guid = self.guid();
        let createtxg = self.txg(dataset);
        let snapshot = Snapshot {
            name: name.into(),
            guid,
            createtxg,
            creation,
            written: 512,
            holds: 0,
            clones: vec![],
        };
        let dataset = self.datasets.get_mut(dataset).expect("a dataset");
        dataset.snapshots.push(snapshot);
        dataset.written = 0;
        guid
    }

    /// One of ours for each of these hours.
    pub(super) fn history(&mut self, dataset: &str, hours: impl IntoIterator<Item = i64>) {
        for hour in hours {
            let time = BEGIN + hour * HOUR;
            self.take(dataset, &Prefix::default().snapshot(time), time);
        }
    }

    /// A replica of the first `count` snapshots of `source`.
    pub(super) fn replica(&mut self, source: &str, place: &str, count: usize) {
        let snapshots: Vec<Snapshot> = self.datasets[source]
            .snapshots
            .iter()
            .take(count)
            .cloned()
            .collect();
        let replica = self.create(place);
        replica.properties = BTreeMap::from([
            ("readonly".into(), "on".into()),
            ("canmount".into(), "noauto".into()),
        ]);
        for snapshot in snapshots {
            self.receive(place, snapshot);
        }
    }

    pub(super) fn receive(&mut self, place: &str, snapshot: Snapshot) {
        let createtxg = self.txg(place);
        let dataset = self.datasets.get_mut(place).expect("a replica");
        dataset.partial = None;
        dataset.snapshots.push(Snapshot {
            createtxg,
            holds: 0,
            clones: vec![],
            ..snapshot
        });
    }

    /// The cursor of the destination with the root `root`, on the snapshot at `index` of `dataset`.
    pub(super) fn cursor(&mut self, dataset: &str, root: &str, index: usize) {
        let root = self.datasets[root].guid;
        let dataset = self.datasets.get_mut(dataset).expect("a source");
        let Snapshot {
            guid,
            createtxg,
            creation,
            ..
        } = dataset.snapshots[index];
        dataset.bookmarks.insert(
            Prefix::default().bookmark(root, guid),
            Bookmark {
                guid,
                createtxg,
                creation,
            },
        );
    }

    /// With all that lies below.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        for name in self.within(from) {
            if let Some(dataset) = self.datasets.remove(&name) {
                self.datasets
                    .insert(format!("{to}{}", &name[from.len()..]), dataset);
            }
        }
    }

    /// The dataset and what lies below.
    pub(super) fn within(&self, top: &str) -> Vec<String> {
        let below = format!("{top}/");
        self.datasets
            .keys()
            .filter(|name| *name == top || name.starts_with(&below))
            .cloned()
            .collect()
    }
}

/// Where a world is kept between two processes.
#[derive(Clone)]
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) fn at(directory: &Path) -> Self {
        Store(directory.into())
    }

    pub(super) fn load(&self) -> World {
        let text = fs::read(self.0.join("world.json")).expect("a world");
        serde_json::from_slice(&text).expect("a world that can be read")
    }

    /// A process that is killed meanwhile leaves the world as it was.
    pub(super) fn save(&self, world: &World) {
        let text = serde_json::to_vec(world).expect("a world that can be written");
        fs::write(self.0.join("world.new"), text).expect("room for a world");
        fs::rename(self.0.join("world.new"), self.0.join("world.json"))
            .expect("the world in its place");
    }

    /// Nobody else reads or writes the world meanwhile.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut World) -> R) -> R {
        let lock = File::create(self.0.join("world.lock")).expect("a lock");
        lock.lock().expect("to be alone");
        let mut world = self.load();
        let result = act(&mut world);
        self.save(&world);
        result
    }
}
