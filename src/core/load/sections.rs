//! The sections of a configuration as trees, several files put together. Knows no setting's meaning.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::core::fault::Fault;
use crate::core::load::tree::{Key, Map, Node, Value};
use crate::core::nearest::nearest;

/// For so many undefined names a near one is looked for. Each costs as much time as there are names, and more faults are
/// not shown.
const ADVICE: usize = 100;

#[derive(Default)]
pub struct Sections<'n> {
    /// What stands at the top besides the sections.
    pub top: Map<'n>,
    pub hosts: Map<'n>,
    pub defaults: Map<'n>,
    pub templates: Map<'n>,
    pub destinations: Map<'n>,
    pub datasets: Map<'n>,
    /// Sections (empty: the top) with names that stand twice in them. Only a person can say which of the two is meant, so
    /// neither is in the section.
    doubled: BTreeMap<&'n str, BTreeSet<&'n str>>,
    /// Names that may be meant as datasets: keys at the top with a `/`, and keys below what may be a misspelt section.
    pub lost: BTreeSet<&'n str>,
    advised: Cell<usize>,
}

impl<'n> Sections<'n> {
    /// Files add to each other by section.
    pub fn new(files: &'n [Node], faults: &mut Vec<Fault>) -> Self {
        let mut all = Sections::default();
        for file in files {
            let mut seen = BTreeSet::new();
            for (key, node) in file.pairs(faults).unwrap_or_default() {
                let name = &key.text;
                if all.section(name).is_none() {
                    all.add_to_top(key, node, faults);
                    continue;
                }
                if !seen.insert(name) {
                    faults.push(key.at.fault(format!(
                        "`{name}` stands in this file a second time; write its parts together"
                    )));
                }
                key.check_value(node, faults);
                all.add_to_section(name, node, faults);
            }
        }
        for (section, doubled) in all.doubled.clone() {
            if let Some(names) = all.section(section) {
                names.retain(|name, _| !doubled.contains(name));
            }
        }
        all
    }

    fn section(&mut self, name: &str) -> Option<&mut Map<'n>> {
        match name {
            "hosts" => Some(&mut self.hosts),
            "defaults" => Some(&mut self.defaults),
            "templates" => Some(&mut self.templates),
            "destinations" => Some(&mut self.destinations),
            "datasets" => Some(&mut self.datasets),
            _ => None,
        }
    }

    fn add_to_top(&mut self, key: &'n Key, node: &'n Node, faults: &mut Vec<Fault>) {
        let name = &key.text;
        if name.contains('/') {
            self.lost.insert(name);
        }
        if let Value::Map(pairs) = &node.value {
            self.lost
                .extend(pairs.iter().map(|(key, _)| key.text.as_str()));
        }
        if self.top.insert(name, (key, node)).is_some() {
            let message = format!("`{name}` stands here a second time; remove one");
            faults.push(key.at.fault(message));
            self.doubled.entry("").or_default().insert(name);
        }
    }

    fn add_to_section(&mut self, section: &'n str, node: &'n Node, faults: &mut Vec<Fault>) {
        for (key, node) in node.pairs(faults).unwrap_or_default() {
            let Some(names) = self.section(section) else {
                return;
            };
            if let Some((first, _)) = names.insert(&key.text, (key, node)) {
                let repeats = key.repeats(first);
                faults.push(
                    key.at
                        .fault(format!("{repeats}; neither is in force; remove one")),
                );
                self.doubled.entry(section).or_default().insert(&key.text);
            }
        }
    }

    /// Whether the name stands twice in the section (empty: at the top).
    pub fn is_doubled(&self, section: &str, name: &str) -> bool {
        let doubled = self.doubled.get(section);
        doubled.is_some_and(|names| names.contains(name))
    }

    pub fn doubled_datasets(&self) -> impl Iterator<Item = &'n str> {
        self.doubled.get("datasets").into_iter().flatten().copied()
    }

    /// Whether a host is called so. A host at fault counts too.
    pub fn is_host(&self, name: &str) -> bool {
        self.hosts.contains_key(name) || self.is_doubled("hosts", name)
    }

    /// Says that no `what` (host, template, destination) has this name, and which names there are.
    pub fn undefined(&self, what: &str, name: &str, defined: &Map) -> String {
        if self.is_doubled(&format!("{what}s"), name) {
            return format!("the {what} `{name}` is defined twice; remove one");
        }
        if self.advised.replace(self.advised.get() + 1) >= ADVICE {
            return format!("no {what} is called `{name}`");
        }
        let names: Vec<&str> = defined.keys().copied().collect();
        let advice = match (nearest(name, names.iter().copied()), &names[..]) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => format!("the configuration defines no {what}"),
            (None, [only]) => format!("there is {only}"),
            (None, several) => format!("there are {}", several[..several.len().min(20)].join(", ")),
        };
        format!("no {what} is called `{name}`; {advice}")
    }
}
