//! Regular expressions of queries.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use regex::{Regex, RegexBuilder};
use regex_automata::hybrid::dfa::{Cache, DFA};

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
    automaton: Arc<Automaton>,
}

/// An automaton that can be followed byte by byte, made at first use.
#[derive(Default)]
struct Automaton {
    /// `None` inside if the expression is too large for it.
    dfa: OnceLock<Option<DFA>>,
    /// What was worked out so far, by those who do not use it now.
    caches: Mutex<Vec<Cache>>,
}

impl std::fmt::Debug for Automaton {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Automaton").finish_non_exhaustive()
    }
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
        Ok(Pattern { source: source.into(), regex, automaton: Arc::default() })
    }

    /// The expression as text, slashes not escaped.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The compiled expression.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }

    /// Lends an automaton of the expression, and its memory; none if the expression is too large. The automaton
    /// gives up, with an error, rather than forget a state that it has named.
    pub(crate) fn with_automaton<T>(&self, work: impl FnOnce(Option<(&DFA, &mut Cache)>) -> T) -> T {
        let config = DFA::config()
            .cache_capacity(CACHE_BYTES_MAX)
            .unicode_word_boundary(true)
            .minimum_cache_clear_count(Some(0));
        let dfa = self.automaton.dfa.get_or_init(|| DFA::builder().configure(config).build(&self.source).ok());
        let Some(dfa) = dfa else { return work(None) };
        let mut cache = self.automaton.caches.lock().pop().unwrap_or_else(|| dfa.create_cache());
        let result = work(Some((dfa, &mut cache)));
        // A full one would be of no use any more.
        if cache.memory_usage() < CACHE_BYTES_MAX / 2 {
            self.automaton.caches.lock().push(cache);
        }
        result
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
