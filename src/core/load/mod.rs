//! The configuration from text to types. Every fault is collected; a wrong entry is dropped and the others go on.
//! Opens no file.

pub mod conflicts;
pub mod destinations;
pub mod entries;
pub mod fields;
pub mod hosts;
pub mod keys;
pub mod reach;
pub mod sections;
pub mod settings;
pub mod templates;
pub mod tree;
pub mod yaml;

use std::collections::BTreeSet;

use crate::core::config::{Config, PRUNE_USER, USER};

use crate::core::fault::{At, Fault, Source};
use crate::core::load::conflicts::drop_conflicting;
use crate::core::load::entries::Reader;
use crate::core::load::fields::Fields;
use crate::core::load::hosts::hosts;
use crate::core::load::keys::TOP;
use crate::core::load::reach::Faults;
use crate::core::load::sections::Sections;
use crate::core::load::yaml::parse;
use crate::core::name::Prefix;
use crate::core::nearest::nearest;
use crate::core::scalars::{file, flag, text, user};

/// The configuration that the sources give together, and its faults by position.
///
/// # Errors
/// A source is empty or no YAML at all, no source names a dataset, or the prefix is wrong: then nobody can say what was
/// meant.
pub fn load(sources: &[Source]) -> Result<(Config, Vec<Fault>), Fault> {
    refuse_empty(sources)?;
    let mut files = Vec::new();
    for file in 0..sources.len() {
        files.push(parse(sources, file)?);
    }
    let mut faults = Faults::default();
    let sections = Sections::new(&files, &mut faults.wide);
    require_datasets(&sections, faults.wide.first())?;
    let mut config = top(&sections, &mut faults.wide)?;
    let reader = Reader::new(&sections, &config.hosts, &mut faults.wide);
    config.entries = reader.entries(&mut faults);
    config.roots = reader.destinations.roots;
    for to in config.entries.iter().flat_map(|entry| &entry.destinations) {
        if to.host.is_none() {
            config.roots.insert(to.root.clone());
        }
    }
    config.dropped = dropped(&sections, &config);
    drop_conflicting(&mut config, &mut faults);
    config.pruning_waits = faults.wide.iter().min().map(|fault| fault.line(sources));
    Ok((config, faults.all()))
}

/// A configuration for a test. It has no fault.
#[cfg(test)]
pub(crate) fn config(text: &str) -> Config {
    let path = "zam.yaml".into();
    let text = text.into();
    let (config, faults) = load(&[Source { path, text }]).expect("a configuration");
    assert!(faults.is_empty(), "{faults:?}");
    config
}

fn refuse_empty(sources: &[Source]) -> Result<(), Fault> {
    let empty = |source: &Source| source.text.trim().is_empty();
    let Some(file) = sources.iter().position(empty) else {
        return Ok(());
    };
    Err(At::start_of(file).fault(
        "the file is empty, as a power cut or an editor that is still writing leaves it: name a dataset below \
         `datasets:`, like `tank/home: {snapshot-period: 1h}`; or remove the file",
    ))
}

/// Without any dataset it is no configuration, but one that is still being written, or that has a misspelt section.
/// `first` is the first fault that was found.
fn require_datasets(sections: &Sections, first: Option<&Fault>) -> Result<(), Fault> {
    if !sections.datasets.is_empty() || sections.doubled_datasets().next().is_some() {
        return Ok(());
    }
    if let Some(first) = first {
        return Err(first.clone());
    }
    let near = nearest("datasets", sections.top.keys().copied());
    let at = near.map_or(At::start_of(0), |name| sections.top[name].0.at);
    Err(at.fault(
        "the configuration names no dataset: write one below `datasets:`, like `tank/home: {snapshot-period: 1h}`",
    ))
}

/// The keys of the datasets that have no entry because of a fault. No shorter entry governs them instead.
fn dropped(sections: &Sections, config: &Config) -> BTreeSet<String> {
    let mut dropped: BTreeSet<String> = sections.datasets.keys().map(|key| tidy(key)).collect();
    dropped.extend(sections.doubled_datasets().map(tidy));
    dropped.extend(sections.lost.iter().map(|key| tidy(key)));
    dropped.retain(|key| config.entry(key).is_none());
    dropped
}

/// The dataset that a malformed key is likely to have meant.
fn tidy(key: &str) -> String {
    let name = key.split(['@', '#']).next().unwrap_or_default();
    let parts = name.split('/').map(str::trim);
    Vec::from_iter(parts.filter(|part| !["", ".", "*"].contains(part))).join("/")
}

/// The settings at the top, and the hosts.
fn top(sections: &Sections, faults: &mut Vec<Fault>) -> Result<Config, Fault> {
    let prefix = read_prefix(sections)?;
    let mut fields = Fields::new(sections.top.clone(), &TOP, faults);
    Ok(Config {
        prefix,
        user: named(sections, &mut fields, "user", USER),
        prune_user: named(sections, &mut fields, "prune-user", PRUNE_USER),
        notify: fields.list("notify", text),
        desktop: fields.parse("desktop", flag).unwrap_or(true),
        metrics_file: fields.parse("metrics-file", file),
        hosts: hosts(&sections.hosts, faults),
        ..Config::default()
    })
}

/// Who is named as a user. A fault in the name must not have root run what was meant for somebody else.
fn named(sections: &Sections, fields: &mut Fields, name: &str, otherwise: &str) -> Option<String> {
    if sections.is_doubled("", name) {
        return Some(otherwise.into());
    }
    let (key, node) = sections.top.get(name)?;
    key.check_value(node, fields.faults);
    Some(fields.parse(name, user).unwrap_or_else(|| otherwise.into()))
}

/// A wrong prefix is as bad as a file that cannot be read: under another prefix nothing that exists would be ours.
fn read_prefix(sections: &Sections) -> Result<Prefix, Fault> {
    let Some((key, node)) = sections.top.get("prefix") else {
        return Ok(Prefix::default());
    };
    if sections.is_doubled("", "prefix") {
        let message = "`prefix` stands here a second time; remove one";
        return Err(key.at.fault(message));
    }
    if node.is_null() {
        let message = "`prefix` has no value: write one, or remove the line (then it is zam)";
        return Err(key.at.fault(message));
    }
    let mut faults = Vec::new();
    let prefix = node.parse(str::parse, &mut faults);
    prefix.ok_or_else(|| faults.remove(0))
}
