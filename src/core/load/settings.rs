//! The parts that settings are made of: windows, hooks, idle conditions, and periods that a timer can follow. Knows not
//! where they are used.

use crate::core::config::{Hooks, Idle, Window};
use crate::core::fault::Fault;
use crate::core::load::fields::Fields;
use crate::core::load::yaml::Node;
use crate::core::scalars::Otherwise;
use crate::core::schedule;
use crate::core::span::{Period, Span};

/// A period that a timer can follow.
pub fn schedulable(fields: &mut Fields, name: &'static str) -> Option<Period> {
    let node = fields.node(name)?;
    let period = node.scalar(fields.faults)?;
    schedule::check(period)
        .map_err(|message| fields.faults.push(node.fault(message)))
        .ok()
        .map(|()| period)
}

/// An empty list is no policy: "keep nothing" cannot be said (invariant 3).
pub fn windows(fields: &mut Fields) -> Vec<Window> {
    let Some(node) = fields.node("windows") else {
        return Vec::new();
    };
    if node.items().is_empty() {
        fields.faults.push(node.fault(
            "an empty list keeps nothing: name a window like {max-age: 2d, period: 1h}, or leave `windows` out to prune nothing",
        ));
    }
    node.items()
        .iter()
        .filter_map(|node| window(node, fields.faults))
        .collect()
}

/// What other tools have words for, and what they are here.
const WORDS: [(&str, &str); 5] = [
    ("hourly", "1h"),
    ("daily", "1d"),
    ("weekly", "1w"),
    ("monthly", "1mo"),
    ("yearly", "1y"),
];

/// A right window in place of what stands there.
fn no_window(node: &Node) -> Fault {
    let text = node.text().unwrap_or_default();
    let word = WORDS
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, period)| *period);
    let period = word
        .or_else(|| text.parse::<Period>().is_ok().then_some(text))
        .unwrap_or("1h");
    node.fault(format!(
        "a window is a map: write {{max-age: 1y, period: {period}}} to keep one snapshot for each {period} of a year, or \
         {{period: {period}}} for ever"
    ))
}

fn window(node: &Node, faults: &mut Vec<Fault>) -> Option<Window> {
    if !node.is_map() {
        faults.push(no_window(node));
        return None;
    }
    let mut fields = Fields::new(node.map(faults)?, faults);
    let (max_age, period_node): (Option<Span>, _) = (fields.get("max-age"), fields.node("period"));
    let period: Option<Period> = fields.get("period");
    fields.finish();
    match (period, period_node) {
        (None, None) => {
            faults.push(node.fault("a window needs a `period`: it keeps one snapshot for each"))
        }
        (Some(period), Some(node))
            if max_age.is_some_and(|age: Span| age.seconds() < period.span().seconds()) =>
        {
            faults.push(node.fault(format!(
                "the period {period} must not be longer than the window's max-age, or the window keeps next to nothing"
            )));
        }
        _ => {}
    }
    Some(Window {
        max_age,
        period: period?,
    })
}

pub fn hooks(node: &Node, faults: &mut Vec<Fault>) -> Hooks {
    let mut fields = Fields::new(node.entries(faults), faults);
    let hooks = Hooks {
        before: fields.texts("before"),
        after: fields.texts("after"),
    };
    fields.finish();
    hooks
}

pub fn idle(node: &Node, faults: &mut Vec<Fault>) -> Idle {
    let mut fields = Fields::new(node.entries(faults), faults);
    if let Some(node) = fields
        .node("windows")
        .filter(|node| node.items().is_empty())
    {
        fields.faults.push(node.fault(
            "an empty list is no time at all: name one like 22:00-06:00, or leave `windows` out",
        ));
    }
    let idle = Idle {
        windows: fields.list("windows"),
        on_ac_power: fields.flag("on-ac-power"),
        user_idle: fields.get("user-idle"),
        unmetered: fields.flag("unmetered"),
        pool: fields.flag("pool"),
        run_at_last: fields.get("otherwise").is_some_and(|Otherwise(run)| run),
    };
    fields.finish();
    idle
}
