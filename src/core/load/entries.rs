//! The entries of a configuration: each dataset with its settings resolved, from low to high `defaults`, the templates in
//! `use`, and what stands in the entry. Faults that only a whole entry shows are found here too.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::config::{Entry, Window};
use crate::core::fault::Fault;
use crate::core::host::Host;
use crate::core::load::destinations::{Destinations, list_settings};
use crate::core::load::fields::{Fields, sound};
use crate::core::load::hosts::Hosts;
use crate::core::load::keys::{SETTINGS, TOP};
use crate::core::load::reach::{self, Faults};
use crate::core::load::sections::Sections;
use crate::core::load::settings::{hooks, read_windows, schedulable};
use crate::core::load::templates::{Layer, Templates};
use crate::core::load::tree::{Key, Map, Node, items};
use crate::core::name::Dataset;
use crate::core::nearest::nearest;
use crate::core::pattern::Pattern;
use crate::core::period::Period;
use crate::core::places::{Place, Places};
use crate::core::span::Span;

const HOUR: Period = Period::Seconds(3600);
/// A pulled entry has none of these, because its host takes and prunes the snapshots.
const NOT_OF_PULLED: [&str; 3] = ["snapshot-period", "windows", "hooks"];

pub struct Reader<'n> {
    sections: &'n Sections<'n>,
    hosts: &'n Hosts,
    templates: Templates<'n>,
    defaults: Layer<'n>,
    pub destinations: Destinations<'n>,
}

/// The dataset that settings are for.
struct Subject<'n> {
    key: &'n Key,
    host: Option<Arc<Host>>,
    dataset: Dataset,
}

impl<'n> Reader<'n> {
    /// Reads all that entries share. Templates are read by themselves, so that their faults are reported even when nobody
    /// uses them.
    pub fn new(sections: &'n Sections<'n>, hosts: &'n Hosts, faults: &mut Vec<Fault>) -> Self {
        let templates = Templates::new(sections, faults);
        let defaults = templates.over(&Place::Below, sections.defaults.clone(), faults);
        let reader = Reader {
            sections,
            hosts,
            templates,
            defaults,
            destinations: Destinations::new(sections, hosts, faults),
        };
        for layer in reader.templates.layers().chain([&reader.defaults]) {
            reader.settings(None, layer.written.clone(), faults);
            check_exclusions(layer, faults);
        }
        check_unused(&reader.templates, faults);
        reader
    }

    /// The entries without a fault, by key.
    pub fn entries(&self, faults: &mut Faults) -> Vec<Entry> {
        // The faults of templates and destinations, which an entry that uses them would repeat.
        let reported: BTreeSet<Fault> = faults.wide.iter().cloned().collect();
        let mut entries = Vec::new();
        for (key, node) in self.sections.datasets.values() {
            let mut own = Vec::new();
            entries.extend(sound(&mut own, |faults| self.entry(key, node, faults)));
            own.retain(|fault| !reported.contains(fault));
            let (_, name) = self.split(key);
            let reach = if reach::is_contained(name, node) {
                &mut faults.contained
            } else {
                &mut faults.wide
            };
            reach.append(&mut own);
        }
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        entries
    }

    /// The host and the dataset of a key. A host at fault counts as one.
    fn split(&self, key: &'n Key) -> (Option<&'n str>, &'n str) {
        match key.text.split_once(':') {
            Some((host, name)) if self.sections.is_host(host) => (Some(host), name),
            _ => (None, &key.text),
        }
    }

    /// The name of a pool may have a colon, but hardly behind what is almost the name of a host.
    fn check_pool(&self, key: &Key, faults: &mut Vec<Fault>) {
        let pool = key.text.split('/').next().unwrap_or_default();
        if let Some((host, _)) = pool.split_once(':')
            && let Some(near) = nearest(host, self.sections.hosts.keys().copied())
        {
            let message = format!("no host is called `{host}`; did you mean `{near}`?");
            faults.push(key.at.fault(message));
        }
    }

    fn entry(&self, key: &'n Key, node: &'n Node, faults: &mut Vec<Fault>) -> Option<Entry> {
        let (host, name) = self.split(key);
        let dataset: Dataset = key.at.accept(name.parse(), faults)?;
        if reach::is_setting(name, node) {
            faults.push(key.at.fault(format!(
                "`{name}` stands here as a dataset: indent it below the one that it belongs to"
            )));
            return None;
        }
        let own = self.templates.layer(&Place::Entry, node, faults);
        let mut settings = self.defaults.settings.clone();
        match host {
            None => self.check_pool(key, faults),
            Some(_) => {
                check_pulled(key, &own, faults);
                settings.retain(|name, _| !NOT_OF_PULLED.contains(name));
            }
        }
        settings.extend(&own.settings);
        let host = match host {
            Some(name) => Some(self.hosts.get(name)?.clone()),
            None => None,
        };
        let subject = Subject { key, host, dataset };
        let mut entry = self.settings(Some(subject), settings, faults)?;
        entry.places = self.defaults.places.clone().of_defaults();
        entry.places.add(&own.places);
        check_effect(&entry, &own.written, faults);
        if node.is_null() && entry.jobs().is_empty() {
            faults.push(key.at.fault(format!(
                "`{}` has no settings: write some, or {{}} if none are meant",
                key.text
            )));
        }
        (own.is_sound && self.defaults.is_sound).then_some(entry)
    }

    /// The entry that the settings give. Without a subject (a template) they are only checked.
    fn settings(
        &self,
        subject: Option<Subject>,
        settings: Map<'n>,
        faults: &mut Vec<Fault>,
    ) -> Option<Entry> {
        let listed = list_settings(&settings);
        check_prune_period(&settings, faults);
        let destinations = self
            .destinations
            .list(items(&settings, "destinations"), faults);
        let mut fields = Fields::new(settings, &SETTINGS, faults);
        let snapshot_period = schedulable(&mut fields, "snapshot-period");
        let prune_period = schedulable(&mut fields, "prune-period").unwrap_or(HOUR);
        let windows = read_windows(&mut fields);
        check_windows(&mut fields, snapshot_period, &windows);
        let hooks = fields
            .node("hooks")
            .and_then(|node| hooks(node, fields.faults));
        let recursive = fields.flag("recursive");
        let exclude = fields.list("exclude", str::parse);
        let Subject { key, host, dataset } = subject?;
        Some(Entry {
            key: key.text.clone(),
            at: key.at,
            host,
            dataset,
            recursive,
            exclude,
            snapshot_period,
            prune_period,
            windows,
            destinations,
            hooks: hooks.unwrap_or_default(),
            settings: listed,
            places: Places::default(),
        })
    }
}

/// Without a value it is unset elsewhere, which here would be an hour.
fn check_prune_period(settings: &Map, faults: &mut Vec<Fault>) {
    if let Some((key, _)) = settings
        .get("prune-period")
        .filter(|(_, node)| node.is_null())
    {
        let message = "`prune-period` has no value: leave `windows` out to prune nothing";
        faults.push(key.at.fault(message));
    }
}

/// A snapshot is kept until the end of its bucket is older than max-age. If each one's has come before the next snapshot is
/// taken, the newest alone is kept.
fn check_windows(fields: &mut Fields, snapshot_period: Option<Period>, windows: &[Window]) {
    let (Some(node), Some(next)) = (fields.node("windows"), snapshot_period) else {
        return;
    };
    let is_too_short = |window: &Window| {
        let reach = |age: Span| age.seconds() + window.period.span().seconds();
        window
            .max_age
            .is_some_and(|age| reach(age) <= next.span().seconds())
    };
    if !windows.is_empty() && windows.iter().all(is_too_short) {
        fields.faults.push(node.at.fault(format!(
            "these keep the newest snapshot alone: a max-age must reach back to the one before, {next}"
        )));
    }
}

/// A template may exclude datasets for several entries, but a name without a / is below none.
fn check_exclusions(layer: &Layer, faults: &mut Vec<Fault>) {
    for node in items(&layer.written, "exclude") {
        if node.text().is_some_and(|text| !text.contains('/')) {
            faults.push(node.at.fault(format!(
                "`{node}` matches nothing: write a whole name like tank/home/cache, a glob like tank/*/cache, or a \
                 /regular expression/"
            )));
        }
    }
}

/// A template that nobody uses and that is called like something else may be that, with too much indentation.
fn check_unused(templates: &Templates, faults: &mut Vec<Fault>) {
    for (name, (key, _)) in templates.unused() {
        let is_key = TOP.contains(&name) || SETTINGS.contains(&name);
        let is_dataset = name.contains('/') && name.parse::<Dataset>().is_ok();
        if is_key || is_dataset {
            faults.push(key.at.fault(format!(
                "`{name}` stands here as a template that nobody uses: put it where it belongs"
            )));
        }
    }
}

fn check_pulled(key: &Key, own: &Layer, faults: &mut Vec<Fault>) {
    for (setting, _) in NOT_OF_PULLED
        .iter()
        .filter_map(|name| own.settings.get(name))
    {
        faults.push(setting.at.fault(format!(
            "{} is pulled, and its host takes and prunes the snapshots: `{}` has no place here",
            key.text, setting.text
        )));
    }
}

/// Settings that stand in the entry itself and do nothing there are faults. In a template they may be meant for other
/// entries.
fn check_effect(entry: &Entry, written: &Map, faults: &mut Vec<Fault>) {
    let takes_snapshots = entry.snapshot_period.is_some() || entry.host.is_some();
    for (name, has_effect, needed) in [
        ("exclude", entry.recursive, "recursive: true"),
        ("hooks", takes_snapshots, "snapshot-period"),
    ] {
        if let Some((key, _)) = written.get(name).filter(|_| !has_effect) {
            let message = format!("`{name}` has no effect: the entry needs `{needed}` too");
            faults.push(key.at.fault(message));
        }
    }
    let dataset = &entry.dataset;
    for node in items(written, "exclude") {
        let pattern = node.to_string().parse();
        if pattern.is_ok_and(|pattern: Pattern| !pattern.can_match_below(dataset)) {
            faults.push(node.at.fault(format!(
                "`{node}` matches nothing below {dataset}: write a whole name like {dataset}/cache, a glob like \
                 {dataset}/*/cache, or a /regular expression/"
            )));
        }
    }
}
