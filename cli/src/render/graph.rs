//! Line charts of braille dots: eight dots a character, axes with times and values, a legend.

use watchfire_model::Timestamp;

use crate::color::{Painter, Style};
use crate::number::short;
use crate::text::{cut, pad, pad_left, safe, width};
use crate::time::Clock;

/// Fewest columns and rows that are drawn, whatever the terminal's size.
const COLUMNS_MIN: usize = 20;
const ROWS_MIN: usize = 4;
/// Marks of the value axis, about.
const VALUE_MARKS: f64 = 4.0;
/// Distance of two marks of the time axis, columns.
const COLUMNS_PER_MARK: usize = 22;
/// Bits of the dots of a braille character, by column (0, 1) and row (0 to 3) inside of it. Source: Unicode, U+2800.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// A line.
#[derive(Clone, Debug)]
pub struct Series {
    /// For the legend.
    pub name: String,
    /// Times and values, times ascending. Values that are no numbers interrupt the line.
    pub points: Vec<(Timestamp, f64)>,
    /// Its colour.
    pub style: Style,
}

/// What is drawn, and on how much room.
#[derive(Clone, Debug)]
pub struct Graph<'a> {
    /// Left end of the time axis.
    pub start: Timestamp,
    /// Right end.
    pub end: Timestamp,
    /// Distance of the points; a larger one interrupts the line. Milliseconds.
    pub step_ms: i64,
    /// The lines; later ones lie over earlier ones.
    pub series: &'a [Series],
    /// Columns in all.
    pub columns: usize,
    /// Rows of the picture, without axis and legend.
    pub rows: usize,
    /// Without braille and lines, for terminals that do not have them.
    pub ascii: bool,
    /// Shows the times.
    pub clock: &'a Clock,
}

/// A character of the picture: its dots, and whose colour it has.
#[derive(Clone, Copy, Default)]
struct Spot {
    dots: u8,
    series: Option<usize>,
}

/// The dots, from the upper left corner.
struct Canvas {
    columns: usize,
    rows: usize,
    spots: Vec<Spot>,
}

impl Canvas {
    fn new(columns: usize, rows: usize) -> Canvas {
        Canvas { columns, rows, spots: vec![Spot::default(); columns * rows] }
    }

    fn dot(&mut self, x: usize, y: usize, series: usize) {
        let at = y / 4 * self.columns + x / 2;
        if let Some(spot) = self.spots.get_mut(at).filter(|_| x / 2 < self.columns) {
            spot.dots |= DOTS[x % 2][y % 4];
            spot.series = Some(series);
        }
    }

    /// Dots along a straight line.
    fn line(&mut self, from: (usize, usize), to: (usize, usize), series: usize) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
        let between = |from: usize, to: usize, step: usize| {
            let share = step as f64 / steps as f64;
            (from as f64 + (to as f64 - from as f64) * share).round() as usize
        };
        for step in 0..=steps {
            self.dot(between(from.0, to.0, step), between(from.1, to.1, step), series);
        }
    }

    fn row(&self, row: usize, ascii: bool, series: &[Series], painter: Painter) -> String {
        let spots = self.spots.get(row * self.columns..(row + 1) * self.columns).unwrap_or_default();
        let mut line = String::new();
        // Neighbours of one colour are painted together.
        for run in spots.chunk_by(|left, right| left.series == right.series) {
            let text: String = run.iter().map(|spot| character(spot.dots, ascii)).collect();
            match run.first().and_then(|spot| series.get(spot.series?)) {
                Some(series) => line.push_str(&painter.paint(series.style, &text)),
                None => line.push_str(&text),
            }
        }
        line
    }
}

fn character(dots: u8, ascii: bool) -> char {
    match (dots, ascii) {
        (0, _) => ' ',
        (_, true) => '*',
        (dots, false) => char::from_u32(0x2800 + u32::from(dots)).unwrap_or('*'),
    }
}

impl Graph<'_> {
    /// The picture, its axes and its legend, as lines.
    pub fn render(&self, painter: Painter) -> String {
        let Some(Scale { low, high, step }) = self.scale() else { return String::new() };
        let rows = self.rows.max(ROWS_MIN);
        let marks = value_marks(low, high, step, rows);
        let margin = marks.iter().flatten().map(|mark| width(mark)).max().unwrap_or(0);
        // Mark, blank, axis, blank, picture, and for several lines a blank and three letters of those that end there.
        let tags = self.series.len() > 1;
        let around = margin + 3 + if tags { 4 } else { 0 };
        let columns = self.columns.max(COLUMNS_MIN).saturating_sub(around).max(COLUMNS_MIN / 2);
        let mut canvas = Canvas::new(columns, rows);
        let mut ends: Vec<String> = vec![String::new(); rows];
        for (number, series) in self.series.iter().enumerate() {
            if let Some((_, y)) = self.draw(&mut canvas, number, &series.points, low, high)
                && let Some(end) = ends.get_mut(y / 4).filter(|end| tags && end.len() < 3)
            {
                end.push(letter(number));
            }
        }
        let mut out = String::new();
        for (row, mark) in marks.iter().enumerate() {
            let axis = match (mark.is_some(), self.ascii) {
                (true, false) => '┤',
                (false, false) => '│',
                (true, true) => '+',
                (false, true) => '|',
            };
            let mark = pad_left(mark.as_deref().unwrap_or_default(), margin);
            let picture = canvas.row(row, self.ascii, self.series, painter);
            let line = format!("{} {picture} {}", painter.paint(Style::Dim, &format!("{mark} {axis}")), ends[row]);
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out.push_str(&self.time_axis(margin, columns, painter));
        out.push_str(&self.legend(painter));
        out
    }

    /// The value axis: from the lowest to the highest value, rounded outwards to its marks; `None` without any value.
    fn scale(&self) -> Option<Scale> {
        let values = self.series.iter().flat_map(|series| series.points.iter().map(|(_, value)| *value));
        let values = values.filter(|value| value.is_finite());
        let (mut low, mut high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return None;
        }
        // From zero, unless that would press the line flat against the upper edge.
        if low > 0.0 && (low < high * 0.8 || low == high) {
            low = 0.0;
        } else if low == high {
            high += if high == 0.0 { 1.0 } else { high.abs() };
        }
        let step = nice((high - low) / VALUE_MARKS);
        if !step.is_finite() || step <= 0.0 {
            return Some(Scale { low, high, step: high - low });
        }
        Some(Scale { low: (low / step).floor() * step, high: (high / step).ceil() * step, step })
    }

    /// Draws a line, answers its last dot.
    fn draw(
        &self,
        canvas: &mut Canvas,
        number: usize,
        points: &[(Timestamp, f64)],
        low: f64,
        high: f64,
    ) -> Option<(usize, usize)> {
        let (dots_x, dots_y) = (canvas.columns * 2 - 1, canvas.rows * 4 - 1);
        let range_ms = self.end.since(self.start).max(1) as f64;
        let mut before: Option<(Timestamp, (usize, usize))> = None;
        let mut last = None;
        for (at, value) in points {
            if !value.is_finite() {
                before = None;
                continue;
            }
            let x = (at.since(self.start) as f64 / range_ms).clamp(0.0, 1.0) * dots_x as f64;
            let y = ((high - value) / (high - low)).clamp(0.0, 1.0) * dots_y as f64;
            let dot = (x.round() as usize, y.round() as usize);
            match before {
                Some((then, from)) if at.since(then) <= self.step_ms.saturating_add(self.step_ms / 2) => {
                    canvas.line(from, dot, number);
                }
                _ => canvas.dot(dot.0, dot.1, number),
            }
            before = Some((*at, dot));
            last = Some(dot);
        }
        last
    }

    fn time_axis(&self, margin: usize, columns: usize, painter: Painter) -> String {
        let range_ms = self.end.since(self.start).max(1);
        let marks = (columns / COLUMNS_PER_MARK).max(1);
        let (corner, line, tick) = if self.ascii { ('+', '-', '+') } else { ('└', '─', '┴') };
        let mut axis: Vec<char> = vec![line; columns];
        let mut texts = String::new();
        for number in 0..=marks {
            let column = number * (columns - 1) / marks;
            if let Some(place) = axis.get_mut(column) {
                *place = tick;
            }
            let share = number as f64 / marks as f64;
            let at = self.start.plus_millis((range_ms as f64 * share) as i64);
            let text = self.clock.show_mark(at, range_ms);
            // The last one ends where the axis ends.
            let begin = if number == marks { columns.saturating_sub(width(&text)) } else { column };
            if begin >= width(&texts) {
                texts = pad(&texts, begin) + &text + " ";
            }
        }
        let axis: String = axis.into_iter().collect();
        let axis = format!("{} {corner}{line}{axis}", " ".repeat(margin));
        let texts = format!("{}{}", " ".repeat(margin + 3), texts.trim_end());
        format!("{}\n{}\n", painter.paint(Style::Dim, &axis), painter.paint(Style::Dim, &texts))
    }

    fn legend(&self, painter: Painter) -> String {
        let mut out = String::new();
        for (number, series) in self.series.iter().enumerate() {
            let Some(figures) = Figures::of(&series.points) else { continue };
            let Figures { last, min, mean, max } = figures;
            let all = format!("last {}  min {}  avg {}  max {}", short(last), short(min), short(mean), short(max));
            let tag = if self.series.len() > 1 { format!("{} ", letter(number)) } else { String::new() };
            let room = |figures: &str| self.columns.max(COLUMNS_MIN).saturating_sub(width(figures) + 4 + tag.len());
            let name = safe(&series.name);
            // The name tells the lines apart; of the figures the last one says most.
            let has_room = width(&name) <= room(&all) || room(&all) >= NAME_COLUMNS;
            let figures = if has_room { all } else { format!("last {}", short(last)) };
            let name = cut(&name, room(&figures).max(10));
            let block = painter.paint(series.style, if self.ascii { "*" } else { "■" });
            out.push_str(&format!("{block} {tag}{name}  {}\n", painter.paint(Style::Dim, &figures)));
        }
        out
    }
}

/// Columns of a name that is cut for figures behind it.
const NAME_COLUMNS: usize = 40;

/// The value axis.
struct Scale {
    low: f64,
    high: f64,
    /// Distance of two marks.
    step: f64,
}

/// What stands at each row of the value axis, from top to bottom.
fn value_marks(low: f64, high: f64, step: f64, rows: usize) -> Vec<Option<String>> {
    let mut marks = vec![None; rows];
    let count = ((high - low) / step).round().clamp(1.0, 10.0) as usize;
    for number in 0..=count {
        let share = number as f64 / count as f64;
        let row = (share * (rows - 1) as f64).round() as usize;
        if let Some(mark) = marks.get_mut(row) {
            *mark = Some(short(high - (high - low) * share));
        }
    }
    marks
}

/// What a line says in four numbers.
pub struct Figures {
    /// Its last value.
    pub last: f64,
    /// The smallest.
    pub min: f64,
    /// The mean of its points.
    pub mean: f64,
    /// The largest.
    pub max: f64,
}

impl Figures {
    /// Of the values that are numbers; `None` if there are none.
    pub fn of(points: &[(Timestamp, f64)]) -> Option<Figures> {
        let values = || points.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
        let count = values().count();
        Some(Figures {
            last: values().next_back()?,
            min: values().fold(f64::INFINITY, f64::min),
            mean: values().sum::<f64>() / count as f64,
            max: values().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

/// A line in one row: eight heights of blocks, as many as there are columns.
pub fn sparkline(points: &[(Timestamp, f64)], columns: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let Some(Figures { min, max, .. }) = Figures::of(points) else { return String::new() };
    let columns = columns.min(points.len()).max(1);
    let mut line = String::new();
    for column in 0..columns {
        let part = points.get(column * points.len() / columns..(column + 1) * points.len() / columns);
        let values = part.unwrap_or_default().iter().map(|(_, value)| *value).filter(|value| value.is_finite());
        let Some(highest) = values.fold(None, |high: Option<f64>, value| Some(high.map_or(value, |h| h.max(value))))
        else {
            line.push(' ');
            continue;
        };
        let share = if max > min { (highest - min) / (max - min) } else { 0.0 };
        line.push(BLOCKS[((share * 7.0).round() as usize).min(7)]);
    }
    line
}

/// The letter that marks a line: a to z, then A to Z, then `?`.
fn letter(number: usize) -> char {
    ('a'..='z').chain('A'..='Z').nth(number).unwrap_or('?')
}

/// The next larger of 1, 2, 2.5 and 5 times a power of ten.
fn nice(step: f64) -> f64 {
    if step <= 0.0 || !step.is_finite() {
        return step;
    }
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0].into_iter().find(|factor| factor * power >= step * 0.999_999);
    factor.unwrap_or(10.0) * power
}
