//! Brute force over a plain column.

use super::leaf::{ColumnTest, Kind};
use crate::values::raw::tag;
use crate::values::{Arena, Bits, Raw};

/// Sets the rows among `candidates` whose value passes.
pub(crate) fn scan(values: &Arena, test: &ColumnTest<'_, '_>, candidates: &Bits, found: &mut Bits) {
    match (test.kind, values.uniform_tag()) {
        (Kind::Words(_) | Kind::Regex(_), Some(tag)) if !tag::has_bytes(tag) => {}
        (Kind::Inside, Some(tag)) if tag != tag::ARRAY => {}
        _ => scan_each(values, test, candidates, found),
    }
}

/// Value by value.
fn scan_each(values: &Arena, test: &ColumnTest<'_, '_>, candidates: &Bits, found: &mut Bits) {
    let mut check = |row: usize, value: Raw<'_>| {
        if test.matches(value) {
            found.set(row);
        }
    };
    match values.rows() {
        // Looked up row by row where that is less work.
        Some(rows) if candidates.count() * 8 > rows.len() => {
            for (index, row) in rows.iter().enumerate() {
                if candidates.get(*row as usize) {
                    check(*row as usize, values.get(index));
                }
            }
        }
        Some(_) => {
            for row in candidates.iter() {
                if let Some(value) = values.of_row(row as u32) {
                    check(row, value);
                }
            }
        }
        None => {
            for row in candidates.iter().take_while(|row| *row < values.len()) {
                check(row, values.get(row));
            }
        }
    }
}
