//! A JSON text as a tree whose every node knows where it stands.
//!
//! Rule files are written by people, so a mistake is reported with line and column, and reading goes on
//! behind the slips that do not change the meaning of the rest (a comma too many, a key given twice, a number that
//! is not finite).
//!
//! Invariant: offsets are byte offsets into the text, at the boundary of a character.

use std::collections::HashMap;

/// Deepest nesting that is read; rules need three levels.
const DEPTH_MAX: usize = 32;
/// After this many slips reading stops.
const SLIPS_MAX: usize = 100;

/// A fault in the text, at a byte offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    /// Byte offset into the text.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: &'static str,
}

/// A value and the offset of its first byte.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Byte offset into the text.
    pub offset: usize,
    /// What stands there.
    pub value: Json,
}

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool,
    /// A finite number; NaN for one that is not finite, which is a slip.
    Number(f64),
    /// A string.
    String(JsonString),
    /// `[…]`
    Array(Vec<Node>),
    /// `{…}`, in the order of the text; a key given twice is in it once, with its first value.
    Object(Vec<Member>),
}

/// `"key": value`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    /// Byte offset of the key.
    pub offset: usize,
    /// The key.
    pub key: String,
    /// Its value.
    pub node: Node,
}

/// A string without its escapes, which still knows where each of its bytes stood in the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonString {
    /// The string itself.
    pub text: String,
    /// Offset of the first byte behind the opening quote.
    start: usize,
    /// For each escape: the length of `text` behind it, and the offset in the file behind it.
    escapes: Vec<(usize, usize)>,
}

impl JsonString {
    /// Where in the file the byte of `text` at this offset stands.
    pub fn offset_in_file(&self, offset: usize) -> usize {
        let before = self.escapes.partition_point(|(behind, _)| *behind <= offset);
        match before.checked_sub(1).and_then(|at| self.escapes.get(at)) {
            Some((behind, in_file)) => in_file + (offset - behind),
            None => self.start + offset,
        }
    }
}

impl Json {
    /// What it is, in words, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool => "true or false",
            Json::Number(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "a list",
            Json::Object(_) => "an object",
        }
    }
}

/// Line and column of byte offsets, both from 1; columns count characters. One pass over the text.
pub(crate) fn places(text: &str, mut offsets: Vec<usize>) -> HashMap<usize, (usize, usize)> {
    offsets.sort_unstable();
    let mut places = HashMap::with_capacity(offsets.len());
    let (mut line, mut column) = (1, 1);
    let mut wanted = offsets.into_iter().peekable();
    for (at, c) in text.char_indices() {
        // An offset inside a character is that of the character.
        while let Some(offset) = wanted.next_if(|offset| *offset < at + c.len_utf8()) {
            places.insert(offset, (line, column));
        }
        if wanted.peek().is_none() {
            return places;
        }
        if c == '\n' {
            (line, column) = (line + 1, 1);
        } else {
            column += 1;
        }
    }
    places.extend(wanted.map(|offset| (offset, (line, column))));
    places
}

/// Reads a whole text. The tree is absent when a fault left nothing sensible to read on from.
pub(crate) fn read(text: &str) -> (Option<Node>, Vec<JsonError>) {
    let mut reader = Reader { text, at: 0, slips: Vec::new() };
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    let tree = reader.document();
    let mut errors = reader.slips;
    match tree {
        Ok(node) => (Some(node), errors),
        Err(fatal) => {
            errors.push(fatal);
            (None, errors)
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    slips: Vec<JsonError>,
}

type Read<T> = Result<T, JsonError>;

impl Reader<'_> {
    fn document(&mut self) -> Read<Node> {
        self.blanks()?;
        if self.peek().is_none() {
            return Err(error(0, "the file is empty", "write an object, a list of rules, or {\"rules\": []}"));
        }
        let node = self.node(0)?;
        self.blanks()?;
        match self.peek() {
            None => Ok(node),
            Some(found) => Err(error(
                self.at,
                format!("`{}` after the end of the value", found.escape_default()),
                "several rules go into a list: [{…}, {…}]",
            )),
        }
    }

    fn node(&mut self, depth: usize) -> Read<Node> {
        if depth > DEPTH_MAX {
            return Err(error(self.at, format!("nested deeper than {DEPTH_MAX} levels"), "a rule needs three"));
        }
        let offset = self.at;
        let value = match self.peek() {
            Some('{') => self.object(depth)?,
            Some('[') => self.array(depth)?,
            Some('"') => Json::String(self.string()?),
            Some('-' | '+' | '.' | '0'..='9') => self.number()?,
            Some('\'') => return Err(error(offset, "a string in single quotes", "use double quotes")),
            Some(c) if c.is_alphabetic() || c == '_' => self.word()?,
            Some(c) => return Err(error(offset, format!("expected a value, found `{}`", c.escape_default()), "")),
            None => return Err(error(offset, "the file ends where a value should stand", "")),
        };
        Ok(Node { offset, value })
    }

    fn object(&mut self, depth: usize) -> Read<Json> {
        let open = self.at;
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        let mut keys = std::collections::HashSet::new();
        loop {
            self.blanks()?;
            match self.peek() {
                Some('}') => break,
                Some('"') => {}
                Some(',') => {
                    self.slip(self.at, "a comma without a field before it", "remove it")?;
                    self.at += 1;
                    continue;
                }
                Some(_) => {
                    return Err(error(self.at, "expected a field name", "names of fields stand in double quotes"));
                }
                None => return Err(self.unclosed(open, '{', '}')),
            }
            let offset = self.at;
            let key = self.string()?.text;
            self.blanks()?;
            if self.peek() != Some(':') {
                return Err(error(self.at, format!("expected `:` after the field name `{key}`"), ""));
            }
            self.at += 1;
            self.blanks()?;
            let node = self.node(depth + 1)?;
            if keys.insert(key.clone()) {
                members.push(Member { offset, key, node });
            } else {
                self.slip(offset, &format!("field `{key}` stands twice in this object"), "keep one of them")?;
            }
            if self.end_of_item('}', open, '{')? {
                break;
            }
        }
        self.at += 1;
        Ok(Json::Object(members))
    }

    fn array(&mut self, depth: usize) -> Read<Json> {
        let open = self.at;
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.blanks()?;
            if self.peek() == Some(']') {
                break;
            }
            if self.peek().is_none() {
                return Err(self.unclosed(open, '[', ']'));
            }
            items.push(self.node(depth + 1)?);
            if self.end_of_item(']', open, '[')? {
                break;
            }
        }
        self.at += 1;
        Ok(Json::Array(items))
    }

    /// After an item: `true` before the closing bracket, `false` behind a comma.
    fn end_of_item(&mut self, close: char, open: usize, opening: char) -> Read<bool> {
        self.blanks()?;
        match self.peek() {
            Some(c) if c == close => Ok(true),
            Some(',') => {
                let comma = self.at;
                self.at += 1;
                self.blanks()?;
                if self.peek() == Some(close) {
                    self.slip(comma, &format!("a comma before `{close}`"), "remove it")?;
                    return Ok(true);
                }
                Ok(false)
            }
            Some(_) => Err(error(self.at, format!("expected `,` or `{close}`"), "is a comma missing before this?")),
            None => Err(self.unclosed(open, opening, close)),
        }
    }

    fn string(&mut self) -> Read<JsonString> {
        let open = self.at;
        self.at += 1;
        let mut string = JsonString { text: String::new(), start: self.at, escapes: Vec::new() };
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || (c as u32) < 0x20).unwrap_or(rest.len());
            string.text.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some('"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some('\\') => {
                    let c = self.escape()?;
                    string.text.push(c);
                    string.escapes.push((string.text.len(), self.at));
                }
                Some('\n' | '\r') => {
                    return Err(error(
                        open,
                        "a string that does not end on its line",
                        "close it with `\"`, or write \\n",
                    ));
                }
                Some(_) => return Err(error(self.at, "a control character in a string", "write it as \\u00XX")),
                None => return Err(error(open, "a string that never ends", "close it with `\"`")),
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        let offset = self.at;
        self.at += 1;
        let c = match self.peek() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                self.at += 1;
                return self.unicode_escape(offset);
            }
            _ => return Err(error(offset, "an unknown escape in a string", "a backslash itself is written \\\\")),
        };
        self.at += 1;
        Ok(c)
    }

    fn unicode_escape(&mut self, offset: usize) -> Read<char> {
        let wrong = || error(offset, "\\u needs four hexadecimal digits of a character", "");
        let high = self.four_digits().ok_or_else(wrong)?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high).ok_or_else(wrong);
        }
        let pair = || error(offset, "half of a surrogate pair", "write the character itself");
        if !self.text[self.at..].starts_with("\\u") {
            return Err(pair());
        }
        self.at += 2;
        let low = self.four_digits().filter(|low| (0xdc00..0xe000).contains(low)).ok_or_else(pair)?;
        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).ok_or_else(pair)
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Read<Json> {
        let offset = self.at;
        let rest = &self.text[offset..];
        let length = rest.find(|c: char| !matches!(c, '+' | '-' | '.' | '0'..='9' | 'a'..='z' | 'A'..='Z' | '_'));
        let literal = &rest[..length.unwrap_or(rest.len())];
        self.at += literal.len();
        let strict = is_json_number(literal);
        match literal.parse::<f64>() {
            Ok(number) if strict && number.is_finite() => Ok(Json::Number(number)),
            Ok(number) if number.is_finite() && literal.bytes().any(|b| b.is_ascii_digit()) => {
                self.slip(offset, &format!("`{literal}` is not how JSON writes a number"), "write it as -12.5 or 1e6")?;
                Ok(Json::Number(number))
            }
            // `-Infinity` is one too, `1e999` is infinite when read.
            Ok(_) => self.not_finite(offset, literal),
            Err(_) => {
                Err(error(offset, format!("`{literal}` is no number"), "a duration such as \"5m\" stands in quotes"))
            }
        }
    }

    fn not_finite(&mut self, offset: usize, literal: &str) -> Read<Json> {
        let message = format!("`{}` is not a finite number", cut(literal));
        self.slip(offset, &message, "a threshold without end is written \"+Inf\" or \"-Inf\", in quotes")?;
        Ok(Json::Number(f64::NAN))
    }

    fn word(&mut self) -> Read<Json> {
        let offset = self.at;
        let rest = &self.text[offset..];
        let word = &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())];
        self.at += word.len();
        match word {
            "null" => Ok(Json::Null),
            "true" | "false" => Ok(Json::Bool),
            _ if word.parse::<f64>().is_ok() => self.not_finite(offset, word),
            _ => Err(error(offset, format!("`{}` is no JSON value", cut(word)), "text stands in double quotes")),
        }
    }

    /// Skips blanks, and comments (which JSON does not have) with a slip.
    fn blanks(&mut self) -> Read<()> {
        loop {
            let rest = &self.text[self.at..];
            self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
            let rest = &self.text[self.at..];
            let length = if rest.starts_with("//") || rest.starts_with('#') {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            } else {
                return Ok(());
            };
            self.slip(self.at, "a comment; JSON has none", "move it into an annotation or remove it")?;
            self.at += length;
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn unclosed(&self, open: usize, opening: char, close: char) -> JsonError {
        error(open, format!("this `{opening}` is never closed"), if close == '}' { "add `}`" } else { "add `]`" })
    }

    /// Notes a fault behind which reading can go on.
    fn slip(&mut self, offset: usize, message: &str, hint: &'static str) -> Read<()> {
        if self.slips.len() >= SLIPS_MAX {
            return Err(error(offset, "too many mistakes to go on", "mend those above first"));
        }
        self.slips.push(error(offset, message, hint));
        Ok(())
    }
}

fn error(offset: usize, message: impl Into<String>, hint: &'static str) -> JsonError {
    JsonError { offset, message: message.into(), hint }
}

/// The first characters of a text, for messages.
fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

/// RFC 8259, section 6.
fn is_json_number(literal: &str) -> bool {
    let rest = literal.strip_prefix('-').unwrap_or(literal);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with('0')) {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let count = digits(exponent);
        return count > 0 && count == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests;
