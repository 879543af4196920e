//! Parts of streams on a machine that only receives: since when each has not grown. Whether its sender can still continue
//! one, nobody knows there; one that has not grown for two weeks is given up, and costs what it took to send it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::span::{DAY, Epoch};

/// In seconds. A laptop may be away for a while in the middle of its first replication.
pub const PATIENCE: i64 = 14 * DAY;

/// The resume token changes with every byte that arrives.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Part {
    pub token: String,
    pub since: Epoch,
}

/// By the name of the dataset.
pub type Parts = BTreeMap<String, Part>;

/// What is known of the tokens that are there `now`. One that was first seen in the future was seen under another clock.
pub fn look(before: &Parts, tokens: BTreeMap<String, String>, now: Epoch) -> Parts {
    let mut parts = Parts::new();
    for (dataset, token) in tokens {
        let seen = before.get(&dataset);
        let same = seen.filter(|part| part.token == token && part.since <= now);
        let since = same.map_or(now, |part| part.since);
        parts.insert(dataset, Part { token, since });
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_part_that_has_not_grown_gets_older() {
        let tokens = |token: &str| BTreeMap::from([("b/x".to_owned(), token.to_owned())]);
        let since = |parts: &Parts| parts["b/x"].since;
        let first = look(&Parts::new(), tokens("1"), 100);
        assert_eq!(since(&first), 100);
        assert_eq!(since(&look(&first, tokens("1"), 200)), 100);
        assert_eq!(since(&look(&first, tokens("2"), 200)), 200);
        assert_eq!(since(&look(&first, tokens("1"), 50)), 50);
        assert!(look(&first, BTreeMap::new(), 200).is_empty());
    }
}
