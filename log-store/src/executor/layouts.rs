//! A test on the values of a sealed column, by encoding: dictionaries value by value, pages by what they span,
//! and only then the values themselves.

use super::leaf::{ColumnTest, IntBounds, Kind};
use super::templates;
use super::text::{Needle, TextRun, scan_texts};
use crate::query::{Number, NumberRange};
use crate::sealed::PAGE_VALUES;
use crate::sealed::bytes::BytesPage;
use crate::sealed::chars::CharsPage;
use crate::sealed::directory::Column;
use crate::sealed::floats::{self, FloatPage, unscale};
use crate::sealed::ints::{self, IntPage};
use crate::sealed::layout::{Layout, MixedPart};
use crate::sealed::read::{page_len, ranks, read_texts};
use crate::sealed::section::{ReadSections, Section};
use crate::values::raw::tag;
use crate::values::{Bits, Raw};

/// Which values of a column (by index) pass a test, among `candidates`. Others may be in the answer too.
pub(crate) fn find(
    column: &Column,
    test: &ColumnTest<'_, '_>,
    candidates: &Bits,
    file: &dyn ReadSections,
) -> Result<Bits, String> {
    if let Layout::Templates(layout) = &column.layout {
        return templates::find(layout, column.values as usize, test, candidates, column.filter.as_ref(), file);
    }
    let mut may_have_text = true;
    if let (Some(filter), Some(words)) = (&column.filter, test.words()) {
        may_have_text = filter.may_have(&words, file)?;
    }
    let search = Search { test, may_have_text, file };
    search.find(&column.layout, column.values as usize, candidates)
}

struct Search<'s> {
    test: &'s ColumnTest<'s, 's>,
    /// False if a filter rules all texts out.
    may_have_text: bool,
    file: &'s dyn ReadSections,
}

impl Search<'_> {
    fn find(&self, layout: &Layout, count: usize, candidates: &Bits) -> Result<Bits, String> {
        match layout {
            Layout::Dictionary(dictionary) => {
                // A filter of a dictionary is there only if all values are texts.
                if !self.may_have_text {
                    return Ok(Bits::none(count));
                }
                let entries = dictionary.entries(self.file)?;
                let wanted: Vec<bool> =
                    (0..entries.values.len()).map(|id| self.test.matches(entries.values.get(id))).collect();
                if wanted.iter().all(|wanted| !wanted) {
                    return Ok(Bits::none(count));
                }
                if wanted.iter().all(|wanted| *wanted) {
                    return Ok(Bits::all(count));
                }
                Ok(dictionary.planes(count, self.file)?.find(&wanted))
            }
            Layout::Ints(pages) => self.find_ints(pages, count, candidates),
            Layout::Scaled { exponent, pages } => self.find_scaled(pages, *exponent, count, candidates),
            Layout::Floats(pages) => self.find_floats(pages, count, candidates),
            Layout::Chars { length, characters, pages } => {
                let needle = Needle::of(self.test);
                if needle.is_some_and(|needle| !characters.may_have(needle.bytes(), needle.is_folded())) {
                    return Ok(Bits::none(count));
                }
                self.find_chars(pages, *length as usize, count, candidates)
            }
            Layout::Bytes { tag, pages } => self.find_bytes(*tag, pages, count, candidates),
            // Only whole columns are of templates; see [`find`].
            Layout::Templates(layout) => templates::find(layout, count, self.test, candidates, None, self.file),
            Layout::Mixed { tags, parts } => self.find_mixed(&self.file.section(tags)?, parts, count, candidates),
        }
    }

    fn find_ints(&self, pages: &[IntPage], count: usize, candidates: &Bits) -> Result<Bits, String> {
        if let Kind::Exists = self.test.kind {
            return Ok(Bits::all(count));
        }
        if let Some(bounds) = self.test.int_bounds() {
            return find_in_bounds(pages, bounds, count, candidates, self.file);
        }
        let mut found = Bits::none(count);
        for (number, page) in pages.iter().enumerate() {
            self.each_value(number, count, candidates, &mut found, |length| {
                let values = ints::decode(&self.file.section(&page.section)?, length);
                Ok(values.map_err(|error| error.to_string())?.into_iter().map(Raw::Int))
            })?;
        }
        Ok(found)
    }

    fn find_scaled(&self, pages: &[IntPage], exponent: u8, count: usize, candidates: &Bits) -> Result<Bits, String> {
        match self.test.kind {
            Kind::Exists => return Ok(Bits::all(count)),
            Kind::Words(_) | Kind::Regex(_) | Kind::Inside => return Ok(Bits::none(count)),
            Kind::Numbers(range) if !is_nan(range) => {
                let span = |page: &IntPage| page.min..=page.max;
                let low = pages.iter().map(|page| *span(page).start()).min().unwrap_or(0);
                let high = pages.iter().map(|page| *span(page).end()).max().unwrap_or(0);
                let bounds = scaled_bounds(range, exponent, low, high);
                return find_in_bounds(pages, bounds, count, candidates, self.file);
            }
            _ => {}
        }
        let mut found = Bits::none(count);
        for (number, page) in pages.iter().enumerate() {
            self.each_value(number, count, candidates, &mut found, |length| {
                let values = ints::decode(&self.file.section(&page.section)?, length);
                let values = values.map_err(|error| error.to_string())?.into_iter();
                Ok(values.map(|int| Raw::Float(unscale(int, exponent))))
            })?;
        }
        Ok(found)
    }

    fn find_floats(&self, pages: &[FloatPage], count: usize, candidates: &Bits) -> Result<Bits, String> {
        match self.test.kind {
            Kind::Exists => return Ok(Bits::all(count)),
            Kind::Words(_) | Kind::Regex(_) | Kind::Inside => return Ok(Bits::none(count)),
            _ => {}
        }
        let mut found = Bits::none(count);
        for (number, page) in pages.iter().enumerate() {
            if let Kind::Numbers(range) = self.test.kind
                && is_outside(range, page.min, page.max)
            {
                continue;
            }
            self.each_value(number, count, candidates, &mut found, |length| {
                let values = floats::decode(&self.file.section(&page.section)?, length);
                Ok(values.map_err(|error| error.to_string())?.into_iter().map(Raw::Float))
            })?;
        }
        Ok(found)
    }

    /// Tests the candidates on a page, if it has any.
    fn each_value<V: IntoIterator<Item = Raw<'static>>>(
        &self,
        number: usize,
        count: usize,
        candidates: &Bits,
        found: &mut Bits,
        values: impl FnOnce(usize) -> Result<V, String>,
    ) -> Result<(), String> {
        let (first, length) = (number * PAGE_VALUES, page_len(number, count));
        if candidates.count_range(first..first + length) == 0 {
            return Ok(());
        }
        for (at, value) in values(length)?.into_iter().enumerate() {
            if candidates.get(first + at) && self.test.matches(value) {
                found.set(first + at);
            }
        }
        Ok(())
    }

    fn find_chars(&self, pages: &[Section], length: usize, count: usize, candidates: &Bits) -> Result<Bits, String> {
        if let Kind::Exists = self.test.kind {
            return Ok(Bits::all(count));
        }
        let mut found = Bits::none(count);
        if !self.may_have_text || matches!(self.test.kind, Kind::Inside) {
            return Ok(found);
        }
        for (number, page) in pages.iter().enumerate() {
            let (first, on_page) = (number * PAGE_VALUES, page_len(number, count));
            if candidates.count_range(first..first + on_page) == 0 {
                continue;
            }
            let bytes = self.file.section(page)?;
            let page = CharsPage::read(&bytes, length, on_page).map_err(|error| error.to_string())?;
            // A text that has as many characters as the page's is found position by position.
            let whole = match self.test.kind {
                Kind::Whole(whole) if whole.as_str().is_ascii() => Some(whole.as_str()),
                Kind::Words(phrase) | Kind::Phrase(phrase) if !phrase.is_prefix() => match phrase.words() {
                    [word] if word.len() == length && word.is_ascii() => Some(&**word),
                    _ => None,
                },
                _ => None,
            };
            match whole {
                Some(whole) => page.find(whole.as_bytes()).into_iter().for_each(|at| found.set(first + at)),
                None => {
                    let mut text = Vec::with_capacity(length);
                    for at in (0..on_page).filter(|at| candidates.get(first + at)) {
                        text.clear();
                        page.text(at, &mut text);
                        if self.test.matches(Raw::Text(&text)) {
                            found.set(first + at);
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    fn find_bytes(&self, kind: u8, pages: &[BytesPage], count: usize, candidates: &Bits) -> Result<Bits, String> {
        if let Kind::Exists = self.test.kind {
            return Ok(Bits::all(count));
        }
        let mut found = Bits::none(count);
        if (kind == tag::TEXT && !self.may_have_text) || (kind != tag::ARRAY && matches!(self.test.kind, Kind::Inside))
        {
            return Ok(found);
        }
        if kind == tag::TEXT {
            find_texts(pages, self.test, candidates, self.file, &mut found)?;
            return Ok(found);
        }
        let mut first = 0;
        for page in pages {
            let end = first + page.count as usize;
            if candidates.count_range(first..end) > 0 {
                let texts = read_texts(page, self.file)?;
                for at in (0..texts.ends.len()).filter(|at| candidates.get(first + at)) {
                    let value = Raw::from_parts(kind, 0, texts.get(at));
                    if value.is_some_and(|value| self.test.matches(value)) {
                        found.set(first + at);
                    }
                }
            }
            first = end;
        }
        Ok(found)
    }

    fn find_mixed(&self, tags: &[u8], parts: &[MixedPart], count: usize, candidates: &Bits) -> Result<Bits, String> {
        let mut found = Bits::none(count);
        let simple = [tag::NULL, tag::FALSE, tag::TRUE]
            .map(|kind| Raw::from_parts(kind, 0, &[]).is_some_and(|value| self.test.matches(value)));
        for (index, kind) in tags.iter().enumerate().take(count) {
            if simple.get(usize::from(*kind)) == Some(&true) {
                found.set(index);
            }
        }
        let ranks = ranks(tags);
        for part in parts {
            let of_part = || tags.iter().enumerate().filter(|(_, kind)| **kind == part.tag).map(|(index, _)| index);
            let mut wanted = Bits::none(part.count as usize);
            of_part().filter(|index| candidates.get(*index)).for_each(|index| wanted.set(ranks[index] as usize));
            if wanted.is_empty() || (part.tag == tag::TEXT && !self.may_have_text) {
                continue;
            }
            // A filter of a mixed column is of its texts; it says nothing about other values.
            let search = Search { may_have_text: true, ..*self };
            let inside = search.find(&part.layout, part.count as usize, &wanted)?;
            of_part().filter(|index| inside.get(ranks[*index] as usize)).for_each(|index| found.set(index));
        }
        Ok(found)
    }
}

/// Sets the texts on pages that pass, among `candidates`.
pub(super) fn find_texts(
    pages: &[BytesPage],
    test: &ColumnTest<'_, '_>,
    candidates: &Bits,
    file: &dyn ReadSections,
    found: &mut Bits,
) -> Result<(), String> {
    let needle = Needle::of(test);
    let mut first = 0;
    for page in pages {
        let end = first + page.count as usize;
        if candidates.count_range(first..end) > 0 {
            let texts = read_texts(page, file)?;
            let run = TextRun { bytes: texts.bytes(), ends: &texts.ends };
            scan_texts(run, first, test, needle.as_ref(), candidates, found);
        }
        first = end;
    }
    Ok(())
}

/// Which integers lie within bounds; pages outside are not read.
pub(crate) fn find_in_bounds(
    pages: &[IntPage],
    bounds: IntBounds,
    count: usize,
    candidates: &Bits,
    file: &dyn ReadSections,
) -> Result<Bits, String> {
    let mut found = Bits::none(count);
    for (number, page) in pages.iter().enumerate() {
        let (first, length) = (number * PAGE_VALUES, page_len(number, count));
        if page.max < bounds.low || page.min > bounds.high || candidates.count_range(first..first + length) == 0 {
            continue;
        }
        if bounds.contains(page.min) && bounds.contains(page.max) {
            found.set_range(first..first + length);
            continue;
        }
        let values = ints::decode(&file.section(&page.section)?, length).map_err(|error| error.to_string())?;
        // Pages begin at multiples of 64.
        let words = found.words_mut().get_mut(first / 64..).unwrap_or_default();
        for (word, values) in words.iter_mut().zip(values.chunks(64)) {
            for (bit, value) in values.iter().enumerate() {
                *word |= u64::from(bounds.contains(*value)) << bit;
            }
        }
    }
    Ok(found)
}

/// The integers between `low` and `high` whose scaled value lies in a range. Scaling keeps the order.
fn scaled_bounds(range: &NumberRange, exponent: u8, low: i64, high: i64) -> IntBounds {
    let is_below = |int: i64| is_outside(range, f64::NEG_INFINITY, unscale(int, exponent));
    let is_above = |int: i64| is_outside(range, unscale(int, exponent), f64::INFINITY);
    let first = partition(low, high, is_below);
    let end = partition(low, high, |int| !is_above(int));
    IntBounds { low: first, high: end.saturating_sub(1) }
}

/// The first integer in `low..=high` for which `before` is false; `high + 1` if there is none.
fn partition(low: i64, high: i64, before: impl Fn(i64) -> bool) -> i64 {
    // Scaled integers are below 2^53, so nothing overflows.
    let (mut low, mut end) = (low, high.saturating_add(1));
    while low < end {
        let middle = low + (end - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            end = middle;
        }
    }
    low
}

/// Whether a bound is no number, so that nothing is inside.
fn is_nan(range: &NumberRange) -> bool {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    [range.low, range.high].iter().any(|bound| match bound {
        Included(number) | Excluded(number) => number.as_f64().is_nan(),
        Unbounded => false,
    })
}

/// Whether no value between `min` and `max` lies in a range.
fn is_outside(range: &NumberRange, min: f64, max: f64) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    use std::ops::Bound;
    let below = match range.low {
        Bound::Unbounded => false,
        Bound::Included(low) => Number::Float(max).compare(low) == Some(Less),
        Bound::Excluded(low) => matches!(Number::Float(max).compare(low), Some(Less | Equal)),
    };
    let above = match range.high {
        Bound::Unbounded => false,
        Bound::Included(high) => Number::Float(min).compare(high) == Some(Greater),
        Bound::Excluded(high) => matches!(Number::Float(min).compare(high), Some(Greater | Equal)),
    };
    below || above
}
