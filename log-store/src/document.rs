//! A record as the document that answers, streams and outside stores share (names of API.md, 2).

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use watchfire_model::record::Fields;
use watchfire_model::{LogRecord, Value};

/// A record and its number; serialises to one flat object. What a record has not is left out, but for `tags`
/// and `fields`, which are always there.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// The record.
    pub record: &'a LogRecord,
    /// Its offset in the queue; `None` if it was only parsed.
    pub seq: Option<u64>,
    /// In whose words.
    pub names: Names,
}

/// In whose words a record is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Names {
    /// Ours.
    #[default]
    Canonical,
    /// D2's beside ours: `id` is the number (ours is then `uuid`), the level is in upper case, and there are
    /// `application`, `metadata` and `created_at`.
    D2,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.record;
        let mut map = serializer.serialize_map(None)?;
        let accepted_at = record.accepted_at.to_rfc3339();
        match (self.names, self.seq) {
            (Names::D2, Some(seq)) => {
                map.serialize_entry("id", &seq)?;
                map.serialize_entry("uuid", &record.id)?;
            }
            (Names::Canonical, _) | (Names::D2, None) => map.serialize_entry("id", &record.id)?,
        }
        map.serialize_entry("timestamp", &record.timestamp.to_rfc3339())?;
        match self.names {
            Names::Canonical => map.serialize_entry("level", record.level.as_str())?,
            Names::D2 => {
                map.serialize_entry("level", &record.level.as_str().to_uppercase())?;
                map.serialize_entry("application", &record.service)?;
                map.serialize_entry("metadata", &Members(&record.fields))?;
                map.serialize_entry("created_at", &accepted_at)?;
            }
        }
        map.serialize_entry("message", &record.message)?;
        map.serialize_entry("service", &record.service)?;
        let optional = [
            ("source", &record.source),
            ("host", &record.host),
            ("correlation_id", &record.correlation_id),
            ("user_id", &record.user_id),
        ];
        for (name, text) in optional {
            if let Some(text) = text {
                map.serialize_entry(name, text)?;
            }
        }
        map.serialize_entry("tags", &Tags(&record.tags))?;
        map.serialize_entry("fields", &Members(&record.fields))?;
        let objects = [
            ("error_details", &record.error_details),
            ("performance_metrics", &record.performance_metrics),
            ("insight", &record.insight),
        ];
        for (name, fields) in objects {
            if !fields.is_empty() {
                map.serialize_entry(name, &Members(fields))?;
            }
        }
        map.serialize_entry("accepted_at", &accepted_at)?;
        if let Some(seq) = self.seq {
            map.serialize_entry("seq", &seq)?;
        }
        map.end()
    }
}

/// Named values as an object.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a>(pub &'a Fields);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &Plain(value))?;
        }
        map.end()
    }
}

struct Tags<'a>(&'a [(String, String)]);

impl Serialize for Tags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A value.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(bool) => serializer.serialize_bool(*bool),
            Value::Int(int) => serializer.serialize_i64(*int),
            Value::Float(float) if float.is_finite() => serializer.serialize_f64(*float),
            // JSON has no such numbers.
            Value::Float(float) => serializer.collect_str(float),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Array(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&Plain(value))?;
                }
                list.end()
            }
            Value::Object(members) => Members(members).serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::{Level, Timestamp};

    #[test]
    fn names_and_shapes() {
        let record = LogRecord {
            timestamp: Timestamp::from_millis(1_700_000_000_123),
            level: Level::Error,
            message: "a \"b\"\n".into(),
            service: "api".into(),
            id: "x1".into(),
            host: Some("n1".into()),
            tags: vec![("env".into(), "prod".into())],
            fields: vec![
                ("n".into(), Value::Int(5)),
                ("list".into(), Value::Array(vec![Value::Null, Value::Float(0.5), Value::Bool(true)])),
                ("deep".into(), Value::Object(vec![("x.y".into(), Value::Text("z".into()))])),
            ],
            ..LogRecord::default()
        };
        let json = serde_json::to_string(&Document { record: &record, seq: Some(7), names: Names::Canonical })
            .expect("serialises");
        assert_eq!(
            json,
            r#"{"id":"x1","timestamp":"2023-11-14T22:13:20.123Z","level":"error","message":"a \"b\"\n","service":"api","host":"n1","tags":{"env":"prod"},"fields":{"n":5,"list":[null,0.5,true],"deep":{"x.y":"z"}},"accepted_at":"1970-01-01T00:00:00.000Z","seq":7}"#
        );
    }
}
