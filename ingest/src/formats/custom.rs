//! Patterns of the configuration: a regular expression with named groups, and what the groups stand for.

use regex::{CaptureLocations, Regex, RegexBuilder};

use super::ParseError;
use crate::draft::Draft;

/// Largest compiled size of a pattern, bytes.
const SIZE_LIMIT: usize = 4 << 20;

/// The part of a parser that a fault lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternPart {
    /// Its name.
    Name,
    /// Its pattern, at this byte.
    Pattern {
        /// Offset in bytes.
        offset: usize,
    },
    /// What this field of the record is taken from.
    Field(String),
}

/// A fault of a parser, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct PatternFault {
    /// Where in the parser.
    pub part: PatternPart,
    /// What is wrong.
    pub error: PatternError,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The name is empty, or not of letters, digits, `_`, `-`, `.`.
    #[error("parser name `{name}` must be of letters, digits, `_`, `-` and `.`")]
    Name {
        /// The name given.
        name: String,
    },
    /// The name is that of a format that is there without configuration.
    #[error("parser name `{name}` is the name of a built-in format; choose another")]
    Taken {
        /// The name given.
        name: String,
    },
    /// The regular expression does not compile.
    #[error("pattern of parser `{name}`: {reason}; a backslash before a sign makes it plain")]
    Pattern {
        /// Name of the parser.
        name: String,
        /// What the regex parser says, on one line.
        reason: String,
    },
    /// No group has a name.
    #[error("pattern of parser `{name}` has no named group; write `(?P<message>…)` around what is to be kept")]
    NoGroups {
        /// Name of the parser.
        name: String,
    },
    /// A field is mapped from a group that the pattern does not have.
    #[error("parser `{name}` maps `{field}` from group `{group}`, which its pattern does not have; it has {have}")]
    NoSuchGroup {
        /// Name of the parser.
        name: String,
        /// The record's field.
        field: String,
        /// The missing group.
        group: String,
        /// Those that there are, for people.
        have: String,
    },
}

/// One pattern, compiled.
pub struct CustomParser {
    name: String,
    format_name: String,
    regex: Regex,
    /// Group number, and the member that it becomes.
    targets: Vec<Target>,
    has_message: bool,
}

struct Target {
    group: usize,
    name: String,
    /// Whether it was mapped to `fields.NAME`, and so means no field of the record.
    in_fields: bool,
}

impl CustomParser {
    /// Compiles a pattern. `fields` are pairs of a record's field (`level`, `fields.shop`) and the group that it comes
    /// from; a named group that no pair mentions becomes the field of its own name.
    ///
    /// Errors: every fault.
    pub fn new(name: &str, pattern: &str, fields: &[(String, String)]) -> Result<CustomParser, Vec<PatternFault>> {
        let mut faults: Vec<PatternFault> = check_name(name).into_iter().collect();
        let compiled = compile(name, pattern).map_err(|fault| faults.push(fault)).ok();
        let targets = compiled.as_ref().map_or_else(Vec::new, |regex| targets(name, regex, fields, &mut faults));
        let Some(regex) = compiled.filter(|_| faults.is_empty()) else { return Err(faults) };
        let has_message = targets.iter().any(|target| !target.in_fields && target.name == "message");
        Ok(CustomParser { name: name.to_owned(), format_name: format!("regex:{name}"), regex, targets, has_message })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `regex:NAME`.
    pub fn format_name(&self) -> &str {
        &self.format_name
    }

    /// Parses a line that the pattern matches; without a group `message` the line is the message.
    pub fn parse(&self, line: &str, draft: &mut Draft) -> Result<(), ParseError> {
        let mut found: CaptureLocations = self.regex.capture_locations();
        if self.regex.captures_read(&mut found, line).is_none() {
            return Err(ParseError {
                format: self.format_name.clone().into(),
                what: "the pattern does not match".into(),
                at: 0,
            });
        }
        let part = |target: &Target| found.get(target.group).and_then(|(start, end)| line.get(start..end));
        let mut members = draft.begin(line);
        let mut inner = None;
        for target in &self.targets {
            let Some(text) = part(target) else { continue };
            if target.in_fields {
                if inner.is_none() {
                    members.name("fields");
                }
                let object = inner.get_or_insert_with(|| members.tape.begin_object());
                members.tape.own_key(object, &target.name);
                members.plain_value(&target.name, text);
            } else if target.name == "message" {
                members.text("message", text);
            } else {
                members.plain(&target.name, text);
            }
        }
        if let Some(object) = inner {
            members.tape.end_object(object, line);
        }
        if !self.has_message {
            members.text("message", line);
        }
        members.end();
        Ok(())
    }
}

fn check_name(name: &str) -> Option<PatternFault> {
    let good_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let error = if name.is_empty() || name.len() > 64 || !name.bytes().all(good_name) {
        PatternError::Name { name: name.to_owned() }
    } else if super::is_built_in(name) {
        PatternError::Taken { name: name.to_owned() }
    } else {
        return None;
    };
    Some(PatternFault { part: PatternPart::Name, error })
}

fn compile(name: &str, pattern: &str) -> Result<Regex, PatternFault> {
    RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).build().map_err(|error| {
        // The library's own message is a picture of the pattern; its parser says the reason and the place.
        let (reason, offset) = match regex_syntax::parse(pattern) {
            Err(regex_syntax::Error::Parse(error)) => (error.kind().to_string(), error.span().start.offset),
            Err(regex_syntax::Error::Translate(error)) => (error.kind().to_string(), error.span().start.offset),
            Ok(_) | Err(_) => (error.to_string().lines().last().unwrap_or_default().trim().to_owned(), 0),
        };
        let error = PatternError::Pattern { name: name.to_owned(), reason };
        PatternFault { part: PatternPart::Pattern { offset }, error }
    })
}

/// What becomes of the pattern's groups: as `fields` says, else the field of the group's name. Members of the record
/// first, then those of its object `fields`.
fn targets(name: &str, regex: &Regex, fields: &[(String, String)], faults: &mut Vec<PatternFault>) -> Vec<Target> {
    let groups: Vec<(usize, &str)> =
        regex.capture_names().enumerate().filter_map(|(at, group)| Some((at, group?))).collect();
    if groups.is_empty() {
        let error = PatternError::NoGroups { name: name.to_owned() };
        faults.push(PatternFault { part: PatternPart::Pattern { offset: 0 }, error });
        return Vec::new();
    }
    let mut targets = Vec::new();
    for (field, group) in fields {
        match groups.iter().find(|(_, have)| have == group) {
            Some((number, _)) => targets.push(Target::new(*number, field)),
            None => {
                let (name, field, group) = (name.to_owned(), field.clone(), group.clone());
                let part = PatternPart::Field(field.clone());
                let have = groups.iter().map(|(_, have)| format!("`{have}`")).collect::<Vec<_>>().join(", ");
                faults.push(PatternFault { part, error: PatternError::NoSuchGroup { name, field, group, have } });
            }
        }
    }
    for (number, group) in &groups {
        if !targets.iter().any(|target| target.group == *number) {
            targets.push(Target::new(*number, group));
        }
    }
    targets.sort_by_key(|target| target.in_fields);
    targets
}

impl Target {
    fn new(group: usize, field: &str) -> Target {
        match field.strip_prefix("fields.") {
            Some(name) => Target { group, name: name.to_owned(), in_fields: true },
            None => Target { group, name: field.to_owned(), in_fields: false },
        }
    }
}
