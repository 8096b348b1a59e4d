//! logfmt: `level=info msg="request served" duration_ms=12`.

use super::ParseError;
use crate::draft::{Draft, Members};
use crate::json::Node;

const FORMAT: &str = "logfmt";

/// Parses a line in which a word without `=` is a name whose value is true. At least one pair must be there.
pub fn parse(line: &str, draft: &mut Draft) -> Result<(), ParseError> {
    pairs(line, draft, false)
}

/// Parses a line that starts with a pair, has at least two of them, and no more bare names than pairs: what is taken for
/// logfmt unasked.
pub fn parse_strictly(line: &str, draft: &mut Draft) -> Result<(), ParseError> {
    pairs(line, draft, true)
}

fn pairs(line: &str, draft: &mut Draft, strictly: bool) -> Result<(), ParseError> {
    let fail = |what, rest: &str| Err(ParseError::before(FORMAT, what, line, rest));
    let mut members = draft.begin(line);
    let mut rest = line.trim();
    let mut count = 0;
    let mut bare = 0;
    let mut has_message = false;
    while !rest.is_empty() {
        let length = rest.bytes().position(|byte| byte == b'=' || byte == b' ' || byte == b'\t').unwrap_or(rest.len());
        let (name, after) = rest.split_at(length);
        if !is_name(name) {
            return fail("expected a name", rest);
        }
        has_message |= name.eq_ignore_ascii_case("msg") || name.eq_ignore_ascii_case("message");
        members.name_in_line(name);
        rest = match after.strip_prefix('=') {
            None if strictly && count == 0 => return fail("expected `=`", after),
            None => {
                bare += 1;
                members.tape.push(Node::Bool(true));
                after
            }
            Some(value) => {
                count += 1;
                match put_value(&mut members, name, value) {
                    Some(rest) => rest,
                    None => return fail("expected a closing `\"`", ""),
                }
            }
        };
        if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
            return fail("expected a blank after the value", rest);
        }
        rest = rest.trim_start();
    }
    if count < if strictly { 2 } else { 1 } {
        return fail("expected `name=value` pairs", "");
    }
    if strictly && bare > count {
        return fail("expected fewer names without values", "");
    }
    if !has_message {
        members.text("message", line);
    }
    members.end();
    Ok(())
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '@'))
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '@' | '.' | '-' | '/' | ':'))
}

/// Puts the value at the start of `text`; gives the rest. `None` if its quote is not closed.
fn put_value<'a>(members: &mut Members<'_>, name: &str, text: &'a str) -> Option<&'a str> {
    let Some(inner) = text.strip_prefix('"') else {
        let length = text.bytes().position(|byte| byte == b' ' || byte == b'\t').unwrap_or(text.len());
        let (value, rest) = text.split_at(length);
        members.plain_value(name, value);
        return Some(rest);
    };
    let mut escaped = false;
    let mut escapes = false;
    let end = inner.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        escapes |= escaped;
        ends
    })?;
    let (value, rest) = (inner.get(..end)?, inner.get(end + 1..)?);
    let span = if escapes { members.tape.own(&unescape(value)) } else { members.span(value) };
    members.tape.push(Node::Text(span));
    Some(rest)
}

/// Go's and JSON's simple escapes; others stay as they are.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some(same @ ('"' | '\\')) => out.push(same),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}
