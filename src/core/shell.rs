//! Commands as shells read them. A command for another machine meets a shell that nobody chose: sh, dash, bash, zsh, ksh,
//! csh, tcsh and fish read it alike. Keeps the second half of invariant 1: cutting the line short cannot make it destroy
//! more. The other way round, says which programs such a line runs, and reads no other line.

/// Comes first in every line. A shell that ends the line at one of these characters ends it here, before any program that
/// changes something.
const WALL: &str = "ZAM=#@,. %";

const PIPE: &str = " | ";

/// `env` finds zfs in sbin for users who lack it.
const BEFORE: [&str; 4] = ["env", WALL, LOCALE, PATH];
pub const LOCALE: &str = "LC_ALL=C";
pub const PATH: &str =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin";

/// The line that runs a program with these arguments.
///
/// # Errors
/// A word holds a character that shells read differently.
pub fn line(argv: &[&str]) -> Result<String, String> {
    let mut words = Vec::new();
    for argument in BEFORE.iter().chain(argv) {
        words.push(word(argument)?);
    }
    Ok(words.join(" "))
}

/// The line that runs programs of which each reads what the one before writes.
///
/// # Errors
/// As [`line`].
pub fn pipeline<P: AsRef<[W]>, W: AsRef<str>>(programs: &[P]) -> Result<String, String> {
    let mut lines = Vec::new();
    for program in programs {
        let argv: Vec<&str> = program.as_ref().iter().map(AsRef::as_ref).collect();
        lines.push(line(&argv)?);
    }
    Ok(lines.join(PIPE))
}

/// The programs, with their arguments, of a line that [`pipeline`] makes. None for every other line: one that differs in a
/// single character may mean something else to a shell.
pub fn programs(line: &str) -> Option<Vec<Vec<String>>> {
    let mut programs = Vec::new();
    for part in line.split(PIPE) {
        let words = split(part);
        let program = words.get(BEFORE.len()..)?;
        if program.is_empty() {
            return None;
        }
        programs.push(program.to_vec());
    }
    let made = pipeline(&programs).ok()?;
    (made == line).then_some(programs)
}

/// A line for a person to read: without what comes before the program in each that zam makes.
pub fn told(line: &str) -> &str {
    let before = self::line(&[]).unwrap_or_default();
    line.strip_prefix(&before).map_or(line, str::trim_start)
}

/// The words of a program's part of a line, where every second quote ends one.
fn split(part: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, piece) in part.split('\'').enumerate() {
        if i % 2 == 1 {
            words.push(piece.into());
        } else {
            words.extend(piece.split_ascii_whitespace().map(Into::into));
        }
    }
    words
}

/// Names with `@` and `#` always stand in quotes: one that is cut short lacks the second quote, and no shell runs that.
fn word(word: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._=,:-".contains(c);
    if !word.is_empty() && !word.starts_with('=') && word.chars().all(is_plain) {
        return Ok(word.into());
    }
    match word.chars().find(|c| !is_read_alike(*c)) {
        None => Ok(format!("'{word}'")),
        Some(c) => Err(format!(
            "{word:?} holds {c:?}, which shells read differently; no name of ZFS has it"
        )),
    }
}

/// Whether all shells read a character in single quotes alike. fish reads \ there, csh reads ! and ends at a newline, and
/// the meaning of a character outside ASCII depends on the locale.
fn is_read_alike(c: char) -> bool {
    (c == ' ' || c.is_ascii_graphic()) && !"'\\!".contains(c)
}

/// The word for a command that a message tells a person to run: in quotes if a shell would read it otherwise. Names of ZFS
/// may hold spaces, and a listing from another machine may hold anything.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._=,@:-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_are_bare_and_marks_are_quoted() {
        assert_eq!(
            word("name,guid:x=1/a-b_c.d").as_deref(),
            Ok("name,guid:x=1/a-b_c.d")
        );
        assert_eq!(word("tank/x#zam_1").as_deref(), Ok("'tank/x#zam_1'"));
        assert_eq!(word("tank/a b@x").as_deref(), Ok("'tank/a b@x'"));
        assert_eq!(
            (word("").as_deref(), word("=ls").as_deref()),
            (Ok("''"), Ok("'=ls'"))
        );
    }

    #[test]
    fn what_shells_read_differently_is_refused() {
        for word in [
            "it's", "a\\b", "a!b", "a\nb", "a\0b", "a\x1bb", "ä", "\u{85}",
        ] {
            assert!(line(&["zfs", "list", word]).is_err(), "{word:?}");
        }
    }

    #[test]
    fn every_mark_stands_before_the_program() {
        let line = line(&["zfs", "destroy", "tank/a b@x,y#z"]).expect("a line");
        let program = line.find(" zfs ").expect("a program");
        for (at, c) in line
            .char_indices()
            .filter(|(_, c)| !c.is_ascii_alphanumeric())
        {
            assert!(
                line.find(c).is_some_and(|first| first < program),
                "{c:?} at {at}"
            );
        }
    }

    fn owned(argv: Vec<&str>) -> Vec<String> {
        argv.into_iter().map(Into::into).collect()
    }

    #[test]
    fn only_a_line_of_our_own_making_is_read() {
        let argvs = [
            vec!["zstd", "-dqc"],
            vec!["zfs", "receive", "a b/c", "x@y z", ""],
        ];
        let line = pipeline(&argvs).expect("a line");
        assert_eq!(programs(&line), Some(argvs.map(owned).to_vec()));
        for at in 0..line.len() {
            let cut = &line[..at];
            assert!(programs(cut).is_none_or(|read| pipeline(&read).as_deref() == Ok(cut)));
            for c in ["x", " ", "'", "|", ";", "\n", "\0", "$", "\\"] {
                let changed = format!("{}{c}{}", &line[..at], &line[at..]);
                let read = programs(&changed);
                assert!(read.is_none_or(|read| pipeline(&read) == Ok(changed)));
            }
        }
    }

    #[test]
    fn a_word_that_a_shell_would_split_or_read_is_quoted() {
        assert_eq!(
            quoted("tank/home@zam_20261122T213727Z"),
            "tank/home@zam_20261122T213727Z"
        );
        assert_eq!(quoted("tank/my data@a b"), "'tank/my data@a b'");
        assert_eq!(quoted("tank/a@$(reboot);`x`"), "'tank/a@$(reboot);`x`'");
        assert_eq!(quoted("tank/a#it's"), r"'tank/a#it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
