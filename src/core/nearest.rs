//! The name that a person may have meant who wrote another.

use strsim::levenshtein;

/// The candidate with the smallest edit distance (Levenshtein), if it is near enough to be a slip of the hand.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let limit = length / 4 + 1;
    // The length alone rules out most candidates, and costs much less than a distance.
    let candidates = candidates.filter(|c| c.chars().count().abs_diff(length) <= limit);
    let (distance, nearest) = candidates.map(|c| (levenshtein(word, c), c)).min()?;
    (distance <= limit).then_some(nearest)
}
