//! Tokens in a row, and how they are found in a text.

use watchfire_model::record::ValueRef;

use super::number::Number;
use super::tokens::{fold, folded_eq, folded_starts_with, is_token_byte, tokens};

/// One word or several in a row; at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Phrase {
    text: Box<str>,
    words: Box<[Box<str>]>,
    /// A `*` stands after the text.
    star: bool,
    /// The last word may go on: there is a star, and a word right before it.
    prefix: bool,
    number: Option<Number>,
    /// Where the seldomest byte of the first word stands in it; `None` unless all words are ASCII.
    rare_at: Option<usize>,
}

impl Phrase {
    /// The tokens of a text; with `star`, the last may go on. `None` if the text has no token.
    ///
    /// A text that ends in something else than a token (`foo-*`) has nothing that could go on: its tokens count
    /// as they are.
    pub fn new(text: &str, star: bool) -> Option<Phrase> {
        let words = tokens(text).map(|token| fold(token.text).into()).collect();
        let ends_in_token = tokens(text).last().is_some_and(|token| token.start + token.text.len() == text.len());
        Phrase::of_words(text, words, star, ends_in_token)
    }

    /// A word that is lower-cased already, alone. It is not cut again: lower-casing brings forth characters that are part
    /// of no token (`İ`).
    pub(crate) fn of_word(lower: &str) -> Option<Phrase> {
        Phrase::of_words(lower, Box::new([lower.into()]), false, true)
    }

    fn of_words(text: &str, words: Box<[Box<str>]>, star: bool, ends_in_token: bool) -> Option<Phrase> {
        let first = words.first()?;
        let ascii = words.iter().all(|word| word.is_ascii());
        let rare_at = (0..first.len()).max_by_key(|at| first.as_bytes().get(*at).map(|byte| rarity(*byte)));
        Some(Phrase {
            text: text.into(),
            rare_at: rare_at.filter(|_| ascii),
            words,
            star,
            prefix: star && ends_in_token,
            number: if star { None } else { Number::from_text(text) },
        })
    }

    /// As the query has it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lower-cased tokens, at least one.
    pub fn words(&self) -> &[Box<str>] {
        &self.words
    }

    /// Whether a token that only starts with the last word will do.
    pub fn is_prefix(&self) -> bool {
        self.prefix
    }

    /// Whether a `*` stands after the text; then numbers are matched by their leading digits.
    pub fn has_star(&self) -> bool {
        self.star
    }

    /// The number that the text spells, if it does.
    pub fn number(&self) -> Option<Number> {
        self.number
    }

    /// Whether the words stand in a row in a text.
    pub fn is_in(&self, text: &str) -> bool {
        if text.is_ascii() { self.is_in_ascii(text.as_bytes()) } else { self.is_in_any(text) }
    }

    /// Whether a value of a field matches: a text by its tokens, a number by its value (by its digits if there is
    /// a star), true and false by name, a list by any of its values.
    pub fn matches_value(&self, value: ValueRef<'_>) -> bool {
        match value {
            ValueRef::Text(text) => self.is_in(text),
            ValueRef::Int(int) => self.matches_number(Number::Int(int)),
            ValueRef::Float(float) => self.matches_number(Number::float(float)),
            ValueRef::Bool(bool) => {
                let (name, text) = (if bool { "true" } else { "false" }, fold(&self.text));
                if self.star { name.starts_with(&text) } else { folded_eq(name, &text) }
            }
            ValueRef::Array(values) => values.values().any(|value| self.matches_value(value)),
            ValueRef::Null | ValueRef::Object(_) => false,
        }
    }

    /// [`Phrase::matches_value`] for a number.
    pub fn matches_number(&self, number: Number) -> bool {
        if self.star {
            return folded_starts_with(&number.to_string(), &fold(&self.text));
        }
        self.number.is_some_and(|wanted| wanted.compare(number) == Some(std::cmp::Ordering::Equal))
    }

    fn is_in_any(&self, text: &str) -> bool {
        let mut rest = tokens(text);
        loop {
            let mut here = rest.clone();
            let last = self.words.len() - 1;
            let all = self.words.iter().enumerate().all(|(number, word)| {
                here.next().is_some_and(|token| {
                    if self.prefix && number == last { token.starts_with(word) } else { token.is(word) }
                })
            });
            if all {
                return true;
            }
            if rest.next().is_none() {
                return false;
            }
        }
    }

    /// Looks for the seldomest byte of the first word and checks what stands around it.
    fn is_in_ascii(&self, text: &[u8]) -> bool {
        let (Some(rare_at), Some(first)) = (self.rare_at, self.words.first()) else { return false };
        let Some(rare) = first.as_bytes().get(rare_at) else { return false };
        let mut hits = memchr::memchr2_iter(*rare, rare.to_ascii_uppercase(), text);
        hits.any(|hit| hit.checked_sub(rare_at).is_some_and(|start| self.stands_at(text, start)))
    }

    /// Whether the words stand in an ASCII text from `start` on.
    fn stands_at(&self, text: &[u8], start: usize) -> bool {
        if start > 0 && is_token_byte(text[start - 1]) {
            return false;
        }
        let mut at = start;
        for (number, word) in self.words.iter().enumerate() {
            if number > 0 {
                at += text[at..].iter().take_while(|byte| !is_token_byte(**byte)).count();
            }
            let end = at + word.len();
            if !text.get(at..end).is_some_and(|have| have.eq_ignore_ascii_case(word.as_bytes())) {
                return false;
            }
            let goes_on = text.get(end).is_some_and(|byte| is_token_byte(*byte));
            if goes_on && !(self.prefix && number + 1 == self.words.len()) {
                return false;
            }
            at = end;
        }
        true
    }
}

/// Higher for bytes that are seldom in log texts.
fn rarity(byte: u8) -> u8 {
    const BY_FREQUENCY: &[u8] = b"etaoinsrdlc01u2mp3fh45g6978bvywk_xjqz";
    BY_FREQUENCY.iter().position(|have| *have == byte).map_or(u8::MAX, |at| at as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(phrase: &str, prefix: bool, text: &str) -> bool {
        Phrase::new(phrase, prefix).expect("has a word").is_in(text)
    }

    #[test]
    fn words_stand_whole_and_in_a_row() {
        let text = "Connection refused: db_1 (10.0.0.7:5432), retrying connection";
        for phrase in ["connection", "CONNECTION REFUSED", "refused db_1", "10.0.0.7", "7 5432 retrying", "Connection"]
        {
            assert!(found(phrase, false, text), "{phrase}");
        }
        for phrase in ["connect", "refused connection", "db", "1", "retrying connection refused", "10 0 0 70"] {
            assert!(!found(phrase, false, text), "{phrase}");
        }
        for phrase in ["conn", "connection ref", "d", "10.0.0"] {
            assert!(found(phrase, true, text), "{phrase}*");
        }
        assert!(!found("refused con", true, text));
    }

    #[test]
    fn values_match_by_what_they_are() {
        let phrase = |text| Phrase::new(text, false).expect("has a word");
        assert!(phrase("500").matches_value(ValueRef::Int(500)));
        assert!(phrase("500").matches_value(ValueRef::Float(500.0)));
        assert!(phrase("12.50").matches_value(ValueRef::Float(12.5)));
        assert!(!phrase("12").matches_value(ValueRef::Float(12.5)));
        assert!(phrase("500").matches_value(ValueRef::Text("HTTP 500")));
        assert!(phrase("TRUE").matches_value(ValueRef::Bool(true)));
        assert!(!phrase("null").matches_value(ValueRef::Null));
        assert!(Phrase::new("5", true).expect("has a word").matches_value(ValueRef::Int(503)));
        assert!(!Phrase::new("5", true).expect("has a word").matches_value(ValueRef::Int(45)));
    }

    proptest! {
        /// The quick way for ASCII agrees with the tokens one by one.
        #[test]
        fn the_quick_way_agrees(phrase in "[aAbB_ .]{1,8}", text in "[aAbB_ .]{0,24}", prefix in any::<bool>()) {
            if let Some(phrase) = Phrase::new(&phrase, prefix) {
                prop_assert_eq!(phrase.is_in(&text), phrase.is_in_any(&text));
            }
        }
    }
}
