//! The JSON parser of the hot path: RFC 8259 to the letter, straight onto a [`Tape`].
//!
//! Texts stay where they are unless they have escapes; numbers are read by the exact short way where
//! one exists (Clinger 1990) and by the standard library otherwise. It accepts what serde_json accepts
//! and reads the same values, which a property test holds it to; only nesting is limited to 64, and numbers
//! that are too large for a double are kept as they are written.

use watchfire_model::record::DEPTH_MAX;

use super::tape::{INPUT_MAX, Node, Span, Tape};

/// What is wrong with a JSON text, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {at}")]
pub struct JsonError {
    /// What.
    pub kind: JsonErrorKind,
    /// Byte offset from the start of the text.
    pub at: usize,
}

/// What can be wrong with a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonErrorKind {
    /// It ends in the middle.
    #[error("the JSON text ends too early")]
    Eof,
    /// No value starts here.
    #[error("expected a JSON value")]
    ExpectedValue,
    /// A member needs a quoted name.
    #[error("expected a name in double quotes")]
    ExpectedName,
    /// No colon after a name.
    #[error("expected `:` after the name")]
    ExpectedColon,
    /// Neither a comma nor the end of the object.
    #[error("expected `,` or `}}`")]
    ExpectedCommaOrBrace,
    /// Neither a comma nor the end of the list.
    #[error("expected `,` or `]`")]
    ExpectedCommaOrBracket,
    /// Something after the value.
    #[error("unexpected text after the JSON value")]
    Trailing,
    /// A raw control character in a text.
    #[error("a control character inside a text must be escaped")]
    ControlCharacter,
    /// A backslash and something unknown.
    #[error("unknown escape; write \\\\ for a backslash")]
    Escape,
    /// `\ud800` without its second half, or the other way round.
    #[error("half of a surrogate pair in a \\u escape")]
    Surrogate,
    /// Digits where none may be, or missing ones.
    #[error("malformed number")]
    Number,
    /// Too many nested containers.
    #[error("nested deeper than 64 levels")]
    Depth,
    /// Longer than can be addressed.
    #[error("the JSON text is too long")]
    TooLong,
    /// Bytes that are no text.
    #[error("invalid UTF-8")]
    Utf8,
}

/// Reads one JSON value that fills the whole text (blanks around it aside) onto the tape, which is cleared first.
pub fn parse(text: &str, tape: &mut Tape) -> Result<(), JsonError> {
    let end = parse_prefix(text, 0, tape)?;
    let at = skip_blanks(text.as_bytes(), end);
    if at < text.len() {
        return Err(JsonError { kind: JsonErrorKind::Trailing, at });
    }
    Ok(())
}

/// Reads one JSON value that starts (after blanks) at `from` onto the tape, which is cleared first; gives the
/// position after it. Spans on the tape count from the start of `text`.
pub fn parse_prefix(text: &str, from: usize, tape: &mut Tape) -> Result<usize, JsonError> {
    tape.clear();
    if text.len() > INPUT_MAX {
        return Err(JsonError { kind: JsonErrorKind::TooLong, at: INPUT_MAX });
    }
    let mut scanner = Scanner { text, bytes: text.as_bytes(), at: from, tape };
    scanner.blanks();
    scanner.value(0)?;
    Ok(scanner.at)
}

/// Position of the first byte from `at` on that is no JSON blank.
pub fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    tape: &'a mut Tape,
}

impl Scanner<'_> {
    #[cold]
    fn fail<T>(&self, kind: JsonErrorKind) -> Result<T, JsonError> {
        let kind = if self.at >= self.bytes.len() { JsonErrorKind::Eof } else { kind };
        Err(JsonError { kind, at: self.at })
    }

    #[inline]
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn blanks(&mut self) {
        if self.peek() <= b' ' {
            self.at = skip_blanks(self.bytes, self.at);
        }
    }

    /// The value at the current position; blanks have been skipped.
    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        match self.peek() {
            b'"' => {
                let span = self.string()?;
                self.tape.push(Node::Text(span));
                Ok(())
            }
            b'-' | b'0'..=b'9' => {
                let number = self.number()?;
                self.tape.push(number);
                Ok(())
            }
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b't' => self.word(b"true", Node::Bool(true)),
            b'f' => self.word(b"false", Node::Bool(false)),
            b'n' => self.word(b"null", Node::Null),
            _ => self.fail(JsonErrorKind::ExpectedValue),
        }
    }

    fn word(&mut self, word: &[u8], node: Node) -> Result<(), JsonError> {
        if self.bytes.get(self.at..self.at + word.len()) != Some(word) {
            return self.fail(JsonErrorKind::ExpectedValue);
        }
        self.at += word.len();
        self.tape.push(node);
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth >= DEPTH_MAX {
            return self.fail(JsonErrorKind::Depth);
        }
        let mut object = self.tape.begin_object();
        self.at += 1;
        self.blanks();
        if self.peek() == b'}' {
            self.at += 1;
            self.tape.end_object(object, self.text);
            return Ok(());
        }
        loop {
            if self.peek() != b'"' {
                return self.fail(JsonErrorKind::ExpectedName);
            }
            let name = self.string()?;
            self.tape.json_key(&mut object, self.text, name);
            self.blanks();
            if self.peek() != b':' {
                return self.fail(JsonErrorKind::ExpectedColon);
            }
            self.at += 1;
            self.blanks();
            self.value(depth + 1)?;
            self.blanks();
            match self.peek() {
                b',' => {
                    self.at += 1;
                    self.blanks();
                }
                b'}' => {
                    self.at += 1;
                    self.tape.end_object(object, self.text);
                    return Ok(());
                }
                _ => return self.fail(JsonErrorKind::ExpectedCommaOrBrace),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth >= DEPTH_MAX {
            return self.fail(JsonErrorKind::Depth);
        }
        let array = self.tape.begin_array();
        self.at += 1;
        self.blanks();
        if self.peek() == b']' {
            self.at += 1;
            self.tape.end_array(array);
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.blanks();
            match self.peek() {
                b',' => {
                    self.at += 1;
                    self.blanks();
                }
                b']' => {
                    self.at += 1;
                    self.tape.end_array(array);
                    return Ok(());
                }
                _ => return self.fail(JsonErrorKind::ExpectedCommaOrBracket),
            }
        }
    }

    /// The text whose opening quote is at the current position.
    #[inline]
    fn string(&mut self) -> Result<Span, JsonError> {
        self.at += 1;
        let start = self.at;
        self.at = plain_end(self.bytes, start);
        if self.peek() == b'"' {
            let span = Tape::input_span(start, self.at);
            self.at += 1;
            return Ok(span);
        }
        self.escaped_string(start)
    }

    /// The rest of a text that has an escape (or an error) at the current position.
    #[cold]
    fn escaped_string(&mut self, mut plain_from: usize) -> Result<Span, JsonError> {
        let arena_from = self.tape.arena_end();
        loop {
            // Both ends stand beside ASCII bytes, so they are character boundaries.
            let plain = self.text.get(plain_from..self.at).unwrap_or_default();
            self.tape.append(plain);
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(self.tape.arena_span(arena_from));
                }
                b'\\' => {
                    self.at += 1;
                    let character = self.escape()?;
                    self.tape.append(character.encode_utf8(&mut [0; 4]));
                }
                _ => return self.fail(JsonErrorKind::ControlCharacter),
            }
            plain_from = self.at;
            self.at = plain_end(self.bytes, self.at);
        }
    }

    /// The character of the escape whose backslash has been read.
    fn escape(&mut self) -> Result<char, JsonError> {
        let character = match self.peek() {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return self.fail(JsonErrorKind::Escape),
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.four_hex()?;
        let code = match first {
            0xD800..=0xDBFF => {
                if self.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
                    return self.fail(JsonErrorKind::Surrogate);
                }
                self.at += 2;
                let second = self.four_hex()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return self.fail(JsonErrorKind::Surrogate);
                }
                0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            code => code,
        };
        match char::from_u32(code) {
            Some(character) => Ok(character),
            None => self.fail(JsonErrorKind::Surrogate),
        }
    }

    fn four_hex(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = char::from(self.peek()).to_digit(16) else { return self.fail(JsonErrorKind::Escape) };
            code = code << 4 | digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Node, JsonError> {
        let start = self.at;
        let negative = self.peek() == b'-';
        self.at += usize::from(negative);
        let mut mantissa = 0u64;
        let integer_from = self.at;
        while let digit @ b'0'..=b'9' = self.peek() {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let mut digits = self.at - integer_from;
        let leading_zero = self.bytes.get(integer_from) == Some(&b'0');
        if digits == 0 {
            return self.fail(JsonErrorKind::Number);
        }
        if leading_zero && digits > 1 {
            self.at = integer_from + 1;
            return self.fail(JsonErrorKind::Number);
        }
        if !matches!(self.peek(), b'.' | b'e' | b'E') {
            // 18 digits fit an i64; `-0` is a float, as its sign is part of the value.
            if digits <= 18 && !(negative && mantissa == 0) {
                let int = mantissa as i64;
                return Ok(Node::Int(if negative { -int } else { int }));
            }
            if let Some(int) = self.text.get(start..self.at).and_then(|text| text.parse::<i64>().ok())
                && !(negative && int == 0)
            {
                return Ok(Node::Int(int));
            }
            // Ids of 64 bits without a sign and the like: as text each digit is kept.
            let is_zero = mantissa == 0 && digits == 1;
            return Ok(if is_zero { self.slow_float(start) } else { self.as_written(start) });
        }
        let mut scale = 0usize;
        if self.peek() == b'.' {
            self.at += 1;
            let fraction_from = self.at;
            while let digit @ b'0'..=b'9' = self.peek() {
                mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
                self.at += 1;
            }
            scale = self.at - fraction_from;
            digits += scale;
            if scale == 0 {
                return self.fail(JsonErrorKind::Number);
            }
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            if !self.peek().is_ascii_digit() {
                return self.fail(JsonErrorKind::Number);
            }
            while self.peek().is_ascii_digit() {
                self.at += 1;
            }
            return Ok(self.slow_float(start));
        }
        // Both operands are exact, so the one division rounds correctly.
        if digits <= 15
            && let Some(power) = POWERS_OF_TEN.get(scale)
        {
            let magnitude = mantissa as f64 / power;
            return Ok(Node::Float(if negative { -magnitude } else { magnitude }));
        }
        Ok(self.slow_float(start))
    }

    fn slow_float(&self, start: usize) -> Node {
        match self.text.get(start..self.at).and_then(|text| text.parse::<f64>().ok()) {
            Some(float) if float.is_finite() => Node::Float(float),
            // No double can hold it.
            _ => self.as_written(start),
        }
    }

    /// The number from `start` to here as a text.
    fn as_written(&self, start: usize) -> Node {
        Node::Text(Tape::input_span(start, self.at))
    }
}

/// Powers of ten that a double holds exactly.
const POWERS_OF_TEN: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Position of the first quote, backslash or control character from `at` on; the length if there is none.
#[inline]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        // The high bit of a byte is set where the byte is wanted; borrows disturb only bytes above the first.
        let found = (quote.wrapping_sub(ONES) & !quote
            | backslash.wrapping_sub(ONES) & !backslash
            | word.wrapping_sub(ONES * 0x20) & !word)
            & HIGHS;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(byte) = bytes.get(at) {
        if *byte < 0x20 || *byte == b'"' || *byte == b'\\' {
            break;
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests;
