//! The time with which a line begins that is of no format: `2026-11-29 20:03:54 text`, `2026/11/29 20:03:54 text`,
//! `[2026-11-29T20:03:54Z] text`, `[Sun Nov 29 20:03:54.123456 2026] text`, `Nov 29 20:03:54 text`. To the second at least.

use watchfire_model::Timestamp;

use crate::timestamp;

/// Bytes of a date and a time of day to the second.
const SECONDS: usize = 19;
/// Longest time between brackets, bytes.
const BRACKETED_MAX: usize = 40;
/// Names of zones that no offset is known of for sure; a time with one of these is none.
const ZONES: [&str; 24] = [
    "CET", "CEST", "EET", "EEST", "WET", "WEST", "MSK", "BST", "IST", "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST",
    "PDT", "JST", "KST", "HKT", "AEST", "AEDT", "NZST", "NZDT",
];

/// The time, if there is one. Text that does not begin as one costs a look at its first byte.
pub(super) fn read(line: &str, now: Timestamp) -> Option<Timestamp> {
    match line.as_bytes().first()? {
        b'0'..=b'9' => digits(line),
        b'[' => bracketed(line, now),
        b'A'..=b'Z' if super::syslog_rfc3164::may_start(line) => {
            let (time, rest) = timestamp::read_bsd(line, now)?;
            (rest.is_empty() || rest.starts_with([' ', ':', '\t'])).then_some(time)
        }
        _ => None,
    }
}

fn bracketed(line: &str, now: Timestamp) -> Option<Timestamp> {
    let inside = line.as_bytes().get(1..)?;
    let end = inside.iter().take(BRACKETED_MAX + 1).position(|byte| *byte == b']')?;
    let text = line.get(1..=end)?;
    // A number alone counts something else, such as seconds since the start of a kernel.
    if text.len() < "Nov 29 20:03:54".len() || !text.contains(':') {
        return None;
    }
    timestamp::read(text, now)
}

fn digits(line: &str) -> Option<Timestamp> {
    let bytes = line.as_bytes();
    let has_seconds = bytes.get(16) == Some(&b':') && bytes.get(13) == Some(&b':');
    if !has_seconds || !matches!(bytes.get(4)?, b'-' | b'/') {
        return None;
    }
    let mut end = SECONDS;
    let decimals =
        |from: usize| bytes.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
    if matches!(bytes.get(end), Some(b'.' | b',')) && decimals(end + 1) > 0 {
        end += 1 + decimals(end + 1);
    }
    let rest = line.get(end..)?;
    let zone = zone(rest)?;
    let after = rest.get(zone..)?;
    // `2026-11-29 20:03:54x` is something else.
    if after.starts_with(|next: char| next.is_alphanumeric() || next == '.') {
        return None;
    }
    Timestamp::parse_date_time(line.get(..end + zone)?)
}

/// How many bytes of what follows on a time are its zone; `None` if it is one that cannot be read.
fn zone(rest: &str) -> Option<usize> {
    let blanks = usize::from(rest.starts_with(' '));
    let word = rest.get(blanks..)?;
    let word = word.split([' ', '\t', ']', '[', ',', ';', '|']).next().unwrap_or_default();
    let is_offset = match word.as_bytes() {
        [b'+' | b'-', hour @ .., b':', a, b] | [b'+' | b'-', hour @ .., a, b] => {
            hour.len() == 2 && hour.iter().chain([a, b]).all(u8::is_ascii_digit)
        }
        _ => false,
    };
    match word {
        "Z" | "z" | "UTC" | "GMT" => Some(blanks + word.len()),
        _ if is_offset => Some(blanks + word.len()),
        _ if ZONES.contains(&word) => None,
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-30T00:00:00Z
    const NOW: Timestamp = Timestamp::from_millis(1_796_000_000_000);

    #[test]
    fn common_times_in_front_of_a_line_are_read() {
        for (line, expected) in [
            ("2026-11-29 20:03:54 startup packages configure", "2026-11-29T20:03:54.000Z"),
            ("2026-11-29 20:03:54", "2026-11-29T20:03:54.000Z"),
            ("2026/11/29 20:03:54 msg", "2026-11-29T20:03:54.000Z"),
            ("2026/11/29 20:03:54.123456 main.go:3: msg", "2026-11-29T20:03:54.123Z"),
            ("2026-11-29 20:03:54,123 - root - INFO - msg", "2026-11-29T20:03:54.123Z"),
            ("2026-11-29T20:03:54.5Z INFO main: msg", "2026-11-29T20:03:54.500Z"),
            ("2026-11-29T20:03:54+02:00 msg", "2026-11-29T18:03:54.000Z"),
            ("2026-11-29 20:03:54.123 +0100 [1] LOG: msg", "2026-11-29T19:03:54.123Z"),
            ("2026-11-29 20:03:54 UTC [1] LOG: msg", "2026-11-29T20:03:54.000Z"),
            ("2026-11-29 20:03:54: msg", "2026-11-29T20:03:54.000Z"),
            ("2026-11-29 20:03:54 -5 degrees", "2026-11-29T20:03:54.000Z"),
            ("2026-11-29 20:03:54 Überschrift", "2026-11-29T20:03:54.000Z"),
            ("[2026-11-29T20:03:54Z] msg", "2026-11-29T20:03:54.000Z"),
            ("[2026-11-29 20:03:54,250] {x.py:3} INFO - msg", "2026-11-29T20:03:54.250Z"),
            ("[29/Nov/2026:20:03:54 +0100] msg", "2026-11-29T19:03:54.000Z"),
            ("[Sun Nov 29 20:03:54.123456 2026] [core:error] msg", "2026-11-29T20:03:54.123Z"),
            ("Nov 29 20:03:54 msg", "2026-11-29T20:03:54.000Z"),
            ("Nov  9 20:03:54 msg of it", "2026-11-09T20:03:54.000Z"),
        ] {
            let read = read(line, NOW).map(|time| time.to_rfc3339());
            assert_eq!(read.as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_only_looks_like_a_time_is_none() {
        for line in [
            "",
            "just text",
            "2026",
            "2026-11-29",
            "2026-11-29 20:03",
            "2026-11-29 20:03:54x",
            "2026-11-29 20:03:54.",
            "2026-13-29 20:03:54 msg",
            "2026-11-29 25:03:54 msg",
            "2026-11-29 20:03:54 CET [1] LOG: msg",
            "20:03:54 msg",
            "1796000000 msg",
            "[ 1796000000] msg",
            "[1796000000.123456] msg",
            "[12:30] msg",
            "[2026-11-29T20:03:54Z msg",
            "[error] msg",
            "Nov 29 msg",
            "Now 29 20:03:54 msg",
            "Nov 29 20:03:54x",
            "2026-11-29 20:03:5é",
            "[é",
        ] {
            assert_eq!(read(line, NOW), None, "{line}");
        }
    }
}
