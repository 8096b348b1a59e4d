//! Tables: columns as wide as what stands in them, numbers to the right.

use crate::color::{Painter, Style};
use crate::text::{pad, pad_left, safe, width};

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// What stands in a row and a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Option<Style>,
}

impl Cell {
    /// Text from outside, made harmless.
    pub fn new(text: &str) -> Cell {
        Cell { text: safe(text).into_owned(), style: None }
    }

    /// The same in a style.
    pub fn styled(text: &str, style: Style) -> Cell {
        Cell { style: Some(style), ..Cell::new(text) }
    }
}

/// Rows below titles.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these titles, in capitals.
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Align)>) -> Table {
        let columns = columns.into_iter().map(|(title, align)| (safe(title).to_uppercase(), align));
        Table { columns: columns.collect(), rows: Vec::new() }
    }

    /// Adds a row; cells beyond the titles are not shown.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Titles and rows, a line each; nothing at all without rows.
    pub fn render(&self, painter: Painter) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| self.width(column)).collect();
        let titles: Vec<Cell> = self.columns.iter().map(|(title, _)| Cell::styled(title, Style::Bold)).collect();
        let mut out = String::new();
        for cells in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for (number, (cell, columns)) in cells.iter().zip(&widths).enumerate() {
                let last = number + 1 == self.columns.len();
                let padded = match self.columns.get(number) {
                    Some((_, Align::Right)) => pad_left(&cell.text, *columns),
                    _ if last => cell.text.clone(),
                    _ => pad(&cell.text, *columns),
                };
                line.push_str(&cell.style.map_or(padded.clone(), |style| painter.paint(style, &padded)));
                if !last {
                    line.push_str("  ");
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    fn width(&self, column: usize) -> usize {
        let title = self.columns.get(column).map_or(0, |(title, _)| width(title));
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width(&cell.text));
        cells.max().unwrap_or(0).max(title)
    }
}
