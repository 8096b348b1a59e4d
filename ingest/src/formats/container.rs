//! Lines of containers, each in what wrote it down wraps around it: Docker's `json-file`, and CRI, which containerd,
//! CRI-O, Podman and so Kubernetes write.
//!
//! ```text
//! {"log":"text\n","stream":"stderr","attrs":{"tag":"web"},"time":"2026-11-30T08:49:36.123456789Z"}
//! 2026-11-30T08:49:36.123456789Z stderr F text
//! ```
//! What is inside is read as a line of its own would be.

use std::borrow::Cow;

use watchfire_model::Timestamp;

use super::{Format, ParseError};
use crate::json::{Node, Tape, scan};

/// Where Docker breaks long lines, bytes: what is so long and has no line end goes on in the next one.
const DOCKER_PART_BYTES: usize = 16 << 10;

/// Where a container wrote a line to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }

    fn parse(name: &str) -> Option<Stream> {
        [Stream::Stdout, Stream::Stderr].into_iter().find(|stream| stream.as_str() == name)
    }
}

/// What is told of a line around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapping {
    /// [`Format::Docker`] or [`Format::Cri`].
    pub format: Format,
    /// Where the container wrote it to.
    pub stream: Stream,
    /// When it was read of the container.
    pub time: Timestamp,
    /// Labels and variables of the container that Docker was asked to add.
    pub attributes: Vec<(String, String)>,
}

/// A line of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped<'a> {
    /// What is told of it.
    pub wrapping: Wrapping,
    /// What the container wrote, without the line end.
    pub text: Cow<'a, [u8]>,
    /// Whether the next one of its stream goes on with it.
    pub is_part: bool,
}

/// The line inside, if it is wrapped in the format that was asked for, or in any if none was.
pub fn unwrap(line: &[u8], format: Option<Format>) -> Option<Wrapped<'_>> {
    let asks = |wrapper: Format| format.is_none_or(|format| format == wrapper);
    match line.first()? {
        b'{' if asks(Format::Docker) => docker(line),
        b'0'..=b'9' if asks(Format::Cri) => cri(line),
        _ => None,
    }
}

/// Why a line that [`unwrap`] knows nothing inside of is not of one of these formats.
pub(super) fn error(format: Format) -> ParseError {
    let (format, what) = match format {
        Format::Docker => ("docker", "expected a line of its json-file: `{\"log\":…,\"stream\":…,\"time\":…}`"),
        _ => ("cri", "expected time, `stdout` or `stderr`, `F` or `P`, and the line"),
    };
    ParseError { format: format.into(), what: what.into(), at: 0 }
}

fn docker(line: &[u8]) -> Option<Wrapped<'static>> {
    if !line.starts_with(b"{\"log\":\"") {
        return None;
    }
    let line = std::str::from_utf8(line).ok()?;
    let mut tape = Tape::default();
    scan::parse(line, &mut tape).ok()?;
    let text = |at| match tape.node(at) {
        Node::Text(span) => Some(tape.text(line, span)),
        _ => None,
    };
    let (mut log, mut stream, mut time, mut attributes) = (None, None, None, Vec::new());
    for (name, value) in tape.members(0) {
        match tape.text(line, name) {
            "log" => log = Some(text(value)?),
            "stream" => stream = Some(Stream::parse(text(value)?)?),
            "time" => time = Some(Timestamp::parse_date_time(text(value)?)?),
            "attrs" if matches!(tape.node(value), Node::Object { .. }) => {
                for (name, value) in tape.members(value) {
                    attributes.push((tape.text(line, name).to_owned(), text(value)?.to_owned()));
                }
            }
            // What has more is a log of JSON that looks alike.
            _ => return None,
        }
    }
    let log = log?;
    let whole = log.strip_suffix('\n');
    Some(Wrapped {
        wrapping: Wrapping { format: Format::Docker, stream: stream?, time: time?, attributes },
        is_part: whole.is_none() && log.len() >= DOCKER_PART_BYTES,
        text: Cow::Owned(without_return(whole.unwrap_or(log).as_bytes()).to_vec()),
    })
}

fn cri(line: &[u8]) -> Option<Wrapped<'_>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let mut part = || parts.next();
    let (time, stream, tags) = (part()?, part()?, part()?);
    let text = part().unwrap_or_default();
    if time.get(10) != Some(&b'T') {
        return None;
    }
    let is_part = match tags.split(|byte| *byte == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    let wrapping = Wrapping {
        format: Format::Cri,
        stream: Stream::parse(std::str::from_utf8(stream).ok()?)?,
        time: Timestamp::parse_date_time(std::str::from_utf8(time).ok()?)?,
        attributes: Vec::new(),
    };
    let text = if is_part { text } else { without_return(text) };
    Some(Wrapped { wrapping, text: Cow::Borrowed(text), is_part })
}

fn without_return(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\r").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_surely_wrapped_is_unwrapped() {
        for line in [
            r#"{"log":"a\n","stream":"stdout","time":"2026-11-30T08:49:36.123456789Z"}"#,
            r#"{"log":"a\r\n","stream":"stderr","attrs":{"tag":"web","env":"x"},"time":"2026-11-30T08:49:36Z"}"#,
            "2026-11-30T08:49:36.123456789Z stderr F a",
            "2026-11-30T08:49:36.123456789+01:00 stdout F:x a\r",
        ] {
            let wrapped = unwrap(line.as_bytes(), None).expect(line);
            assert_eq!((&*wrapped.text, wrapped.is_part), (&b"a"[..], false), "{line}");
            assert!(unwrap(line.as_bytes(), Some(wrapped.wrapping.format)).is_some());
            assert!(unwrap(line.as_bytes(), Some(Format::Json)).is_none());
        }
        for line in [
            r#"{"log":"a\n","stream":"stdout"}"#,
            r#"{"log":"a\n","stream":"audit","time":"2026-11-30T08:49:36Z"}"#,
            r#"{"log":"a\n","stream":"stdout","time":"2026-11-30T08:49:36Z","level":"info"}"#,
            r#"{"log":"a\n","stream":"stdout","time":"today"}"#,
            r#"{"log":{"level":"info"},"stream":"stdout","time":"2026-11-30T08:49:36Z"}"#,
            r#"{"log":"a\n","stream":"stdout","time":"2026-11-30T08:49:36Z""#,
            "2026-11-30T08:49:36Z stderr X a",
            "2026-11-30T08:49:36Z stdin F a",
            "2026-11-30 stderr F a",
            "2026-11-30T08:49:36Z stderr",
        ] {
            assert_eq!(unwrap(line.as_bytes(), None), None, "{line}");
        }
    }

    #[test]
    fn parts_of_lines_are_told() {
        let long = "x".repeat(DOCKER_PART_BYTES);
        for (line, is_part) in [
            (format!(r#"{{"log":"{long}","stream":"stdout","time":"2026-11-30T08:49:36Z"}}"#), true),
            (format!(r#"{{"log":"{long}\n","stream":"stdout","time":"2026-11-30T08:49:36Z"}}"#), false),
            // The last line of a container that has ended.
            (r#"{"log":"bye","stream":"stdout","time":"2026-11-30T08:49:36Z"}"#.to_owned(), false),
            ("2026-11-30T08:49:36Z stderr P a".to_owned(), true),
            ("2026-11-30T08:49:36Z stderr F".to_owned(), false),
        ] {
            assert_eq!(unwrap(line.as_bytes(), None).map(|wrapped| wrapped.is_part), Some(is_part));
        }
    }
}
