//! `zam config`: what the configuration means, where each setting comes from, and why an entry fits. Touches neither
//! ZFS nor systemd.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::core::config::{Destination, Entry, Setting};
use crate::core::fault::{At, Source};
use crate::core::job::Job;
use crate::core::name::Dataset;
use crate::core::selection;
use crate::core::unit_name::escape;
use crate::edge::configuration::Loaded;
use crate::edge::journal;
use crate::verbs::{parallel, print_json};

/// Prints the settings and the jobs of every entry, or of the one that governs a dataset, and then why it does.
pub fn explain(loaded: &Loaded, only: Option<&(&Entry, Dataset)>, json: bool) -> Result<()> {
    let entries = match only {
        Some((entry, _)) => vec![*entry],
        None => loaded.config.entries.iter().collect(),
    };
    let why = only.map(|(entry, dataset)| selection::why(&loaded.config, entry, dataset));
    let sources = &loaded.sources;
    if json {
        let entries = entries.iter().map(|entry| as_json(entry, &why, sources));
        return print_json(&entries.collect::<Vec<_>>());
    }
    if let Some(why) = why {
        journal::print(format!("# {why}"));
    }
    for entry in entries {
        print(entry, sources);
    }
    Ok(())
}

fn print(entry: &Entry, sources: &[Source]) {
    journal::print(format!("{}:  # {}", entry.key, position(entry.at, sources)));
    print_settings("  ", of_entry(entry, sources));
    for to in &entry.destinations {
        journal::print(format!("  {}:", to.name));
        print_settings("    ", of_destination(to, sources));
    }
    for job in entry.jobs() {
        let path = job.path();
        let period = job.period;
        let unit = timer(&job);
        journal::print(format!("  -> {path} every {period}: {unit}"));
    }
}

fn print_settings(indent: &str, settings: Vec<InForce>) {
    for InForce { name, value, from } in settings {
        journal::print(format!("{indent}{name}: {value}  # {from}"));
    }
}

fn timer(job: &Job) -> String {
    format!("zam-{}.timer", escape(&job.path()))
}

/// `FILE:LINE`
fn position(at: At, sources: &[Source]) -> String {
    let path = sources.get(at.file).map_or("", |source| &source.path);
    format!("{path}:{}", at.line)
}

/// A setting that is in force.
struct InForce {
    name: String,
    value: String,
    /// Its position, or `default`.
    from: String,
}

/// What is set, and the defaults of what is not.
fn in_force(settings: &[Setting], defaults: &[(&str, String)], sources: &[Source]) -> Vec<InForce> {
    let mut in_force = Vec::new();
    for Setting { name, value, at } in settings {
        let name = name.clone();
        let value = value.clone();
        let from = position(*at, sources);
        in_force.push(InForce { name, value, from });
    }
    for (name, value) in defaults {
        let is_set = |setting: &Setting| setting.name == *name && setting.value != "~";
        if !settings.iter().any(is_set) {
            let name = name.to_string();
            let value = value.clone();
            let from = "default".into();
            in_force.push(InForce { name, value, from });
        }
    }
    in_force
}

fn of_entry(entry: &Entry, sources: &[Source]) -> Vec<InForce> {
    let mut defaults = vec![("recursive", entry.recursive.to_string())];
    if !entry.windows.is_empty() {
        defaults.push(("prune-period", entry.prune_period.to_string()));
    }
    in_force(&entry.settings, &defaults, sources)
}

fn of_destination(to: &Destination, sources: &[Source]) -> Vec<InForce> {
    let defaults = [
        ("decrypt", to.decrypt.to_string()),
        ("parallel", parallel(to).to_string()),
        ("stall-timeout", to.stall_timeout.to_string()),
    ];
    in_force(&to.settings, &defaults, sources)
}

fn as_json(entry: &Entry, why: &Option<String>, sources: &[Source]) -> Value {
    let mut destinations = Map::new();
    for to in &entry.destinations {
        let settings = settings_as_json(of_destination(to, sources));
        destinations.insert(to.name.to_string(), settings);
    }
    let jobs: Vec<Value> = entry.jobs().iter().map(job_as_json).collect();
    json!({
        "dataset": entry.key,
        "from": position(entry.at, sources),
        "why": why,
        "recursive": entry.recursive,
        "settings": settings_as_json(of_entry(entry, sources)),
        "destinations": destinations,
        "jobs": jobs,
    })
}

fn settings_as_json(settings: Vec<InForce>) -> Value {
    let mut object = Map::new();
    for InForce { name, value, from } in settings {
        object.insert(name, json!({"value": value, "from": from}));
    }
    object.into()
}

fn job_as_json(job: &Job) -> Value {
    json!({
        "verb": job.verb,
        "destination": job.destination.map(|to| to.name.as_str()),
        "period": job.period.to_string(),
        "timer": timer(job),
    })
}
