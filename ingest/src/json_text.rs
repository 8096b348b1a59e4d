//! JSON out: records and values as the endpoints show them.

use watchfire_model::record::Fields;
use watchfire_model::{LogRecord, Value};

/// A value as compact JSON.
pub fn of_value(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, &mut out);
    out
}

/// Appends a value as compact JSON. Of equal names in an object the last one counts for most readers.
pub fn write_value(value: &Value, out: &mut String) {
    use std::fmt::Write;
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
        // Writing to a string cannot fail.
        Value::Int(int) => drop(write!(out, "{int}")),
        Value::Float(float) if float.is_finite() => drop(write!(out, "{float:?}")),
        Value::Float(float) if float.is_nan() => out.push_str("\"NaN\""),
        Value::Float(float) => out.push_str(if *float > 0.0 { "\"+Inf\"" } else { "\"-Inf\"" }),
        Value::Text(text) => write_text(text, out),
        Value::Array(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_value(value, out);
            }
            out.push(']');
        }
        Value::Object(members) => write_members(members, out),
    }
}

/// Appends named values as a JSON object.
pub fn write_members(members: &Fields, out: &mut String) {
    out.push('{');
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        write_value(value, out);
    }
    out.push('}');
}

/// Appends a text in quotes.
pub fn write_text(text: &str, out: &mut String) {
    use std::fmt::Write;
    out.push('"');
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        // Both ends stand beside ASCII bytes, so they are character boundaries.
        out.push_str(text.get(plain_from..at).unwrap_or_default());
        if escape.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        plain_from = at + 1;
    }
    out.push_str(text.get(plain_from..).unwrap_or_default());
    out.push('"');
}

/// What an endpoint shows of a record beside its own content.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extra {
    /// The record's number, where it is known.
    pub seq: Option<u64>,
    /// D2's names too: `id` is the number, the level in upper case, `application`, `metadata`, `created_at`.
    pub d2: bool,
}

/// Appends a record as a JSON object in canonical names.
pub fn write_record(record: &LogRecord, extra: Extra, out: &mut String) {
    use std::fmt::Write;
    let text = |name: &str, value: &str, out: &mut String| {
        if !out.ends_with('{') {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        write_text(value, out);
    };
    out.push('{');
    match (extra.d2, extra.seq) {
        // Writing to a string cannot fail.
        (true, Some(seq)) => {
            let _ = write!(out, "\"id\":{seq}");
            text("uuid", &record.id, out);
        }
        _ => text("id", &record.id, out),
    }
    if let Some(seq) = extra.seq {
        let _ = write!(out, ",\"seq\":{seq}");
    }
    text("timestamp", &record.timestamp.to_rfc3339(), out);
    text("accepted_at", &record.accepted_at.to_rfc3339(), out);
    if extra.d2 {
        text("created_at", &record.accepted_at.to_rfc3339(), out);
        text("level", &record.level.as_str().to_uppercase(), out);
        text("application", &record.service, out);
    } else {
        text("level", record.level.as_str(), out);
    }
    text("message", &record.message, out);
    text("service", &record.service, out);
    for (name, value) in [
        ("source", &record.source),
        ("host", &record.host),
        ("correlation_id", &record.correlation_id),
        ("user_id", &record.user_id),
    ] {
        if let Some(value) = value {
            text(name, value, out);
        }
    }
    out.push_str(",\"tags\":{");
    for (name, value) in &record.tags {
        text(name, value, out);
    }
    out.push('}');
    for (name, fields, shown) in [
        ("fields", &record.fields, true),
        ("metadata", &record.fields, extra.d2),
        ("error_details", &record.error_details, !record.error_details.is_empty()),
        ("performance_metrics", &record.performance_metrics, !record.performance_metrics.is_empty()),
        ("insight", &record.insight, !record.insight.is_empty()),
    ] {
        if shown {
            let _ = write!(out, ",\"{name}\":");
            write_members(fields, out);
        }
    }
    out.push('}');
}
