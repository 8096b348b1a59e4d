//! A place in a body, and the steps that both grammars are made of.

use std::borrow::Cow;

use super::{ParseError, unescape};

/// Longest piece of a body that an error shows, bytes.
const FOUND_BYTES_MAX: usize = 40;

/// A place in a body. Reading beyond its end reads nothing.
#[derive(Clone)]
pub(super) struct Cursor<'b> {
    body: &'b [u8],
    pub(super) at: usize,
}

impl<'b> Cursor<'b> {
    pub(super) fn new(body: &'b [u8]) -> Cursor<'b> {
        Cursor { body, at: 0 }
    }

    /// Another place in the same body.
    pub(super) fn moved_to(&self, at: usize) -> Cursor<'b> {
        Cursor { body: self.body, at }
    }

    /// What lies ahead.
    #[inline]
    pub(super) fn rest(&self) -> &'b [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    /// Length of the body.
    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.body.len()
    }

    /// Goes over a byte if it is this one.
    #[inline]
    pub(super) fn skip(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// Goes over a word if it stands here.
    pub(super) fn skip_word(&mut self, word: &str) -> bool {
        let is_there = self.rest().starts_with(word.as_bytes());
        self.at += if is_there { word.len() } else { 0 };
        is_there
    }

    /// Goes over blanks and tabs, and says whether there were any.
    #[inline]
    pub(super) fn skip_blanks(&mut self) -> bool {
        let before = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        self.at > before
    }

    /// Takes the bytes up to the first that satisfies a condition, or to the end.
    #[inline]
    pub(super) fn take_until(&mut self, stop: impl Fn(u8) -> bool) -> &'b [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|byte| stop(*byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Takes the rest of the line, and goes over its end.
    pub(super) fn take_line(&mut self) -> &'b [u8] {
        let rest = self.rest();
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.at += (length + 1).min(rest.len());
        rest.get(..length).unwrap_or_default()
    }

    /// Takes a name without quotes: letters, digits, `_`, and `:` where it may stand. Empty if there is none.
    #[inline]
    pub(super) fn take_name(&mut self, colons: bool) -> &'b str {
        let rest = self.rest();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colons && byte == b':');
        if rest.first().is_none_or(u8::is_ascii_digit) {
            return "";
        }
        let length = rest.iter().position(|byte| !is_name(*byte)).unwrap_or(rest.len());
        self.at += length;
        // These are ASCII.
        rest.get(..length).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// Takes a text in quotes, as it stands between them; `lines` says whether line ends may stand in it.
    pub(super) fn take_quoted(&mut self, lines: bool) -> Option<&'b [u8]> {
        let inner = self.rest().strip_prefix(b"\"")?;
        let mut end = 0;
        loop {
            end += memchr::memchr2(b'"', b'\\', inner.get(end..)?)?;
            if inner.get(end) == Some(&b'"') {
                break;
            }
            // What is behind a backslash is no end, unless the line is.
            if matches!(inner.get(end + 1), None | Some(b'\n')) {
                return None;
            }
            end += 2;
        }
        let quoted = inner.get(..end)?;
        if !lines && memchr::memchr(b'\n', quoted).is_some() {
            return None;
        }
        self.at += end + 2;
        Some(quoted)
    }

    /// Takes the name of a metric family behind `# HELP` and its like, in quotes or without.
    pub(super) fn take_family(&mut self) -> Result<Cow<'b, str>, ParseError> {
        let expected = "the name of a metric";
        if self.peek() != Some(b'"') {
            let name = self.take_name(true);
            return if name.is_empty() { Err(self.error(expected)) } else { Ok(Cow::Borrowed(name)) };
        }
        let mut behind = self.clone();
        let quoted = behind.take_quoted(false).and_then(|quoted| std::str::from_utf8(quoted).ok());
        let quoted = quoted.filter(|name| !name.is_empty()).ok_or_else(|| self.error(expected))?;
        self.at = behind.at;
        Ok(unescape(quoted, true))
    }

    /// The text itself, if it is one.
    pub(super) fn utf8(&self, bytes: &'b [u8]) -> Result<&'b str, ParseError> {
        std::str::from_utf8(bytes).map_err(|_| self.error_with("UTF-8 text", bytes))
    }

    /// That something else should stand here.
    pub(super) fn error(&self, expected: &'static str) -> ParseError {
        let rest = self.rest();
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        self.error_with(expected, line)
    }

    /// That something else should stand where this was read.
    pub(super) fn error_with(&self, expected: &'static str, found: &[u8]) -> ParseError {
        let before = self.body.get(..self.at).unwrap_or(self.body);
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let found = match found.get(..FOUND_BYTES_MAX) {
            _ if found.is_empty() && self.is_at_end() => "the end".to_owned(),
            None if found.is_empty() => "the end of the line".to_owned(),
            None => format!("`{}`", String::from_utf8_lossy(found).escape_debug()),
            Some(found) => format!("`{}…`", String::from_utf8_lossy(found).escape_debug()),
        };
        ParseError { line, expected, found }
    }
}
