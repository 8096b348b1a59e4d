//! Records from JSON as the documents show them, for test data.

use watchfire_model::record::{Fields, Value};
use watchfire_model::{Level, LogRecord, Timestamp};

/// A record and its `seq`. Panics on what is no record: test data must be right.
pub fn record(json: &serde_json::Value) -> (u64, LogRecord) {
    let object = json.as_object().expect("a record is an object");
    let mut record = LogRecord { service: "unknown".to_owned(), ..LogRecord::default() };
    let mut seq = None;
    for (name, value) in object {
        let text = || value.as_str().unwrap_or_else(|| panic!("{name} is a text")).to_owned();
        let time = || Timestamp::parse_date_time(&text()).unwrap_or_else(|| panic!("{name} is a time"));
        match name.as_str() {
            "seq" => seq = value.as_u64(),
            "id" => record.id = text(),
            "timestamp" => record.timestamp = time(),
            "accepted_at" => record.accepted_at = time(),
            "level" => record.level = Level::parse(&text()).expect("a level"),
            "message" => record.message = text(),
            "service" => record.service = text(),
            "source" => record.source = Some(text()),
            "host" => record.host = Some(text()),
            "correlation_id" => record.correlation_id = Some(text()),
            "user_id" => record.user_id = Some(text()),
            "tags" => {
                let tags = fields(value).into_iter().map(|(name, value)| match value {
                    Value::Text(text) => (name, text),
                    other => panic!("tag {name} is a text, not {other:?}"),
                });
                record.tags = tags.collect();
            }
            "fields" => record.fields = fields(value),
            "error_details" => record.error_details = fields(value),
            "performance_metrics" => record.performance_metrics = fields(value),
            "insight" => record.insight = fields(value),
            other => panic!("{other} is no name of a record"),
        }
    }
    (seq.unwrap_or_default(), record)
}

fn fields(json: &serde_json::Value) -> Fields {
    let object = json.as_object().expect("an object");
    object.iter().map(|(name, json)| (name.clone(), value(json))).collect()
}

fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(bool) => Value::Bool(*bool),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Float(number.as_f64().expect("a number that a float can hold")),
        },
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(values) => Value::Array(values.iter().map(value).collect()),
        serde_json::Value::Object(_) => Value::Object(fields(json)),
    }
}
