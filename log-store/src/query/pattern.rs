//! Regular expressions of queries.

use regex::{Regex, RegexBuilder};

/// Largest compiled expression, bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Largest cache of one running expression, bytes.
const CACHE_BYTES_MAX: usize = 2 << 20;
/// Deepest nesting inside an expression.
const NESTING_MAX: u32 = 100;

/// A regular expression: RE2 syntax, case-sensitive unless `(?i)` says otherwise, found anywhere in a text.
/// Its time is linear in the text. Classes such as `\w`, `\d` and `\b` know Unicode.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: Box<str>,
    regex: Regex,
}

impl Pattern {
    /// Compiles an expression; the error says what is wrong with it, in one line.
    pub fn new(source: &str) -> Result<Pattern, String> {
        let source = unescape_slashes(source);
        let regex = RegexBuilder::new(&source)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(CACHE_BYTES_MAX)
            .nest_limit(NESTING_MAX)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(limit) => format!("compiled it is larger than {limit} bytes"),
                // The message's last line says what; the lines before draw where.
                error => {
                    let text = error.to_string();
                    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("unreadable").trim();
                    last.strip_prefix("error: ").unwrap_or(last).to_owned()
                }
            })?;
        Ok(Pattern { source: source.into(), regex })
    }

    /// The expression as text, slashes not escaped.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The compiled expression.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }

    /// Whether it is found somewhere in a text.
    pub fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// `\/` means `/`: only the delimiters of a query need it.
fn unescape_slashes(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut characters = source.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            match characters.next() {
                Some('/') => out.push('/'),
                Some(next) => out.extend(['\\', next]),
                None => out.push('\\'),
            }
        } else {
            out.push(character);
        }
    }
    out
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.source == other.source
    }
}

/// Between slashes, as a query has it.
impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write;
        f.write_char('/')?;
        let mut characters = self.source.chars();
        while let Some(character) = characters.next() {
            match character {
                '/' => f.write_str("\\/")?,
                '\\' => {
                    f.write_char('\\')?;
                    if let Some(next) = characters.next() {
                        f.write_char(next)?;
                    }
                }
                other => f.write_char(other)?,
            }
        }
        f.write_char('/')
    }
}
