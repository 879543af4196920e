//! Faults of a configuration, each with its position in a file. Knows nothing of YAML, nor of what a key means.

/// A file of the configuration, as text.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub path: String,
    pub text: String,
}

/// A position in a [`Source`]: the index of the source, and the line and column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub file: usize,
    pub line: u64,
    pub column: u64,
}

impl At {
    pub fn start_of(file: usize) -> At {
        At {
            file,
            line: 1,
            column: 1,
        }
    }

    pub fn fault(self, message: impl Into<String>) -> Fault {
        Fault {
            at: self,
            message: message.into(),
        }
    }

    /// The value that was parsed here. An error becomes a fault.
    pub fn accept<T>(self, parsed: Result<T, String>, faults: &mut Vec<Fault>) -> Option<T> {
        parsed
            .map_err(|message| faults.push(self.fault(message)))
            .ok()
    }
}

/// What is wrong with a configuration, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub at: At,
    pub message: String,
}

/// So many faults are shown; the others are only counted.
const SHOWN: usize = 100;
/// A line with more characters than this is cut to AROUND characters on each side of the caret.
const LONG: usize = 300;
const AROUND: usize = 60;

impl Fault {
    /// `zam.yaml:4:11: message`.
    pub fn line(&self, sources: &[Source]) -> String {
        let At { file, line, column } = self.at;
        let path = sources.get(file).map_or("", |source| &source.path);
        format!("{path}:{line}:{column}: {}", self.message)
    }

    /// [`Fault::line`], then the line of the file, and a caret below the position.
    pub fn render(&self, sources: &[Source]) -> String {
        render(std::slice::from_ref(self), sources).concat()
    }

    /// `text` is the line of the file. A long one is cut, because JSON may be all in one line.
    fn show(&self, sources: &[Source], text: &str) -> String {
        let mut before = self.at.column as usize - 1;
        let mut shown: String = text.chars().take(LONG).collect();
        if text.chars().nth(LONG).is_some() {
            let cut = before.saturating_sub(AROUND);
            before -= cut;
            shown = text.chars().skip(cut).take(before + AROUND).collect();
        }
        // Tabs stay tabs, so that the caret stands below its column.
        let indent: String = shown
            .chars()
            .take(before)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let margin = self.at.line.to_string();
        let blank = " ".repeat(margin.len());
        format!(
            "{}\n {margin} | {shown}\n {blank} | {indent}^",
            self.line(sources)
        )
    }
}

/// The first hundred faults as they are shown, and one line that counts the rest.
pub fn render(faults: &[Fault], sources: &[Source]) -> Vec<String> {
    // Split once: a file may have as many faults as lines.
    let lines: Vec<Vec<&str>> = sources.iter().map(|s| s.text.lines().collect()).collect();
    let mut shown = Vec::new();
    for fault in faults.iter().take(SHOWN) {
        let lines = lines.get(fault.at.file);
        let text = lines.and_then(|lines| lines.get(fault.at.line as usize - 1));
        shown.push(fault.show(sources, text.unwrap_or(&"")));
    }
    if faults.len() > SHOWN {
        shown.push(format!("and {} more errors", faults.len() - SHOWN));
    }
    shown
}
