//! JSON out: texts, values and records as the endpoints show them.

use serde::Serialize;
use watchfire_log_store::document::{Document, Plain};
use watchfire_model::Value;

/// A value as compact JSON.
pub fn of_value(value: &Value) -> String {
    let mut out = String::new();
    write(&Plain(value), &mut out);
    out
}

/// Appends a record as a JSON object.
pub fn write_record(document: Document<'_>, out: &mut String) {
    write(&document, out);
}

/// Appends a text in quotes.
pub fn write_text(text: &str, out: &mut String) {
    write(text, out);
}

fn write<T: Serialize + ?Sized>(value: &T, out: &mut String) {
    // What is written here has text keys only, so it always serialises.
    out.push_str(&serde_json::to_string(value).unwrap_or_default());
}
