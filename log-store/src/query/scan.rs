//! The marks of a query's text: words, phrases in quotes, expressions between slashes.

use super::ast::Span;
use super::error::QueryError;

/// Reads a query's text from left to right.
pub(super) struct Scanner<'a> {
    text: &'a str,
    /// Where the next mark begins, in bytes.
    pub at: usize,
}

/// A word or a phrase as it stands in the text.
#[derive(Clone, Debug)]
pub(super) struct Scanned {
    /// Without quotes and escapes.
    pub text: String,
    /// A `*` stands right after it.
    pub star: bool,
    /// Where it stands, quotes and star included.
    pub span: Span,
}

/// What a bare word turned out to be.
pub(super) enum Word {
    /// Just a word.
    Plain(Scanned),
    /// A name, with the colon that follows it.
    Name(Scanned),
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0 }
    }

    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn before(&self) -> &'a str {
        &self.text[..self.at]
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes `mark` if it stands here.
    pub fn take(&mut self, mark: &str) -> bool {
        let there = self.rest().starts_with(mark);
        if there {
            self.at += mark.len();
        }
        there
    }

    /// Whether the operator `name` stands here, as a word of its own.
    pub fn is_operator(&self, name: &str) -> bool {
        let after = self.rest().strip_prefix(name).map(|rest| rest.chars().next());
        after.is_some_and(|next| next.is_none_or(ends_word))
    }

    pub fn error(&self, offset: usize, message: impl Into<String>, hint: &str) -> QueryError {
        QueryError::at(self.text, offset, message, (!hint.is_empty()).then(|| hint.to_owned()))
    }

    /// The text of a stretch, cut to a length that fits a message.
    pub fn excerpt(&self, span: Span) -> String {
        let text = self.text.get(span.start..span.end).unwrap_or_default();
        let cut: String = text.chars().take(60).collect();
        if cut.len() < text.len() { format!("{cut}…") } else { cut }
    }

    /// A bare word: up to a blank, a bracket or a quote. With `names`, a colon may end it, if the word begins with a
    /// letter (not `12:30`, `10.0.0.1:80`) and the colon does not belong to `::` or `://`.
    pub fn word(&mut self, names: bool) -> Result<Word, QueryError> {
        let start = self.at;
        let mut text = String::new();
        let mut may_be_name = names && self.peek().is_some_and(begins_name);
        let mut star_at = None;
        while let Some(character) = self.peek() {
            if ends_word(character) {
                break;
            }
            if let Some(at) = star_at {
                return Err(self.error(
                    at,
                    "`*` stands only at the end of a word",
                    "write /regex/ for anything else, or \\* for a star that is meant",
                ));
            }
            let here = self.at;
            self.at += character.len_utf8();
            match character {
                '\\' => match self.peek() {
                    Some(next) if !next.is_alphanumeric() => {
                        self.at += next.len_utf8();
                        text.push(next);
                    }
                    _ => text.push('\\'),
                },
                ':' if may_be_name && !self.rest().starts_with(':') && !self.rest().starts_with("//") => {
                    return Ok(Word::Name(Scanned { text, star: false, span: Span { start, end: here } }));
                }
                ':' => {
                    may_be_name = false;
                    text.push(':');
                }
                '*' => star_at = Some(here),
                other => text.push(other),
            }
        }
        Ok(Word::Plain(Scanned { text, star: star_at.is_some(), span: Span { start, end: self.at } }))
    }

    /// A phrase, from its opening quote on, with the star after it. `\"` and `\\` are a quote and a backslash.
    pub fn quoted(&mut self) -> Result<Scanned, QueryError> {
        let start = self.at;
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((_, character)) = characters.next() {
            match character {
                '"' => {
                    self.at = characters.next().map_or(self.text.len(), |(at, _)| start + at);
                    let star = self.take("*");
                    return Ok(Scanned { text, star, span: Span { start, end: self.at } });
                }
                '\\' => match characters.next() {
                    Some((_, next @ ('"' | '\\'))) => text.push(next),
                    Some((_, next)) => text.extend(['\\', next]),
                    None => break,
                },
                other => text.push(other),
            }
        }
        Err(self.error(
            start,
            "this quote is never closed",
            "end the phrase with `\"`; write \\\" for a quote inside it",
        ))
    }

    /// What stands between two slashes, from the first on; escapes are left as they are.
    pub fn between_slashes(&mut self) -> Result<Scanned, QueryError> {
        let start = self.at;
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => {
                    characters.next();
                }
                '/' => {
                    self.at = start + at + 1;
                    let text = self.text[start + 1..start + at].to_owned();
                    return Ok(Scanned { text, star: false, span: Span { start, end: self.at } });
                }
                _ => {}
            }
        }
        Err(self.error(
            start,
            "this regular expression is never closed",
            "write /expression/; to search for a path put it in quotes: \"/api/users\"",
        ))
    }

    /// Checks that a blank, a closing bracket or the end follows.
    pub fn end_of_clause(&self, what: &str, hint: &str) -> Result<(), QueryError> {
        match self.peek() {
            None | Some(')') => Ok(()),
            Some(next) if next.is_whitespace() => Ok(()),
            Some(next) => Err(self.error(self.at, format!("expected a blank between {what} and `{next}`"), hint)),
        }
    }
}

/// Whether a character ends a bare word.
pub(super) fn ends_word(character: char) -> bool {
    character.is_whitespace() || matches!(character, '(' | ')' | '"')
}

/// Whether a name of a field can begin with this, outside `fields.`.
pub(super) fn begins_name(character: char) -> bool {
    character.is_alphabetic() || matches!(character, '_' | '@' | '\\')
}
