//! Words of commands, as a person's shell reads them. Pure.

/// The word as it stands in a command that a message tells a person to run: in quotes where a shell would read it
/// otherwise. Names of ZFS may hold spaces, and what another machine lists may hold anything.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._=,@:-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_a_shell_would_split_or_read_is_quoted() {
        assert_eq!(quoted("tank/home@zam_20261122T213727Z"), "tank/home@zam_20261122T213727Z");
        assert_eq!(quoted("tank/my data@a b"), "'tank/my data@a b'");
        assert_eq!(quoted("tank/a@$(reboot);`x`"), "'tank/a@$(reboot);`x`'");
        assert_eq!(quoted("tank/a#it's"), r"'tank/a#it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
