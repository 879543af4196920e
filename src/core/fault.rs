//! Faults of a configuration: each shows its place in a file. Knows nothing of YAML, nor of what a key means.

/// A file of the configuration, as text.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub path: String,
    pub text: String,
}

/// A place in a [`Source`]: its index, and the line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub file: usize,
    pub line: u64,
    pub column: u64,
}

/// What is wrong with a configuration, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub at: At,
    pub message: String,
}

/// How many faults are shown; the others are counted.
const SHOWN: usize = 100;
/// A line of more characters is shown in part, so many before and after the caret.
const LONG: usize = 300;
const AROUND: usize = 60;

impl Fault {
    /// `zam.yaml:4:11: message`.
    pub fn line(&self, sources: &[Source]) -> String {
        let At { file, line, column } = self.at;
        let path = sources.get(file).map_or("", |source| &source.path);
        format!("{path}:{line}:{column}: {}", self.message)
    }

    /// The same, then the line, and a caret below the place.
    pub fn render(&self, sources: &[Source]) -> String {
        let text = sources
            .get(self.at.file)
            .and_then(|source| source.text.lines().nth(self.at.line as usize - 1));
        self.show(sources, text.unwrap_or_default())
    }

    /// Of a long line only what is near the caret: JSON may be all in one line.
    fn show(&self, sources: &[Source], text: &str) -> String {
        let mut before = self.at.column as usize - 1;
        let mut shown: String = text.chars().take(LONG).collect();
        if text.chars().nth(LONG).is_some() {
            let cut = before.saturating_sub(AROUND);
            before -= cut;
            shown = text.chars().skip(cut).take(before + AROUND).collect();
        }
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

/// Faults as they are shown, the first hundred of them; the rest is one line with their number.
pub fn render(faults: &[Fault], sources: &[Source]) -> Vec<String> {
    let lines: Vec<Vec<&str>> = sources
        .iter()
        .map(|source| source.text.lines().collect())
        .collect();
    let text = |at: At| {
        lines
            .get(at.file)
            .and_then(|lines| lines.get(at.line as usize - 1))
            .copied()
            .unwrap_or_default()
    };
    let mut shown: Vec<String> = faults
        .iter()
        .take(SHOWN)
        .map(|fault| fault.show(sources, text(fault.at)))
        .collect();
    if faults.len() > SHOWN {
        shown.push(format!("and {} more errors", faults.len() - SHOWN));
    }
    shown
}
