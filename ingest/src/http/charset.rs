//! The charset of a text that its sender names: `Content-Type: text/plain; charset=iso-8859-1`.

use std::borrow::Cow;

use http::StatusCode;

use super::body::busy;
use super::error::ApiError;
use crate::intake::Share;

/// How bytes become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// And ASCII, which is a part of it.
    Utf8,
    /// One character per byte: those from 0x80 to 0x9F that are no control characters, and others that are not those of
    /// Unicode with the same number.
    SingleByte { low: &'static [char; 32], others: &'static [(u8, char)] },
}

/// 0x80 to 0x9F of windows-1252; bytes that mean nothing there are control characters, as in browsers.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];
/// What ISO-8859-15 has in other places than ISO-8859-1.
const LATIN_9: [(u8, char); 8] =
    [(0xa4, '€'), (0xa6, 'Š'), (0xa8, 'š'), (0xb4, 'Ž'), (0xb8, 'ž'), (0xbc, 'Œ'), (0xbd, 'œ'), (0xbe, 'Ÿ')];

/// Names of charsets, in lower case. What calls itself ISO-8859-1 is windows-1252, as in browsers: it has letters where the
/// former has control characters.
const NAMES: [(&str, Charset); 13] = [
    ("utf-8", Charset::Utf8),
    ("utf8", Charset::Utf8),
    ("us-ascii", Charset::Utf8),
    ("ascii", Charset::Utf8),
    ("iso-8859-1", LATIN_1),
    ("iso8859-1", LATIN_1),
    ("iso_8859-1", LATIN_1),
    ("latin1", LATIN_1),
    ("windows-1252", LATIN_1),
    ("cp1252", LATIN_1),
    ("iso-8859-15", WITH_EURO),
    ("iso8859-15", WITH_EURO),
    ("latin-9", WITH_EURO),
];
const LATIN_1: Charset = Charset::SingleByte { low: &WINDOWS_1252, others: &[] };
const WITH_EURO: Charset = Charset::SingleByte { low: &WINDOWS_1252, others: &LATIN_9 };

impl Charset {
    /// Of a content type; UTF-8 if it says none.
    ///
    /// Errors: it is not known.
    pub(super) fn of(content_type: &[u8]) -> Result<Charset, ApiError> {
        let Some(name) = parameter(content_type) else { return Ok(Charset::Utf8) };
        let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name));
        known.map(|(_, charset)| *charset).ok_or_else(|| {
            let name = name.escape_debug().to_string();
            let message = format!("the charset `{name}` of this Content-Type is not known");
            ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "charset", message).with_hint(format!(
                "send UTF-8 (`iconv -f {name} -t UTF-8`), us-ascii, iso-8859-1, iso-8859-15 or windows-1252"
            ))
        })
    }

    /// A body as UTF-8. What is no text in UTF-8 stays as it is.
    pub(super) fn text<'b>(self, body: &'b [u8], share: &mut Share) -> Result<Cow<'b, [u8]>, ApiError> {
        let Charset::SingleByte { low, others } = self else { return Ok(Cow::Borrowed(body)) };
        if body.is_ascii() {
            return Ok(Cow::Borrowed(body));
        }
        let character = |byte: u8| {
            let other = others.iter().find(|(other, _)| *other == byte).map(|(_, character)| *character);
            let of_low = || byte.checked_sub(0x80).and_then(|at| low.get(usize::from(at)).copied());
            other.or_else(of_low).unwrap_or(char::from(byte))
        };
        if !share.take(body.iter().map(|byte| character(*byte).len_utf8()).sum()) {
            return Err(busy());
        }
        Ok(Cow::Owned(body.iter().map(|byte| character(*byte)).collect::<String>().into_bytes()))
    }

    /// How many bytes of a body so many bytes of its text are.
    pub(super) fn bytes_before(self, text: &[u8], at: usize) -> usize {
        match self {
            Charset::Utf8 => at,
            // A character is a byte, and one of UTF-8 has one byte that does not go on with another.
            Charset::SingleByte { .. } => {
                text.get(..at).unwrap_or(text).iter().filter(|byte| **byte & 0xc0 != 0x80).count()
            }
        }
    }
}

/// The parameter `charset` of a content type.
fn parameter(content_type: &[u8]) -> Option<Cow<'_, str>> {
    let parameters = content_type.split(|byte| *byte == b';').skip(1);
    parameters.map(<[u8]>::trim_ascii).find_map(|parameter| {
        let (name, value) = parameter.split_at(parameter.iter().position(|byte| *byte == b'=')?);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        let is_charset = name.trim_ascii().eq_ignore_ascii_case(b"charset") && !value.is_empty();
        is_charset.then(|| String::from_utf8_lossy(value))
    })
}
