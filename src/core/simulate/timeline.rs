//! Courses as text: a chart of blocks for each side over an axis of time, with the numbers that matter. Needs no colour.
//! Pure; knows no terminal but its width.

use crate::core::simulate::Side;
use crate::core::simulate::summary::{Course, number, restorable, ticks};

/// Rows of a chart.
const ROWS: usize = 3;
/// Steps of a row.
const STEPS: usize = 8;
const BLOCKS: [char; STEPS + 1] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One course, at most `width` columns wide but for names that are longer.
pub fn draw(course: &Course, width: usize) -> String {
    let label = |side: &Side| {
        (
            side.name().chars().count(),
            number(most(side)).chars().count(),
        )
    };
    let margin = course
        .sides
        .iter()
        .map(label)
        .map(|(name, number)| name + number)
        .max()
        .unwrap_or(0)
        + 4;
    let columns = width.saturating_sub(margin + 2).clamp(20, 200);
    let mut lines = vec![
        course.names.join("\n"),
        format!("  {}", course.note),
        String::new(),
    ];
    for side in &course.sides {
        let label = format!(
            "  {}{:>2$}",
            side.name(),
            number(most(side)),
            margin - 2 - side.name().chars().count()
        );
        for (row, blocks) in chart(side, columns).into_iter().enumerate() {
            let line = if row == 0 {
                format!("{label} ┤{blocks}")
            } else {
                format!("{:margin$} │{blocks}", "")
            };
            lines.push(line.trim_end().into());
        }
        lines.push(format!("{:margin$} └{}", "", axis(course, columns)));
        let words = [
            wrap(&course.growth(side), columns),
            wrap(&restorable(&side.holds), columns),
        ]
        .concat();
        lines.extend(
            words
                .into_iter()
                .map(|line| format!("{:margin$}  {line}", "")),
        );
        lines.push(String::new());
    }
    lines.join("\n")
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

fn most(side: &Side) -> usize {
    side.days.iter().copied().max().unwrap_or(0)
}

/// Rows of blocks from the top, the most being the full height; of the days in a column the highest.
fn chart(side: &Side, columns: usize) -> Vec<String> {
    let days = &side.days;
    let column = |c: usize| {
        let first = c * days.len() / columns;
        days[first..((c + 1) * days.len() / columns).max(first + 1)]
            .iter()
            .copied()
            .max()
            .unwrap_or(0)
    };
    let level = |c: usize| (column(c) * ROWS * STEPS).div_ceil(most(side).max(1));
    let levels: Vec<usize> = (0..columns).map(level).collect();
    let row = |row: usize| {
        levels
            .iter()
            .map(|level| BLOCKS[level.saturating_sub(row * STEPS).min(STEPS)])
            .collect()
    };
    (0..ROWS).rev().map(row).collect()
}

/// A line with ticks, each with its name behind it if there is room.
fn axis(course: &Course, columns: usize) -> String {
    let mut line = vec!['─'; columns];
    for (at, name) in ticks(course.from, course.until, columns / 9) {
        let column = ((at - course.from) * columns as i64 / (course.until - course.from)) as usize;
        let text = std::iter::once('┴').chain(name.chars());
        if column + text.clone().count() <= columns {
            line.splice(column..column + text.clone().count(), text);
        }
    }
    line.into_iter().collect()
}
