//! Lines of cells in columns, below a head, as wide as what they hold. A word of each line may have a colour.

use crate::edge::journal;

/// SGR parameters (ECMA-48).
pub(super) const RED: &str = "31";
pub(super) const GREEN: &str = "32";
pub(super) const YELLOW: &str = "33";

/// The column that has a colour.
const COLORED: usize = 1;

pub(super) struct Columns<const N: usize> {
    lines: Vec<Line<N>>,
    /// The column of numbers, which stand to the right.
    numbers: usize,
}

struct Line<const N: usize> {
    cells: [String; N],
    color: Option<&'static str>,
}

impl<const N: usize> Columns<N> {
    pub(super) fn new(heads: [&str; N], numbers: usize) -> Self {
        let mut columns = Columns {
            lines: Vec::new(),
            numbers,
        };
        columns.add(heads.map(String::from), None);
        columns
    }

    pub(super) fn add(&mut self, cells: [String; N], color: Option<&'static str>) {
        self.lines.push(Line { cells, color });
    }

    pub(super) fn print(&self, colored: bool) {
        let widths = self.widths();
        for line in &self.lines {
            let mut padded = Vec::new();
            for (column, (cell, width)) in line.cells.iter().zip(widths).enumerate() {
                let text = if column == self.numbers {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:width$}")
                };
                padded.push(match line.color {
                    Some(color) if colored && column == COLORED => paint(color, &text),
                    _ => text,
                });
            }
            journal::print_colored(padded.join("  ").trim_end());
        }
    }

    /// The width of each column, in characters.
    fn widths(&self) -> [usize; N] {
        let mut widths = [0; N];
        for line in &self.lines {
            for (width, cell) in widths.iter_mut().zip(&line.cells) {
                *width = cell.chars().count().max(*width);
            }
        }
        widths
    }
}

fn paint(color: &str, text: &str) -> String {
    format!("\x1b[{color}m{text}\x1b[0m")
}
