//! A log record as the server shows it, in either of its two spellings, and as we show it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use watchfire_model::Timestamp;

use crate::color::{Painter, Style};
use crate::render::csv;
use crate::text::{safe, safe_lines};
use crate::time::Clock;

/// Room for the name of a service in a line; longer ones take more.
const SERVICE_COLUMNS: usize = 10;

/// A record. What the live tail says in D2's words (a number as `id`, the level in capitals) is said in ours here.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Record {
    id: Box<RawValue>,
    #[serde(default, skip_serializing)]
    uuid: Option<Box<RawValue>>,
    #[serde(default)]
    timestamp: String,
    #[serde(default)]
    level: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    service: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fields: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_details: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    performance_metrics: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    insight: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accepted_at: Option<String>,
    #[serde(default)]
    pub(crate) seq: u64,
}

/// Names of the columns of [`Record::csv`].
pub const CSV_COLUMNS: [&str; 12] = [
    "timestamp",
    "level",
    "service",
    "host",
    "source",
    "message",
    "correlation_id",
    "user_id",
    "tags",
    "fields",
    "id",
    "seq",
];

impl Record {
    /// Reads either spelling.
    pub fn parse(json: &str) -> Result<Record, serde_json::Error> {
        let mut record: Record = serde_json::from_str(json)?;
        record.level.make_ascii_lowercase();
        if let Some(uuid) = record.uuid.take() {
            record.id = uuid;
        }
        Ok(record)
    }

    /// JSON in our names.
    pub fn json(&self) -> String {
        // It was read from JSON, so that it always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// When it happened; `None` if the server's time cannot be read.
    fn at(&self) -> Option<Timestamp> {
        Timestamp::parse_date_time(&self.timestamp)
    }

    /// Time, level, service, message, and what else it holds. Further lines of a message are indented below it.
    pub fn line(&self, clock: &Clock, with_date: bool, painter: Painter) -> String {
        let time = match self.at() {
            Some(at) if with_date => clock.show(at),
            Some(at) => clock.show_time(at),
            None => safe(&self.timestamp).into_owned(),
        };
        let level = format!("{:<8}", safe(&self.level).to_uppercase());
        let service = crate::text::pad(&safe(&self.service), SERVICE_COLUMNS);
        format!(
            "{} {} {} {}{}",
            painter.paint(Style::Dim, &time),
            painter.paint(Painter::level(&self.level), &level),
            painter.paint(Style::Name, &service),
            safe_lines(&self.message, "    │ "),
            painter.paint(Style::Dim, &self.details()),
        )
    }

    /// `key=value` of everything beside message and service.
    fn details(&self) -> String {
        let mut out = String::new();
        let texts = [("host", &self.host), ("user_id", &self.user_id), ("correlation_id", &self.correlation_id)];
        for (name, text) in texts {
            if let Some(text) = text {
                push_detail("", name, &Value::String(text.clone()), &mut out);
            }
        }
        for (prefix, members) in [("tags.", &self.tags), ("", &self.fields), ("error.", &self.error_details)] {
            let members =
                members.as_ref().and_then(|raw| serde_json::from_str::<BTreeMap<String, Value>>(raw.get()).ok());
            for (name, value) in members.unwrap_or_default() {
                push_detail(prefix, &name, &value, &mut out);
            }
        }
        out
    }

    /// Level, service and message as cells of a table, behind the time.
    pub fn cells(&self, clock: &Clock) -> Vec<crate::render::table::Cell> {
        use crate::render::table::Cell;
        let time = self.at().map_or_else(|| self.timestamp.clone(), |at| clock.show(at));
        vec![
            Cell::styled(&time, Style::Dim),
            Cell::styled(&self.level, Painter::level(&self.level)),
            Cell::styled(&self.service, Style::Name),
            Cell::new(&self.message),
        ]
    }

    /// A row under [`CSV_COLUMNS`].
    pub fn csv(&self) -> String {
        let optional = |text: &'_ Option<String>| text.clone().unwrap_or_default();
        let raw = |raw: &Option<Box<RawValue>>| raw.as_ref().map_or_else(String::new, |raw| raw.get().to_owned());
        let id: String = serde_json::from_str(self.id.get()).unwrap_or_else(|_| self.id.get().to_owned());
        let texts = [
            self.timestamp.clone(),
            self.level.clone(),
            self.service.clone(),
            optional(&self.host),
            optional(&self.source),
            self.message.clone(),
            optional(&self.correlation_id),
            optional(&self.user_id),
            raw(&self.tags),
            raw(&self.fields),
            id,
        ];
        let seq = self.seq.to_string();
        csv::row(texts.iter().map(|text| csv::Cell::Text(text)).chain([csv::Cell::Plain(&seq)]))
    }
}

fn push_detail(prefix: &str, name: &str, value: &Value, out: &mut String) {
    let plain = match value {
        Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => safe(text).into_owned(),
        other => safe(&other.to_string()).into_owned(),
    };
    out.push_str(&format!("  {prefix}{}={plain}", safe(name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAT: &str = r#"{"id":7,"uuid":"x1","timestamp":"2026-11-28T10:00:00.123Z","level":"ERROR","application":"api",
        "metadata":{"n":1.50},"created_at":"2026-11-28T10:00:00.124Z","message":"a\u001b[2J\nb","service":"api","tags":{"env":"prod"},
        "fields":{"n":1.50,"q":"a b"},"accepted_at":"2026-11-28T10:00:00.124Z","seq":7}"#;

    #[test]
    fn the_live_spelling_becomes_ours() {
        let record = Record::parse(FLAT).expect("a record");
        assert_eq!(
            record.json(),
            r#"{"id":"x1","timestamp":"2026-11-28T10:00:00.123Z","level":"error","message":"a\u001b[2J\nb","service":"api","tags":{"env":"prod"},"fields":{"n":1.50,"q":"a b"},"accepted_at":"2026-11-28T10:00:00.124Z","seq":7}"#
        );
        assert_eq!(Record::parse(&record.json()).expect("ours").json(), record.json());
    }

    #[test]
    fn a_line_cannot_be_left() {
        let record = Record::parse(FLAT).expect("a record");
        let line = record.line(&Clock::utc(), false, Painter::plain());
        assert_eq!(line, "10:00:00.123 ERROR    api        a\\x1b[2J\n    │ b  tags.env=prod  n=1.5  q=\"a b\"");
        let painted = record.line(&Clock::utc(), false, Painter::colored());
        assert!(painted.contains("\u{1b}[1;31mERROR"), "{painted:?}");
    }

    #[test]
    fn a_row_of_csv() {
        let record = Record::parse(FLAT).expect("a record");
        assert_eq!(
            record.csv(),
            "2026-11-28T10:00:00.123Z,error,api,,,\"a\\x1b[2J\nb\",,,\"{\"\"env\"\":\"\"prod\"\"}\",\"{\"\"n\"\":1.50,\"\"q\"\":\"\"a b\"\"}\",x1,7\n"
        );
    }
}
