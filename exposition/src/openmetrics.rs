//! OpenMetrics 1.0.

use watchfire_engine::FamilyType;

use super::cursor::Cursor;
use super::{Entry, Exemplar, Format, ParseError, parse_number, series, unescape};
use crate::labels::Labels;

/// The next entry; `None` at the end. A family's name ends with its unit, unless that may be any.
pub(super) fn next<'b>(cursor: &mut Cursor<'b>, any_unit: bool) -> Result<Option<Entry<'b>>, ParseError> {
    if cursor.is_at_end() {
        return Err(cursor.error("`# EOF` at the end"));
    }
    if !cursor.skip(b'#') {
        return sample(cursor).map(Some);
    }
    if cursor.skip_word(" EOF") {
        cursor.skip(b'\n');
        return if cursor.is_at_end() { Ok(None) } else { Err(cursor.error("nothing behind `# EOF`")) };
    }
    let begin = cursor.clone();
    if cursor.skip_word(" HELP ") {
        let (metric, text) = metadata(cursor)?;
        return Ok(Some(Entry::Help { metric, text: unescape(begin.utf8(text)?, true) }));
    }
    if cursor.skip_word(" TYPE ") {
        let (metric, text) = metadata(cursor)?;
        return Ok(Some(Entry::Type { metric, kind: kind(&begin, text)? }));
    }
    if cursor.skip_word(" UNIT ") {
        let (metric, text) = metadata(cursor)?;
        let unit = begin.utf8(text)?;
        let is_named = any_unit || unit.is_empty() || metric.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
        if !is_named {
            return Err(begin.error_with("a unit with which the metric's name ends", text));
        }
        return Ok(Some(Entry::Unit { metric, unit }));
    }
    Err(begin.error("HELP, TYPE, UNIT or EOF behind `# `"))
}

/// A metric family, and the rest of the line behind it.
fn metadata<'b>(cursor: &mut Cursor<'b>) -> Result<(std::borrow::Cow<'b, str>, &'b [u8]), ParseError> {
    let metric = cursor.take_family()?;
    if !cursor.skip(b' ') {
        return Err(cursor.error("a blank behind the name of the metric"));
    }
    let before = cursor.clone();
    let text = cursor.take_line();
    if before.at + text.len() == cursor.at {
        return Err(cursor.error("the end of the line, and `# EOF`"));
    }
    Ok((metric, text))
}

fn kind(cursor: &Cursor<'_>, text: &[u8]) -> Result<FamilyType, ParseError> {
    let known = str::from_utf8(text).ok().and_then(FamilyType::named);
    known.ok_or_else(|| cursor.error_with("a type of OpenMetrics such as counter, gauge or unknown", text))
}

fn sample<'b>(cursor: &mut Cursor<'b>) -> Result<Entry<'b>, ParseError> {
    let series = series::take(cursor, Format::OpenMetrics)?;
    let value = number(cursor, "a blank and a value behind the metric")?;
    let mut at_ms = None;
    if cursor.peek() == Some(b' ') && !cursor.rest().starts_with(b" # {") {
        at_ms = Some(millis(cursor, "a time in seconds, or the end of the line")?);
    }
    let exemplar = cursor.skip_word(" # {").then(|| exemplar(cursor)).transpose()?.map(Box::new);
    match cursor.skip(b'\n') {
        true => Ok(Entry::Sample { series, value, at_ms, exemplar }),
        false => Err(cursor.error("the end of the line behind the sample")),
    }
}

/// What stands behind `# {`: labels, a value, and perhaps a time.
fn exemplar<'b>(cursor: &mut Cursor<'b>) -> Result<Exemplar<'b>, ParseError> {
    let mut labels = Labels::default();
    let mut name = std::borrow::Cow::Borrowed("");
    let begin = cursor.clone();
    series::read_pairs(cursor, Format::OpenMetrics, &mut name, &mut labels)?;
    if !name.is_empty() {
        return Err(begin.error("labels of an exemplar, which has no name"));
    }
    let value = number(cursor, "a blank and a value behind the exemplar's labels")?;
    let mut at_ms = None;
    if cursor.peek() == Some(b' ') {
        at_ms = Some(millis(cursor, "the exemplar's time in seconds, or the end of the line")?);
    }
    Ok(Exemplar { labels, value, at_ms })
}

/// One blank and a number.
fn number(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<f64, ParseError> {
    let before = cursor.clone();
    if !cursor.skip(b' ') {
        return Err(before.error(expected));
    }
    let token = cursor.take_until(|byte| matches!(byte, b' ' | b'\n'));
    parse_number(token).ok_or_else(|| before.error_with(expected, token))
}

/// One blank and a time in seconds, as milliseconds.
fn millis(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<i64, ParseError> {
    let before = cursor.clone();
    let seconds = number(cursor, expected)?;
    let millis = seconds * 1000.0;
    // Beyond that, a float names no millisecond any more.
    match (-9e15..=9e15).contains(&millis) {
        true => Ok(millis as i64),
        false => Err(before.error(expected)),
    }
}
