//! nginx' error log: `2024/01/01 12:00:00 [error] 1234#5678: *90 message, client: 192.0.2.1, server: x, request: "GET / HTTP/1.1"`.

use watchfire_model::{Level, Timestamp};

use super::ParseError;
use crate::draft::{Draft, Members};

const FORMAT: &str = "nginx_error";

/// What nginx appends to its messages, and our names for it.
const CONTEXT: [(&str, &str); 7] = [
    ("client", "client_ip"),
    ("server", "server"),
    ("request", "request"),
    ("subrequest", "subrequest"),
    ("upstream", "upstream"),
    ("host", "http_host"),
    ("referrer", "referer"),
];

/// Parses a line; the message is what nginx said, without what it appended.
pub fn parse(line: &str, draft: &mut Draft) -> Result<(), ParseError> {
    let fail = |what, rest: &str| Err(ParseError::before(FORMAT, what, line, rest));
    let Some((time, rest)) = line.split_once(" [") else { return fail("expected ` [level]` after the time", "") };
    let timestamp = Some(time)
        .filter(|time| time.len() == 19 && time.as_bytes().get(4) == Some(&b'/'))
        .and_then(Timestamp::parse_date_time);
    let Some(timestamp) = timestamp else { return fail("expected a time, `2024/01/01 12:00:00`", line) };
    let Some((level_text, after)) = rest.split_once("] ") else { return fail("expected `]` after the level", rest) };
    let Some(level) = Level::parse(level_text) else { return fail("expected a level", rest) };
    let rest = after;
    let Some((ids, message)) = rest.split_once(": ") else { return fail("expected `process#thread: `", rest) };
    let Some((process, thread)) = ids.split_once('#') else { return fail("expected `process#thread: `", rest) };
    if ![process, thread].iter().all(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())) {
        return fail("expected `process#thread: `", rest);
    }

    let mut members = draft.begin(line);
    *members.timestamp = Some(timestamp);
    *members.level = Some(level);
    members.plain("pid", process);
    members.plain("tid", thread);
    let message = match message.strip_prefix('*').and_then(|rest| rest.split_once(' ')) {
        Some((connection, message)) if connection.bytes().all(|byte| byte.is_ascii_digit()) => {
            members.plain("connection", connection);
            message
        }
        _ => message,
    };
    let message = put_context(&mut members, message);
    members.text("message", if message.is_empty() { line } else { message });
    members.end();
    Ok(())
}

/// Puts the `, name: value` parts that nginx appends, the client first; gives what stands before them.
fn put_context<'a>(members: &mut Members<'_>, text: &'a str) -> &'a str {
    let Some(from) = text.find(", client: ") else { return text };
    let (message, mut rest) = text.split_at(from);
    while let Some((name, value)) = rest.strip_prefix(", ").and_then(|part| part.split_once(": ")) {
        let Some((_, ours)) = CONTEXT.iter().find(|(theirs, _)| *theirs == name) else { break };
        // A quoted value may hold commas; it ends at the quote before the next part or the end.
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => match quoted.find("\", ").or_else(|| quoted.strip_suffix('"').map(str::len)) {
                Some(end) => (quoted.get(..end).unwrap_or_default(), quoted.get(end + 1..).unwrap_or_default()),
                None => break,
            },
            None => value.split_at(value.find(", ").unwrap_or(value.len())),
        };
        members.text(ours, value);
        rest = after;
    }
    if !rest.is_empty() {
        members.text("extra", rest);
    }
    message
}
