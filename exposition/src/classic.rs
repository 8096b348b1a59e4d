//! Prometheus' own text format, 0.0.4 and 1.0.0.

use watchfire_engine::FamilyType;

use super::cursor::Cursor;
use super::{Entry, Format, ParseError, parse_number, series, unescape};

/// The next entry; `None` at the end.
pub(super) fn next<'b>(cursor: &mut Cursor<'b>) -> Result<Option<Entry<'b>>, ParseError> {
    loop {
        cursor.skip_blanks();
        match cursor.peek() {
            None => return Ok(None),
            Some(b'\n') => cursor.at += 1,
            Some(b'#') => {
                cursor.at += 1;
                if let Some(entry) = comment(cursor)? {
                    return Ok(Some(entry));
                }
            }
            Some(_) => return sample(cursor).map(Some),
        }
    }
}

/// What stands behind `#`; `None` if it is for people only.
fn comment<'b>(cursor: &mut Cursor<'b>) -> Result<Option<Entry<'b>>, ParseError> {
    let is_spaced = cursor.skip_blanks();
    let is_help = is_spaced && cursor.skip_word("HELP");
    let is_type = is_spaced && !is_help && cursor.skip_word("TYPE");
    if !(is_help || is_type) || !cursor.skip_blanks() {
        cursor.take_line();
        return Ok(None);
    }
    let metric = cursor.take_family()?;
    let before = cursor.clone();
    let line = cursor.take_line();
    let text = match line.split_first() {
        None => line,
        Some((b' ' | b'\t', text)) => text,
        Some(_) => return Err(before.error("a blank behind the name of the metric")),
    };
    if is_help {
        return Ok(Some(Entry::Help { metric, text: unescape(before.utf8(text)?, false) }));
    }
    let kind = match text {
        b"counter" => FamilyType::Counter,
        b"gauge" => FamilyType::Gauge,
        b"histogram" => FamilyType::Histogram,
        b"summary" => FamilyType::Summary,
        b"untyped" => FamilyType::Unknown,
        _ => return Err(before.error_with("counter, gauge, histogram, summary or untyped", text)),
    };
    Ok(Some(Entry::Type { metric, kind }))
}

fn sample<'b>(cursor: &mut Cursor<'b>) -> Result<Entry<'b>, ParseError> {
    let series = series::take(cursor, Format::Classic)?;
    cursor.skip_blanks();
    let before = cursor.clone();
    let token = cursor.take_until(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'{'));
    let value = parse_number(token).ok_or_else(|| before.error_with("a value behind the metric", token))?;
    cursor.skip_blanks();
    let before = cursor.clone();
    let token = cursor.take_until(|byte| matches!(byte, b' ' | b'\t' | b'\n'));
    let at_ms = match token {
        [] => None,
        _ => {
            let at = std::str::from_utf8(token).ok().and_then(|text| text.parse::<i64>().ok());
            Some(at.ok_or_else(|| before.error_with("a time in milliseconds, or the end of the line", token))?)
        }
    };
    cursor.skip_blanks();
    // The last line may do without its end.
    if !cursor.is_at_end() && !cursor.skip(b'\n') {
        return Err(cursor.error("the end of the line behind the sample"));
    }
    Ok(Entry::Sample { series, value, at_ms, exemplar: None })
}
