//! Comma-separated values (RFC 4180) that are safe to open in a spreadsheet.
//!
//! A text that begins like a formula gets an apostrophe before it, as spreadsheets write "this is text"; control
//! characters other than ends of lines inside quotes are shown escaped, so that `cat` is safe too. Numbers stay
//! numbers, negative ones also when they came as texts.

use crate::text::safe;

/// A cell.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    /// Text from outside.
    Text(&'a str),
    /// A number or time of ours, written as it is.
    Plain(&'a str),
    /// Nothing.
    Empty,
}

/// A row with its end.
pub fn row<'a>(cells: impl IntoIterator<Item = Cell<'a>>) -> String {
    let mut line = String::new();
    for (number, cell) in cells.into_iter().enumerate() {
        if number > 0 {
            line.push(',');
        }
        match cell {
            Cell::Text(text) => push_text(text, &mut line),
            Cell::Plain(text) => line.push_str(text),
            Cell::Empty => {}
        }
    }
    line.push('\n');
    line
}

fn push_text(text: &str, line: &mut String) {
    let mut cell = String::new();
    if is_formula(text) {
        cell.push('\'');
    }
    // Lines stay lines, within quotes, and keep their ends.
    for line in text.split_inclusive('\n') {
        let end = ["\r\n", "\n"].into_iter().find(|end| line.ends_with(end)).unwrap_or_default();
        cell.push_str(&safe(line.strip_suffix(end).unwrap_or(line)));
        cell.push_str(end);
    }
    if cell.contains([',', '"', '\n', '\'', ' ', ';']) {
        line.push('"');
        line.push_str(&cell.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(&cell);
    }
}

/// Does a spreadsheet run this? Blanks before the sign do not keep it from that, nor do wide forms of the signs.
fn is_formula(text: &str) -> bool {
    let inside = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    let begins = inside.starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', '|', '%']);
    let after_control = text.starts_with(['\t', '\r', '\n']);
    (begins || after_control) && inside.parse::<f64>().is_err()
}
