//! The sections of a configuration as trees, several files put together, and the settings of an entry gathered from
//! low to high: `defaults`, then each template in `use`, then the entry. Knows no setting's meaning.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::{Text, nearest};
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
    /// Names that stand in a section twice: which of them is meant, only a person can say, so neither is there.
    pub doubled: BTreeSet<&'n str>,
    /// Keys below something that is no section: a section's name may be misspelt, and they be meant as datasets.
    pub lost: BTreeSet<&'n str>,
}

impl<'n> Sections<'n> {
    /// Files add to each other by section.
    pub fn new(files: &'n [Node], faults: &mut Vec<Fault>) -> Self {
        let mut all = Sections::default();
        let mut sections = BTreeSet::new();
        for (key, node) in files.iter().flat_map(|file| file.pairs(faults)).collect::<Vec<_>>() {
            let section = match key.text.as_str() {
                "hosts" => &mut all.hosts,
                "defaults" => &mut all.defaults,
                "templates" => &mut all.templates,
                "destinations" => &mut all.destinations,
                "datasets" => &mut all.datasets,
                name => {
                    all.lost.extend(
                        node.is_map().then(|| node.pairs(faults)).into_iter().flatten().map(|(key, _)| key.text.as_str()),
                    );
                    if all.top.insert(name, (key, node)).is_some() {
                        faults.push(key.fault(format!("`{name}` stands here a second time; remove one")));
                        all.doubled.insert(name);
                    }
                    continue;
                }
            };
            if !sections.insert((key.at.file, &key.text)) {
                faults.push(key.fault(format!("`{}` stands in this file a second time; write its parts together", key.text)));
            }
            for (key, node) in node.pairs(faults) {
                if let Some((first, _)) = section.insert(&key.text, (key, node)) {
                    faults.push(key.fault(format!("{}; neither is in force; remove one", key.second(first))));
                    all.doubled.insert(&key.text);
                }
            }
        }
        for section in [&mut all.hosts, &mut all.defaults, &mut all.templates, &mut all.destinations, &mut all.datasets] {
            section.retain(|name, _| !all.doubled.contains(name));
        }
        all
    }

    /// The settings of a map with those of the templates it uses below them; `seen` are the templates on the way here.
    pub fn layers(&self, map: &Map<'n>, seen: &[&str], faults: &mut Vec<Fault>) -> Map<'n> {
        let mut settings = Map::new();
        for node in map.get("use").map(|(_, node)| node.items()).unwrap_or_default() {
            let Some(Text(name)) = node.scalar(faults) else { continue };
            let name = name.as_str();
            match self.templates.get(name) {
                Some(_) if seen.contains(&name) => {
                    faults.push(
                        node.fault(format!("the template `{name}` uses itself ({}); leave one `use` out", seen.join(", "))),
                    );
                }
                Some((_, template)) => {
                    let seen = [seen, &[name]].concat();
                    settings.extend(self.layers(&template.entries(faults), &seen, faults));
                }
                None => faults.push(node.fault(self.undefined("template", name, &self.templates))),
            }
        }
        settings.extend(map.clone());
        settings
    }

    pub fn undefined(&self, what: &str, name: &str, defined: &Map) -> String {
        if self.doubled.contains(name) {
            return format!("the {what} `{name}` is defined twice; remove one");
        }
        let names: Vec<&str> = defined.keys().copied().collect();
        let advice = match (nearest(name, names.iter().copied()), &names[..]) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => format!("the configuration defines no {what}"),
            (None, [only]) => format!("there is {only}"),
            (None, several) => format!("there are {}", several.join(", ")),
        };
        format!("no {what} is called `{name}`; {advice}")
    }
}
