//! Courses as a picture (SVG), light or dark as the reader prefers: how many snapshots each side holds over time, and how
//! dense they are with age at the end. Pure. Escapes nothing, since no name has a character that XML would mind.

use crate::core::simulate::Side;
use crate::core::simulate::summary::{
    Course, Growth, age, date, growth, number, restorable, ticks,
};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 64.0;
/// Height of a chart.
const CHART: f64 = 150.0;
/// Height of what tells about one side below it.
const ROW: f64 = 70.0;

/// `s0` to `s3` colour strokes, `f0` to `f3` areas and words.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}.h{font-size:15px;font-weight:600}.b{font-weight:600}.e{text-anchor:end}\
.c{text-anchor:middle}.m{fill:#59636e}.p{fill:#fff}.g{stroke:#d1d9e0}.l{fill:none;stroke-width:2;stroke-linejoin:round}\
.a{fill-opacity:.1}.t{stroke-opacity:.8}.s0{stroke:#0969da}.s1{stroke:#bc4c00}.s2{stroke:#1a7f37}.s3{stroke:#8250df}\
.f0{fill:#0969da}.f1{fill:#bc4c00}.f2{fill:#1a7f37}.f3{fill:#8250df}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.m{fill:#9198a1}.p{fill:#0d1117}.g{stroke:#3d444d}\
.s0{stroke:#4493f8}.s1{stroke:#f0883e}.s2{stroke:#3fb950}.s3{stroke:#ab7df8}\
.f0{fill:#4493f8}.f1{fill:#f0883e}.f2{fill:#3fb950}.f3{fill:#ab7df8}}";
/// Sides beyond these begin again with the first colour.
const COLOURS: usize = 4;

pub fn draw(courses: &[Course]) -> String {
    let (mut body, mut top) = (String::new(), 20.0);
    for course in courses {
        let (drawn, height) = panel(course, top);
        body += &drawn;
        top += height;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{top}\" viewBox=\"0 0 {WIDTH} {top}\">\n\
         <style>{STYLE}</style>\n<rect class=\"p\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n{body}</svg>\n"
    )
}

/// One course, from `top` down, and its height.
fn panel(course: &Course, top: f64) -> (String, f64) {
    let mut parts = Vec::new();
    for (i, name) in course.names.iter().enumerate() {
        parts.push(text(24.0, top + 16.0 + 20.0 * i as f64, "h", name));
    }
    let note = top + 16.0 + 20.0 * course.names.len() as f64;
    parts.push(text(24.0, note, "m", &course.note));
    if course.sides.is_empty() {
        return (parts.concat(), note + 30.0 - top);
    }
    let span = format!(
        "snapshots at the end of each day, {} to {}",
        date(course.from),
        date(course.until - 1)
    );
    parts.push(text(RIGHT, note, "m e", &span));
    let chart_top = note + 22.0;
    parts.push(chart(course, chart_top));
    let rows = chart_top + CHART + 48.0;
    parts.extend(
        course
            .sides
            .iter()
            .enumerate()
            .map(|(i, side)| row(course, i, side, rows + ROW * i as f64)),
    );
    let bottom = rows + ROW * course.sides.len() as f64;
    parts.push(ages(course, bottom - 8.0));
    (parts.concat(), bottom + 44.0 - top)
}

fn text(x: f64, y: f64, class: &str, text: &str) -> String {
    format!("<text x=\"{x:.0}\" y=\"{y:.0}\" class=\"{class}\">{text}</text>\n")
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64) -> String {
    format!("<path class=\"g\" d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"/>\n")
}

/// The counts of all sides over time, on one scale.
fn chart(course: &Course, top: f64) -> String {
    let bottom = top + CHART;
    let most = course
        .sides
        .iter()
        .flat_map(|side| &side.days)
        .copied()
        .max()
        .unwrap_or(0)
        .max(1);
    let y = |count: usize| bottom - CHART * count as f64 / (most as f64 * 1.05);
    let step = [1, 2, 5]
        .iter()
        .map(|n| n * 10usize.pow(most.ilog10()))
        .flat_map(|n| [n / 10, n])
        .filter(|n| *n > 0);
    let step = step.filter(|n| most / n <= 4).min().unwrap_or(most);
    let level = |count: usize| {
        line(LEFT, y(count), RIGHT, y(count))
            + &text(LEFT - 8.0, y(count) + 4.0, "m e", &number(count))
    };
    let levels = (0..=most).step_by(step).map(level);
    let moment = |(at, name): (i64, String)| {
        let x =
            LEFT + (RIGHT - LEFT) * (at - course.from) as f64 / (course.until - course.from) as f64;
        line(x, bottom, x, bottom + 5.0) + &text(x, bottom + 18.0, "m c", &name)
    };
    let moments = ticks(course.from, course.until, 14).into_iter().map(moment);
    let curves = course
        .sides
        .iter()
        .enumerate()
        .map(|(i, side)| curve(i, side, bottom, y));
    let ends = ends(&course.sides, y).into_iter().enumerate();
    let ends = ends.map(|(i, (y, count))| {
        text(
            RIGHT + 8.0,
            y + 4.0,
            &format!("b f{}", i % COLOURS),
            &number(count),
        )
    });
    levels.chain(moments).chain(curves).chain(ends).collect()
}

fn curve(i: usize, side: &Side, bottom: f64, y: impl Fn(usize) -> f64) -> String {
    let (i, x) = (i % COLOURS, |day: usize| {
        LEFT + (RIGHT - LEFT) * (day + 1) as f64 / side.days.len() as f64
    });
    // one point for each pixel is enough
    let shown = |day: &usize| day + 1 == side.days.len() || x(*day).floor() != x(day + 1).floor();
    let point = |day: usize| format!("L{:.1} {:.1}", x(day), y(side.days[day]));
    let points: String = (0..side.days.len()).filter(shown).map(point).collect();
    let steady = match growth(side) {
        Growth::Steady(day) => format!(
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" class=\"f{i}\"/>\n",
            x(day),
            y(side.days[day])
        ),
        _ => String::new(),
    };
    format!(
        "<path class=\"f{i} a\" d=\"M{LEFT} {bottom}{points}L{RIGHT} {bottom}z\"/>\n\
         <path class=\"s{i} l\" d=\"M{LEFT} {bottom}{points}\"/>\n{steady}"
    )
}

/// Where the last count of each side is written, and that: beside its curve, but not upon another.
fn ends(sides: &[Side], y: impl Fn(usize) -> f64) -> Vec<(f64, usize)> {
    let mut ends: Vec<(f64, usize)> = sides
        .iter()
        .map(|side| side.days.last().map_or((0.0, 0), |last| (y(*last), *last)))
        .collect();
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by(|a, b| ends[*b].0.total_cmp(&ends[*a].0));
    for pair in order.windows(2) {
        ends[pair[1]].0 = ends[pair[1]].0.min(ends[pair[0]].0 - 14.0);
    }
    ends
}

/// One side in words, and a stroke for each snapshot that it holds at the end.
fn row(course: &Course, i: usize, side: &Side, top: f64) -> String {
    let (x, mut strokes, mut last) = (by_age(course), String::new(), None);
    let newest = side.holds.last().copied().unwrap_or_default();
    for hold in side.holds.iter().rev() {
        let x = (x(newest - hold) * 2.0).round() / 2.0;
        if last.replace(x) != Some(x) {
            strokes += &format!("M{x} {:.0}v18", top + 14.0);
        }
    }
    let (i, name, growth) = (i % COLOURS, side.name(), course.growth(side));
    let words = format!(
        "<tspan class=\"b f{i}\">{name}</tspan><tspan class=\"m\" dx=\"10\">{growth}</tspan>"
    );
    let strokes = format!("<path class=\"s{i} t\" d=\"{strokes}\"/>\n");
    [
        text(LEFT, top + 6.0, "", &words),
        strokes,
        text(LEFT, top + 46.0, "m", &restorable(&side.holds)),
    ]
    .concat()
}

/// Where an age (seconds) is drawn: on a logarithmic scale, from the shortest distance of two snapshots to the oldest.
fn by_age(course: &Course) -> impl Fn(i64) -> f64 {
    let (least, most) = range(course);
    move |age| {
        LEFT + (RIGHT - LEFT) * (age.max(least) as f64 / least as f64).ln()
            / (most as f64 / least as f64).ln()
    }
}

fn range(course: &Course) -> (i64, i64) {
    let holds = || course.sides.iter().map(|side| &side.holds);
    let least = holds()
        .flat_map(|holds| holds.windows(2).map(|pair| pair[1] - pair[0]))
        .min()
        .unwrap_or(60);
    let most = holds()
        .filter_map(|holds| Some(holds.last()? - holds.first()?))
        .max()
        .unwrap_or(0);
    (least, most.max(least * 2))
}

/// The axis of ages.
fn ages(course: &Course, top: f64) -> String {
    let (least, most) = range(course);
    let (x, day) = (by_age(course), 86_400);
    let marks = [
        60,
        600,
        3600,
        6 * 3600,
        day,
        7 * day,
        2_629_800,
        6 * 2_629_800,
        31_557_600,
        5 * 31_557_600,
    ];
    let mark =
        |at: i64| line(x(at), top, x(at), top + 5.0) + &text(x(at), top + 18.0, "m c", &age(at));
    let marks: String = marks
        .into_iter()
        .filter(|at| (least..=most).contains(at))
        .map(mark)
        .collect();
    line(LEFT, top, RIGHT, top)
        + &marks
        + &text(RIGHT, top + 34.0, "m e", "held at the end, by age")
}
