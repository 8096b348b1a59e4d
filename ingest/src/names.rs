//! What the names of a sent record mean: the canonical ones, their aliases, without regard to case.

/// A field of the record that holds one value; several names compete for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Slot {
    /// Event time.
    Timestamp,
    /// Severity.
    Level,
    /// Message.
    Message,
    /// Who logged it.
    Service,
    /// Where it came from.
    Source,
    /// On which machine.
    Host,
    /// Id of the record.
    Id,
    /// What joins the records of one request.
    CorrelationId,
    /// On whose behalf.
    UserId,
}

impl Slot {
    /// The field that keeps a value which the slot cannot hold.
    pub fn raw_name(self) -> &'static str {
        match self {
            Slot::Timestamp => "timestamp_raw",
            Slot::Level => "level_raw",
            Slot::Message => "message_raw",
            Slot::Service => "service_raw",
            Slot::Source => "source_raw",
            Slot::Host => "host_raw",
            Slot::Id => "id_raw",
            Slot::CorrelationId => "correlation_id_raw",
            Slot::UserId => "user_id_raw",
        }
    }

    /// Whether an object (else a list) in its place is a value that the slot cannot hold. Objects named `service`,
    /// `source` and `host` are not: they hold fields of their own, as ECS writes them (`host.ip`).
    pub fn cannot_hold(self, is_object: bool) -> bool {
        !(is_object && matches!(self, Slot::Service | Slot::Source | Slot::Host))
    }
}

/// How many slots there are.
pub const SLOTS: usize = 9;

/// What a name at the top of a record means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A candidate for a slot; of several the one with the lowest rank wins, the others stay fields.
    Slot(Slot, u8),
    /// An object whose members are fields.
    Fields,
    /// Tags, a map or a list.
    Tags,
    /// Details of an error.
    ErrorDetails,
    /// Measured figures.
    PerformanceMetrics,
    /// What analysis added.
    Insight,
    /// Stays a field, and is the correlation id if there is no other; lowest rank first.
    Trace(u8),
    /// Nothing known: a field.
    Field,
}

/// The meaning of a name at the top of a record.
pub fn meaning(name: &str) -> Meaning {
    use Slot::{CorrelationId, Host, Id, Level, Message, Service, Source, Timestamp, UserId};
    let name = name.as_bytes();
    // Nearly all names are lower-case as they come, and that is seen at once.
    let is = |wanted: &str| name == wanted.as_bytes() || name.eq_ignore_ascii_case(wanted.as_bytes());
    let Some(first) = name.first() else { return Meaning::Field };
    // Length and first letter leave at most three names to compare with.
    match (name.len(), first | 0x20) {
        (2, b't') if is("ts") => Meaning::Slot(Timestamp, 3),
        (2, b'i') if is("id") => Meaning::Slot(Id, 0),
        (3, b'm') if is("msg") => Meaning::Slot(Message, 1),
        (3, b'l') if is("log") => Meaning::Slot(Message, 2),
        (3, b'l') if is("lvl") => Meaning::Slot(Level, 2),
        (3, b'a') if is("app") => Meaning::Slot(Service, 2),
        (4, b't') if is("time") => Meaning::Slot(Timestamp, 2),
        (4, b't') if is("tags") => Meaning::Tags,
        (4, b'b') if is("body") => Meaning::Slot(Message, 3),
        (4, _) if is("_msg") => Meaning::Slot(Message, 4),
        (4, b'h') if is("host") => Meaning::Slot(Host, 0),
        (5, b'l') if is("level") => Meaning::Slot(Level, 0),
        (5, _) if is("_time") => Meaning::Slot(Timestamp, 4),
        (6, b's') if is("source") => Meaning::Slot(Source, 0),
        (6, b'f') if is("fields") => Meaning::Fields,
        (6, b'l') if is("labels") => Meaning::Fields,
        (7, b'm') if is("message") => Meaning::Slot(Message, 0),
        (7, b's') if is("service") => Meaning::Slot(Service, 0),
        (7, b'c') if is("context") => Meaning::Fields,
        (7, b'u') if is("user_id") => Meaning::Slot(UserId, 0),
        (7, b'a') if is("appname") => Meaning::Slot(Service, 4),
        (7, b't') if is("traceid") => Meaning::Trace(1),
        (7, b'i') if is("insight") => Meaning::Insight,
        (8, b's') if is("severity") => Meaning::Slot(Level, 1),
        (8, b'h') if is("hostname") => Meaning::Slot(Host, 1),
        (8, b'm') if is("metadata") => Meaning::Fields,
        (8, b't') if is("trace_id") => Meaning::Trace(0),
        (8, b't') if is("trace.id") => Meaning::Trace(3),
        (9, b't') if is("timestamp") => Meaning::Slot(Timestamp, 0),
        (9, b'l') if is("log.level") => Meaning::Slot(Level, 3),
        (9, b'h') if is("host.name") => Meaning::Slot(Host, 2),
        (10, b'a') if is("attributes") => Meaning::Fields,
        (10, b'r') if is("request_id") => Meaning::Trace(2),
        (10, _) if is("@timestamp") => Meaning::Slot(Timestamp, 1),
        (11, b'a') if is("application") => Meaning::Slot(Service, 1),
        (12, b's') if is("service.name") => Meaning::Slot(Service, 3),
        (13, b's') if is("severity_text") => Meaning::Slot(Level, 4),
        (13, b'e') if is("error_details") => Meaning::ErrorDetails,
        (14, b'c') if is("correlation_id") => Meaning::Slot(CorrelationId, 0),
        (19, b'p') if is("performance_metrics") => Meaning::PerformanceMetrics,
        _ => Meaning::Field,
    }
}

/// The meaning of a dotted name whose parts are nested objects (`{"log": {"level": …}}`).
pub fn nested_meaning(outer: &str, inner: &str) -> Meaning {
    let is = |wanted_outer: &str, wanted_inner: &str| {
        outer.eq_ignore_ascii_case(wanted_outer) && inner.eq_ignore_ascii_case(wanted_inner)
    };
    if is("log", "level") {
        Meaning::Slot(Slot::Level, 3)
    } else if is("service", "name") {
        Meaning::Slot(Slot::Service, 3)
    } else if is("host", "name") {
        Meaning::Slot(Slot::Host, 2)
    } else if is("trace", "id") {
        Meaning::Trace(3)
    } else {
        Meaning::Field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_of_the_contract_in_any_case() {
        let table: [(Slot, &[&str]); 6] = [
            (Slot::Timestamp, &["timestamp", "@timestamp", "time", "ts", "_time"]),
            (Slot::Level, &["level", "severity", "lvl", "log.level", "severity_text"]),
            (Slot::Message, &["message", "msg", "log", "body", "_msg"]),
            (Slot::Service, &["service", "application", "app", "service.name", "appname"]),
            (Slot::Host, &["host", "hostname", "host.name"]),
            (Slot::CorrelationId, &["correlation_id"]),
        ];
        for (slot, names) in table {
            for (rank, name) in (0u8..).zip(names) {
                for name in [name.to_string(), name.to_uppercase()] {
                    assert_eq!(meaning(&name), Meaning::Slot(slot, rank), "{name}");
                }
            }
        }
        for name in ["fields", "metadata", "Context", "attributes", "labels"] {
            assert_eq!(meaning(name), Meaning::Fields, "{name}");
        }
        for name in ["trace_id", "traceId", "request_id"] {
            assert!(matches!(meaning(name), Meaning::Trace(_)), "{name}");
        }
        for name in ["", "messages", "tim", "é", "leve\u{130}", "seq", "accepted_at"] {
            assert_eq!(meaning(name), Meaning::Field, "{name}");
        }
    }
}
