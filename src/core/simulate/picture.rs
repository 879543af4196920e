//! Courses as a picture (SVG), light or dark as the reader prefers: how many snapshots each side holds over time, and how
//! dense they are with age at the end. Pure. Escapes nothing, since no name can hold a character that XML would read.

use crate::core::simulate::Side;
use crate::core::simulate::axis::ticks_within;
use crate::core::simulate::density::restorable;
use crate::core::simulate::summary::{Course, Growth, date, growth, number};
use crate::core::span::{DAY, Epoch, HOUR, MINUTE, MONTH, Rough, WEEK, YEAR};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 64.0;
/// Height of a chart.
const CHART: f64 = 150.0;
/// Height of the words and strokes of one side below it.
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
/// More sides than these begin again with the first colour.
const COLOURS: usize = 4;

pub fn draw(courses: &[Course]) -> String {
    let mut body = String::new();
    let mut top = 20.0;
    for course in courses {
        top = panel(&mut body, course, top);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{top}\" viewBox=\"0 0 {WIDTH} {top}\">\n\
         <style>{STYLE}</style>\n<rect class=\"p\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n{body}</svg>\n"
    )
}

/// Draws one course from `top` down, and returns where the next begins.
fn panel(body: &mut String, course: &Course, top: f64) -> f64 {
    let mut y = top + 16.0;
    for name in &course.names {
        *body += &text(24.0, y, "h", name);
        y += 20.0;
    }
    *body += &text(24.0, y, "m", &course.note);
    if course.sides.is_empty() {
        return y + 30.0;
    }
    let from = date(course.from);
    let until = date(course.until - 1);
    let span = format!("snapshots at the end of each day, {from} to {until}");
    *body += &text(RIGHT, y, "m e", &span);
    let chart = Chart::new(course, y + 22.0);
    chart.draw(body);
    y = chart.bottom + 48.0;
    let ages = Ages::new(&course.sides);
    for (i, side) in course.sides.iter().enumerate() {
        *body += &row(&course.growth(side), side, &ages, i % COLOURS, y);
        y += ROW;
    }
    ages.draw_axis(body, y - 8.0);
    y + 44.0
}

/// One side in words, and its strokes.
fn row(growth: &str, side: &Side, ages: &Ages, colour: usize, top: f64) -> String {
    let name = side.name();
    let words = format!(
        "<tspan class=\"b f{colour}\">{name}</tspan><tspan class=\"m\" dx=\"10\">{growth}</tspan>"
    );
    let strokes = ages.strokes(side, top + 14.0);
    let strokes = format!("<path class=\"s{colour} t\" d=\"{strokes}\"/>\n");
    let density = text(LEFT, top + 46.0, "m", &restorable(&side.holds));
    text(LEFT, top + 6.0, "", &words) + &strokes + &density
}

fn text(x: f64, y: f64, class: &str, text: &str) -> String {
    format!("<text x=\"{x:.0}\" y=\"{y:.0}\" class=\"{class}\">{text}</text>\n")
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64) -> String {
    format!("<path class=\"g\" d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"/>\n")
}

/// The counts of all sides over time, on one scale.
struct Chart<'c> {
    course: &'c Course,
    bottom: f64,
    /// The highest count, at least 1.
    most: usize,
}

impl<'c> Chart<'c> {
    fn new(course: &'c Course, top: f64) -> Self {
        let most = course.sides.iter().map(Side::most).max();
        Chart {
            course,
            bottom: top + CHART,
            most: most.unwrap_or(0).max(1),
        }
    }

    fn y(&self, count: usize) -> f64 {
        self.bottom - CHART * count as f64 / (self.most as f64 * 1.05)
    }

    fn draw(&self, body: &mut String) {
        for count in (0..=self.most).step_by(level_step(self.most)) {
            let y = self.y(count);
            *body += &line(LEFT, y, RIGHT, y);
            *body += &text(LEFT - 8.0, y + 4.0, "m e", &number(count));
        }
        let from = self.course.from;
        let until = self.course.until;
        for tick in ticks_within(from, until, 14) {
            let x = LEFT + (RIGHT - LEFT) * (tick.at - from) as f64 / (until - from) as f64;
            *body += &line(x, self.bottom, x, self.bottom + 5.0);
            *body += &text(x, self.bottom + 18.0, "m c", &tick.name);
        }
        for (i, side) in self.course.sides.iter().enumerate() {
            *body += &self.curve(side, i % COLOURS);
        }
        for (i, end) in self.ends().into_iter().enumerate() {
            let class = format!("b f{}", i % COLOURS);
            *body += &text(RIGHT + 8.0, end.y + 4.0, &class, &number(end.count));
        }
    }

    fn curve(&self, side: &Side, colour: usize) -> String {
        let days = side.days.len();
        let x = |day: usize| LEFT + (RIGHT - LEFT) * (day + 1) as f64 / days as f64;
        let mut points = String::new();
        for (day, count) in side.days.iter().enumerate() {
            // One point for each pixel is enough.
            if day + 1 == days || x(day).floor() != x(day + 1).floor() {
                points += &format!("L{:.1} {:.1}", x(day), self.y(*count));
            }
        }
        let steady = match growth(side) {
            Growth::Steady(day) => format!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" class=\"f{colour}\"/>\n",
                x(day),
                self.y(side.days[day])
            ),
            _ => String::new(),
        };
        let bottom = self.bottom;
        format!(
            "<path class=\"f{colour} a\" d=\"M{LEFT} {bottom}{points}L{RIGHT} {bottom}z\"/>\n\
             <path class=\"s{colour} l\" d=\"M{LEFT} {bottom}{points}\"/>\n{steady}"
        )
    }

    /// The last count of each side, level with the end of its curve, but moved up where two would overlap.
    fn ends(&self) -> Vec<End> {
        let mut ends = Vec::new();
        for side in &self.course.sides {
            ends.push(match side.days.last().copied() {
                Some(count) => End {
                    y: self.y(count),
                    count,
                },
                None => End { y: 0.0, count: 0 },
            });
        }
        let mut from_below: Vec<&mut End> = ends.iter_mut().collect();
        from_below.sort_by(|a, b| b.y.total_cmp(&a.y));
        let mut free = f64::INFINITY;
        for end in from_below {
            end.y = end.y.min(free);
            free = end.y - 14.0;
        }
        ends
    }
}

/// The number at the end of a curve.
struct End {
    y: f64,
    count: usize,
}

/// The distance of the levels, a round number, so that there are at most five of them.
fn level_step(most: usize) -> usize {
    let power = 10usize.pow(most.ilog10());
    let steps = [
        power / 10,
        power / 5,
        power / 2,
        power,
        2 * power,
        5 * power,
    ];
    let is_fit = |step: &usize| *step > 0 && most / step <= 4;
    steps.into_iter().find(is_fit).unwrap_or(most)
}

/// The axis of ages (seconds): logarithmic, from the shortest distance of two snapshots to the oldest.
struct Ages {
    least: i64,
    most: i64,
}

impl Ages {
    fn new(sides: &[Side]) -> Self {
        let mut least = None;
        let mut most = 0;
        for side in sides {
            for pair in side.holds.windows(2) {
                let distance = pair[1] - pair[0];
                least = Some(least.map_or(distance, |least: i64| least.min(distance)));
            }
            if let (Some(first), Some(last)) = (side.holds.first(), side.holds.last()) {
                most = most.max(last - first);
            }
        }
        let least = least.unwrap_or(MINUTE);
        Ages {
            least,
            most: most.max(least * 2),
        }
    }

    fn x(&self, age: i64) -> f64 {
        let least = self.least as f64;
        let most = self.most as f64;
        LEFT + (RIGHT - LEFT) * (age.max(self.least) as f64 / least).ln() / (most / least).ln()
    }

    /// A stroke for each snapshot that a side holds at the end; those at the same half pixel share one.
    fn strokes(&self, side: &Side, top: f64) -> String {
        let mut strokes = String::new();
        let mut last = None;
        let newest: Epoch = side.holds.last().copied().unwrap_or_default();
        for hold in side.holds.iter().rev() {
            let x = (self.x(newest - hold) * 2.0).round() / 2.0;
            if last.replace(x) != Some(x) {
                strokes += &format!("M{x} {top:.0}v18");
            }
        }
        strokes
    }

    fn draw_axis(&self, body: &mut String, top: f64) {
        *body += &line(LEFT, top, RIGHT, top);
        let marks = [
            MINUTE,
            10 * MINUTE,
            HOUR,
            6 * HOUR,
            DAY,
            WEEK,
            MONTH,
            6 * MONTH,
            YEAR,
            5 * YEAR,
        ];
        for age in marks {
            if (self.least..=self.most).contains(&age) {
                let x = self.x(age);
                *body += &line(x, top, x, top + 5.0);
                *body += &text(x, top + 18.0, "m c", &Rough(age).to_string());
            }
        }
        *body += &text(RIGHT, top + 34.0, "m e", "held at the end, by age");
    }
}
