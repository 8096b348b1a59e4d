//! Syslog as RFC 5424 writes it: `<34>1 2003-10-11T22:14:15.003Z host app procid msgid [id name="value"] message`.

use std::borrow::Cow;

use watchfire_model::Timestamp;

use super::ParseError;
use super::syslog_header::{read_priority, trim_end};
use crate::draft::{Draft, Members};
use crate::json::Node;

const FORMAT: &str = "syslog_rfc5424";
/// Parameters of one element that are looked at for repeated names.
const REPEATS_MAX: usize = 64;

/// Parses a line; an absent message is replaced by the structured data, else by the whole line.
pub fn parse(line: &str, draft: &mut Draft) -> Result<(), ParseError> {
    let whole = trim_end(line);
    let fail = |what, rest: &str| Err(ParseError::before(FORMAT, what, whole, rest));
    let Some((priority, rest)) = read_priority(whole) else {
        return fail("expected a priority, `<0>` to `<191>`", whole);
    };
    let Some(rest) = rest.strip_prefix("1 ") else { return fail("expected version `1` and a blank", rest) };
    let from_time = rest;
    let Some((timestamp, rest)) = rest.split_once(' ') else { return fail("expected a timestamp", rest) };
    let parsed_time = Timestamp::parse_date_time(timestamp);
    if timestamp != "-" && (parsed_time.is_none() || !timestamp.contains(['T', 't'])) {
        return fail("expected an RFC 3339 timestamp or `-`", from_time);
    }
    let mut rest = rest;
    let mut header = [""; 4];
    for (value, what) in header.iter_mut().zip(["hostname", "app name", "process id", "message id"]) {
        let Some((word, after)) = rest.split_once(' ') else {
            return Err(ParseError {
                format: FORMAT.into(),
                what: Cow::Owned(format!("expected {what} and a blank (`-` for none)")),
                at: whole.len(),
            });
        };
        if word.is_empty() {
            return fail("expected a word (`-` for none)", rest);
        }
        *value = word;
        rest = after;
    }
    let [host, app, process, message_id] = header;

    let mut members = draft.begin(line);
    let data_from = rest;
    let mut rest = structured_data(whole, rest, &mut members)?;
    let data = data_from.get(..data_from.len() - rest.len()).unwrap_or_default();
    if let Some(message) = rest.strip_prefix(' ') {
        rest = message;
    } else if !rest.is_empty() {
        return fail("expected a blank before the message", rest);
    }
    let message = rest.strip_prefix('\u{feff}').unwrap_or(rest);
    let message = match (message, data) {
        ("", "-") => whole,
        ("", data) => data,
        (message, _) => message,
    };
    members.text("message", message);
    *members.timestamp = parsed_time;
    members.text_unless_dash("host", host);
    members.text_unless_dash("service", app);
    if process != "-" {
        members.plain("procid", process);
    }
    members.text_unless_dash("msgid", message_id);
    priority.put(&mut members);
    members.end();
    Ok(())
}

/// Parameters that make the correlation id, as members of these names do elsewhere; the first in this list wins.
const CORRELATION_NAMES: [&str; 4] = ["correlation_id", "trace_id", "traceId", "request_id"];

/// `-` or elements `[id name="value" …]`; gives the rest.
fn structured_data<'a>(whole: &str, text: &'a str, members: &mut Members<'_>) -> Result<&'a str, ParseError> {
    let fail = |what, rest: &str| Err(ParseError::before(FORMAT, what, whole, rest));
    if let Some(rest) = text.strip_prefix('-') {
        return Ok(rest);
    }
    if !text.starts_with('[') {
        return fail("expected structured data, `[` or `-`", text);
    }
    let mut traced: Option<(usize, Cow<'_, str>)> = None;
    members.name("structured_data");
    let mut elements = members.tape.begin_object();
    let mut rest = text;
    while let Some(element) = rest.strip_prefix('[') {
        let (id, mut after) = split_name(element);
        if id.is_empty() {
            return fail("expected the id of an element", element);
        }
        members.tape.own_key(&mut elements, id);
        let mut parameters: Vec<(&str, Cow<'_, str>)> = Vec::new();
        loop {
            after = after.trim_start_matches(' ');
            if let Some(end) = after.strip_prefix(']') {
                rest = end;
                break;
            }
            let (name, value) = split_name(after);
            let Some(value) = value.strip_prefix("=\"") else { return fail("expected `name=\"value\"` or `]`", after) };
            if name.is_empty() {
                return fail("expected a parameter's name", after);
            }
            let Some((value, end)) = quoted(value) else { return fail("expected a closing `\"`", "") };
            parameters.push((name, value));
            after = end;
        }
        put_parameters(members, &parameters);
        for (name, value) in parameters {
            let rank = CORRELATION_NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
            if let Some(rank) = rank.filter(|rank| traced.as_ref().is_none_or(|(have, _)| rank < have)) {
                traced = Some((rank, value));
            }
        }
    }
    members.tape.end_object(elements, "");
    if let Some((_, value)) = traced {
        members.name("correlation_id");
        let span = members.tape.own(&value);
        members.tape.push(Node::Text(span));
    }
    Ok(rest)
}

/// The parameters of an element as an object; a name that stands several times gets a list.
fn put_parameters(members: &mut Members<'_>, parameters: &[(&str, Cow<'_, str>)]) {
    let mut object = members.tape.begin_object();
    let look = parameters.len() <= REPEATS_MAX;
    for (at, (name, _)) in parameters.iter().enumerate() {
        let named_so = |other: &&(&str, Cow<'_, str>)| other.0 == *name;
        if look && parameters.iter().take(at).any(|other| named_so(&other)) {
            continue;
        }
        members.tape.own_key(&mut object, name);
        let repeats = look && parameters.iter().skip(at + 1).any(|other| named_so(&other));
        let list = repeats.then(|| members.tape.begin_array());
        let values = parameters.iter().skip(at).filter(named_so).take(if repeats { REPEATS_MAX } else { 1 });
        for (_, value) in values {
            let span = members.tape.own(value);
            members.tape.push(Node::Text(span));
        }
        if let Some(list) = list {
            members.tape.end_array(list);
        }
    }
    members.tape.end_object(object, "");
}

/// An SD-NAME and what follows it.
fn split_name(text: &str) -> (&str, &str) {
    let length = text.bytes().position(|byte| matches!(byte, b' ' | b'=' | b']' | b'"')).unwrap_or(text.len());
    text.split_at(length)
}

/// A value up to its closing quote; `\"`, `\\` and `\]` are escapes, another backslash is itself.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = {
        let mut escaped = false;
        text.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?
    };
    let (value, rest) = text.split_at(end);
    let rest = rest.get(1..)?;
    if !value.contains('\\') {
        return Some((Cow::Borrowed(value), rest));
    }
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\\'
            && let Some(escaped) = characters.next_if(|next| matches!(next, '"' | '\\' | ']'))
        {
            plain.push(escaped);
        } else {
            plain.push(character);
        }
    }
    Some((Cow::Owned(plain), rest))
}
