//! The parts that settings are made of: windows, hooks, idle conditions, and periods that a timer can follow. Does not
//! know where they are used.

use crate::core::config::{Hooks, Idle, Window};
use crate::core::fault::Fault;
use crate::core::load::fields::Fields;
use crate::core::load::keys::{HOOKS, IDLE, WINDOW};
use crate::core::load::tree::Node;
use crate::core::period::Period;
use crate::core::scalars::{otherwise, text};
use crate::core::schedule::{self, Week};
use crate::core::span::Span;

/// A period that a timer can follow.
pub fn schedulable(fields: &mut Fields, name: &str) -> Option<Period> {
    fields.parse(name, |text| {
        let period = text.parse()?;
        schedule::check(period)?;
        Ok(period)
    })
}

/// An empty list is no policy, because "keep nothing" cannot be said (invariant 3).
pub fn read_windows(fields: &mut Fields) -> Vec<Window> {
    let Some(node) = fields.node("windows") else {
        return Vec::new();
    };
    if node.items().is_empty() {
        fields.faults.push(node.at.fault(
            "an empty list keeps nothing: name a window like {max-age: 2d, period: 1h}, or leave `windows` out to prune nothing",
        ));
    }
    let mut windows = Vec::new();
    for item in node.items() {
        windows.extend(window(item, fields.faults));
    }
    windows
}

fn window(node: &Node, faults: &mut Vec<Fault>) -> Option<Window> {
    if !node.is_map() {
        faults.push(not_a_window(node));
        return None;
    }
    let mut fields = Fields::new(node.map(faults)?, &WINDOW, faults);
    let max_age: Option<Span> = fields.get("max-age");
    let Some(period_node) = fields.node("period") else {
        faults.push(
            node.at
                .fault("a window needs a `period`: it keeps one snapshot for each"),
        );
        return None;
    };
    let period: Period = fields.get("period")?;
    if max_age.is_some_and(|age| age.seconds() < period.span().seconds()) {
        faults.push(period_node.at.fault(format!(
            "the period {period} must not be longer than the window's max-age, or the window keeps next to nothing"
        )));
    }
    Some(Window { max_age, period })
}

/// Words of other tools, and what they are called here.
const WORDS: [(&str, &str); 5] = [
    ("hourly", "1h"),
    ("daily", "1d"),
    ("weekly", "1w"),
    ("monthly", "1mo"),
    ("yearly", "1y"),
];

/// Shows a right window that is near to what was written.
fn not_a_window(node: &Node) -> Fault {
    let text = node.text().unwrap_or_default();
    let period = match WORDS.iter().find(|(word, _)| *word == text) {
        Some((_, period)) => period,
        None if text.parse::<Period>().is_ok() => text,
        None => "1h",
    };
    node.at.fault(format!(
        "a window is a map: write {{max-age: 1y, period: {period}}} to keep one snapshot for each {period} of a year, or \
         {{period: {period}}} for ever"
    ))
}

pub fn hooks(node: &Node, faults: &mut Vec<Fault>) -> Option<Hooks> {
    let mut fields = Fields::new(node.map(faults)?, &HOOKS, faults);
    Some(Hooks {
        before: fields.list("before", text),
        after: fields.list("after", text),
    })
}

pub fn idle(node: &Node, faults: &mut Vec<Fault>) -> Option<Idle> {
    let mut fields = Fields::new(node.map(faults)?, &IDLE, faults);
    let node = fields.node("windows");
    if let Some(node) = node.filter(|node| node.items().is_empty()) {
        fields.faults.push(node.at.fault(
            "an empty list is no time at all: name one like 22:00-06:00, or leave `windows` out",
        ));
    }
    let run_at_last = fields.parse("otherwise", otherwise).unwrap_or_default();
    let windows: Vec<schedule::Window> = fields.list("windows", str::parse);
    let is_whole =
        node.is_none_or(|node| !windows.is_empty() && node.items().len() == windows.len());
    if run_at_last
        && is_whole
        && Week::new(&windows).is_always_open()
        && let Some(node) = fields.node("otherwise")
    {
        fields.faults.push(node.at.fault(
            "without `windows` that close no slot is a last one, so this would never run: name some, or leave `otherwise` out",
        ));
    }
    Some(Idle {
        windows,
        on_ac_power: fields.flag("on-ac-power"),
        user_idle: fields.get("user-idle"),
        unmetered: fields.flag("unmetered"),
        pool: fields.flag("pool"),
        run_at_last,
    })
}
