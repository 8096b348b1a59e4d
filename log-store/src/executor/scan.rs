//! Brute force over a plain column.

use super::leaf::{ColumnTest, Kind};
use super::text::{Needle, TextRun, scan_texts};
use crate::values::raw::tag;
use crate::values::{Arena, Bits, Raw};

/// Sets the rows among `candidates` whose value passes.
pub(crate) fn scan(values: &Arena, test: &ColumnTest<'_, '_>, candidates: &Bits, found: &mut Bits) {
    match (test.kind, values.uniform_tag()) {
        (Kind::Words(_) | Kind::Regex(_), Some(tag)) if !tag::has_bytes(tag) => {}
        (Kind::Inside, Some(tag)) if tag != tag::ARRAY => {}
        (_, Some(tag::TEXT)) => match Needle::of(test) {
            Some(needle) => scan_run(values, test, &needle, candidates, found),
            None => scan_each(values, test, candidates, found),
        },
        _ => scan_each(values, test, candidates, found),
    }
}

/// All texts in one pass.
fn scan_run(values: &Arena, test: &ColumnTest<'_, '_>, needle: &Needle, candidates: &Bits, found: &mut Bits) {
    let ends: Vec<u32> = (0..values.len()).map(|index| values.end_of(index)).collect();
    let run = TextRun { bytes: values.bytes(), ends: &ends };
    let Some(rows) = values.rows() else {
        // A chunk may have grown since the search began.
        let mut wanted = Bits::none(values.len());
        wanted.words_mut().iter_mut().zip(candidates.words()).for_each(|(wanted, word)| *wanted = *word);
        let mut inside = Bits::none(values.len());
        scan_texts(run, 0, test, Some(needle), &wanted, &mut inside);
        inside.iter().for_each(|row| found.set(row));
        return;
    };
    let mut wanted = Bits::none(values.len());
    let of_candidates = rows.iter().enumerate().filter(|(_, row)| candidates.get(**row as usize));
    of_candidates.for_each(|(index, _)| wanted.set(index));
    let mut inside = Bits::none(values.len());
    scan_texts(run, 0, test, Some(needle), &wanted, &mut inside);
    inside.iter().filter_map(|index| rows.get(index)).for_each(|row| found.set(*row as usize));
}

/// Value by value.
fn scan_each<'a>(values: &'a Arena, test: &ColumnTest<'_, '_>, candidates: &Bits, found: &mut Bits) {
    let mut memo = Memo::default();
    let mut check = |row: usize, value: Raw<'a>| {
        let passes = match value {
            Raw::Text(text) => memo.outcome(text, || test.matches(value)),
            _ => test.matches(value),
        };
        if passes {
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

/// Outcomes of the last short texts: most columns that are looked through value by value have few of them, and to compare
/// one with itself is much less work than any test.
struct Memo<'a> {
    seen: [(&'a [u8], bool); MEMO_SLOTS],
}

const MEMO_SLOTS: usize = 64;
/// Longer texts are hardly ever the same.
const MEMO_TEXT_MAX: usize = 32;

impl Default for Memo<'_> {
    fn default() -> Self {
        // No text of this length comes here.
        Memo { seen: [(&[0; MEMO_TEXT_MAX + 1], false); MEMO_SLOTS] }
    }
}

impl<'a> Memo<'a> {
    #[inline]
    fn outcome(&mut self, text: &'a [u8], test: impl FnOnce() -> bool) -> bool {
        if text.len() > MEMO_TEXT_MAX {
            return test();
        }
        let at = |index: usize| text.get(index).map_or(0, |byte| usize::from(*byte));
        let mixed = text.len() + at(text.len() / 2) * 3 + at(text.len().wrapping_sub(1)) * 7;
        let slot = &mut self.seen[mixed % MEMO_SLOTS];
        if slot.0 != text {
            *slot = (text, test());
        }
        slot.1
    }
}
