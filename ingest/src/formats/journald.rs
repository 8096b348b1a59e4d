//! The journal's export format (`journalctl -o export`): an entry is its fields, a blank line ends it.
//!
//! ```text
//! NAME=text LF                                      a field of plain text
//! NAME LF, length u64 little-endian, bytes, LF      a field of any bytes
//! ```
//! Source: systemd's "Journal Export Formats".

use std::borrow::Cow;

use watchfire_model::Timestamp;

use super::ParseError;
use crate::draft::Draft;
use crate::json::Node;

const FORMAT: &str = "journald";
/// What surely stands between two entries of `journalctl`.
pub const BETWEEN_ENTRIES: &[u8] = b"\n\n__CURSOR=";

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its bytes.
    pub value: &'a [u8],
}

/// What the start of a text is.
enum Step<'a> {
    /// A field, and the length of its bytes with all around them.
    Field(Field<'a>, usize),
    /// A field of any bytes, all there, and behind them not even the line feed.
    Last(Field<'a>),
    /// The end of the entry.
    Blank,
    /// It goes on behind the text.
    Short,
}

fn step(text: &[u8]) -> Step<'_> {
    let Some(line_end) = memchr::memchr(b'\n', text) else { return Step::Short };
    let line = text.get(..line_end).unwrap_or_default();
    if line.is_empty() {
        return Step::Blank;
    }
    if let Some(equal) = memchr::memchr(b'=', line) {
        let (name, value) = (line.get(..equal).unwrap_or_default(), line.get(equal + 1..).unwrap_or_default());
        return Step::Field(Field { name, value }, line_end + 1);
    }
    let behind = text.get(line_end + 1..).unwrap_or_default();
    let Some((length, behind)) = behind.split_first_chunk::<8>() else { return Step::Short };
    let Ok(length) = usize::try_from(u64::from_le_bytes(*length)) else { return Step::Short };
    match (behind.get(..length), behind.get(length)) {
        // The byte behind should be a line feed; whatever it is, it belongs to the framing.
        (Some(value), Some(_)) => Step::Field(Field { name: line, value }, line_end + 1 + 8 + length + 1),
        (Some(value), None) => Step::Last(Field { name: line, value }),
        (None, _) => Step::Short,
    }
}

/// The length of the entry that a text begins with, with the blank line behind it; `None` if it is not all there.
pub fn entry_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match step(text.get(at..)?) {
            Step::Field(_, length) => at += length,
            Step::Blank => return Some(at + 1),
            Step::Last(_) | Step::Short => return None,
        }
    }
}

/// The fields of an entry, as far as they are whole; the last one need not end with a line feed.
pub fn fields(entry: &[u8]) -> Fields<'_> {
    Fields { rest: entry }
}

/// What is left of an entry.
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Whether the entry ends within the next field: its name stands there, and less than all of its bytes.
    fn is_cut_off(&self) -> bool {
        let Step::Short = step(self.rest) else { return false };
        let name = self.rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let is_of_names = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
        !name.is_empty() && name.iter().all(is_of_names)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        match step(self.rest) {
            Step::Field(field, length) => {
                self.rest = self.rest.get(length..).unwrap_or_default();
                Some(field)
            }
            Step::Last(field) => {
                self.rest = &[];
                Some(field)
            }
            Step::Blank => None,
            Step::Short => {
                let line = self.rest.split(|byte| *byte == b'\n').next()?;
                let equal = memchr::memchr(b'=', line)?;
                self.rest = &[];
                Some(Field { name: line.get(..equal)?, value: line.get(equal + 1..)? })
            }
        }
    }
}

/// The cursor of an entry: where the journal is gone on with.
pub fn cursor(entry: &[u8]) -> Option<&[u8]> {
    fields(entry).find(|field| field.name == b"__CURSOR").map(|field| field.value)
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

/// What names the service, the best first.
const SERVICE_NAMES: [&[u8]; 4] = [b"CONTAINER_NAME", b"_SYSTEMD_UNIT", b"SYSLOG_IDENTIFIER", b"_COMM"];

/// Parses an entry. Fields keep their names; the addresses of the entry (`__…`) are left out. Gives whether bytes that
/// are no UTF-8 were replaced. An entry that ends within a field is an error, unless it `may_be_cut` (because it was cut
/// here, for its length).
pub fn parse_entry(entry: &[u8], may_be_cut: bool, draft: &mut Draft) -> Result<bool, ParseError> {
    let fail = |what: &'static str| ParseError { format: FORMAT.into(), what: what.into(), at: 0 };
    let mut members = draft.begin("");
    let mut replaced = false;
    let mut text = |value: &[u8]| {
        let text = String::from_utf8_lossy(value);
        replaced |= matches!(text, Cow::Owned(_));
        text.into_owned()
    };
    let (mut message, mut level, mut sent_time, mut time, mut host) = (None, None, None, None, None);
    let mut services: [Option<&[u8]>; SERVICE_NAMES.len()] = [None; SERVICE_NAMES.len()];
    let mut others: Vec<(&[u8], Vec<&[u8]>)> = Vec::new();
    let mut fields_left = fields(entry);
    for Field { name, value } in fields_left.by_ref() {
        if let Some(rank) = SERVICE_NAMES.iter().position(|known| *known == name) {
            services[rank].get_or_insert(value);
        }
        match name {
            b"MESSAGE" if message.is_none() => message = Some(value),
            b"PRIORITY" => level = micros(value),
            b"_SOURCE_REALTIME_TIMESTAMP" => sent_time = micros(value),
            b"__REALTIME_TIMESTAMP" => time = micros(value),
            b"_HOSTNAME" => host = Some(value),
            _ if name.starts_with(b"__") || name.is_empty() => {}
            _ => match others.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value),
                None => others.push((name, vec![value])),
            },
        }
    }
    if fields_left.is_cut_off() && !may_be_cut {
        let at = entry.len().saturating_sub(fields_left.rest.len());
        return Err(ParseError { format: FORMAT.into(), what: "the entry is cut off within this field".into(), at });
    }
    let Some(message) = message else {
        let is_entry = fields(entry).any(|field| !field.name.is_empty());
        return Err(fail(if is_entry { "the entry has no `MESSAGE`" } else { "expected fields, `NAME=value`" }));
    };
    *members.timestamp = sent_time.or(time).map(|micros| Timestamp::from_millis(micros.div_euclid(1000)));
    let put = |members: &mut crate::draft::Members<'_>, name: &str, value: &str| members.text(name, value);
    put(&mut members, "message", text(message).trim_end_matches(['\n', '\0']));
    if let Some(level) = level {
        members.value("level", Node::Int(level));
    }
    if let Some(service) = service(&services) {
        put(&mut members, "service", &text(service));
    }
    if let Some(host) = host {
        put(&mut members, "host", &text(host));
    }
    if !others.is_empty() {
        members.name("fields");
        let mut object = members.tape.begin_object();
        for (name, values) in &others {
            members.tape.own_key(&mut object, &text(name));
            let array = (values.len() > 1).then(|| members.tape.begin_array());
            for value in values {
                let span = members.tape.own(&text(value));
                members.tape.push(Node::Text(span));
            }
            if let Some(array) = array {
                members.tape.end_array(array);
            }
        }
        members.tape.end_object(object, "");
    }
    members.end();
    Ok(replaced)
}

/// The service: a container's name, a unit that is a service (without the ending), the identifier, the command.
fn service<'a>(candidates: &[Option<&'a [u8]>; SERVICE_NAMES.len()]) -> Option<&'a [u8]> {
    let [container, unit, identifier, command] = *candidates;
    let unit_service = unit.and_then(|unit| unit.strip_suffix(b".service")).filter(|unit| !unit.starts_with(b"user@"));
    container.or(unit_service).or(identifier).or(command).or(unit)
}

/// A whole number in text.
fn micros(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fields_come_back(written in prop::collection::vec(("[A-Z_][A-Z0-9_]{0,12}", prop::collection::vec(any::<u8>(), 0..40)), 1..10)) {
            let mut entry = Vec::new();
            for (name, value) in &written {
                write_field(&mut entry, name, value);
            }
            let found: Vec<_> = fields(&entry).map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
            let expected: Vec<_> = written.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.clone())).collect();
            prop_assert_eq!(&found, &expected);
            entry.push(b'\n');
            prop_assert_eq!(entry_length(&entry), Some(entry.len()));
            for cut in 0..entry.len() {
                prop_assert_eq!(entry_length(&entry[..cut]), None);
                let _ = parse_entry(&entry[..cut], false, &mut Draft::default());
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = entry_length(&bytes);
            let _ = parse_entry(&bytes, false, &mut Draft::default());
        }
    }

    #[test]
    fn a_length_beyond_everything_is_waited_for() {
        let mut entry = b"MESSAGE\n".to_vec();
        entry.extend_from_slice(&u64::MAX.to_le_bytes());
        entry.extend_from_slice(b"text\n\n");
        assert_eq!(entry_length(&entry), None);
    }

    #[test]
    fn an_entry_may_end_with_bytes() {
        let mut entry = b"_PID=1\n".to_vec();
        write_field(&mut entry, "MESSAGE", b"two\nlines\n\n");
        let mut draft = Draft::default();
        assert_eq!(parse_entry(&entry, false, &mut draft), Ok(false));
        let value = draft.tape.to_value("", 0);
        let watchfire_model::Value::Object(members) = value else { panic!("{value:?}") };
        assert_eq!(members[0], ("message".to_owned(), watchfire_model::Value::Text("two\nlines".to_owned())));
    }

    #[test]
    fn an_entry_that_ends_within_a_field_is_cut_off() {
        let mut entry = b"MESSAGE=done\n".to_vec();
        write_field(&mut entry, "TRACE", b"one\ntwo\nthree");
        for cut in b"MESSAGE=done\nT".len()..entry.len() - 1 {
            let fault = parse_entry(&entry[..cut], false, &mut Draft::default()).expect_err("it is cut off");
            assert_eq!((fault.what.as_ref(), fault.at), ("the entry is cut off within this field", 13), "{cut}");
            assert_eq!(parse_entry(&entry[..cut], true, &mut Draft::default()), Ok(false), "{cut}");
        }
        for whole in [
            &entry[..],
            &entry[..entry.len() - 1],
            b"MESSAGE=done\nPRIORITY=3",
            b"MESSAGE=done\r\n\r\n",
            b"MESSAGE=done\n\n",
        ] {
            assert_eq!(parse_entry(whole, false, &mut Draft::default()), Ok(false), "{whole:?}");
        }
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
