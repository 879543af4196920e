//! What an entry excludes. A pattern is a path, a glob or a regular expression, and is matched against whole names.

use std::fmt;
use std::str::FromStr;

use regex_lite::Regex;

use crate::core::name::Dataset;

/// What a recursion leaves out: a path, a glob (`*` and `?` stay within a component), or `/a regular expression/`.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// A path or glob as it was written. A regular expression has none.
    glob: Option<String>,
}

/// As it was written.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.glob {
            Some(glob) => f.write_str(glob),
            None => write!(f, "/{}/", self.regex.as_str()),
        }
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inside = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'));
        let regex = match inside {
            Some(expression) => {
                check_expression(text, expression)?;
                expression.to_owned()
            }
            None => {
                check_glob(text)?;
                let regex = regex_lite::escape(text)
                    .replace("\\*", "[^/]*")
                    .replace("\\?", "[^/]");
                format!("^{regex}$")
            }
        };
        let regex = Regex::new(&regex).map_err(|e| {
            format!("`{text}` is not a valid regular expression: {e} (use \\ before a character that means itself)")
        })?;
        let glob = inside.is_none().then(|| text.to_owned());
        Ok(Pattern { regex, glob })
    }
}

fn check_expression(text: &str, expression: &str) -> Result<(), String> {
    if expression.is_empty() {
        return Err("an empty expression excludes everything; write one, or a name".into());
    }
    if expression.contains("/ ") || expression.contains(" /") {
        return Err(format!(
            "`{text}`: is a comma missing between two expressions? Write \\x20 for a space beside a /"
        ));
    }
    Ok(())
}

fn check_glob(text: &str) -> Result<(), String> {
    let mut words_after_a_space = text.split(' ').skip(1);
    if text.contains(['*', '?']) && words_after_a_space.any(|word| word.contains('/')) {
        return Err(format!(
            "`{text}`: is a comma missing between two names? Write ? for the space of a name"
        ));
    }
    if text.contains("**") {
        return Err(format!(
            "`{text}`: * stays within a component; use a /regular expression/ to go beyond"
        ));
    }
    // Letters stand in for * and ?, so that the rest can be judged as a name.
    match text.replace(['*', '?'], "x").parse::<Dataset>() {
        Ok(_) => Ok(()),
        Err(e) => Err(format!("{e} (a regular expression goes between slashes)")),
    }
}

impl Pattern {
    pub fn matches(&self, dataset: &Dataset) -> bool {
        self.regex.is_match(dataset.as_str())
    }

    /// The regular expression by which it matches.
    pub fn expression(&self) -> &str {
        self.regex.as_str()
    }

    /// The one dataset that it names, if it is a full name.
    pub fn path(&self) -> Option<Dataset> {
        let glob = self.glob.as_ref()?;
        if glob.contains(['*', '?']) {
            None
        } else {
            glob.parse().ok()
        }
    }

    /// Whether any name below `entry` could match. True for every regular expression.
    pub fn can_match_below(&self, entry: &Dataset) -> bool {
        let Some(glob) = &self.glob else { return true };
        let parts: Vec<&str> = glob.split('/').collect();
        let depth = entry.as_str().split('/').count();
        if parts.len() <= depth {
            return false;
        }
        let above = parts[..depth].join("/").parse();
        above.is_ok_and(|above: Pattern| above.matches(entry))
    }
}
