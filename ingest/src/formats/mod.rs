//! The formats that a line may have, and finding out which.
//!
//! Order of detection: JSON, syslog RFC 5424 and RFC 3164, access logs, the configuration's own patterns, then
//! logfmt and nginx's error log. What none of them takes is kept whole, with the time that it may begin with. Lines of
//! containers are unwrapped before ([`container`]), and what is inside is of one of these formats.

pub mod access_log;
pub mod container;
pub mod custom;
pub mod journald;
pub mod json;
mod leading_time;
pub mod logfmt;
pub mod nginx_error;
mod syslog_header;
pub mod syslog_rfc3164;
pub mod syslog_rfc5424;

use std::borrow::Cow;

use watchfire_model::Timestamp;

pub use custom::{CustomParser, PatternError, PatternFault, PatternPart};

use crate::draft::Draft;

/// The format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// A JSON object.
    Json,
    /// Syslog as RFC 5424 writes it.
    SyslogRfc5424,
    /// Syslog as RFC 3164 describes it, and its many relatives.
    SyslogRfc3164,
    /// The common log format.
    ApacheCommon,
    /// The combined log format, nginx' default too.
    ApacheCombined,
    /// `key=value key="value"`.
    Logfmt,
    /// nginx' error log.
    NginxError,
    /// A pattern of the configuration, by its position.
    Custom(u16),
    /// None of the others: the line is the message.
    Unknown,
    /// An entry of the journal's export format; never found out, as it is no line.
    Journald,
    /// A line of a container in what Docker's json-file wraps around it.
    Docker,
    /// The same, as the runtimes of Kubernetes wrap it.
    Cri,
}

impl Format {
    /// The built-in ones, in the order of [`Format::index`].
    pub const BUILT_IN: [Format; 11] = [
        Format::Json,
        Format::SyslogRfc5424,
        Format::SyslogRfc3164,
        Format::ApacheCommon,
        Format::ApacheCombined,
        Format::Logfmt,
        Format::NginxError,
        Format::Unknown,
        Format::Journald,
        Format::Docker,
        Format::Cri,
    ];

    /// A small number for tables of counters: the built-in formats first, then the configured ones.
    pub fn index(self) -> usize {
        match self {
            Format::Json => 0,
            Format::SyslogRfc5424 => 1,
            Format::SyslogRfc3164 => 2,
            Format::ApacheCommon => 3,
            Format::ApacheCombined => 4,
            Format::Logfmt => 5,
            Format::NginxError => 6,
            Format::Unknown => 7,
            Format::Journald => 8,
            Format::Docker => 9,
            Format::Cri => 10,
            Format::Custom(at) => Format::BUILT_IN.len() + usize::from(at),
        }
    }

    /// The name outside, but of one that is configured.
    pub const fn built_in_name(self) -> Option<&'static str> {
        match self {
            Format::Json => Some("json"),
            Format::SyslogRfc5424 => Some("syslog_rfc5424"),
            Format::SyslogRfc3164 => Some("syslog_rfc3164"),
            Format::ApacheCommon => Some("apache_common"),
            Format::ApacheCombined => Some("apache_combined"),
            Format::Logfmt => Some("logfmt"),
            Format::NginxError => Some("nginx_error"),
            Format::Unknown => Some("unknown"),
            Format::Journald => Some("journald"),
            Format::Docker => Some("docker"),
            Format::Cri => Some("cri"),
            Format::Custom(_) => None,
        }
    }

    /// The format with this number.
    pub fn from_index(index: usize) -> Format {
        match Format::BUILT_IN.get(index) {
            Some(format) => *format,
            None => u16::try_from(index - Format::BUILT_IN.len()).map_or(Format::Unknown, Format::Custom),
        }
    }
}

/// Why a line is not of a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {format}: {what} at byte {at}")]
pub struct ParseError {
    /// The format that was expected.
    pub format: Cow<'static, str>,
    /// What is missing or wrong.
    pub what: Cow<'static, str>,
    /// Where, as a byte offset into the line.
    pub at: usize,
}

impl ParseError {
    /// An error at the start of `rest`, a suffix of `line`.
    fn before(format: &'static str, what: &'static str, line: &str, rest: &str) -> ParseError {
        ParseError {
            format: Cow::Borrowed(format),
            what: Cow::Borrowed(what),
            at: line.len().saturating_sub(rest.len()),
        }
    }
}

/// All parsers in force: the built-in ones and those of the configuration.
#[derive(Default)]
pub struct Parsers {
    custom: Vec<CustomParser>,
}

/// Two parsers of the configuration have one name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are two parsers named `{name}`; the name must tell them apart")]
pub struct SameName {
    /// The name.
    pub name: String,
    /// Position of the second parser in the list.
    pub at: usize,
}

impl Parsers {
    /// Every name of the configuration's parsers, in their order, that was there before. Whether a name is good in
    /// itself is checked by [`CustomParser::new`].
    pub fn same_names(names: &[&str]) -> Vec<SameName> {
        let mut seen = std::collections::HashSet::new();
        let known = names.iter().enumerate().filter(|(_, name)| !seen.insert(**name));
        known.map(|(at, name)| SameName { name: (*name).to_owned(), at }).collect()
    }

    /// With these patterns, tried in their order. At most 65,535 of them count.
    pub fn new(mut custom: Vec<CustomParser>) -> Parsers {
        custom.truncate(usize::from(u16::MAX));
        Parsers { custom }
    }

    /// How many formats there are, for tables by [`Format::index`].
    pub fn formats(&self) -> usize {
        Format::BUILT_IN.len() + self.custom.len()
    }

    /// The name of a format outside, `regex:NAME` for a configured one.
    pub fn name(&self, format: Format) -> &str {
        match format {
            Format::Custom(at) => self.custom.get(usize::from(at)).map(CustomParser::format_name),
            built_in => built_in.built_in_name(),
        }
        .unwrap_or("unknown")
    }

    /// The format of that name; a configured one with or without `regex:`.
    pub fn find(&self, name: &str) -> Option<Format> {
        let built_in = Format::BUILT_IN.into_iter().find(|format| self.name(*format) == name);
        built_in.or_else(|| {
            let name = name.strip_prefix("regex:").unwrap_or(name);
            let at = self.custom.iter().position(|parser| parser.name() == name)?;
            u16::try_from(at).ok().map(Format::Custom)
        })
    }

    /// The names of all formats, for messages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let custom = self.custom.iter().map(CustomParser::format_name);
        Format::BUILT_IN.iter().map(|format| self.name(*format)).chain(custom)
    }

    /// Parses a line as one format. One of a container must be unwrapped before, and is of none of their formats then.
    pub fn parse_as(&self, format: Format, line: &str, now: Timestamp, draft: &mut Draft) -> Result<(), ParseError> {
        match format {
            Format::Json => json::parse(line, draft),
            Format::SyslogRfc5424 => syslog_rfc5424::parse(line, draft),
            Format::SyslogRfc3164 => syslog_rfc3164::parse(line, now, draft),
            Format::ApacheCommon | Format::ApacheCombined => {
                let found = access_log::parse(line, draft)?;
                match (format, found) {
                    (Format::ApacheCombined, Format::ApacheCommon) => Err(ParseError {
                        format: "apache_combined".into(),
                        what: "expected the quoted referer and user agent".into(),
                        at: line.len(),
                    }),
                    _ => Ok(()),
                }
            }
            Format::Logfmt => logfmt::parse(line, draft),
            Format::NginxError => nginx_error::parse(line, draft),
            Format::Custom(at) => match self.custom.get(usize::from(at)) {
                Some(parser) => parser.parse(line, draft),
                None => Err(ParseError { format: "regex".into(), what: "no such pattern".into(), at: 0 }),
            },
            Format::Unknown => {
                whole(line, now, draft);
                Ok(())
            }
            Format::Journald => journald::parse_entry(line.as_bytes(), usize::MAX, false, draft).map(|_| ()),
            Format::Docker | Format::Cri => Err(container::error(format)),
        }
    }

    /// Finds out the format of a line and parses it.
    pub fn parse_auto(&self, line: &str, now: Timestamp, draft: &mut Draft) -> Format {
        let first = line.trim_start().as_bytes().first().copied().unwrap_or(b' ');
        if first == b'{' && json::parse(line, draft).is_ok() {
            return Format::Json;
        }
        if first == b'<' && syslog_rfc5424::parse(line, draft).is_ok() {
            return Format::SyslogRfc5424;
        }
        if (first == b'<' || syslog_rfc3164::may_start(line)) && syslog_rfc3164::parse(line, now, draft).is_ok() {
            return Format::SyslogRfc3164;
        }
        if let Ok(format) = access_log::parse(line, draft) {
            return format;
        }
        for (at, parser) in (0u16..).zip(&self.custom) {
            if parser.parse(line, draft).is_ok() {
                return Format::Custom(at);
            }
        }
        if logfmt::parse_strictly(line, draft).is_ok() {
            return Format::Logfmt;
        }
        if first.is_ascii_digit() && nginx_error::parse(line, draft).is_ok() {
            return Format::NginxError;
        }
        whole(line, now, draft);
        Format::Unknown
    }
}

/// Whether a name outside is that of a built-in format, or `auto`, which asks for any.
fn is_built_in(name: &str) -> bool {
    let parsers = Parsers::default();
    name == "auto" || Format::BUILT_IN.into_iter().any(|format| parsers.name(format) == name)
}

/// The line as it is, as the message.
fn whole(line: &str, now: Timestamp, draft: &mut Draft) {
    let mut members = draft.begin(line);
    members.text("message", line);
    members.end();
    draft.leading_time = leading_time::read(line, now);
}

#[cfg(test)]
mod tests;
