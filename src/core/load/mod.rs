//! The configuration from text to types. Every fault is collected; a wrong entry is dropped and the others go on.
//! Opens no file.

pub mod conflicts;
pub mod fields;
pub mod reach;
pub mod sections;
pub mod settings;
pub mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::config::{Config, Destination, Entry, Host, Setting};
use crate::core::fault::{At, Fault, Source};
use crate::core::load::fields::{Fields, Text};
use crate::core::load::sections::{Layer, Map, SETTINGS, Sections, TOP, Templates, check_values};
use crate::core::load::settings::{hooks, idle, schedulable, windows};
use crate::core::load::yaml::{Key, Node, Value, parse};
use crate::core::name::{Dataset, Label};
use crate::core::nearest::nearest;
use crate::core::pattern::Pattern;
use crate::core::scalars::{AbsolutePath, Parallel, Port, Ssh, SshOption, User};
use crate::core::span::{Period, Span};

const HOUR: Period = Period::Seconds(3600);
const STALL_TIMEOUT: Span = Span {
    months: 0,
    weeks: 0,
    seconds: 900,
};

/// The configuration that the sources give together, and what is wrong with them, by place.
///
/// # Errors
/// A source that is empty or no YAML at all, no dataset in any of them, or a wrong prefix: nothing can be said of what was meant.
pub fn load(sources: &[Source]) -> Result<(Config, Vec<Fault>), Fault> {
    if let Some(file) = sources
        .iter()
        .position(|source| source.text.trim().is_empty())
    {
        let message = "the file is empty, as a power cut or an editor that is still writing leaves it: name a dataset below `datasets:`, like `tank/home: {snapshot-period: 1h}`; or remove the file";
        return Err(Fault {
            at: At {
                file,
                line: 1,
                column: 1,
            },
            message: message.into(),
        });
    }
    let files: Vec<Node> = (0..sources.len())
        .map(|file| parse(sources, file))
        .collect::<Result<_, _>>()?;
    let mut faults = Vec::new();
    let sections = Sections::new(&files, &mut faults);
    names_datasets(&sections, faults.first())?;
    let mut config = top(&sections, &mut faults)?;
    config.notes = without_effect_yet(&sections)
        .iter()
        .map(|note| note.line(sources))
        .collect();
    let mut reader = Reader::new(&sections, &config.hosts, &mut faults);
    reader.check_definitions(&mut faults);
    let (entries, mut contained) = reader.entries(&mut faults);
    config.entries = entries;
    config.roots = reader.roots;
    let named = sections
        .datasets
        .keys()
        .copied()
        .chain(sections.doubled_datasets())
        .chain(sections.lost.iter().copied());
    config.dropped = named
        .map(tidy)
        .filter(|key| config.entry(key).is_none())
        .collect();
    // Each is an entry's own affair; all others could have meant another policy for any dataset (invariant 10).
    conflicts::drop_conflicting(&mut config, &mut contained, &mut faults);
    config.pruning_waits = faults.iter().min().map(|fault| fault.line(sources));
    faults.append(&mut contained);
    faults.sort();
    faults.dedup();
    Ok((config, faults))
}

/// Without any dataset it is no configuration, but one that is still being written, or has a misspelt section.
fn names_datasets(sections: &Sections, first: Option<&Fault>) -> Result<(), Fault> {
    if !sections.datasets.is_empty() || sections.doubled_datasets().next().is_some() {
        return Ok(());
    }
    let message = "the configuration names no dataset: write one below `datasets:`, like `tank/home: {snapshot-period: 1h}`";
    let near =
        nearest("datasets", sections.top.keys().copied()).map(|name| sections.top[name].0.at);
    let at = near.unwrap_or(At {
        file: 0,
        line: 1,
        column: 1,
    });
    Err(first.cloned().unwrap_or(Fault {
        at,
        message: message.into(),
    }))
}

/// What a malformed key is likely to have meant: that dataset goes to no shorter entry either.
fn tidy(key: &str) -> String {
    let name = key.split(['@', '#']).next().unwrap_or_default();
    Vec::from_iter(
        name.split('/')
            .map(str::trim)
            .filter(|part| !["", ".", "*"].contains(part)),
    )
    .join("/")
}

/// Settings that are checked and do nothing yet: who waits for a mail must know that none will come.
fn without_effect_yet(sections: &Sections) -> Vec<Fault> {
    let set = ["user", "prune-user", "notify", "metrics-file"]
        .iter()
        .filter_map(|name| sections.top.get(name));
    let set = set.filter(|(_, node)| !matches!(node.value, Value::Null));
    set.map(|(key, _)| key.fault(format!("`{}` has no effect yet", key.text)))
        .collect()
}

/// What `read` gives, if it found no fault. So a reader may fill what was at fault with anything: it is never used.
fn sound<T>(faults: &mut Vec<Fault>, read: impl FnOnce(&mut Vec<Fault>) -> Option<T>) -> Option<T> {
    let before = faults.len();
    read(faults).filter(|_| faults.len() == before)
}

/// A wrong prefix is as bad as a file that cannot be read: under another name nothing that exists would be ours.
fn top(sections: &Sections, faults: &mut Vec<Fault>) -> Result<Config, Fault> {
    if let Some((key, _)) = sections
        .top
        .get("prefix")
        .filter(|_| sections.is_doubled("", "prefix"))
    {
        return Err(key.fault("`prefix` stands here a second time; remove one"));
    }
    if let Some((key, _)) = sections
        .top
        .get("prefix")
        .filter(|(_, node)| matches!(node.value, Value::Null))
    {
        return Err(
            key.fault("`prefix` has no value: write one, or remove the line (then it is zam)")
        );
    }
    let mut fields = Fields::new(sections.top.clone(), faults);
    let prefix = fields.node("prefix").map(|node| {
        node.scalar(fields.faults)
            .ok_or_else(|| fields.faults[fields.faults.len() - 1].clone())
    });
    let mut config = Config {
        prefix: prefix.transpose()?.unwrap_or_default(),
        user: fields.get("user").map_or("zam".into(), |User(user)| user),
        prune_user: fields
            .get("prune-user")
            .map_or("zam-prune".into(), |User(user)| user),
        notify: fields.texts("notify"),
        metrics_file: fields.get("metrics-file").map(|AbsolutePath(path)| path),
        ..Config::default()
    };
    fields.also(&["hosts", "defaults", "templates", "destinations", "datasets"]);
    fields.finish();
    for (key, node) in sections.hosts.values() {
        let host = sound(faults, |faults| host(key.parse(faults)?, node, faults));
        config
            .hosts
            .extend(host.map(|host| (host.name.clone(), Arc::new(host))));
    }
    Ok(config)
}

fn host(name: Label, node: &Node, faults: &mut Vec<Fault>) -> Option<Host> {
    let mut fields = Fields::new(node.map(faults)?, faults);
    if fields.node("ssh").is_none() {
        fields
            .faults
            .push(node.fault("a host needs `ssh: user@machine`"));
    }
    let host = Host {
        name,
        ssh: fields.get("ssh").map(|Ssh(ssh)| ssh).unwrap_or_default(),
        port: fields.get("port").map(|Port(port)| port),
        identity: fields.get("identity").map(|AbsolutePath(path)| path),
        options: fields
            .list("options")
            .into_iter()
            .map(|SshOption(option)| option)
            .collect(),
    };
    fields.finish();
    Some(host)
}

struct Reader<'n> {
    sections: &'n Sections<'n>,
    hosts: &'n BTreeMap<Label, Arc<Host>>,
    templates: Templates<'n>,
    defaults: Layer<'n>,
    /// Destinations whose definition is at fault: that is said once, and the entries that use them go on without.
    broken: BTreeSet<&'n str>,
    /// Where destinations of this machine keep replicas, used or not.
    roots: BTreeSet<Dataset>,
}

impl<'n> Reader<'n> {
    fn new(
        sections: &'n Sections<'n>,
        hosts: &'n BTreeMap<Label, Arc<Host>>,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let templates = sections.resolve(faults);
        let defaults = sections.over(sections.defaults.clone(), &templates, faults);
        Reader {
            sections,
            hosts,
            templates,
            defaults,
            broken: BTreeSet::new(),
            roots: BTreeSet::new(),
        }
    }

    /// Reads each template and destination by itself, so that what is wrong with one is said even where nobody uses it.
    fn check_definitions(&mut self, faults: &mut Vec<Fault>) {
        for (name, (key, node)) in &self.sections.destinations {
            match sound(faults, |faults| {
                self.destination(key.parse(faults)?, key.at, node.map(faults)?, faults)
            }) {
                Some(to) if to.host.is_none() => self.roots.extend([to.root]),
                Some(_) => {}
                None => drop(self.broken.insert(name)),
            }
        }
        for layer in self.templates.values().chain([&self.defaults]) {
            self.settings(Dataset::default(), layer.written.clone(), faults);
            Self::check_exclusions(layer, faults);
        }
        self.check_unused(faults);
    }

    /// What a template excludes may be meant for other entries, but a name without a / is below none.
    fn check_exclusions(layer: &Layer<'n>, faults: &mut Vec<Fault>) {
        let items = layer
            .written
            .get("exclude")
            .map(|(_, node)| node.items())
            .unwrap_or_default();
        for node in items
            .iter()
            .filter(|node| node.text().is_some_and(|text| !text.contains('/')))
        {
            faults.push(node.fault(format!(
                "`{node}` matches nothing: write a whole name like tank/home/cache, a glob like tank/*/cache, or a \
                 /regular expression/"
            )));
        }
    }

    /// A template that nobody uses, with the name of something else, may be that, with too much indentation.
    fn check_unused(&self, faults: &mut Vec<Fault>) {
        let used = self.sections.used();
        for (name, (key, _)) in self
            .sections
            .templates
            .iter()
            .filter(|(name, _)| !used.contains(*name))
        {
            if TOP.contains(name)
                || SETTINGS.contains(name)
                || (name.contains('/') && name.parse::<Dataset>().is_ok())
            {
                faults.push(key.fault(format!(
                    "`{name}` stands here as a template that nobody uses: put it where it belongs"
                )));
            }
        }
    }

    /// The entries by key, and the faults that are an entry's own affair. What could have meant more goes to `faults`, in
    /// which what is wrong with templates stands already.
    fn entries(&self, faults: &mut Vec<Fault>) -> (Vec<Entry>, Vec<Fault>) {
        let said: BTreeSet<Fault> = faults.iter().cloned().collect();
        let (mut entries, mut contained) = (Vec::new(), Vec::new());
        for (key, node) in self.sections.datasets.values() {
            let mut own = Vec::new();
            entries.extend(sound(&mut own, |faults| self.entry(key, node, faults)));
            own.retain(|fault| !said.contains(fault));
            let is_contained = reach::is_contained(self.split(key).1, node);
            if is_contained {
                contained.append(&mut own)
            } else {
                faults.append(&mut own)
            }
        }
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        (entries, contained)
    }

    /// The host and the dataset of a key. A host that is at fault is one too.
    fn split(&self, key: &'n Key) -> (Option<&'n str>, &'n str) {
        let is_host = |name| {
            self.sections.hosts.contains_key(name) || self.sections.is_doubled("hosts", name)
        };
        match key.text.split_once(':') {
            Some((host, name)) if is_host(host) => (Some(host), name),
            _ => (None, &key.text),
        }
    }

    /// The name of a pool may have a colon, but hardly one that stands behind what is almost a host.
    fn near_host(&self, name: &str) -> Option<String> {
        let (host, _) = name.split('/').next()?.split_once(':')?;
        let near = nearest(host, self.sections.hosts.keys().copied())?;
        Some(format!(
            "no host is called `{host}`; did you mean `{near}`?"
        ))
    }

    fn entry(&self, key: &'n Key, node: &'n Node, faults: &mut Vec<Fault>) -> Option<Entry> {
        let (host, name) = self.split(key);
        let dataset: Dataset = name
            .parse()
            .map_err(|message: String| faults.push(key.fault(message)))
            .ok()?;
        if reach::is_setting(name, node) {
            faults.push(key.fault(format!(
                "`{name}` stands here as a dataset: indent it below the one that it belongs to"
            )));
            return None;
        }
        if host.is_none() {
            faults.extend(self.near_host(name).map(|message| key.fault(message)));
        }
        let own = self.sections.layer(node, &self.templates, faults);
        let mut settings = self.defaults.settings.clone();
        if host.is_some() {
            for (setting, _) in ["snapshot-period", "windows", "hooks"]
                .iter()
                .filter_map(|name| own.settings.get(name))
            {
                faults.push(setting.fault(format!(
                    "{key} is pulled, and its host takes and prunes the snapshots: `{}` has no place here",
                    setting.text,
                    key = key.text
                )));
            }
            settings.retain(|name, _| !["snapshot-period", "windows", "hooks"].contains(name));
        }
        check_values(&own.settings, &settings, faults);
        settings.extend(&own.settings);
        let listed = listed(&settings);
        let host = match host {
            Some(name) => Some(self.hosts.get(name)?.clone()),
            None => None,
        };
        let entry = Entry {
            key: key.text.clone(),
            at: key.at,
            host,
            settings: listed,
            ..self.settings(dataset, settings, faults)
        };
        without_effect(&entry, &own.written, faults);
        (own.is_sound && self.defaults.is_sound).then_some(entry)
    }

    fn settings(&self, dataset: Dataset, settings: Map<'n>, faults: &mut Vec<Fault>) -> Entry {
        let mut fields = Fields::new(settings, faults);
        fields.also(&["use"]);
        let snapshot_period = schedulable(&mut fields, "snapshot-period");
        let prune_period = schedulable(&mut fields, "prune-period").unwrap_or(HOUR);
        let windows = windows(&mut fields);
        let destinations = fields
            .node("destinations")
            .map(Node::items)
            .unwrap_or_default();
        let (mut used, mut names) = (Vec::new(), BTreeSet::new());
        for node in destinations {
            let to = self.used_destination(node, fields.faults);
            if to.as_ref().is_some_and(|to| !names.insert(to.name.clone())) {
                fields.faults.push(
                    node.fault("this destination stands in the list already; a second place needs a destination of its own"),
                );
            }
            used.extend(to);
        }
        let hooks = fields
            .node("hooks")
            .map(|node| hooks(node, fields.faults))
            .unwrap_or_default();
        let entry = Entry {
            key: String::new(),
            at: At {
                file: 0,
                line: 0,
                column: 0,
            },
            host: None,
            dataset,
            recursive: fields.flag("recursive"),
            exclude: fields.list("exclude"),
            snapshot_period,
            prune_period,
            windows,
            destinations: used,
            hooks,
            settings: Vec::new(),
        };
        fields.finish();
        entry
    }

    /// An item of an entry's `destinations`: a name, or `{to: NAME, ...}` with settings of its own.
    fn used_destination(&self, node: &'n Node, faults: &mut Vec<Fault>) -> Option<Destination> {
        let overrides = if node.is_map() {
            node.entries(faults)
        } else {
            Map::new()
        };
        let name = if node.is_map() {
            overrides.get("to").map(|(_, node)| *node)
        } else {
            Some(node)
        };
        let Some(name) = name else {
            faults.push(node.fault("which destination? write {to: NAME, ...}"));
            return None;
        };
        let Text(text) = name.scalar(faults)?;
        let Some((key, definition)) = self.sections.destinations.get(text.as_str()) else {
            faults.push(name.fault(self.sections.undefined(
                "destination",
                &text,
                &self.sections.destinations,
            )));
            return None;
        };
        if self.broken.contains(text.as_str()) {
            return None;
        }
        let mut map = definition.entries(faults);
        map.extend(overrides.into_iter().filter(|(name, _)| *name != "to"));
        self.destination(key.parse(faults)?, node.at, map, faults)
    }

    fn destination(
        &self,
        name: Label,
        at: At,
        map: Map<'n>,
        faults: &mut Vec<Fault>,
    ) -> Option<Destination> {
        let listed = listed(&map);
        let mut fields = Fields::new(map, faults);
        let replication_period = schedulable(&mut fields, "replication-period");
        let prune_period = schedulable(&mut fields, "prune-period");
        let windows = windows(&mut fields);
        let host = fields
            .node("host")
            .zip(fields.text("host"))
            .map(|(node, name)| (node, self.hosts.get(name.as_str()).cloned(), name));
        if let Some((node, None, name)) = &host
            && !self.sections.hosts.contains_key(name.as_str())
        {
            fields.faults.push(node.fault(self.sections.undefined(
                "host",
                name,
                &self.sections.hosts,
            )));
        }
        let idle = fields.node("idle").map(|node| idle(node, fields.faults));
        if fields.node("root").is_none() {
            fields.faults.push(Fault {
                at,
                message: "a destination needs `root: pool/dataset`, below which the replicas go"
                    .into(),
            });
        }
        let root: Dataset = fields.get("root").unwrap_or_default();
        if let (Some(node), Some((host, root))) =
            (fields.node("root"), root.as_str().split_once(':'))
            && self.sections.hosts.contains_key(host)
        {
            fields.faults.push(node.fault(format!(
                "the host stands apart: write `host: {host}` and `root: {root}`"
            )));
        }
        let alert_after: Option<Span> = fields.get("alert-after");
        if let (Some(node), Some(after), Some(period)) =
            (fields.node("alert-after"), alert_after, replication_period)
            && after.seconds() < period.span().seconds()
        {
            let message = format!(
                "it must be longer than the replication-period, {period}, or the replica is always stale"
            );
            fields.faults.push(node.fault(message));
        }
        let destination = Destination {
            name,
            host: host.clone().and_then(|(_, host, _)| host),
            root,
            replication_period,
            prune_period,
            windows,
            alert_after,
            idle,
            decrypt: fields.flag("decrypt"),
            rate_limit: fields.get("rate-limit"),
            compress: fields.get("compress"),
            stall_timeout: fields.get("stall-timeout").unwrap_or(STALL_TIMEOUT),
            parallel: fields.get("parallel").map(|Parallel(n)| n),
            settings: listed,
        };
        fields.finish();
        // A host that is at fault itself was said already; without it there is no place to send to.
        host.is_none_or(|(_, host, _)| host.is_some())
            .then_some(destination)
    }
}

/// What is set, for showing it. `use` has done its work by then.
fn listed(map: &Map) -> Vec<Setting> {
    map.iter()
        .filter(|(name, _)| **name != "use")
        .map(|(name, (key, node))| Setting {
            name: (*name).into(),
            value: node.to_string(),
            at: key.at,
        })
        .collect()
}

/// Settings that stand in the entry itself and do nothing there. In a template they may be meant for other entries.
fn without_effect(entry: &Entry, written: &Map, faults: &mut Vec<Fault>) {
    let mut useless = |name: &str, has_effect: bool, needed: &str| {
        if let Some((key, _)) = written.get(name).filter(|_| !has_effect) {
            faults.push(key.fault(format!(
                "`{name}` has no effect: the entry needs `{needed}` too"
            )));
        }
    };
    useless("exclude", entry.recursive, "recursive: true");
    useless(
        "hooks",
        entry.snapshot_period.is_some() || entry.host.is_some(),
        "snapshot-period",
    );
    if let Some((_, exclude)) = written.get("exclude") {
        let misses = |node: &&Node| {
            node.to_string()
                .parse()
                .is_ok_and(|p: Pattern| !p.can_match_below(&entry.dataset))
        };
        for node in exclude.items().iter().filter(misses) {
            faults.push(node.fault(format!(
                "`{node}` matches nothing below {0}: write a whole name like {0}/cache, a glob like {0}/*/cache, \
                 or a /regular expression/",
                entry.dataset
            )));
        }
    }
}
