//! `zam config`: what the configuration means, where each setting comes from, and why an entry fits. Touches neither
//! ZFS nor systemd.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::core::config::{Destination, Entry, Setting};
use crate::core::fault::{At, Source};
use crate::core::name::Dataset;
use crate::core::selection::why;
use crate::core::unit_name::escape;
use crate::edge::configuration::Loaded;
use crate::edge::journal;
use crate::verbs::{parallel, print_json};

/// The settings of every entry, or of the one that governs the dataset of `only`, and the jobs they give.
pub fn explain(loaded: &Loaded, only: Option<&(&Entry, Dataset)>, json: bool) -> Result<()> {
    let explained = |(entry, dataset): &(&Entry, Dataset)| {
        (why(&loaded.config, entry, dataset), entry.key.clone())
    };
    let only = only.map(explained);
    let chosen = loaded
        .config
        .entries
        .iter()
        .filter(|entry| only.as_ref().is_none_or(|(_, key)| *key == entry.key));
    let why = only.as_ref().map(|(why, _)| why);
    if json {
        return print_json(
            &chosen
                .map(|entry| as_json(entry, why, &loaded.sources))
                .collect::<Vec<_>>(),
        );
    }
    why.into_iter()
        .for_each(|why| journal::print(format!("# {why}")));
    for entry in chosen {
        journal::print(format!(
            "{}:  # {}",
            entry.key,
            place(entry.at, &loaded.sources)
        ));
        print_settings("  ", of_entry(entry, &loaded.sources));
        for to in &entry.destinations {
            journal::print(format!("  {}:", to.name));
            print_settings("    ", of_destination(to, &loaded.sources));
        }
        for job in entry.jobs() {
            journal::print(format!(
                "  -> {} every {}: zam-{}.timer",
                job.path(),
                job.period,
                escape(&job.path())
            ));
        }
    }
    Ok(())
}

/// What holds: the name, the value, and where it comes from.
type Resolved = (String, String, String);

fn place(at: At, sources: &[Source]) -> String {
    format!(
        "{}:{}",
        sources
            .get(at.file)
            .map(|s| s.path.as_str())
            .unwrap_or_default(),
        at.line
    )
}

/// What is set, and of what is not, the defaults.
fn resolved(
    settings: &[Setting],
    defaults: Vec<(&str, String)>,
    sources: &[Source],
) -> Vec<Resolved> {
    let is_set = |name: &str| {
        settings
            .iter()
            .any(|setting| setting.name == name && setting.value != "~")
    };
    let set = settings
        .iter()
        .map(|s| (s.name.clone(), s.value.clone(), place(s.at, sources)));
    let defaults = defaults.into_iter().filter(|(name, _)| !is_set(name));
    set.chain(defaults.map(|(name, value)| (name.into(), value, "default".into())))
        .collect()
}

fn of_entry(entry: &Entry, sources: &[Source]) -> Vec<Resolved> {
    let mut defaults = vec![("recursive", entry.recursive.to_string())];
    if !entry.windows.is_empty() {
        defaults.push(("prune-period", entry.prune_period.to_string()));
    }
    resolved(&entry.settings, defaults, sources)
}

fn of_destination(to: &Destination, sources: &[Source]) -> Vec<Resolved> {
    let (decrypt, parallel) = (to.decrypt.to_string(), parallel(to).to_string());
    let defaults = vec![
        ("decrypt", decrypt),
        ("parallel", parallel),
        ("stall-timeout", to.stall_timeout.to_string()),
    ];
    resolved(&to.settings, defaults, sources)
}

fn print_settings(indent: &str, settings: Vec<Resolved>) {
    for (name, value, from) in settings {
        journal::print(format!("{indent}{name}: {value}  # {from}"));
    }
}

fn as_json(entry: &Entry, why: Option<&String>, sources: &[Source]) -> Value {
    let settings = |settings: Vec<Resolved>| {
        settings
            .into_iter()
            .map(|(name, value, from)| (name, json!({"value": value, "from": from})))
            .collect::<Map<_, _>>()
    };
    let destinations = entry.destinations.iter().map(|to| {
        (
            to.name.to_string(),
            settings(of_destination(to, sources)).into(),
        )
    });
    let jobs = entry.jobs().into_iter().map(|job| {
        json!({"verb": job.verb, "destination": job.destination.map(|to| to.name.as_str()), "period": job.period.to_string(),
               "timer": format!("zam-{}.timer", escape(&job.path()))})
    });
    json!({"dataset": entry.key, "from": place(entry.at, sources), "why": why, "recursive": entry.recursive,
           "settings": settings(of_entry(entry, sources)), "destinations": destinations.collect::<Map<_, _>>(),
           "jobs": jobs.collect::<Vec<_>>()})
}
