//! BSD syslog (RFC 3164) and its relatives: `<34>Oct 11 22:14:15 host tag[42]: message`.
//!
//! Also without the priority, as files have it, and with an RFC 3339 time, as rsyslog sends and writes it. With a
//! priority everything is taken: what cannot be recognised stays in the message.

use watchfire_model::{Level, Timestamp};

use super::ParseError;
use super::syslog_header::{read_priority, trim_end};
use crate::draft::Draft;
use crate::timestamp::read_bsd;

const FORMAT: &str = "syslog_rfc3164";
/// Longest tag; RFC 3164 says 32, programs do not listen.
const TAG_MAX: usize = 64;

/// Whether a line without a priority may be one: a month or a date in front.
pub fn may_start(line: &str) -> bool {
    match line.as_bytes() {
        [a, b, c, b' ', ..] => a.is_ascii_uppercase() && b.is_ascii_lowercase() && c.is_ascii_lowercase(),
        [a, b, c, d, b'-', ..] => [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()),
        _ => false,
    }
}

/// Parses a line. Without a priority, time, host and a tag with its colon must be there.
pub fn parse(line: &str, now: Timestamp, draft: &mut Draft) -> Result<(), ParseError> {
    let whole = trim_end(line);
    let fail = |what, rest: &str| Err(ParseError::before(FORMAT, what, whole, rest));
    let (priority, rest) = match read_priority(whole) {
        Some((priority, rest)) => (Some(priority), rest),
        None if whole.starts_with('<') => return fail("expected a priority, `<0>` to `<191>`", whole),
        None => (None, whole),
    };
    // Cisco counts its messages: `<189>29: *Mar  1 11:00:00: %SYS-5-CONFIG_I: text`.
    let (sequence, rest) = match rest.split_once(": ") {
        Some((number, after))
            if priority.is_some() && number.len() <= 10 && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            (Some(number), after)
        }
        _ => (None, rest),
    };
    let (timestamp, body, bsd) = match read_time(rest, now) {
        Some((timestamp, body, bsd)) => (Some(timestamp), body, bsd),
        None if priority.is_none() => return fail("expected a time, `Oct 11 22:14:15`", rest),
        None => (None, rest, true),
    };
    // A host stands between time and tag, unless the next word is the tag already.
    let (host, after_host) = match (timestamp, split_tag(body), body.split_once(' ')) {
        (Some(_), None, Some((host, after))) if is_host(host) => (Some(host), after.trim_start_matches(' ')),
        _ => (None, body),
    };
    let tag = split_tag(after_host);
    if priority.is_none() {
        let Some(tag) = &tag else { return fail("expected a tag and a colon, `name[pid]:`", after_host) };
        let Some(host) = host else { return fail("expected a host", body) };
        // `2024-01-01T00:00:00Z INFO main: text` is an application's own format.
        if !bsd && (tag.process.is_none() || Level::parse(host).is_some()) {
            return fail("expected a process id, `name[pid]:`", after_host);
        }
    }

    let mut members = draft.begin(line);
    *members.timestamp = timestamp;
    if let Some(host) = host {
        members.text("host", host);
    }
    let message = match &tag {
        Some(tag) => {
            members.text("service", tag.name);
            if let Some(process) = tag.process {
                members.plain("procid", process);
            }
            tag.message
        }
        None => after_host,
    };
    members.text("message", if message.is_empty() { whole } else { message });
    if let Some(sequence) = sequence {
        members.plain("sequence", sequence);
    }
    if let Some(priority) = priority {
        priority.put(&mut members);
    }
    members.end();
    Ok(())
}

/// The time in front, the text behind it and its blank, and whether it was written the BSD way.
fn read_time(text: &str, now: Timestamp) -> Option<(Timestamp, &str, bool)> {
    // Cisco's `*` and `.` say how far the clock is trusted.
    let text = text.trim_start_matches(['*', '.']);
    if let Some((timestamp, rest)) = read_bsd(text, now) {
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        return Some((timestamp, rest.strip_prefix(' ')?.trim_start_matches(' '), true));
    }
    let (time, rest) = text.split_once(' ')?;
    if time.len() < 19 || !time.contains('T') {
        return None;
    }
    Some((Timestamp::parse_date_time(time)?, rest.trim_start_matches(' '), false))
}

fn is_host(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= 255
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%'))
        && !word.ends_with(':')
}

struct Tag<'a> {
    name: &'a str,
    process: Option<&'a str>,
    message: &'a str,
}

/// `name:` or `name[process]:` (the colon may be missing behind a bracket) in front.
fn split_tag(text: &str) -> Option<Tag<'_>> {
    let length = text.bytes().position(|byte| {
        !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'@' | b'(' | b')' | b'%'))
    })?;
    let (name, rest) = text.split_at(length);
    if name.is_empty() || name.len() > TAG_MAX {
        return None;
    }
    let (process, rest) = match rest.strip_prefix('[') {
        Some(inner) => {
            let (process, rest) = inner.split_once(']')?;
            if process.len() > TAG_MAX || process.contains(' ') {
                return None;
            }
            (Some(process).filter(|process| !process.is_empty()), rest)
        }
        None => (None, rest),
    };
    let message = match rest.strip_prefix(':') {
        Some(message) => message,
        None if process.is_some() => rest,
        None => return None,
    };
    // `12:30:00` and `host:port` are no tags.
    if !message.is_empty() && !message.starts_with(' ') {
        return None;
    }
    Some(Tag { name, process, message: message.strip_prefix(' ').unwrap_or(message) })
}
