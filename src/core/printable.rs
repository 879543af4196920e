//! Text of other programs and of the configuration, made harmless for a terminal.

use std::borrow::Cow;

/// Replaces control characters by `?`, because an escape sequence could rewrite what a person has read. Tabs and ends of
/// lines stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_bad = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(is_bad) {
        text.replace(is_bad, "?").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_every_kind_become_question_marks() {
        assert_eq!(printable("a\tb\nc ä"), "a\tb\nc ä");
        assert_eq!(printable("\x1b[2Ja\rb\x07\x7f\u{9b}c\0"), "?[2Ja?b???c?");
    }
}
