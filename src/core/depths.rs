//! In how many places each setting is written: in `defaults`, in templates, in a destination's definition, in the entry
//! itself. What stands in the last of them holds. One place less than before means that what was below holds now.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub struct Depths(BTreeMap<String, usize>);

impl Depths {
    /// Of what is written in one place.
    pub fn one<'n>(names: impl IntoIterator<Item = &'n &'n str>) -> Self {
        let names = names.into_iter();
        Depths(names.map(|name| ((*name).to_owned(), 1)).collect())
    }

    /// Puts all that is written elsewhere over this. Templates that use others twice may count beyond every number.
    pub fn add(&mut self, above: &Depths) {
        for (name, depth) in &above.0 {
            let below = self.0.entry(name.clone()).or_default();
            *below = below.saturating_add(*depth);
        }
    }

    /// The first of these settings that is written in less places than before.
    pub fn less<'n>(&self, before: &Depths, names: &[&'n str]) -> Option<&'n str> {
        let is_less = |name: &&&str| self.of(name) < before.of(name);
        names.iter().find(is_less).copied()
    }

    /// 0: it is written nowhere.
    fn of(&self, name: &str) -> usize {
        self.0.get(name).copied().unwrap_or_default()
    }
}
