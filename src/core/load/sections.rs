//! The sections of a configuration as trees, several files put together, and the settings of an entry gathered from
//! low to high: `defaults`, then each template in `use`, then the entry. Knows no setting's meaning.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::core::fault::Fault;
use crate::core::load::fields::{Text, unknown};
use crate::core::load::yaml::{Key, Node, Value};
use crate::core::nearest::nearest;

pub type Map<'n> = BTreeMap<&'n str, (&'n Key, &'n Node)>;

/// What stands at the top of a file.
pub const TOP: [&str; 10] = [
    "prefix",
    "user",
    "prune-user",
    "notify",
    "metrics-file",
    "hosts",
    "defaults",
    "templates",
    "destinations",
    "datasets",
];
/// What stands in datasets, templates and `defaults`.
pub const SETTINGS: [&str; 8] = [
    "use",
    "snapshot-period",
    "prune-period",
    "windows",
    "destinations",
    "hooks",
    "recursive",
    "exclude",
];

/// For how many undefined names a near one is looked for: it costs as much time as there are names, and more faults are
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
    /// Names that stand twice in a section, with that: which of them is meant, only a person can say, so neither is there.
    doubled: BTreeSet<(&'n str, &'n str)>,
    /// Datasets at the top, and keys below what is no section: its name may be misspelt, and they be meant as datasets.
    pub lost: BTreeSet<&'n str>,
    advised: Cell<usize>,
}

/// Settings by name, and whether all is well with the names: then their values alone can be wrong.
#[derive(Clone, Default)]
pub struct Layer<'n> {
    pub written: Map<'n>,
    /// Those that are written over those of the templates.
    pub settings: Map<'n>,
    pub is_sound: bool,
}

/// Templates with those that they use.
pub type Templates<'n> = BTreeMap<&'n str, Layer<'n>>;

impl<'n> Sections<'n> {
    /// Files add to each other by section.
    pub fn new(files: &'n [Node], faults: &mut Vec<Fault>) -> Self {
        let mut all = Sections::default();
        let mut sections = BTreeSet::new();
        for (key, node) in files
            .iter()
            .flat_map(|file| file.pairs(faults))
            .collect::<Vec<_>>()
        {
            let name = key.text.as_str();
            let section = match name {
                "hosts" => &mut all.hosts,
                "defaults" => &mut all.defaults,
                "templates" => &mut all.templates,
                "destinations" => &mut all.destinations,
                "datasets" => &mut all.datasets,
                _ => {
                    all.add_to_top(key, node, faults);
                    continue;
                }
            };
            if !sections.insert((key.at.file, name)) {
                faults.push(key.fault(format!(
                    "`{name}` stands in this file a second time; write its parts together"
                )));
            }
            for (key, node) in node.pairs(faults) {
                if let Some((first, _)) = section.insert(&key.text, (key, node)) {
                    faults.push(key.fault(format!(
                        "{}; neither is in force; remove one",
                        key.second(first)
                    )));
                    all.doubled.insert((name, &key.text));
                }
            }
        }
        for (section, name) in &all.doubled {
            match *section {
                "hosts" => all.hosts.remove(name),
                "defaults" => all.defaults.remove(name),
                "templates" => all.templates.remove(name),
                "destinations" => all.destinations.remove(name),
                "datasets" => all.datasets.remove(name),
                _ => None,
            };
        }
        all
    }

    fn add_to_top(&mut self, key: &'n Key, node: &'n Node, faults: &mut Vec<Fault>) {
        if key.text.contains('/') {
            self.lost.insert(&key.text);
        }
        if let Value::Map(entries) = &node.value {
            self.lost
                .extend(entries.iter().map(|(key, _)| key.text.as_str()));
        }
        if self.top.insert(&key.text, (key, node)).is_some() {
            faults.push(key.fault(format!(
                "`{}` stands here a second time; remove one",
                key.text
            )));
            self.doubled.insert(("", &key.text));
        }
    }

    /// Whether the name stands twice in the section (none: at the top).
    pub fn is_doubled(&self, section: &str, name: &str) -> bool {
        self.doubled.contains(&(section, name))
    }

    pub fn doubled_datasets(&self) -> impl Iterator<Item = &'n str> {
        self.doubled
            .iter()
            .filter(|(section, _)| *section == "datasets")
            .map(|(_, name)| *name)
    }

    /// Every template with what it uses, each resolved once however often and by whom it is used.
    pub fn resolve(&self, faults: &mut Vec<Fault>) -> Templates<'n> {
        let mut templates = Templates::new();
        for (name, (_, node)) in &self.templates {
            if !templates.contains_key(name) {
                self.resolve_one(name, node, &mut templates, faults);
            }
        }
        templates
    }

    /// After all those that it uses. A chain of them may be longer than the stack is deep.
    fn resolve_one(
        &self,
        name: &'n str,
        node: &'n Node,
        templates: &mut Templates<'n>,
        faults: &mut Vec<Fault>,
    ) {
        let mut way = vec![(name, node, used(node).iter())];
        let mut open = BTreeSet::from([name]);
        while let Some((name, node, rest)) = way.last_mut() {
            let Some(next) = rest.next() else {
                templates.insert(name, self.layer(node, templates, faults));
                open.remove(name);
                way.pop();
                continue;
            };
            // A name that is undefined, `layer` finds too.
            let Some((name, (_, node))) = next
                .text()
                .and_then(|name| self.templates.get_key_value(name))
            else {
                continue;
            };
            if templates.contains_key(name) {
                continue;
            }
            if !open.insert(name) {
                let names: Vec<&str> = way
                    .iter()
                    .map(|(name, ..)| *name)
                    .skip_while(|way| way != name)
                    .take(10)
                    .collect();
                let message = format!(
                    "the template `{name}` uses itself ({}); leave one `use` out",
                    names.join(", ")
                );
                faults.push(next.fault(message));
                continue;
            }
            way.push((name, node, used(node).iter()));
        }
    }

    pub fn layer(
        &self,
        node: &'n Node,
        templates: &Templates<'n>,
        faults: &mut Vec<Fault>,
    ) -> Layer<'n> {
        let before = faults.len();
        let written = node.entries(faults);
        let is_whole = faults.len() == before;
        let mut layer = self.over(written, templates, faults);
        layer.is_sound &= is_whole;
        layer
    }

    /// What is written, over what the templates that it uses say.
    pub fn over(
        &self,
        mut written: Map<'n>,
        templates: &Templates<'n>,
        faults: &mut Vec<Fault>,
    ) -> Layer<'n> {
        let before = faults.len();
        written.retain(|name, (key, _)| {
            let is_known = SETTINGS.contains(name);
            if !is_known {
                faults.push(unknown(key, &SETTINGS));
            }
            is_known
        });
        let (mut settings, mut is_sound) = (Map::new(), true);
        for node in written
            .get("use")
            .map(|(_, node)| node.items())
            .unwrap_or_default()
        {
            let Some(Text(name)) = node.scalar(faults) else {
                continue;
            };
            match templates.get(name.as_str()) {
                Some(template) => {
                    settings.extend(&template.settings);
                    is_sound &= template.is_sound;
                }
                // It uses itself, which was said.
                None if self.templates.contains_key(name.as_str()) => is_sound = false,
                None => faults.push(node.fault(self.undefined("template", &name, &self.templates))),
            }
        }
        check_values(&written, &settings, faults);
        settings.extend(&written);
        Layer {
            written,
            settings,
            is_sound: is_sound && faults.len() == before,
        }
    }

    /// The names that stand in any `use`.
    pub fn used(&self) -> BTreeSet<&'n str> {
        let nodes = self
            .templates
            .values()
            .chain(self.datasets.values())
            .map(|(_, node)| used(node));
        let defaults = self
            .defaults
            .get("use")
            .map(|(_, node)| node.items())
            .unwrap_or_default();
        nodes
            .flatten()
            .chain(defaults)
            .filter_map(Node::text)
            .collect()
    }

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

/// What says which datasets an entry is about must not be taken from what is `below` by a line without a value: that may
/// be in a comment, or lost. Of other settings nothing at all is the safe side: without windows nothing is pruned.
pub fn check_values(settings: &Map, below: &Map, faults: &mut Vec<Fault>) {
    for name in ["exclude", "recursive"]
        .into_iter()
        .filter(|name| below.contains_key(name))
    {
        let empty = settings
            .get(name)
            .filter(|(_, node)| matches!(node.value, Value::Null));
        faults.extend(empty.map(|(key, _)| {
            key.fault(format!(
                "`{name}` has no value: write one, or remove the line"
            ))
        }));
    }
}

/// What its `use` names.
fn used(node: &Node) -> &[Node] {
    match &node.value {
        Value::Map(entries) => entries
            .iter()
            .rev()
            .find(|(key, _)| key.text == "use")
            .map(|(_, node)| node.items()),
        _ => None,
    }
    .unwrap_or_default()
}
