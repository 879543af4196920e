//! The configuration from text to types. Every fault is collected; a wrong entry is dropped and the others go on.
//! Opens no file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config::{Config, Destination, Entry, Host, Setting};
use super::conflicts;
use super::fields::{Fields, Text, nearest};
use super::layers::{Map, Sections};
use super::name::{Dataset, Label};
use super::parts::{hooks, idle, schedulable, windows};
use super::span::{Period, Span};
use super::words::{AbsolutePath, Parallel, Pattern, Port, Ssh, SshOption, User};
use super::yaml::{At, Fault, Key, Node, Source, parse};

const HOUR: Period = Period::Seconds(3600);
const STALL_TIMEOUT: Span = Span { months: 0, weeks: 0, seconds: 900 };

/// The configuration that the sources give together, and what is wrong with them, by place.
///
/// # Errors
/// A source that is empty or no YAML at all, no dataset in any of them, or a wrong prefix: nothing can be said of what was meant.
pub fn load(sources: &[Source]) -> Result<(Config, Vec<Fault>), Fault> {
    if let Some(file) = sources.iter().position(|source| source.text.trim().is_empty()) {
        let message = "the file is empty, as a power cut or an editor that is still writing leaves it: name a dataset below `datasets:`, like `tank/home: {snapshot-period: 1h}`; or remove the file";
        return Err(Fault { at: At { file, line: 1, column: 1 }, message: message.into() });
    }
    let files: Vec<Node> = (0..sources.len()).map(|file| parse(sources, file)).collect::<Result<_, _>>()?;
    let mut faults = Vec::new();
    let sections = Sections::new(&files, &mut faults);
    let no_map = faults.first().cloned();
    let mut config = top(&sections, &mut faults)?;
    let mut reader = Reader { sections: &sections, hosts: &config.hosts, broken: BTreeSet::new(), roots: BTreeSet::new() };
    reader.check_definitions(&mut faults);
    if let Some((_, (key, _))) = sections.top.iter().find(|(name, _)| **name == "prefix" && sections.doubled.contains(*name)) {
        return Err(key.fault("`prefix` stands here a second time; remove one"));
    }
    if sections.datasets.is_empty() && sections.doubled.is_empty() {
        let message = "the configuration names no dataset: write one below `datasets:`, like `tank/home: {snapshot-period: 1h}`";
        let near = nearest("datasets", sections.top.keys().copied()).map(|name| sections.top[name].0.at);
        let at = near.unwrap_or(At { file: 0, line: 1, column: 1 });
        return Err(no_map.unwrap_or(Fault { at, message: message.into() }));
    }
    let entries =
        sections.datasets.values().filter_map(|(key, node)| sound(&mut faults, |faults| reader.entry(key, node, faults)));
    config.entries = entries.collect();
    config.roots = reader.roots;
    config.entries.sort_by(|a, b| a.key.cmp(&b.key));
    let named = sections.datasets.keys().chain(&sections.doubled).chain(&sections.lost).map(|key| key.trim_end_matches('/'));
    config.dropped = named.filter(|key| config.entry(key).is_none()).map(Into::into).collect();
    conflicts::drop_conflicting(&mut config, &mut faults);
    faults.sort();
    faults.dedup();
    Ok((config, faults))
}

/// What `read` gives, if it found no fault. So a reader may fill what was at fault with anything: it is never used.
fn sound<T>(faults: &mut Vec<Fault>, read: impl FnOnce(&mut Vec<Fault>) -> Option<T>) -> Option<T> {
    let before = faults.len();
    read(faults).filter(|_| faults.len() == before)
}

/// A wrong prefix is as bad as a file that cannot be read: under another name nothing that exists would be ours.
fn top(sections: &Sections, faults: &mut Vec<Fault>) -> Result<Config, Fault> {
    let mut fields = Fields::new(sections.top.clone(), faults);
    let prefix = fields
        .node("prefix")
        .map(|node| node.scalar(fields.faults).ok_or_else(|| fields.faults[fields.faults.len() - 1].clone()));
    let mut config = Config {
        prefix: prefix.transpose()?.unwrap_or_default(),
        user: fields.get("user").map_or("zam".into(), |User(user)| user),
        prune_user: fields.get("prune-user").map_or("zam-prune".into(), |User(user)| user),
        notify: fields.texts("notify"),
        metrics_file: fields.get("metrics-file").map(|AbsolutePath(path)| path),
        ..Config::default()
    };
    fields.also(&["hosts", "defaults", "templates", "destinations", "datasets"]);
    fields.finish();
    for (key, node) in sections.hosts.values() {
        let host = sound(faults, |faults| host(key.parse(faults)?, node, faults));
        config.hosts.extend(host.map(|host| (host.name.clone(), Arc::new(host))));
    }
    Ok(config)
}

fn host(name: Label, node: &Node, faults: &mut Vec<Fault>) -> Option<Host> {
    let mut fields = Fields::new(node.map(faults)?, faults);
    if fields.node("ssh").is_none() {
        fields.faults.push(node.fault("a host needs `ssh: user@machine`"));
    }
    let host = Host {
        name,
        ssh: fields.get("ssh").map(|Ssh(ssh)| ssh).unwrap_or_default(),
        port: fields.get("port").map(|Port(port)| port),
        identity: fields.get("identity").map(|AbsolutePath(path)| path),
        options: fields.list("options").into_iter().map(|SshOption(option)| option).collect(),
    };
    fields.finish();
    Some(host)
}

struct Reader<'n> {
    sections: &'n Sections<'n>,
    hosts: &'n BTreeMap<Label, Arc<Host>>,
    /// Destinations whose definition is at fault: that is said once, and the entries that use them go on without.
    broken: BTreeSet<&'n str>,
    /// Where destinations of this machine keep replicas, used or not.
    roots: BTreeSet<Dataset>,
}

impl<'n> Reader<'n> {
    /// Reads each template and destination by itself, so that what is wrong with one is said even where nobody uses it.
    fn check_definitions(&mut self, faults: &mut Vec<Fault>) {
        for (name, (key, node)) in &self.sections.destinations {
            match sound(faults, |faults| self.destination(key.parse(faults)?, key.at, node.map(faults)?, faults)) {
                Some(to) if to.host.is_none() => self.roots.extend([to.root]),
                Some(_) => {}
                None => drop(self.broken.insert(name)),
            }
        }
        let templates = self.sections.templates.iter().map(|(name, (_, node))| (*name, node.entries(faults))).collect::<Vec<_>>();
        for (name, map) in [("defaults", self.sections.defaults.clone())].into_iter().chain(templates) {
            let settings = self.sections.layers(&map, &[name], faults);
            self.settings(Dataset::default(), settings, faults);
        }
    }

    fn entry(&self, key: &'n Key, node: &'n Node, faults: &mut Vec<Fault>) -> Option<Entry> {
        let (host, name) = match key.text.split_once(':') {
            Some((host, name)) if self.sections.hosts.contains_key(host) => (Some(host), name),
            _ => (None, key.text.as_str()),
        };
        let dataset: Dataset = name.parse().map_err(|message: String| faults.push(key.fault(message))).ok()?;
        let written = node.entries(faults);
        let own = self.sections.layers(&written, &[], faults);
        let mut settings = self.sections.layers(&self.sections.defaults, &["defaults"], faults);
        if host.is_some() {
            for (setting, _) in ["snapshot-period", "windows", "hooks"].iter().filter_map(|name| own.get(name)) {
                faults.push(setting.fault(format!(
                    "{key} is pulled, and its host takes and prunes the snapshots: `{}` has no place here",
                    setting.text,
                    key = key.text
                )));
            }
            settings.retain(|name, _| !["snapshot-period", "windows", "hooks"].contains(name));
        }
        settings.extend(own);
        let listed = listed(&settings);
        let host = match host {
            Some(name) => Some(self.host(name)?),
            None => None,
        };
        let entry =
            Entry { key: key.text.clone(), at: key.at, host, settings: listed, ..self.settings(dataset, settings, faults) };
        without_effect(&entry, &written, faults);
        Some(entry)
    }

    fn host(&self, name: &str) -> Option<Arc<Host>> {
        self.hosts.values().find(|host| host.name.as_str() == name).cloned()
    }

    fn settings(&self, dataset: Dataset, settings: Map<'n>, faults: &mut Vec<Fault>) -> Entry {
        let mut fields = Fields::new(settings, faults);
        fields.also(&["use"]);
        let snapshot_period = schedulable(&mut fields, "snapshot-period");
        let prune_period = schedulable(&mut fields, "prune-period").unwrap_or(HOUR);
        let windows = windows(&mut fields);
        let destinations = fields.node("destinations").map(Node::items).unwrap_or_default();
        let mut used: Vec<Destination> = Vec::new();
        for node in destinations {
            let to = self.used_destination(node, fields.faults);
            if to.as_ref().is_some_and(|to| used.iter().any(|other| other.name == to.name)) {
                fields.faults.push(
                    node.fault("this destination stands in the list already; a second place needs a destination of its own"),
                );
            }
            used.extend(to);
        }
        let hooks = fields.node("hooks").map(|node| hooks(node, fields.faults)).unwrap_or_default();
        let entry = Entry {
            key: String::new(),
            at: At { file: 0, line: 0, column: 0 },
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
        let overrides = if node.is_map() { node.entries(faults) } else { Map::new() };
        let name = if node.is_map() { overrides.get("to").map(|(_, node)| *node) } else { Some(node) };
        let Some(name) = name else {
            faults.push(node.fault("which destination? write {to: NAME, ...}"));
            return None;
        };
        let Text(text) = name.scalar(faults)?;
        let Some((key, definition)) = self.sections.destinations.get(text.as_str()) else {
            faults.push(name.fault(self.sections.undefined("destination", &text, &self.sections.destinations)));
            return None;
        };
        if self.broken.contains(text.as_str()) {
            return None;
        }
        let mut map = definition.entries(faults);
        map.extend(overrides.into_iter().filter(|(name, _)| *name != "to"));
        self.destination(key.parse(faults)?, node.at, map, faults)
    }

    fn destination(&self, name: Label, at: At, map: Map<'n>, faults: &mut Vec<Fault>) -> Option<Destination> {
        let listed = listed(&map);
        let mut fields = Fields::new(map, faults);
        let replication_period = schedulable(&mut fields, "replication-period");
        let prune_period = schedulable(&mut fields, "prune-period");
        let windows = windows(&mut fields);
        let host = fields.node("host").zip(fields.text("host")).map(|(node, name)| (node, self.host(&name), name));
        if let Some((node, None, name)) = &host
            && !self.sections.hosts.contains_key(name.as_str())
        {
            fields.faults.push(node.fault(self.sections.undefined("host", name, &self.sections.hosts)));
        }
        let idle = fields.node("idle").map(|node| idle(node, fields.faults));
        if fields.node("root").is_none() {
            fields
                .faults
                .push(Fault { at, message: "a destination needs `root: pool/dataset`, below which the replicas go".into() });
        }
        let root: Dataset = fields.get("root").unwrap_or_default();
        if let (Some(node), Some((host, root))) = (fields.node("root"), root.as_str().split_once(':'))
            && self.sections.hosts.contains_key(host)
        {
            fields.faults.push(node.fault(format!("the host stands apart: write `host: {host}` and `root: {root}`")));
        }
        let alert_after: Option<Span> = fields.get("alert-after");
        if let (Some(node), Some(after), Some(period)) = (fields.node("alert-after"), alert_after, replication_period)
            && after.seconds() < period.span().seconds()
        {
            let message = format!("it must be longer than the replication-period, {period}, or the replica is always stale");
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
        host.is_none_or(|(_, host, _)| host.is_some()).then_some(destination)
    }
}

/// What is set, for showing it. `use` has done its work by then.
fn listed(map: &Map) -> Vec<Setting> {
    map.iter()
        .filter(|(name, _)| **name != "use")
        .map(|(name, (key, node))| Setting { name: (*name).into(), value: node.to_string(), at: key.at })
        .collect()
}

/// Settings that stand in the entry itself and do nothing there. In a template they may be meant for other entries.
fn without_effect(entry: &Entry, written: &Map, faults: &mut Vec<Fault>) {
    let mut useless = |name: &str, has_effect: bool, needed: &str| {
        if let Some((key, _)) = written.get(name).filter(|_| !has_effect) {
            faults.push(key.fault(format!("`{name}` has no effect: the entry needs `{needed}` too")));
        }
    };
    useless("exclude", entry.recursive, "recursive: true");
    useless("hooks", entry.snapshot_period.is_some() || entry.host.is_some(), "snapshot-period");
    if let Some((_, exclude)) = written.get("exclude") {
        let misses = |node: &&Node| node.to_string().parse().is_ok_and(|p: Pattern| !p.can_match_below(&entry.dataset));
        for node in exclude.items().iter().filter(misses) {
            faults.push(node.fault(format!(
                "`{node}` matches nothing below {0}: write a whole name like {0}/cache, a glob like {0}/*/cache, \
                 or a /regular expression/",
                entry.dataset
            )));
        }
    }
}
