//! Numbers, strings, durations and matchers, which both languages share.

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::time::parse_duration_ms;
use watchfire_model::{MatchOp, Matcher, MatcherBudget};

use super::{Pair, Rule, meaning, span};
use crate::ast::{Span, StringLiteral};
use crate::error::{ParseError, ParseErrorKind};

/// The value of a `number`: decimal, `0x` hexadecimal, octal with a leading 0 (as Prometheus reads
/// it), `Inf`, `NaN`; underscores between digits are skipped.
pub(super) fn number(text: &str, pair: &Pair<'_>) -> Result<f64, ParseError> {
    let digits: String = pair.as_str().chars().filter(|c| *c != '_').collect::<String>().to_ascii_lowercase();
    let value = if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok().map(|value| value as f64)
    } else if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7')) {
        i64::from_str_radix(&digits, 8).ok().map(|value| value as f64)
    } else {
        // Infinity is written as a word; digits that come to it are out of range, as Prometheus has it.
        let is_word = digits.starts_with('i');
        digits.parse().ok().filter(|value: &f64| is_word || !value.is_infinite())
    };
    value.ok_or_else(|| meaning(text, pair, format!("`{}` is no number, or out of range", pair.as_str())))
}

/// The milliseconds of a `duration`.
pub(super) fn duration_ms(text: &str, pair: &Pair<'_>) -> Result<i64, ParseError> {
    parse_duration_ms(pair.as_str()).ok_or_else(|| meaning(text, pair, "the duration is out of range"))
}

/// The milliseconds of a `duration` that must be positive.
pub(super) fn positive_duration_ms(text: &str, pair: &Pair<'_>) -> Result<i64, ParseError> {
    let millis = duration_ms(text, pair)?;
    if millis <= 0 {
        return Err(meaning(text, pair, "the duration must be greater than 0"));
    }
    Ok(millis)
}

/// A `string`: escapes of Go in `"` and `'`, none in backticks. Bytes given by `\x` and octals need not be UTF-8, those that
/// stand in the text must.
pub(super) fn text(text: &str, pair: &Pair<'_>, span: Span) -> Result<StringLiteral, ParseError> {
    let quoted = pair.as_str();
    let inner = &quoted[1..quoted.len() - 1];
    let wrong = |at: usize, message: &str| {
        ParseError::at(ParseErrorKind::Meaning, text, pair.as_span().start() + 1 + at, message)
    };
    // Bytes of a form that are no UTF-8 came to this character; Prometheus does not tell the two apart either.
    if let Some(at) = inner.find(char::REPLACEMENT_CHARACTER) {
        return Err(
            wrong(at, "the string has a character that is no UTF-8").with_hint("write `\\ufffd` if it is meant")
        );
    }
    if quoted.starts_with('`') {
        return Ok(StringLiteral { value: inner.to_owned(), bytes: None, span });
    }
    let bytes = unescape(inner, quoted.starts_with('"')).map_err(|at| {
        wrong(at, "the string has an unknown escape").with_hint(
            "write a backslash as `\\\\`, or put the string in backticks; of quotes only the string's own is escaped",
        )
    })?;
    Ok(match String::from_utf8(bytes) {
        Ok(value) => StringLiteral { value, bytes: None, span },
        Err(error) => {
            let bytes = error.into_bytes();
            StringLiteral { value: replaced(&bytes), bytes: Some(bytes.into()), span }
        }
    })
}

/// The same for conditions: nothing that is stored has bytes that are no UTF-8.
pub(super) fn string(whole: &str, pair: &Pair<'_>) -> Result<String, ParseError> {
    Ok(text(whole, pair, span(pair))?.value)
}

/// Characters as Go reads them: one for each byte that belongs to none.
fn replaced(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    out
}

/// Resolves the escapes of a string in double or single quotes; the error is the place of the first bad one.
fn unescape(inner: &str, is_double: bool) -> Result<Vec<u8>, usize> {
    let mut out: Vec<u8> = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        let place = inner.len() - rest.len() + at;
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let code = escape.chars().next().ok_or(place)?;
        let mut used = 1;
        match code {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(11),
            '\\' => out.push(b'\\'),
            '"' if is_double => out.push(b'"'),
            '\'' if !is_double => out.push(b'\''),
            'x' => {
                out.push(u8::try_from(radix(escape, 1, 2, 16).ok_or(place)?).map_err(|_| place)?);
                used = 3;
            }
            '0'..='7' => {
                out.push(u8::try_from(radix(escape, 0, 3, 8).ok_or(place)?).map_err(|_| place)?);
                used = 3;
            }
            'u' | 'U' => {
                let digits = if code == 'u' { 4 } else { 8 };
                let character = radix(escape, 1, digits, 16).and_then(char::from_u32).ok_or(place)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                used = 1 + digits;
            }
            _ => return Err(place),
        }
        rest = &escape[used..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

fn radix(text: &str, from: usize, count: usize, radix: u32) -> Option<u32> {
    let digits = text.get(from..from + count)?;
    // `from_str_radix` would take a sign.
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, radix).ok())?
}

/// The name of a `label`, bare or quoted.
pub(super) fn label(text: &str, pair: &Pair<'_>) -> Result<String, ParseError> {
    let inner = pair.clone().into_inner().next().expect("a label is a string or a name");
    let name = match inner.as_rule() {
        Rule::string => {
            let name = self::text(text, &inner, span(&inner))?;
            if name.bytes.is_some() {
                return Err(meaning(text, &inner, "a label has a name that is no UTF-8"));
            }
            name.value
        }
        _ => inner.as_str().to_owned(),
    };
    if name.is_empty() {
        return Err(meaning(text, &inner, "a label has an empty name"));
    }
    Ok(name)
}

/// The comparison of a `match_op`.
pub(super) fn match_op(pair: &Pair<'_>) -> MatchOp {
    match pair.as_str() {
        "=" => MatchOp::Equal,
        "!=" => MatchOp::NotEqual,
        "=~" => MatchOp::Regex,
        _ => MatchOp::NotRegex,
    }
}

/// A matcher; a regular expression that does not compile is an error at `value`, and so is one matcher too many.
pub(super) fn matcher(
    text: &str,
    budget: &mut MatcherBudget,
    name: String,
    op: MatchOp,
    value: &Pair<'_>,
) -> Result<Matcher, ParseError> {
    let pattern = match value.as_rule() {
        Rule::string => string(text, value)?,
        _ => value.as_str().to_owned(),
    };
    budget.matcher(name, op, pattern).map_err(|error| meaning(text, value, error.to_string()))
}

/// The matcher of a metric name.
pub(super) fn name_matcher(name: &str) -> Matcher {
    Matcher::equal(METRIC_NAME, name)
}

#[cfg(test)]
mod tests {
    use super::{replaced, unescape};

    #[test]
    fn escapes_are_those_of_go() {
        let escaped = r#"a\n\t\\\"'\x41\101\u00e9\U0001F600"#;
        assert_eq!(unescape(escaped, true).as_deref(), Ok("a\n\t\\\"'AAé😀".as_bytes()));
        assert_eq!(unescape(r"\'", false).as_deref(), Ok(&b"'"[..]));
        assert_eq!(unescape(r"\xc3\xa9\xff", true).as_deref(), Ok(&b"\xc3\xa9\xff"[..]));
        assert_eq!(replaced(b"\xc3\xa9\xe2\x82a\xff"), "é\u{fffd}\u{fffd}a\u{fffd}");
        for (bad, at) in [(r"ab\q", 2), (r"\", 0), (r"\x4", 0), (r"\u12", 0), (r"\ud800", 0), (r"\777", 0), (r"\é", 0)]
        {
            assert_eq!(unescape(bad, true), Err(at), "{bad}");
        }
        assert_eq!((unescape(r"a\'", true), unescape(r#"a\""#, false)), (Err(1), Err(1)));
    }
}
