//! What is found out about a text before the grammar sees it: which language it is in, whether its
//! strings end, and whether its brackets nest too deeply for a recursive parser.

use super::BRACKETS_MAX;
use crate::error::{ParseError, ParseErrorKind};

/// Words that open a short query, beside `pNN`.
pub(super) const SHORT_WORDS: [&str; 6] = ["sum", "avg", "min", "max", "count", "rate"];

/// Whether a text is in the short form: its first word is one of the short form's functions and the
/// next is a metric name, bare or quoted (and not `by` or `without`). API.md, 4.
pub(super) fn is_short_form(text: &str) -> bool {
    let text = skip_blanks(text);
    let word_end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(text.len());
    let (word, rest) = text.split_at(word_end);
    let next = skip_blanks(rest);
    if !is_short_word(word) || next.len() == rest.len() {
        return false;
    }
    let name_end = next.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(next.len());
    let name = &next[..name_end];
    if name.is_empty() {
        return next.starts_with(['"', '\'', '`']);
    }
    let opens_a_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':');
    opens_a_name && !name.eq_ignore_ascii_case("by") && !name.eq_ignore_ascii_case("without")
}

/// Whether a word is a function of the short form.
pub(crate) fn is_short_word(word: &str) -> bool {
    if SHORT_WORDS.iter().any(|have| have.eq_ignore_ascii_case(word)) {
        return true;
    }
    let Some(number) = word.strip_prefix(['p', 'P']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match number.split_once('.') {
        Some((whole, decimals)) => digits(whole) && digits(decimals),
        None => digits(number),
    }
}

/// The text after blanks and comments.
fn skip_blanks(text: &str) -> &str {
    let mut text = text;
    loop {
        text = text.trim_start_matches([' ', '\t', '\r', '\n']);
        match text.strip_prefix('#') {
            Some(comment) => text = comment.find('\n').map_or("", |at| &comment[at..]),
            None => return text,
        }
    }
}

/// Refuses strings without an end and brackets that nest deeper than [`BRACKETS_MAX`].
pub(super) fn check(text: &str) -> Result<(), ParseError> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'(' | b'[' | b'{' => {
                depth += 1;
                if depth > BRACKETS_MAX {
                    let message = format!("brackets are nested more than {BRACKETS_MAX} deep");
                    return Err(ParseError::at(ParseErrorKind::Limit, text, at, message)
                        .with_hint("split the query into recording rules"));
                }
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'#' => at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at),
            b'"' | b'\'' | b'`' => match string_end(&bytes[at..]) {
                Some(length) => at += length - 1,
                None => {
                    let message = format!("the string has no closing `{}`", char::from(*byte));
                    return Err(ParseError::at(ParseErrorKind::Syntax, text, at, message));
                }
            },
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Where the word begins that comes after so many; a string is one, and so is each sign.
pub(super) fn word_beyond(text: &str, most: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'.');
    let (mut at, mut words) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let length = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            b'#' => {
                at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                continue;
            }
            b'"' | b'\'' | b'`' => string_end(rest).unwrap_or(rest.len()),
            _ => rest.iter().take_while(|byte| is_of_name(byte)).count().max(1),
        };
        words += 1;
        if words > most {
            return Some(at);
        }
        at += length;
    }
    None
}

/// Length of the string that opens these bytes, quotes included.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let quote = *bytes.first()?;
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            byte if byte == quote => return Some(at + 1),
            b'\\' if quote != b'`' => at += 1,
            b'\n' if quote != b'`' => return None,
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_language() {
        for text in [
            "rate error_count service=api",
            "sum log_events_total over 5m by service",
            "p99.9 latency",
            " # a comment\n count x",
            "sum \"my.metric\"",
            "max and",
            "p95 x{a=\"b\"}",
            "SUM x",
        ] {
            assert!(is_short_form(text), "{text}");
        }
        for text in [
            "",
            "sum",
            "p95",
            "sum(x)",
            "sum (x)",
            "sum by (a) (x)",
            "sum BY (a) (x)",
            "sum without(a)(x)",
            "rate(x[5m])",
            "p x",
            "p95. x",
            "sum + x",
            "sum 5",
            "topk(5, x)",
            "up",
            "summary x",
            "sum{a=\"b\"}",
        ] {
            assert!(!is_short_form(text), "{text}");
        }
    }

    #[test]
    fn words_are_names_numbers_strings_and_signs() {
        for (text, words) in [
            ("", 0),
            (" # a b c\n ", 0),
            ("up", 1),
            ("a:b_c{d=\"e f g\",h!~'i'}", 11),
            ("1.5e3 + é", 4),
            ("`a\nb` \"open", 2),
        ] {
            assert_eq!(word_beyond(text, words), None, "{text}");
            assert!(words == 0 || word_beyond(text, words - 1).is_some(), "{text}");
        }
        assert_eq!(word_beyond("a + 'b'", 2), Some(4));
    }

    #[test]
    fn nesting_ignores_strings_and_comments() {
        assert!(check(&"(".repeat(BRACKETS_MAX)).is_ok());
        assert!(check(&"([{".repeat(10_000)).is_err());
        assert!(check(&format!("{{a=\"{}\"}} # {}", "(".repeat(1000), "(".repeat(1000))).is_ok());
        assert!(check("{a=\"b").is_err_and(|error| error.offset == 3));
        assert!(check(r#"{a="\"", b='\'', c=`\`}"#).is_ok());
        assert!(check("\"a\nb\"").is_err());
    }
}
