//! A series as it stands in a body: where it ends, and its labels.

use super::cursor::Cursor;
use super::{Format, ParseError, unescape};
use crate::labels::Labels;
use watchfire_model::labels::METRIC_NAME;

/// Labels that are read of a series at all; the engine's own limit is lower.
const LABELS_MAX: usize = 1024;

/// A series as it stands in a body: name and labels, not taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series<'b> {
    /// From the name, or the brace, to the last brace.
    pub text: &'b [u8],
    at: usize,
}

impl Series<'_> {
    /// Where it begins in the body, bytes.
    pub fn at(&self) -> usize {
        self.at
    }
}

/// Takes a series without looking at its labels: their quotes decide where they end.
///
/// Whether they are labels at all is for [`read_labels`] to say; of two texts that are the same byte for byte both
/// end at the same place.
pub(super) fn take<'b>(cursor: &mut Cursor<'b>, format: Format) -> Result<Series<'b>, ParseError> {
    let begin = cursor.clone();
    let name = cursor.take_name(true);
    let mut ahead = cursor.clone();
    if format == Format::Classic {
        ahead.skip_blanks();
    }
    if ahead.skip(b'{') {
        skip_labels(&mut ahead, format)?;
        *cursor = ahead;
    } else if name.is_empty() {
        return Err(cursor.error("a metric, a comment or the end"));
    }
    let length = cursor.at - begin.at;
    Ok(Series { text: begin.rest().get(..length).unwrap_or_default(), at: begin.at })
}

/// Goes over everything up to the closing brace.
fn skip_labels(cursor: &mut Cursor<'_>, format: Format) -> Result<(), ParseError> {
    loop {
        let rest = cursor.rest();
        let Some(length) = memchr::memchr3(b'"', b'}', b'\n', rest) else {
            return Err(cursor.error("`}` behind the labels"));
        };
        match rest.get(length) {
            Some(b'"') => {
                cursor.at += length;
                if cursor.take_quoted(format == Format::Classic).is_none() {
                    return Err(cursor.error("a text with a closing quote"));
                }
            }
            Some(b'}') => {
                cursor.at += length + 1;
                return Ok(());
            }
            _ => return Err(cursor.error("`}` behind the labels")),
        }
    }
}

/// The labels of a series, its name with them, in the order in which they stand there.
pub(super) fn read_labels<'b>(
    body: &Cursor<'b>,
    series: Series<'b>,
    format: Format,
    labels: &mut Labels<'b>,
) -> Result<(), ParseError> {
    let mut cursor = body.moved_to(series.at);
    labels.clear();
    let mut name = cursor.take_name(true).into();
    if cursor.at < series.at + series.text.len() {
        cursor.skip_blanks();
        cursor.skip(b'{');
        read_pairs(&mut cursor, format, &mut name, labels)?;
    }
    if name.is_empty() {
        return Err(cursor.error("the name of the metric in front of these labels"));
    }
    if !labels.push(METRIC_NAME.into(), name) {
        return Err(body.moved_to(series.at).error("each label once: the name of the metric is `__name__`"));
    }
    Ok(())
}

/// Reads up to the closing brace; a text alone in quotes is the metric's name.
pub(super) fn read_pairs<'b>(
    cursor: &mut Cursor<'b>,
    format: Format,
    name: &mut std::borrow::Cow<'b, str>,
    labels: &mut Labels<'b>,
) -> Result<(), ParseError> {
    let blanks = |cursor: &mut Cursor<'b>| {
        if format == Format::Classic {
            cursor.skip_blanks();
        }
    };
    loop {
        blanks(cursor);
        if cursor.skip(b'}') {
            return Ok(());
        }
        let begin = cursor.clone();
        if labels.len() >= LABELS_MAX {
            return Err(begin.error("at most 1024 labels"));
        }
        let is_quoted = cursor.peek() == Some(b'"');
        let label = if is_quoted {
            let quoted = cursor.take_quoted(false).ok_or_else(|| begin.error("a name in quotes"))?;
            unescape(begin.utf8(quoted)?, true)
        } else {
            cursor.take_name(false).into()
        };
        if label.is_empty() {
            return Err(begin.error("the name of a label"));
        }
        blanks(cursor);
        if is_quoted && matches!(cursor.peek(), Some(b',' | b'}')) {
            if !name.is_empty() {
                return Err(begin.error("one name of the metric only"));
            }
            *name = label;
        } else {
            if !cursor.skip(b'=') {
                return Err(cursor.error("`=` behind the name of a label"));
            }
            blanks(cursor);
            let before = cursor.clone();
            let value = cursor.take_quoted(format == Format::Classic);
            let value = value.ok_or_else(|| before.error("the value of a label in quotes"))?;
            let value = unescape(before.utf8(value)?, true);
            if !labels.push(label, value) {
                return Err(begin.error("each label once"));
            }
        }
        blanks(cursor);
        // The older grammar does without commas too, as Prometheus reads it.
        if !cursor.skip(b',') && cursor.peek() != Some(b'}') && format == Format::OpenMetrics {
            return Err(cursor.error("`,` or `}` behind a label"));
        }
    }
}
