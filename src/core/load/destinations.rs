//! The `destinations` of a configuration, and those that an entry uses, with its overrides.

use std::collections::BTreeSet;

use crate::core::config::{Destination, Setting};
use crate::core::fault::{At, Fault};
use crate::core::load::fields::{Fields, sound};
use crate::core::load::hosts::Hosts;
use crate::core::load::keys::DESTINATION;
use crate::core::load::sections::Sections;
use crate::core::load::settings::{idle, read_windows, schedulable};
use crate::core::load::tree::{Map, Node};
use crate::core::name::{Dataset, Label};
use crate::core::period::Period;
use crate::core::places::{Place, Places};
use crate::core::scalars::{parallel, text};
use crate::core::span::Span;

const STALL_TIMEOUT: Span = Span {
    months: 0,
    weeks: 0,
    seconds: 900,
};

pub struct Destinations<'n> {
    sections: &'n Sections<'n>,
    hosts: &'n Hosts,
    /// Destinations whose definition is at fault. That is reported once, and the entries that use them go on without.
    broken: BTreeSet<&'n str>,
    /// Where destinations of this machine keep replicas, used or not.
    pub roots: BTreeSet<Dataset>,
}

impl<'n> Destinations<'n> {
    /// Reads each definition by itself, so that its faults are reported even when nobody uses it.
    pub fn new(sections: &'n Sections<'n>, hosts: &'n Hosts, faults: &mut Vec<Fault>) -> Self {
        let mut all = Destinations {
            sections,
            hosts,
            broken: BTreeSet::new(),
            roots: BTreeSet::new(),
        };
        for (name, (key, node)) in &sections.destinations {
            let read = |faults: &mut Vec<Fault>| {
                all.read(key.parse(faults)?, key.at, node.map(faults)?, faults)
            };
            match sound(faults, read) {
                None => _ = all.broken.insert(name),
                Some(to) if to.host.is_none() => _ = all.roots.insert(to.root),
                Some(_) => {}
            }
        }
        all
    }

    /// The destinations that an entry lists.
    pub fn list(&self, items: &'n [Node], faults: &mut Vec<Fault>) -> Vec<Destination> {
        let mut list = Vec::new();
        let mut names = BTreeSet::new();
        for item in items {
            let Some(to) = self.used(item, faults) else {
                continue;
            };
            if !names.insert(to.name.clone()) {
                faults.push(item.at.fault(
                    "this destination stands in the list already; a second replica needs a destination of its own",
                ));
            }
            list.push(to);
        }
        list
    }

    /// An item of an entry's `destinations`: a name, or `{to: NAME, ...}` with settings of its own.
    fn used(&self, item: &'n Node, faults: &mut Vec<Fault>) -> Option<Destination> {
        let mut overrides = Map::new();
        let mut name = Some(item);
        if item.is_map() {
            overrides = item.map(faults)?;
            name = overrides.remove("to").map(|(_, node)| node);
        }
        let Some(name) = name else {
            let message = "which destination? write {to: NAME, ...}";
            faults.push(item.at.fault(message));
            return None;
        };
        let text = name.parse(text, faults)?;
        let Some((key, definition)) = self.sections.destinations.get(text.as_str()) else {
            let defined = &self.sections.destinations;
            let message = self.sections.undefined("destination", &text, defined);
            faults.push(name.at.fault(message));
            return None;
        };
        if self.broken.contains(text.as_str()) {
            return None;
        }
        let mut settings = definition.map(faults)?;
        let mut places = Places::default();
        places.put(&Place::Below, settings.keys());
        places.put(&Place::Entry, overrides.keys());
        settings.extend(&overrides);
        let to = self.read(key.parse(faults)?, item.at, settings, faults)?;
        Some(Destination { places, ..to })
    }

    /// `at` is where a fault of the whole destination is shown.
    fn read(
        &self,
        name: Label,
        at: At,
        map: Map<'n>,
        faults: &mut Vec<Fault>,
    ) -> Option<Destination> {
        let settings = list_settings(&map);
        let mut fields = Fields::new(map, &DESTINATION, faults);
        let host_name = fields.parse("host", text);
        let host = host_name
            .as_ref()
            .and_then(|name| self.hosts.get(name.as_str()));
        self.check_host(host_name.as_deref(), &mut fields);
        let root = self.root(at, &mut fields);
        let replication_period = schedulable(&mut fields, "replication-period");
        let idle = fields
            .node("idle")
            .and_then(|node| idle(node, fields.faults));
        let destination = Destination {
            name,
            host: host.cloned(),
            replication_period,
            prune_period: schedulable(&mut fields, "prune-period"),
            windows: read_windows(&mut fields),
            alert_after: alert_after(&mut fields, replication_period),
            idle,
            decrypt: fields.flag("decrypt"),
            rate_limit: fields.get("rate-limit"),
            compress: fields.get("compress"),
            stall_timeout: fields.get("stall-timeout").unwrap_or(STALL_TIMEOUT),
            parallel: fields.parse("parallel", parallel),
            settings,
            places: Places::default(),
            root: root?,
        };
        // A host at fault is reported at its definition. Without it the destination cannot be reached.
        (host_name.is_some() == host.is_some()).then_some(destination)
    }

    fn check_host(&self, name: Option<&str>, fields: &mut Fields) {
        if let (Some(name), Some(node)) = (name, fields.node("host"))
            && !self.sections.hosts.contains_key(name)
        {
            let message = self.sections.undefined("host", name, &self.sections.hosts);
            fields.faults.push(node.at.fault(message));
        }
    }

    fn root(&self, at: At, fields: &mut Fields) -> Option<Dataset> {
        let Some(node) = fields.node("root") else {
            let message = "a destination needs `root: pool/dataset`, below which the replicas go";
            fields.faults.push(at.fault(message));
            return None;
        };
        let root: Dataset = fields.get("root")?;
        if let Some((host, root)) = root.as_str().split_once(':')
            && self.sections.hosts.contains_key(host)
        {
            fields.faults.push(node.at.fault(format!(
                "the host is a setting of its own: write `host: {host}` and `root: {root}`"
            )));
        }
        Some(root)
    }
}

/// It must be longer than the replication period.
fn alert_after(fields: &mut Fields, replication_period: Option<Period>) -> Option<Span> {
    let node = fields.node("alert-after")?;
    let after: Span = fields.get("alert-after")?;
    if let Some(period) = replication_period
        && after.seconds() < period.span().seconds()
    {
        fields.faults.push(node.at.fault(format!(
            "it must be longer than the replication-period, {period}, or the replica is always stale"
        )));
    }
    Some(after)
}

/// The settings of a map, for showing them. `use` is left out, because its templates are in the map by now.
pub fn list_settings(map: &Map) -> Vec<Setting> {
    let mut listed = Vec::new();
    for (name, (key, node)) in map {
        if *name != "use" {
            listed.push(Setting {
                name: (*name).into(),
                value: node.to_string(),
                at: key.at,
            });
        }
    }
    listed
}
