//! Courses as text: a chart of blocks for each side over an axis of time, with the numbers that matter. Needs no colour.
//! Pure; knows no terminal but its width.

use crate::core::simulate::Side;
use crate::core::simulate::axis::{Tick, ticks_within};
use crate::core::simulate::density::restorable;
use crate::core::simulate::summary::{Course, number};

/// Rows of a chart.
const ROWS: usize = 3;
/// Steps of a row.
const STEPS: usize = 8;
const BLOCKS: [char; STEPS + 1] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One course, at most `width` columns wide unless a name is longer.
pub fn draw(course: &Course, width: usize) -> String {
    let labels = course.sides.iter().map(label_width);
    let margin = labels.max().unwrap_or(0) + 4;
    let columns = width.saturating_sub(margin + 2).clamp(20, 200);
    let mut lines = course.names.clone();
    lines.extend([format!("  {}", course.note), String::new()]);
    for side in &course.sides {
        let name = side.name();
        let digits = margin - 2 - name.chars().count();
        let mut label = format!("  {name}{:>digits$} ┤", number(side.most()));
        for blocks in chart(side, columns) {
            lines.push(format!("{label}{blocks}").trim_end().into());
            label = format!("{:margin$} │", "");
        }
        lines.push(format!("{:margin$} └{}", "", axis(course, columns)));
        for text in [course.growth(side), restorable(&side.holds)] {
            for line in wrap(&text, columns) {
                lines.push(format!("{:margin$}  {line}", ""));
            }
        }
        lines.push(String::new());
    }
    lines.join("\n")
}

/// Of the name, and of the number at the top of the chart.
fn label_width(side: &Side) -> usize {
    side.name().chars().count() + number(side.most()).chars().count()
}

/// Lines of at most `width` columns, unless a word is longer.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => *line += word,
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                *line += &format!(" {word}")
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

/// The rows of blocks from the top, the most being the full height. A column shows the highest of its days.
fn chart(side: &Side, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new(); ROWS];
    for column in 0..columns {
        let count = highest(&side.days, column, columns);
        let level = (count * ROWS * STEPS).div_ceil(side.most().max(1));
        for (from_top, row) in rows.iter_mut().enumerate() {
            let below = (ROWS - 1 - from_top) * STEPS;
            row.push(BLOCKS[level.saturating_sub(below).min(STEPS)]);
        }
    }
    rows
}

/// The highest count of the days that lie in a column; at least one does.
fn highest(days: &[usize], column: usize, columns: usize) -> usize {
    let first = column * days.len() / columns;
    let end = (column + 1) * days.len() / columns;
    let days = &days[first..end.max(first + 1)];
    days.iter().copied().max().unwrap_or(0)
}

/// A line with ticks, each followed by its name if there is room.
fn axis(course: &Course, columns: usize) -> String {
    let mut line = vec!['─'; columns];
    let length = course.until - course.from;
    for Tick { at, name } in ticks_within(course.from, course.until, columns / 9) {
        let column = ((at - course.from) * columns as i64 / length) as usize;
        let text: Vec<char> = format!("┴{name}").chars().collect();
        if let Some(room) = line.get_mut(column..column + text.len()) {
            room.copy_from_slice(&text);
        }
    }
    line.into_iter().collect()
}
