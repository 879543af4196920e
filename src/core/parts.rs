//! Parts of streams on a machine that only receives: since when each has not grown. Whether its sender can still continue
//! one, nobody knows there; one that has not grown for two weeks is given up, and costs what it took to send it. Time in
//! which this machine was off does not count: nobody could have sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::span::{DAY, Epoch};

/// In seconds. A laptop may be away for a while in the middle of its first replication.
pub const PATIENCE: i64 = 14 * DAY;

/// The resume token changes with every byte that arrives.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Part {
    pub token: String,
    /// When it was first seen like this, without the time that does not count.
    pub since: Epoch,
    /// When it was last looked at. An earlier zam did not write it.
    #[serde(default)]
    pub seen: Epoch,
}

/// By the name of the dataset.
pub type Parts = BTreeMap<String, Part>;

/// What is known of the tokens that are there `now`. Between two looks pass at most `between` seconds: a longer time is one
/// in which the machine was off, or a clock that leapt.
pub fn look(before: &Parts, tokens: BTreeMap<String, String>, now: Epoch, between: i64) -> Parts {
    let mut parts = Parts::new();
    for (dataset, token) in tokens {
        let part = before.get(&dataset);
        // One that was seen in the future was seen under another clock.
        let same = part.filter(|part| part.token == token && part.since.max(part.seen) <= now);
        let since = same.map_or(now, |part| {
            let last = part.seen.max(part.since);
            part.since + (now - last - between).max(0)
        });
        let seen = now;
        parts.insert(dataset, Part { token, since, seen });
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_part_that_has_not_grown_gets_older() {
        let first = look(&Parts::new(), tokens("1"), 100, 100);
        assert_eq!(since(&first), 100);
        assert_eq!(since(&look(&first, tokens("1"), 200, 100)), 100);
        assert_eq!(since(&look(&first, tokens("2"), 200, 100)), 200);
        assert_eq!(since(&look(&first, tokens("1"), 50, 100)), 50);
        assert!(look(&first, BTreeMap::new(), 200, 100).is_empty());
    }

    #[test]
    fn what_passes_while_the_machine_is_off_does_not_count() {
        let mut parts = look(&Parts::new(), tokens("1"), 100, 10);
        for now in [105, 110, 1000, 1010] {
            parts = look(&parts, tokens("1"), now, 10);
        }
        assert_eq!(1010 - since(&parts), 5 + 5 + 10 + 10);
    }

    fn tokens(token: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("b/x".to_owned(), token.to_owned())])
    }

    fn since(parts: &Parts) -> Epoch {
        parts["b/x"].since
    }
}
