//! Settings gathered from low to high: first each template in `use`, then what is written over it. Knows no setting's
//! meaning.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::fault::Fault;
use crate::core::load::fields::unknown;
use crate::core::load::keys::SETTINGS;
use crate::core::load::sections::Sections;
use crate::core::load::tree::{Map, Node, Value, items};
use crate::core::places::{Place, Places};
use crate::core::scalars::text;

/// Settings by name.
#[derive(Clone, Default)]
pub struct Layer<'n> {
    pub written: Map<'n>,
    /// What is written, over the settings of the templates in `use`.
    pub settings: Map<'n>,
    pub places: Places,
    /// Whether all is well with the names, so that only values can be wrong.
    pub is_sound: bool,
}

/// Every template with what it uses. Each is resolved once, however often it is used.
pub struct Templates<'n> {
    sections: &'n Sections<'n>,
    resolved: BTreeMap<&'n str, Layer<'n>>,
}

/// A template on the way to being resolved.
struct Open<'n> {
    name: &'n str,
    node: &'n Node,
    /// The items of its `use` that are not resolved yet.
    rest: std::slice::Iter<'n, Node>,
}

impl<'n> Templates<'n> {
    pub fn new(sections: &'n Sections<'n>, faults: &mut Vec<Fault>) -> Self {
        let resolved = BTreeMap::new();
        let mut templates = Templates { sections, resolved };
        for (name, (key, node)) in &sections.templates {
            key.check_value(node, faults);
            templates.resolve(name, faults);
        }
        templates
    }

    pub fn layers(&self) -> impl Iterator<Item = &Layer<'n>> {
        self.resolved.values()
    }

    /// Resolves a template after all that it uses. A loop, because a chain of templates may be longer than the stack is
    /// deep.
    fn resolve(&mut self, name: &'n str, faults: &mut Vec<Fault>) {
        let mut way = Vec::from_iter(self.open(name));
        let mut on_way = BTreeSet::from([name]);
        while let Some(template) = way.last_mut() {
            let Some(item) = template.rest.next() else {
                let place = Place::Template(template.name.into());
                let layer = self.layer(&place, template.node, faults);
                self.resolved.insert(template.name, layer);
                on_way.remove(template.name);
                way.pop();
                continue;
            };
            // `layer` reports a name that is undefined.
            let Some(used) = item.text().and_then(|name| self.open(name)) else {
                continue;
            };
            if on_way.insert(used.name) {
                way.push(used);
            } else {
                faults.push(item.at.fault(uses_itself(&way, used.name)));
            }
        }
    }

    /// None if the template is resolved already, or undefined.
    fn open(&self, name: &str) -> Option<Open<'n>> {
        let (name, (_, node)) = self.sections.templates.get_key_value(name)?;
        let rest = used_by(node).iter();
        (!self.resolved.contains_key(name)).then_some(Open { name, node, rest })
    }

    /// The settings of a map that stands in this place, over what its templates say.
    pub fn layer(&self, place: &Place, node: &'n Node, faults: &mut Vec<Fault>) -> Layer<'n> {
        let before = faults.len();
        let written = node.map(faults).unwrap_or_default();
        let is_whole = faults.len() == before;
        let mut layer = self.over(place, written, faults);
        layer.is_sound &= is_whole;
        layer
    }

    /// What is written, over what its templates say.
    pub fn over(&self, place: &Place, mut written: Map<'n>, faults: &mut Vec<Fault>) -> Layer<'n> {
        let before = faults.len();
        for (key, _) in written.values().filter(|(key, _)| !is_setting(&key.text)) {
            faults.push(unknown(key, &SETTINGS));
        }
        written.retain(|name, _| is_setting(name));
        let mut layer = Layer {
            is_sound: true,
            ..Layer::default()
        };
        for item in items(&written, "use") {
            self.add_used(&mut layer, item, faults);
        }
        check_values(&written, faults);
        layer.settings.extend(&written);
        layer.places.put(place, written.keys());
        layer.is_sound &= faults.len() == before;
        layer.written = written;
        layer
    }

    fn add_used(&self, layer: &mut Layer<'n>, item: &Node, faults: &mut Vec<Fault>) {
        let Some(name) = item.parse(text, faults) else {
            return;
        };
        let defined = &self.sections.templates;
        match self.resolved.get(name.as_str()) {
            Some(template) => {
                layer.settings.extend(&template.settings);
                layer.places.add(&template.places);
                layer.is_sound &= template.is_sound;
            }
            // It uses itself, which is reported already.
            None if defined.contains_key(name.as_str()) => layer.is_sound = false,
            None => {
                let message = self.sections.undefined("template", &name, defined);
                faults.push(item.at.fault(message));
            }
        }
    }

    /// The templates that nobody uses, with their keys.
    pub fn unused(&self) -> Map<'n> {
        let mut unused = self.sections.templates.clone();
        let users = self
            .sections
            .templates
            .values()
            .chain(self.sections.datasets.values());
        let by_defaults = items(&self.sections.defaults, "use");
        for item in users.flat_map(|(_, node)| used_by(node)).chain(by_defaults) {
            item.text().and_then(|name| unused.remove(name));
        }
        unused
    }
}

fn is_setting(name: &str) -> bool {
    SETTINGS.contains(&name)
}

/// Names at most ten templates of the circle that ends in `name`.
fn uses_itself(way: &[Open], name: &str) -> String {
    let names = way.iter().map(|open| open.name);
    let circle = names.skip_while(|other| *other != name).take(10);
    let circle = Vec::from_iter(circle).join(", ");
    format!("the template `{name}` uses itself ({circle}); leave one `use` out")
}

/// The settings that say which datasets an entry is about must not be lost with a value: it may be in a comment, or have
/// another indentation. Without a value for another setting nothing happens, which is safe: without windows nothing is
/// pruned.
fn check_values(settings: &Map, faults: &mut Vec<Fault>) {
    for name in ["exclude", "recursive", "use"] {
        if let Some((key, node)) = settings.get(name) {
            key.check_value(node, faults);
        }
    }
}

/// The items of the `use` in a map.
fn used_by(node: &Node) -> &[Node] {
    let Value::Map(pairs) = &node.value else {
        return &[];
    };
    let last = pairs.iter().rfind(|(key, _)| key.text == "use");
    last.map_or(&[], |(_, node)| node.items())
}
