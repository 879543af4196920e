//! Two destinations of an entry that are one and the same place, under two names of its machine (a LAN's and a VPN's, say).
//! The configuration cannot know that; the bookmarks of both are named after the same root dataset. The halves of a mirror
//! have that in common too, but not the name of the root. Of what is pulled nothing is remembered here.

use anyhow::Result;

use crate::core::arrived::{Arrived, record_name};
use crate::core::config::Destination;
use crate::edge::arrived;
use crate::edge::outcome::Exit::Waits;
use crate::verbs::Run;

/// # Errors
/// [`Waits`]: this pruning would destroy what the other destination has windows for.
pub(super) fn refuse(run: &Run, to: &Destination) -> Result<()> {
    let all = arrived::all();
    let place = |to: &Destination| last_place(&all, &record_name(run.entry, to));
    let Some(here) = place(to) else {
        return Ok(());
    };
    let mut others = run.entry.destinations.iter();
    let is_met = |other: &&Destination| {
        let is_other = other.name != to.name && other.windows != to.windows;
        is_other && other.root == to.root && place(other) == Some(here)
    };
    let Some(other) = others.find(is_met) else {
        return Ok(());
    };
    let one = &to.name;
    let other = &other.name;
    let key = &run.entry.key;
    Err(Waits(format!(
        "{one} and {other} keep {key} in one and the same place, so that each would prune what the other keeps; remove one \
         of them, give both the same windows, or give one another root"
    ))
    .into())
}

/// The bookmarks' ID of the place where a destination was last.
fn last_place(all: &[Arrived], name: &str) -> Option<u32> {
    let places = all.iter().filter(|arrived| arrived.name == name);
    let last = places.max_by_key(|arrived| arrived.latest())?;
    Some(last.id)
}
