//! The journal's export format (`journalctl -o export`): an entry is its fields, a blank line ends it.
//!
//! ```text
//! NAME=text LF                                      a field of plain text
//! NAME LF, length u64 little-endian, bytes, LF      a field of any bytes
//! ```
//! Source: systemd's "Journal Export Formats".

mod framing;

use std::borrow::Cow;

use watchfire_model::Timestamp;
use watchfire_model::text::cut;

pub use framing::{Extent, Field, NEXT_ENTRY_BYTES, behind_damage, extent, next_entry};
use framing::{Step, step};

use super::ParseError;
use crate::draft::{Draft, Members};
use crate::json::Node;
use crate::normalise::Marks;

const FORMAT: &str = "journald";
/// Most fields of an entry; it is systemd's.
const FIELDS_MAX: usize = 1024;

/// The cursor of an entry: where the journal is gone on with.
pub fn cursor(entry: &[u8]) -> Option<&[u8]> {
    let mut rest = entry;
    while let Step::Field(field, length) = step(rest) {
        if field.name == b"__CURSOR" {
            return Some(field.value);
        }
        rest = rest.get(length..)?;
    }
    None
}

/// What writes lines into a journal: a stream of a service's output, or a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream<'a> {
    /// `_STREAM_ID`, which is of all streams there are.
    Output(&'a [u8]),
    /// The machine since its start, the unit, the process, and the container whose lines that passes on.
    Process([&'a [u8]; 4]),
}

/// What says whether entries belong together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outline<'a> {
    /// `MESSAGE`
    pub message: Option<&'a [u8]>,
    /// When the journal got it, microseconds.
    pub time_us: Option<i64>,
    /// `PRIORITY`
    priority: Option<&'a [u8]>,
    /// It was written to standard output, or to standard error.
    is_output: bool,
    stream: Option<&'a [u8]>,
    boot: Option<&'a [u8]>,
    unit: Option<&'a [u8]>,
    process: Option<&'a [u8]>,
    container: Option<&'a [u8]>,
}

impl<'a> Outline<'a> {
    /// Whether its level is that of all that a program writes without one.
    pub fn has_usual_level(&self) -> bool {
        self.is_output && self.priority == Some(USUAL_PRIORITY)
    }

    /// What has written it and its message, if it is a line of something. A message of several lines is whole by itself.
    pub fn line(&self) -> Option<(Stream<'a>, &'a [u8])> {
        let message = self.message.filter(|message| memchr::memchr(b'\n', message).is_none())?;
        let stream = match (self.stream, self.process) {
            (Some(stream), _) => Stream::Output(stream),
            (None, Some(process)) => {
                let [boot, unit, container] = [self.boot, self.unit, self.container].map(Option::unwrap_or_default);
                Stream::Process([boot, unit, process, container])
            }
            (None, None) => return None,
        };
        Some((stream, message))
    }
}

/// Looks through an entry for what says whether it belongs to others.
pub fn outline(entry: &[u8]) -> Outline<'_> {
    let mut outline = Outline::default();
    let mut rest = entry;
    while let Step::Field(Field { name, value }, length) = step(rest) {
        match name {
            b"MESSAGE" => outline.message = outline.message.or(Some(value)),
            b"_STREAM_ID" => outline.stream = Some(value),
            b"_BOOT_ID" => outline.boot = Some(value),
            b"_SYSTEMD_UNIT" => outline.unit = Some(value),
            b"_PID" => outline.process = Some(value),
            b"CONTAINER_ID" => outline.container = Some(value),
            b"__REALTIME_TIMESTAMP" => outline.time_us = whole_number(value),
            b"PRIORITY" => outline.priority = Some(value),
            b"_TRANSPORT" => outline.is_output = value == b"stdout",
            _ => {}
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    // What is damaged belongs to nothing, so that it is told.
    if rest.is_empty() { outline } else { Outline::default() }
}

/// An entry with another message, and without its level if it shall be so.
pub fn with_message(entry: &[u8], message: &[u8], without_level: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(entry.len() + message.len());
    let mut rest = entry;
    while let Step::Field(field, length) = step(rest) {
        let (whole, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        if field.name != b"MESSAGE" && !(without_level && field.name == b"PRIORITY") {
            out.extend_from_slice(whole);
        }
        rest = behind;
    }
    write_field(&mut out, "MESSAGE", message);
    out
}

/// Appends a field, in the plain form if it can be.
pub fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    let plain = value.iter().all(|byte| *byte >= 0x20 || *byte == b'\t') && std::str::from_utf8(value).is_ok();
    if plain {
        out.push(b'=');
    } else {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Of lines that a program writes, unless it or its unit (`SyslogLevel`) says another.
const USUAL_PRIORITY: &[u8] = b"6";

/// What names the service, the best first.
const SERVICE_NAMES: [&[u8]; 4] = [b"CONTAINER_NAME", b"_SYSTEMD_UNIT", b"SYSLOG_IDENTIFIER", b"_COMM"];

/// The fields of an entry. One that ends within a field is an error, unless it `may_be_cut`.
fn fields(entry: &[u8], may_be_cut: bool) -> Result<Vec<Field<'_>>, ParseError> {
    let fail = |what: Cow<'static, str>, at: usize| Err(ParseError { format: FORMAT.into(), what, at });
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        if fields.len() > FIELDS_MAX {
            return fail(format!("the entry has more than {FIELDS_MAX} fields").into(), at);
        }
        let rest = entry.get(at..).unwrap_or_default();
        match step(rest) {
            _ if rest.is_empty() => return Ok(fields),
            Step::Field(field, length) => {
                fields.push(field);
                at += length;
            }
            // Of a plain field at the end of a text all is there.
            Step::Last(field) => {
                fields.push(field);
                return Ok(fields);
            }
            Step::Short(Some(field)) if may_be_cut || !rest.contains(&b'\n') => {
                fields.push(field);
                return Ok(fields);
            }
            Step::Short(_) if may_be_cut => return Ok(fields),
            Step::Short(_) => return fail("the entry is cut off within this field".into(), at),
            Step::Damaged(damage) => return fail(damage.what(), at),
            Step::Blank(length) if rest.get(length..).unwrap_or_default().trim_ascii().is_empty() => return Ok(fields),
            Step::Blank(_) => return fail("the entry ends here, and more follows".into(), at),
        }
    }
}

/// How long a value may be, so that all of them have room in so many bytes: the longest ones are cut to one length.
fn longest_value(fields: &[Field<'_>], room: usize) -> usize {
    let replaced = |value: &[u8]| -> usize {
        let invalid = |chunk: &std::str::Utf8Chunk<'_>| if chunk.invalid().is_empty() { 0 } else { 3 };
        value.utf8_chunks().map(|chunk| chunk.valid().len() + invalid(&chunk)).sum()
    };
    let mut left = room.saturating_sub(fields.iter().map(|field| field.name.len()).sum());
    let mut lengths: Vec<usize> = fields.iter().map(|field| replaced(field.value)).collect();
    lengths.sort_unstable();
    for (at, length) in lengths.iter().enumerate() {
        let each = left / (lengths.len() - at);
        if *length > each {
            return each;
        }
        left -= length;
    }
    usize::MAX
}

/// Texts of values, and what was done to them.
struct Values {
    longest: usize,
    marks: Marks,
}

impl Values {
    fn text<'a>(&mut self, value: &'a [u8]) -> Cow<'a, str> {
        let text = String::from_utf8_lossy(value);
        self.marks.invalid_utf8 |= matches!(text, Cow::Owned(_));
        if text.len() <= self.longest {
            return text;
        }
        self.marks.truncated = true;
        let end = cut(&text, self.longest).len();
        match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or_default()),
            Cow::Owned(mut text) => {
                text.truncate(end);
                Cow::Owned(text)
            }
        }
    }
}

/// Parses an entry. Fields keep their names; the addresses of the entry (`__…`) are left out. In an entry longer than
/// `room` bytes the longest values are cut. Gives what had to be done to it. An entry that ends within a field is an
/// error, unless it `may_be_cut` (because it was cut here, for its length).
pub fn parse_entry(entry: &[u8], room: usize, may_be_cut: bool, draft: &mut Draft) -> Result<Marks, ParseError> {
    let fields = fields(entry, may_be_cut)?;
    // Bytes that are no UTF-8 become longer, for which the tape has as much room again.
    let room = if entry.len() > room { room } else { room.saturating_mul(2) };
    let is_short = entry.len().saturating_mul(3) <= room;
    let longest = if is_short { usize::MAX } else { longest_value(&fields, room) };
    let mut values = Values { longest, marks: Marks { truncated: may_be_cut, ..Marks::default() } };
    let (mut message, mut level, mut sent_time, mut time, mut host) = (None, None, None, None, None);
    let mut services: [Option<&[u8]>; SERVICE_NAMES.len()] = [None; SERVICE_NAMES.len()];
    let mut others: Vec<(&[u8], Vec<&[u8]>)> = Vec::new();
    for Field { name, value } in &fields {
        if let Some(rank) = SERVICE_NAMES.iter().position(|known| known == name) {
            services[rank].get_or_insert(*value);
        }
        match *name {
            b"MESSAGE" if message.is_none() => message = Some(*value),
            b"PRIORITY" => level = Some(*value),
            b"_SOURCE_REALTIME_TIMESTAMP" if whole_number(value).is_some() => sent_time = whole_number(value),
            b"__REALTIME_TIMESTAMP" => time = Some(*value),
            b"_HOSTNAME" => host = Some(*value),
            _ if name.starts_with(b"__") || name.is_empty() => {}
            _ => match others.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push(value),
                None => others.push((name, vec![value])),
            },
        }
    }
    let Some(message) = message else {
        let is_entry = fields.iter().any(|field| !field.name.is_empty());
        let what = if is_entry { "the entry has no `MESSAGE`" } else { "expected fields, `NAME=value`" };
        let mend = if entry.starts_with(b"{") { framing::NOT_JSON } else { "" };
        return Err(ParseError { format: FORMAT.into(), what: format!("{what}{mend}").into(), at: 0 });
    };
    let mut members = draft.begin("");
    let micros = sent_time.or(time.and_then(whole_number));
    *members.timestamp = micros.map(|micros| Timestamp::from_millis(micros.div_euclid(1000)));
    // What cannot be read is kept as what it is.
    if let Some(time) = time.filter(|_| micros.is_none()) {
        members.text("timestamp", &values.text(time));
    }
    members.text("message", values.text(message).trim_end_matches(['\n', '\0']));
    match level.map(|level| (level, whole_number(level))) {
        Some((_, Some(level))) => members.value("level", Node::Int(level)),
        Some((level, None)) => members.text("level", &values.text(level)),
        None => {}
    }
    if let Some(service) = service(&services) {
        members.text("service", &values.text(service));
    }
    if let Some(host) = host {
        members.text("host", &values.text(host));
    }
    if !others.is_empty() {
        write_others(&mut members, &others, &mut values);
    }
    members.end();
    Ok(values.marks)
}

/// The fields that stay fields; those of one name are a list.
fn write_others(members: &mut Members<'_>, others: &[(&[u8], Vec<&[u8]>)], values: &mut Values) {
    members.name("fields");
    let mut object = members.tape.begin_object();
    for (name, several) in others {
        let name = String::from_utf8_lossy(name);
        values.marks.invalid_utf8 |= matches!(name, Cow::Owned(_));
        members.tape.own_key(&mut object, &name);
        let array = (several.len() > 1).then(|| members.tape.begin_array());
        for value in several {
            let span = members.tape.own(&values.text(value));
            members.tape.push(Node::Text(span));
        }
        if let Some(array) = array {
            members.tape.end_array(array);
        }
    }
    members.tape.end_object(object, "");
}

/// The service: a container's name, a unit that is a service (without the ending), the identifier, the command.
fn service<'a>(candidates: &[Option<&'a [u8]>; SERVICE_NAMES.len()]) -> Option<&'a [u8]> {
    let [container, unit, identifier, command] = *candidates;
    let unit_service = unit.and_then(|unit| unit.strip_suffix(b".service")).filter(|unit| !unit.starts_with(b"user@"));
    container.or(unit_service).or(identifier).or(command).or(unit)
}

/// A whole number in text.
fn whole_number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use watchfire_model::Value;

    use super::*;

    type Found = Vec<(String, Value)>;

    fn parse(entry: &[u8], may_be_cut: bool) -> Result<(Marks, Found), ParseError> {
        let mut draft = Draft::default();
        let marks = parse_entry(entry, usize::MAX, may_be_cut, &mut draft)?;
        Ok((marks, members(&draft)))
    }

    fn members(draft: &Draft) -> Found {
        let value = draft.tape.to_value("", 0);
        let Value::Object(members) = value else { panic!("{value:?}") };
        members
    }

    fn text<'a>(members: &'a Found, wanted: &str) -> &'a str {
        let found = members.iter().find(|(name, _)| name == wanted);
        let Some((_, Value::Text(text))) = found else { panic!("{wanted}: {members:?}") };
        text
    }

    proptest! {
        #[test]
        fn fields_come_back(written in prop::collection::vec(("[A-Z_][A-Z0-9_]{0,12}", prop::collection::vec(any::<u8>(), 0..40)), 1..10)) {
            let mut entry = Vec::new();
            for (name, value) in &written {
                write_field(&mut entry, name, value);
            }
            let found: Vec<_> =
                fields(&entry, false).unwrap().iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
            let expected: Vec<_> = written.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.clone())).collect();
            prop_assert_eq!(&found, &expected);
            entry.push(b'\n');
            prop_assert_eq!(extent(&entry), Extent::Whole { fields: entry.len() - 1, length: entry.len() });
            for cut in 0..entry.len() {
                let is_open = matches!(extent(&entry[..cut]), Extent::Open { .. });
                prop_assert!(is_open);
                let _ = parse(&entry[..cut], false);
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = extent(&bytes);
            let _ = (parse(&bytes, false), parse(&bytes, true), parse_entry(&bytes, 20, true, &mut Draft::default()));
        }
    }

    #[test]
    fn an_entry_may_end_with_bytes() {
        let mut entry = b"_PID=1\n".to_vec();
        write_field(&mut entry, "MESSAGE", b"two\nlines\n\n");
        let (marks, members) = parse(&entry, false).expect("it is whole");
        assert_eq!((marks, text(&members, "message")), (Marks::default(), "two\nlines"));
    }

    #[test]
    fn an_entry_that_ends_within_a_field_is_cut_off() {
        let mut entry = b"MESSAGE=done\n".to_vec();
        write_field(&mut entry, "TRACE", b"one\ntwo\nthree");
        for cut in b"MESSAGE=done\nT".len()..entry.len() - 1 {
            let fault = parse(&entry[..cut], false).expect_err("it is cut off");
            assert_eq!((fault.what.as_ref(), fault.at), ("the entry is cut off within this field", 13), "{cut}");
            assert!(parse(&entry[..cut], true).is_ok_and(|(marks, _)| marks.truncated), "{cut}");
        }
        for whole in [
            &entry[..],
            &entry[..entry.len() - 1],
            b"MESSAGE=done\nPRIORITY=3",
            b"MESSAGE=done\r\n\r\n",
            b"MESSAGE=done\n\n",
        ] {
            let (marks, members) = parse(whole, false).expect("it is whole");
            assert_eq!((marks, text(&members, "message")), (Marks::default(), "done"), "{whole:?}");
        }
        let fault = parse(b"MESSAGE=done\n\nMESSAGE=more\n", false).expect_err("these are two");
        assert_eq!((fault.what.as_ref(), fault.at), ("the entry ends here, and more follows", 13));
    }

    #[test]
    fn the_longest_values_are_cut() {
        let mut entry = b"MESSAGE=m\n_HOSTNAME=web1\n".to_vec();
        write_field(&mut entry, "A", "ü".repeat(300).as_bytes());
        write_field(&mut entry, "B", &[0xff; 500]);
        write_field(&mut entry, "C", &[b'c'; 60]);
        let mut draft = Draft::default();
        let marks = parse_entry(&entry, 500, false, &mut draft).expect("it is whole");
        assert_eq!(marks, Marks { truncated: true, invalid_utf8: true });
        let members = members(&draft);
        assert_eq!((text(&members, "message"), text(&members, "host")), ("m", "web1"));
        let Some((_, Value::Object(fields))) = members.iter().find(|(name, _)| name == "fields") else { panic!() };
        let lengths: Vec<usize> = ["A", "B", "C"].map(|name| text(fields, name).len()).to_vec();
        assert!(
            lengths[0] > 170 && lengths[1] > 170 && lengths[2] == 60 && lengths.iter().sum::<usize>() < 500,
            "{lengths:?}"
        );
        assert!(!parse_entry(&entry, 2000, false, &mut draft).expect("it is whole").truncated);
    }

    #[test]
    fn what_cannot_be_read_is_kept_as_it_is() {
        let entry = b"__REALTIME_TIMESTAMP=abc\n_SOURCE_REALTIME_TIMESTAMP=x\nPRIORITY=high\nMESSAGE=m\n";
        let (_, members) = parse(entry, false).expect("it is whole");
        assert_eq!((text(&members, "timestamp"), text(&members, "level")), ("abc", "high"));
        let Some((_, Value::Object(fields))) = members.iter().find(|(name, _)| name == "fields") else { panic!() };
        assert_eq!(text(fields, "_SOURCE_REALTIME_TIMESTAMP"), "x");
    }

    #[test]
    fn fields_are_bounded() {
        let entry = |count: usize| (0..count).map(|n| format!("F{n}=1\n")).collect::<String>() + "MESSAGE=m\n";
        assert!(parse(entry(FIELDS_MAX - 1).as_bytes(), false).is_ok());
        assert!(parse(entry(FIELDS_MAX).as_bytes(), false).is_err_and(|fault| fault.what.contains("more than 1024")));
    }

    #[test]
    fn services_by_rank() {
        let named = |unit: Option<&'static str>, identifier: Option<&'static str>| {
            service(&[None, unit.map(str::as_bytes), identifier.map(str::as_bytes), Some(b"java")])
        };
        assert_eq!(named(Some("shop.service"), Some("java")), Some(&b"shop"[..]));
        assert_eq!(named(Some("session-1.scope"), Some("logger")), Some(&b"logger"[..]));
        assert_eq!(named(Some("user@0.service"), None), Some(&b"java"[..]));
    }
}
