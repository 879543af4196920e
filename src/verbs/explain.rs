//! `zam config` and `zam units`: what the configuration means, and the units that it gives. Touches neither ZFS nor
//! systemd.

use anyhow::Result;
use serde_json::json;

use super::print_json;
use crate::core::config::{Config, Entry};
use crate::core::units::{Unit, escape, units};
use crate::core::yaml::{At, Source};
use crate::edge::configuration::Loaded;
use crate::edge::journal;

fn place(at: At, sources: &[Source]) -> String {
    format!("{}:{}", sources.get(at.file).map(|s| s.path.as_str()).unwrap_or_default(), at.line)
}

/// The settings of every entry (or of `only`), each with the place that it came from, and the jobs they give.
pub fn config(loaded: &Loaded, only: Option<&Entry>, json: bool) -> Result<()> {
    let chosen = loaded.config.entries.iter().filter(|entry| only.is_none_or(|only| only.key == entry.key));
    if json {
        return print_json(&chosen.map(|entry| as_json(entry, &loaded.sources)).collect::<Vec<_>>());
    }
    for entry in chosen {
        journal::print(format!("{}  # {}", entry.key, place(entry.at, &loaded.sources)));
        for setting in &entry.settings {
            journal::print(format!("  {}: {}  # {}", setting.name, setting.value, place(setting.at, &loaded.sources)));
        }
        for job in entry.jobs() {
            journal::print(format!("  -> {} every {}: zam-{}.timer", job.path(), job.period, escape(&job.path())));
        }
    }
    Ok(())
}

fn as_json(entry: &Entry, sources: &[Source]) -> serde_json::Value {
    let settings = entry.settings.iter().map(|s| (s.name.clone(), json!({"value": s.value, "from": place(s.at, sources)})));
    let jobs = entry.jobs().into_iter().map(|job| {
        json!({"verb": job.verb, "destination": job.destination.map(|to| to.name.as_str()), "period": job.period.to_string(),
               "timer": format!("zam-{}.timer", escape(&job.path()))})
    });
    json!({"dataset": entry.key, "from": place(entry.at, sources), "recursive": entry.recursive,
           "settings": settings.collect::<serde_json::Map<_, _>>(), "jobs": jobs.collect::<Vec<_>>()})
}

/// What the generator would write.
pub fn print_units(config: &Config, sources: &[Source], faulty: bool) {
    for (path, unit) in units(config, sources, faulty) {
        match unit {
            Unit::File(text) => journal::print(format!("--- {path}\n{text}")),
            Unit::Link(target) => journal::print(format!("--- {path} -> {target}\n")),
        }
    }
}
