//! What a word is, for every store.
//!
//! A token is a longest run of characters that are letters or digits (Rust's `char::is_alphanumeric`: Unicode
//! `Alphabetic`, or general category `Nd`, `Nl`, `No`) or `_`. Its lower-case form is `char::to_lowercase` of each
//! character, one by one: no rule that looks at neighbours (a final sigma is an ordinary sigma), no locale, no
//! normal form. What lower-casing brings forth is not cut again. A store that keeps tokens of its own copies this.

/// What an ASCII byte is to a token: [`PART`] of it, perhaps [`UPPER`]. Bytes of longer characters are [`LONG`].
const CLASSES: [u8; 256] = {
    let mut table = [LONG; 256];
    let mut byte = 0u8;
    while byte < 128 {
        let part = byte.is_ascii_alphanumeric() || byte == b'_';
        table[byte as usize] = if part { PART } else { 0 } | if byte.is_ascii_uppercase() { UPPER } else { 0 };
        byte += 1;
    }
    table
};
const PART: u8 = 1;
const UPPER: u8 = 2;
const LONG: u8 = 4;

#[inline]
fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// Whether an ASCII byte belongs into a token; false for every byte of a longer character.
#[inline]
pub fn is_token_byte(byte: u8) -> bool {
    class(byte) & PART != 0
}

/// Whether a character belongs into a token.
#[inline]
pub fn is_token_char(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The tokens of a text, in order, as they stand there (not lower-cased yet).
pub fn tokens(text: &str) -> Tokens<'_> {
    Tokens { text, at: 0 }
}

/// Iterator of [`tokens`].
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl Tokens<'_> {
    /// The character that begins at `at`.
    fn long_at(&self, at: usize) -> Option<char> {
        self.text.get(at..)?.chars().next()
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    #[inline]
    fn next(&mut self) -> Option<Token<'a>> {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        loop {
            match class(*bytes.get(at)?) {
                0 => at += 1,
                LONG => match self.long_at(at)? {
                    character if is_token_char(character) => break,
                    character => at += character.len_utf8(),
                },
                _ => break,
            }
        }
        let start = at;
        let mut classes = 0;
        while let Some(byte) = bytes.get(at) {
            let class = class(*byte);
            if class == 0 {
                break;
            }
            if class == LONG {
                let Some(character) = self.long_at(at).filter(|character| is_token_char(*character)) else { break };
                at += character.len_utf8();
            } else {
                at += 1;
            }
            classes |= class;
        }
        self.at = at;
        Some(Token { text: &self.text[start..at], start, classes })
    }
}

/// One token of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// As it stands in the text.
    pub text: &'a str,
    /// Where it starts there, in bytes.
    pub start: usize,
    /// The classes of its bytes, put together.
    classes: u8,
}

impl<'a> Token<'a> {
    /// The lower-case form, in `buffer` if it differs from the text.
    #[inline]
    pub fn lower<'b>(&self, buffer: &'b mut String) -> &'b str
    where
        'a: 'b,
    {
        if self.classes == PART {
            return self.text;
        }
        buffer.clear();
        if self.classes & LONG == 0 {
            buffer.push_str(self.text);
            buffer.make_ascii_lowercase();
        } else {
            buffer.extend(folded(self.text));
        }
        buffer
    }

    /// Whether its lower-case form is `lower`.
    pub fn is(&self, lower: &str) -> bool {
        folded(self.text).eq(lower.chars())
    }

    /// Whether its lower-case form starts with `lower`.
    pub fn starts_with(&self, lower: &str) -> bool {
        folded_starts_with(self.text, lower)
    }
}

/// The characters of a text, each lower-cased.
pub fn folded(text: &str) -> impl Iterator<Item = char> + Clone + '_ {
    text.chars().flat_map(char::to_lowercase)
}

/// The lower-case form of a whole text.
pub fn fold(text: &str) -> String {
    folded(text).collect()
}

/// Whether the lower-case form of `text` is `lower`.
pub fn folded_eq(text: &str, lower: &str) -> bool {
    if text.is_ascii() { text.eq_ignore_ascii_case(lower) } else { folded(text).eq(lower.chars()) }
}

/// Whether the lower-case form of `text` starts with `lower`.
pub fn folded_starts_with(text: &str, lower: &str) -> bool {
    let mut characters = folded(text);
    lower.chars().all(|wanted| characters.next() == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lowered(text: &str) -> Vec<String> {
        tokens(text).map(|token| token.lower(&mut String::new()).to_owned()).collect()
    }

    #[test]
    fn words_are_runs_of_letters_digits_and_underscores() {
        for (text, expected) in [
            ("", &[][..]),
            ("-- !?", &[]),
            ("Connection refused", &["connection", "refused"]),
            ("a_b __init__ _", &["a_b", "__init__", "_"]),
            ("GET /api/v1/users?id=42", &["get", "api", "v1", "users", "id", "42"]),
            ("naïve ÄRGER", &["naïve", "ärger"]),
            ("日本語 テスト", &["日本語", "テスト"]),
            ("x²½", &["x²½"]),
            ("ΟΔΟΣ", &["οδοσ"]),
            ("İ", &["i\u{307}"]),
            ("e\u{301}t", &["e", "t"]),
            ("a\u{1f}b", &["a", "b"]),
        ] {
            assert_eq!(lowered(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(text in "\\PC{0,40}|[A-Za-z_ .éÉßİ語-]{0,40}") {
            let expected: Vec<String> = text
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .filter(|run| !run.is_empty())
                .map(|run| run.chars().flat_map(char::to_lowercase).collect())
                .collect();
            prop_assert_eq!(lowered(&text), expected);
            for token in tokens(&text) {
                prop_assert!(text[token.start..].starts_with(token.text));
                prop_assert!(token.is(&fold(token.text)));
            }
        }
    }
}
