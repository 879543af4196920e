//! Where each setting is written: in `defaults` or a destination's definition, in templates, in the entry itself. What
//! stands in the last of them holds, and what is below it holds again once that is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `defaults`; of a destination in an entry, its definition.
    Below,
    /// A template that `defaults` use.
    TemplateBelow(Arc<str>),
    Template(Arc<str>),
    Entry,
}

/// By setting, the lowest place first.
#[derive(Clone, Debug, Default)]
pub struct Places(BTreeMap<String, Vec<Place>>);

/// More than anybody writes one over the other. Templates that use each other twice could make it any number.
const MOST: usize = 32;

impl Places {
    /// Puts what is written in one place over all others.
    pub fn put<'n>(&mut self, place: &Place, names: impl IntoIterator<Item = &'n &'n str>) {
        for name in names {
            let below = self.0.entry((*name).to_owned()).or_default();
            put_over(below, place);
        }
    }

    /// Puts all that is written elsewhere over this.
    pub fn add(&mut self, above: &Places) {
        for (name, places) in &above.0 {
            let below = self.0.entry(name.clone()).or_default();
            places.iter().for_each(|place| put_over(below, place));
        }
    }

    /// Of `defaults`, whose templates are below those of each entry.
    pub fn of_defaults(mut self) -> Places {
        for place in self.0.values_mut().flatten() {
            if let Place::Template(name) = place {
                *place = Place::TemplateBelow(name.clone());
            }
        }
        self
    }

    /// The first of these settings whose highest place `before` is gone, so that a lower one holds now, or none.
    pub fn fallen<'n>(&self, before: &Places, names: &[&'n str]) -> Option<&'n str> {
        let mut names = names.iter().copied();
        names.find(|name| has_fallen(self.of(name), before.of(name)))
    }

    fn of(&self, name: &str) -> &[Place] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

fn has_fallen(now: &[Place], before: &[Place]) -> bool {
    let Some((last, below)) = before.split_last() else {
        return false;
    };
    let is_lower = |now: &Place| now.kind() < last.kind() || below.contains(now);
    now.last().is_none_or(is_lower)
}

impl Place {
    fn kind(&self) -> u8 {
        match self {
            Place::Below | Place::TemplateBelow(_) => 0,
            Place::Template(_) => 1,
            Place::Entry => 2,
        }
    }
}

fn put_over(below: &mut Vec<Place>, place: &Place) {
    below.retain(|other| other != place);
    below.push(place.clone());
    if below.len() > MOST {
        below.remove(0);
    }
}
