//! What both syslogs share: the priority in front, and the names of facilities.

use watchfire_model::Level;

use crate::draft::Members;
use crate::json::Node;

/// Names of the facilities by number (RFC 5424, table 1, in syslog.conf's words).
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Facility and severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Priority(u8);

/// `<N>` with N up to 191 at the start; gives it and the rest.
pub(super) fn read_priority(line: &str) -> Option<(Priority, &str)> {
    let (number, rest) = line.strip_prefix('<')?.split_once('>')?;
    if number.is_empty() || number.len() > 3 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = number.parse::<u8>().ok().filter(|number| *number <= 191)?;
    Some((Priority(number), rest))
}

impl Priority {
    /// Sets the level, and keeps facility and severity as fields.
    pub(super) fn put(self, members: &mut Members<'_>) {
        let severity = self.0 & 7;
        *members.level = Level::from_syslog_severity(severity);
        if let Some(name) = FACILITIES.get(usize::from(self.0 >> 3)) {
            members.text("facility", name);
        }
        members.value("severity_number", Node::Int(i64::from(severity)));
    }
}

/// The line without what transports leave at its end.
pub(super) fn trim_end(line: &str) -> &str {
    line.trim_end_matches(['\n', '\r', '\0'])
}
