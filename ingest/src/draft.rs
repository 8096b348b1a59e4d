//! What a format's parser makes of one line, before the normaliser gives it its final shape.

use watchfire_model::{Level, Timestamp};

use crate::json::tape::{OpenObject, Tape};
use crate::json::{Node, Span};
use crate::names::{Meaning, Slot, meaning};

/// One parsed line. Reused from line to line; it holds memory, not text.
#[derive(Default)]
pub struct Draft {
    /// An object with what was found, under the names that the normaliser knows.
    pub tape: Tape,
    /// The event's time, if the format itself could read it.
    pub timestamp: Option<Timestamp>,
    /// A time that the text begins with, if no format says what it means: it counts where a record may be of that time,
    /// and is no reason to refuse one.
    pub leading_time: Option<Timestamp>,
    /// The level, if the format implies one and no member names it.
    pub level: Option<Level>,
}

impl Draft {
    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.tape.clear();
        (self.timestamp, self.leading_time) = (None, None);
        self.level = None;
    }

    /// Lets the message go on behind the first line of a text that was parsed up to `first_line_bytes`.
    pub fn lengthen_message(&mut self, text: &str, first_line_bytes: usize) {
        let is_message = |name: &str| matches!(meaning(name), Meaning::Slot(Slot::Message, _));
        let found = self.tape.members(0).find(|(name, _)| is_message(self.tape.text(text, *name)));
        let Some((_, at)) = found else { return };
        let Node::Text(span) = self.tape.node(at) else { return };
        let message = self.tape.text(text, span);
        let start = (message.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
        let span = if start.checked_add(message.len()) == Some(first_line_bytes) {
            Tape::input_span(start, text.len())
        } else {
            let rest = text.get(first_line_bytes..).unwrap_or_default();
            let whole = [message, rest].concat();
            self.tape.own(&whole)
        };
        self.tape.replace(at, Node::Text(span));
    }

    /// Starts the object of a text format's findings.
    pub fn begin<'a>(&'a mut self, line: &'a str) -> Members<'a> {
        self.clear();
        let object = self.tape.begin_object();
        Members { tape: &mut self.tape, timestamp: &mut self.timestamp, level: &mut self.level, object, line }
    }
}

/// The members of a draft while a text format fills them in.
pub struct Members<'a> {
    /// Where the values go.
    pub tape: &'a mut Tape,
    /// See [`Draft::timestamp`].
    pub timestamp: &'a mut Option<Timestamp>,
    /// See [`Draft::level`].
    pub level: &'a mut Option<Level>,
    object: OpenObject,
    line: &'a str,
}

impl Members<'_> {
    /// A member whose value is pushed onto the tape by the caller, next.
    pub fn name(&mut self, name: &str) {
        self.tape.own_key(&mut self.object, name);
    }

    /// A member whose name stands in the line and whose value the caller pushes next.
    pub fn name_in_line(&mut self, name: &str) {
        let span = self.span(name);
        self.tape.key(&mut self.object, self.line, span);
    }

    /// A text that is a part of the line.
    pub fn text(&mut self, name: &str, part: &str) {
        self.name(name);
        let span = self.span(part);
        self.tape.push(Node::Text(span));
    }

    /// A part of the line, unless it is empty or `-`, the "nothing" of many formats.
    pub fn text_unless_dash(&mut self, name: &str, part: &str) {
        if !part.is_empty() && part != "-" {
            self.text(name, part);
        }
    }

    /// A part of the line that is a number if it looks like one, see [`plain_value`].
    pub fn plain(&mut self, name: &str, part: &str) {
        self.name(name);
        self.plain_value(name, part);
    }

    /// The value of a member whose name was given before.
    pub fn plain_value(&mut self, name: &str, part: &str) {
        let node = plain_value(name, part).unwrap_or_else(|| Node::Text(self.span(part)));
        self.tape.push(node);
    }

    /// Any value.
    pub fn value(&mut self, name: &str, node: Node) {
        self.name(name);
        self.tape.push(node);
    }

    /// Where a part of the line lies; a copy if it is not a part of it.
    pub fn span(&mut self, part: &str) -> Span {
        let start = (part.as_ptr() as usize).wrapping_sub(self.line.as_ptr() as usize);
        match start.checked_add(part.len()) {
            Some(end) if end <= self.line.len() => Tape::input_span(start, end),
            _ => self.tape.own(part),
        }
    }

    /// Ends the object.
    pub fn end(self) {
        self.tape.end_object(self.object, self.line);
    }
}

/// Names whose numbers keep no spelling: `1.50` is a duration here, elsewhere it may be a version.
const NUMERIC_NAMES: [&str; 12] = [
    "duration_ms",
    "latency_ms",
    "response_time_ms",
    "elapsed_ms",
    "request_time",
    "duration_s",
    "duration",
    "latency",
    "elapsed",
    "amount",
    "bytes",
    "status",
];

/// The number or truth value that a text from an untyped format stands for.
///
/// Only texts that a number prints as are numbers (`007`, `1.50`, `+1` and 20 digits stay text), except for
/// names that are always numbers. `None`: it stays text.
pub fn plain_value(name: &str, text: &str) -> Option<Node> {
    match text.as_bytes() {
        b"true" => return Some(Node::Bool(true)),
        b"false" => return Some(Node::Bool(false)),
        [b'0'..=b'9', ..] | [b'-', b'0'..=b'9', ..] if text.len() <= 20 => {}
        _ => return None,
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.')) {
        return None;
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical_start = digits == "0" || !digits.starts_with('0') || digits.starts_with("0.");
    if let Ok(int) = text.parse::<i64>() {
        return (canonical_start && text != "-0").then_some(Node::Int(int));
    }
    let always = NUMERIC_NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
    let exact = canonical_start && digits.len() <= 16 && !text.ends_with('0') && !text.ends_with('.');
    if !always && !exact {
        return None;
    }
    text.parse().ok().map(Node::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_prints_back_is_a_number() {
        for (text, node) in [
            ("0", Some(Node::Int(0))),
            ("-17", Some(Node::Int(-17))),
            ("0.25", Some(Node::Float(0.25))),
            ("12.5", Some(Node::Float(12.5))),
            ("true", Some(Node::Bool(true))),
            ("007", None),
            ("1.50", None),
            ("-0", None),
            ("+1", None),
            ("1e5", None),
            ("1.2.3", None),
            ("99999999999999999999", None),
            ("-", None),
            ("", None),
            ("12ms", None),
        ] {
            assert_eq!(plain_value("x", text), node, "{text}");
        }
        assert_eq!(plain_value("Request_Time", "0.250"), Some(Node::Float(0.25)));
    }
}
