//! Where the fields and entries of an export are, and where to go on when they are not as they should be.

use std::borrow::Cow;

/// How each entry of `journalctl` begins; no other line does.
const ENTRY_START: &[u8] = b"__CURSOR=";
/// The same behind the line before it.
const NEXT_ENTRY: &[u8] = b"\n__CURSOR=";
/// Longest field that systemd writes and reads, bytes. Eight bytes of text are a length far beyond it.
const FIELD_BYTES_MAX: u64 = 768 << 20;
/// Longest name of a field, bytes; it is systemd's.
const NAME_BYTES_MAX: usize = 64;
/// So much of a line that is no field is shown, characters.
const SHOWN_CHARS: usize = 40;

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its bytes.
    pub value: &'a [u8],
}

/// What the start of a text is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    /// A field, and the length of its bytes with all around them.
    Field(Field<'a>, usize),
    /// A field of any bytes, all there, and behind them not even the line feed.
    Last(Field<'a>),
    /// The end of the entry: a blank line of so many bytes.
    Blank(usize),
    /// It goes on behind the text; what there is of the field.
    Short(Option<Field<'a>>),
    /// It is no part of an entry.
    Damaged(Damage<'a>),
}

/// What is said of a line of JSON.
pub(super) const NOT_JSON: &str = "; entries are what `journalctl -o export` writes, not `-o json`";

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Damage<'a> {
    /// A line without `=` that is no name with a length behind it.
    NoField(&'a [u8]),
    /// Behind the bytes of a field there is no line feed.
    WrongLength,
    /// A field of bytes in a text whose line ends were converted.
    Converted,
}

impl Damage<'_> {
    /// In words.
    pub(super) fn what(self) -> Cow<'static, str> {
        match self {
            Damage::NoField(line) => {
                let line = String::from_utf8_lossy(line.get(..4 * SHOWN_CHARS).unwrap_or(line));
                let shown: String = line.chars().take(SHOWN_CHARS).collect();
                let mend = if line.starts_with('{') { NOT_JSON } else { "" };
                format!("this line is no field, `NAME=value`: `{}`{mend}", shown.escape_debug()).into()
            }
            Damage::WrongLength => "the bytes of this field do not end where its length says".into(),
            Damage::Converted => {
                "the length of this field is wrong, as line ends were made CRLF; export it again with LF".into()
            }
        }
    }
}

/// Looks at the start of a text. Lines may end with CRLF: no field in plain form ends with a carriage return by itself,
/// as systemd writes those as bytes.
pub(super) fn step(text: &[u8]) -> Step<'_> {
    let Some(line_end) = memchr::memchr(b'\n', text) else {
        return Step::Short(plain_field(text.strip_suffix(b"\r").unwrap_or(text)));
    };
    let line = text.get(..line_end).unwrap_or_default();
    let (line, is_converted) = line.strip_suffix(b"\r").map_or((line, false), |line| (line, true));
    if line.is_empty() {
        return Step::Blank(line_end + 1);
    }
    if let Some(field) = plain_field(line) {
        return Step::Field(field, line_end + 1);
    }
    if !is_name(line) {
        return Step::Damaged(Damage::NoField(line));
    }
    let behind = text.get(line_end + 1..).unwrap_or_default();
    let Some((length, behind)) = behind.split_first_chunk::<8>() else { return Step::Short(None) };
    let length = u64::from_le_bytes(*length);
    let length = match usize::try_from(length) {
        Ok(length) if length as u64 <= FIELD_BYTES_MAX => length,
        Ok(_) | Err(_) => return Step::Damaged(Damage::NoField(line)),
    };
    if is_converted {
        return Step::Damaged(Damage::Converted);
    }
    match (behind.get(..length), behind.get(length)) {
        (Some(value), Some(b'\n')) => Step::Field(Field { name: line, value }, line_end + 1 + 8 + length + 1),
        (Some(_), Some(_)) => Step::Damaged(Damage::WrongLength),
        (Some(value), None) => Step::Last(Field { name: line, value }),
        (None, _) => Step::Short(Some(Field { name: line, value: behind })),
    }
}

fn plain_field(line: &[u8]) -> Option<Field<'_>> {
    let equal = memchr::memchr(b'=', line)?;
    Some(Field { name: line.get(..equal)?, value: line.get(equal + 1..)? })
}

/// Whether it can be the name of a field of bytes.
fn is_name(line: &[u8]) -> bool {
    line.len() <= NAME_BYTES_MAX
        && !line.first().is_some_and(u8::is_ascii_digit)
        && line.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
}

/// How far an entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it is there.
    Whole {
        /// Bytes of its fields.
        fields: usize,
        /// Bytes with the blank line.
        length: usize,
    },
    /// It is damaged.
    Damaged {
        /// Bytes before the damage.
        at: usize,
    },
    /// It goes on behind the text.
    Open {
        /// Bytes before the field that is not all there.
        at: usize,
    },
}

/// How far the entry goes that a text begins with.
pub fn extent(text: &[u8]) -> Extent {
    let mut at = 0;
    loop {
        match step(text.get(at..).unwrap_or_default()) {
            Step::Field(_, length) => at += length,
            Step::Blank(length) => return Extent::Whole { fields: at, length: at + length },
            Step::Damaged(_) => return Extent::Damaged { at },
            Step::Last(_) | Step::Short(_) => return Extent::Open { at },
        }
    }
}

/// Where the next entry of `journalctl` surely begins, behind the line at `from`.
pub fn next_entry(text: &[u8], from: usize) -> Option<usize> {
    let found = memchr::memmem::find(text.get(from..)?, NEXT_ENTRY)?;
    Some(from + found + 1)
}

/// So many bytes at the end of a text may belong to the mark that [`next_entry`] finds.
pub const NEXT_ENTRY_BYTES: usize = NEXT_ENTRY.len();

/// Where to go on behind an entry that is damaged at `from`. In entries without a cursor a blank line ends it, though
/// that may be one in the bytes of a field.
pub fn behind_damage(text: &[u8], from: usize) -> Option<usize> {
    if text.starts_with(ENTRY_START) {
        return next_entry(text, from);
    }
    match blank_line(text, from) {
        Some(end) => next_entry(text.get(..end)?, from).or(Some(end)),
        None => next_entry(text, from),
    }
}

/// The end of the first blank line behind the line at `from`.
fn blank_line(text: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    memchr::memchr_iter(b'\n', rest).find_map(|at| match rest.get(at + 1..)? {
        [b'\n', ..] => Some(from + at + 2),
        [b'\r', b'\n', ..] => Some(from + at + 3),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, length: u64, value: &[u8]) -> Vec<u8> {
        [name.as_bytes(), b"\n", &length.to_le_bytes()[..], value].concat()
    }

    #[test]
    fn what_is_no_field_is_told_from_what_goes_on() {
        let says = |text: &[u8]| match step(text) {
            Step::Damaged(damage) => damage.what().into_owned(),
            other => format!("{other:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
        };
        for (text, expected) in [
            (&b"-- Logs begin --\n"[..], "`-- Logs begin --`"),
            (b"GARBAGE\n__CURSOR=c1\n", "`GARBAGE`"),
            (b"{\"MESSAGE\":\"a\"}\n", "`journalctl -o export`"),
            (b"lower\n\x01\0\0\0\0\0\0\0a\n", "`lower`"),
            (b"9A\n\x01\0\0\0\0\0\0\0a\n", "`9A`"),
            (&field("A", 768 << 20, b"x"), "Short"),
            (&field("A", (768 << 20) + 1, b"x"), "`A`"),
            (&field("A", u64::MAX, b"x"), "`A`"),
            (&field("A", 2, b"xyz\n"), "do not end where"),
            (&field("A\r", 1, b"x\r\n"), "CRLF"),
            (&field("A", 1, b"x\n"), "Field"),
            (&field("A", 1, b"x"), "Last"),
            (b"GARBAGE\n", "Short"),
            (b"GARB", "Short"),
            (b"\r\n", "Blank"),
        ] {
            assert!(says(text).contains(expected), "{}: {}", text.escape_ascii(), says(text));
        }
    }

    #[test]
    fn behind_a_damage_the_next_entry_is_found() {
        for (text, from, expected) in [
            (&b"__CURSOR=a\nx\nB=1\n\nC=2\n\n__CURSOR=b\n"[..], 11, Some(23)),
            (b"x\n__CURSOR=b\n", 0, Some(2)),
            (b"A=1\nx\nB=1\n\nC=2\n\n__CURSOR=b\n", 4, Some(11)),
            (b"A=1\r\nx\r\n\r\nC=2\r\n", 5, Some(10)),
            (b"A=1\nx\n__CURSOR=b\n\n", 4, Some(6)),
            (b"__CURSOR=a\nx\nB=1\n\n", 11, None),
            (b"x\n\r", 0, None),
        ] {
            assert_eq!(behind_damage(text, from), expected, "{}", text.escape_ascii());
        }
    }
}
