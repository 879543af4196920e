//! What an entry excludes. A pattern is a path, a glob or a regular expression, and is matched against whole names.

use std::str::FromStr;

use regex_lite::Regex;

use crate::core::name::Dataset;

/// What a recursion leaves out: a path, a glob (`*` and `?` stay within a component), or `/a regular expression/`.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// A path or glob, as it was written; a regular expression has none.
    glob: Option<String>,
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expression = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'));
        let glob = expression.is_none().then(|| text.to_owned());
        let expression = match expression {
            Some(expression) if expression.contains("/ ") || expression.contains(" /") => {
                return Err(format!(
                    "`{text}`: is a comma missing between two expressions? Write \\x20 for a space beside a /"
                ));
            }
            None if text.contains(['*', '?'])
                && text.split(' ').skip(1).any(|word| word.contains('/')) =>
            {
                return Err(format!(
                    "`{text}`: is a comma missing between two names? Write ? for the space of a name"
                ));
            }
            Some("") => {
                return Err("an empty expression excludes everything; write one, or a name".into());
            }
            Some(expression) => expression.to_owned(),
            None if text.contains("**") => {
                return Err(format!(
                    "`{text}`: * stays within a component; use a /regular expression/ to go beyond"
                ));
            }
            None => {
                // Stand-ins of the right shape, so that the rest can be judged as a name.
                text.replace(['*', '?'], "x")
                    .parse::<Dataset>()
                    .map_err(|e| format!("{e} (a regular expression goes between slashes)"))?;
                format!(
                    "^{}$",
                    regex_lite::escape(text)
                        .replace("\\*", "[^/]*")
                        .replace("\\?", "[^/]")
                )
            }
        };
        let regex = Regex::new(&expression)
            .map_err(|e| format!("`{text}` is no regular expression: {e} (use \\ before a character that means itself)"))?;
        Ok(Pattern { regex, glob })
    }
}

impl Pattern {
    pub fn matches(&self, dataset: &Dataset) -> bool {
        self.regex.is_match(dataset.as_str())
    }

    /// The one dataset that it names, if it is a full name.
    pub fn path(&self) -> Option<Dataset> {
        self.glob
            .as_ref()
            .filter(|glob| !glob.contains(['*', '?']))?
            .parse()
            .ok()
    }

    /// Whether any name below `entry` could match. A regular expression is not asked.
    pub fn can_match_below(&self, entry: &Dataset) -> bool {
        let Some(glob) = &self.glob else { return true };
        let depth = entry.as_str().split('/').count();
        let above = Vec::from_iter(glob.split('/').take(depth)).join("/");
        glob.split('/').count() > depth
            && above
                .parse()
                .is_ok_and(|above: Pattern| above.matches(entry))
    }
}
