//! Tables: columns as wide as what stands in them, numbers to the right.

use crate::color::{Painter, Style};
use crate::text::{pad, pad_left, safe, width};

/// Between two columns.
const GAP: &str = "  ";

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

    /// Drops columns, in the order of these titles, until what is left fits into so many columns of a terminal; half a
    /// number is worse than none. Of the column `may_be_cut`, as long as it is the last one, no more than its title needs
    /// to fit.
    pub fn fit(&mut self, columns: usize, least_first: &[&str], may_be_cut: &str) {
        for title in least_first {
            let gaps = self.columns.len().saturating_sub(1) * GAP.len();
            let widths = self.columns.iter().enumerate().map(|(number, (title, _))| {
                let is_cut = number + 1 == self.columns.len() && title.eq_ignore_ascii_case(may_be_cut);
                if is_cut { width(title) } else { self.width(number) }
            });
            if gaps + widths.sum::<usize>() <= columns {
                return;
            }
            let Some(at) = self.columns.iter().position(|(shown, _)| shown.eq_ignore_ascii_case(title)) else {
                continue;
            };
            self.columns.remove(at);
            for row in self.rows.iter_mut().filter(|row| row.len() > at) {
                row.remove(at);
            }
        }
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
                    line.push_str(GAP);
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

#[cfg(test)]
mod tests {
    use super::{Align, Cell, Table};
    use crate::color::Painter;

    #[test]
    fn columns_that_do_not_fit_are_dropped_whole_the_least_first() {
        for (columns, shown) in [
            (80, "NAME     COUNT  SHARE  LABELS\nrequest   1200   12 %  service route\nothers\n"),
            (29, "NAME     COUNT  SHARE  LABELS\nrequest   1200   12 %  service route\nothers\n"),
            (28, "NAME     COUNT  LABELS\nrequest   1200  service route\nothers\n"),
            (21, "NAME     COUNT\nrequest   1200\nothers\n"),
            // Nothing else may go.
            (5, "NAME     COUNT\nrequest   1200\nothers\n"),
        ] {
            let left = |title| (title, Align::Left);
            let right = |title| (title, Align::Right);
            let mut table = Table::new([left("name"), right("count"), right("share"), left("labels")]);
            table.row(["request", "1200", "12 %", "service route"].map(Cell::new).to_vec());
            table.row(vec![Cell::new("others")]);
            table.fit(columns, &["share", "labels", "nothing"], "labels");
            assert_eq!(table.render(Painter::plain()), shown, "{columns}");
        }
    }
}
