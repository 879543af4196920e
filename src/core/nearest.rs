//! The name that somebody may have meant who wrote another.

use strsim::levenshtein;

/// The candidate with the smallest edit distance (Levenshtein), if it is near enough to be a slip of the hand.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let limit = length / 4 + 1;
    let candidates = candidates.filter(|c| c.chars().count().abs_diff(length) <= limit);
    candidates
        .map(|c| (levenshtein(word, c), c))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, c)| c)
}
