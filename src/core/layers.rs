//! The sections of a configuration as trees, several files put together, and the settings of an entry gathered from
//! low to high: `defaults`, then each template in `use`, then the entry. Knows no setting's meaning.

use std::collections::BTreeMap;

use super::fields::nearest;
use super::yaml::{Fault, Key, Node};

pub type Map<'n> = BTreeMap<&'n str, (&'n Key, &'n Node)>;

#[derive(Default)]
pub struct Sections<'n> {
    /// What stands at the top besides the sections.
    pub top: Map<'n>,
    pub hosts: Map<'n>,
    pub defaults: Map<'n>,
    pub templates: Map<'n>,
    pub destinations: Map<'n>,
    pub datasets: Map<'n>,
}

impl<'n> Sections<'n> {
    /// Files add to each other by section; the same name in two of them is a fault, and the first stands.
    pub fn new(files: &'n [Node], faults: &mut Vec<Fault>) -> Self {
        let mut all = Sections::default();
        for file in files {
            for (name, (key, node)) in file.entries(faults) {
                let (section, new) = match name {
                    "hosts" => (&mut all.hosts, node.entries(faults)),
                    "defaults" => (&mut all.defaults, node.entries(faults)),
                    "templates" => (&mut all.templates, node.entries(faults)),
                    "destinations" => (&mut all.destinations, node.entries(faults)),
                    "datasets" => (&mut all.datasets, node.entries(faults)),
                    _ => (&mut all.top, Map::from([(name, (key, node))])),
                };
                for (name, value) in new {
                    if section.contains_key(name) {
                        faults.push(value.0.fault(format!("`{name}` stands in another file already")));
                    } else {
                        section.insert(name, value);
                    }
                }
            }
        }
        all
    }

    /// The settings of a map with those of the templates it uses below them; `seen` are the templates on the way here.
    pub fn layers(&self, map: &Map<'n>, seen: &[&str], faults: &mut Vec<Fault>) -> Map<'n> {
        let mut settings = Map::new();
        for node in map.get("use").map(|(_, node)| node.items()).unwrap_or_default() {
            let name = node.to_string();
            match self.templates.get(name.as_str()) {
                Some(_) if seen.contains(&name.as_str()) => faults.push(node.fault(format!("the template `{name}` uses itself"))),
                Some((_, template)) => {
                    let seen = [seen, &[name.as_str()]].concat();
                    settings.extend(self.layers(&template.entries(faults), &seen, faults));
                }
                None => faults.push(node.fault(undefined("template", &name, self.templates.keys().copied()))),
            }
        }
        settings.extend(map.clone());
        settings
    }
}

pub fn undefined<'a>(what: &str, name: &str, defined: impl Iterator<Item = &'a str> + Clone) -> String {
    let advice = match nearest(name, defined.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if defined.clone().next().is_none() => format!("the configuration defines no {what}"),
        None => format!("there are {}", defined.collect::<Vec<_>>().join(", ")),
    };
    format!("no {what} is called `{name}`; {advice}")
}
