//! Values of attributes as text: texts as they are, lists and maps as JSON, as Prometheus' receiver writes them.
//!
//! ```text
//! KeyValue   1 key  2 value
//! AnyValue   1 text  2 bool  3 int64  4 double  5 list (1 AnyValue*)  6 map (1 KeyValue*)  7 bytes
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use watchfire_protobuf::{Field, Message};

use super::Fault;

/// Deepest list in a list; what is deeper is not read.
const DEPTH_MAX: usize = 32;

/// A key and its value as text.
pub(super) fn attribute(field: Field<'_>) -> Result<(&str, String), Fault> {
    let (key, value) = key_value(field)?;
    let mut out = String::new();
    write(value, Style::Text, 0, &mut out)?;
    Ok((key, out))
}

fn key_value(field: Field<'_>) -> Result<(&str, &[u8]), Fault> {
    let mut message = Message::new(field.bytes()?);
    let (mut key, mut value) = ("", &[][..]);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => key = text(field)?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// A text.
pub(super) fn text(field: Field<'_>) -> Result<&str, Fault> {
    std::str::from_utf8(field.bytes()?).map_err(|_| Fault::Text)
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Alone: a text without quotes.
    Text,
    /// Within JSON.
    Json,
}

/// Writes an `AnyValue`; of one that says several things the last counts.
fn write(value: &[u8], style: Style, depth: usize, out: &mut String) -> Result<(), Fault> {
    if depth > DEPTH_MAX {
        return Err(Fault::Depth);
    }
    let mut message = Message::new(value);
    let mut said = None;
    while let Some((number, field)) = message.next()? {
        if (1..=7).contains(&number) {
            said = Some((number, field));
        }
    }
    let Some((number, field)) = said else {
        out.push_str(if style == Style::Json { "null" } else { "" });
        return Ok(());
    };
    match number {
        1 if style == Style::Text => out.push_str(text(field)?),
        1 => quote(text(field)?, out),
        2 => out.push_str(if field.unsigned()? == 0 { "false" } else { "true" }),
        3 => out.push_str(&field.signed()?.to_string()),
        4 => number_text(field.double()?, out),
        5 => {
            let mut separator = '[';
            let mut items = Message::new(field.bytes()?);
            while let Some((number, item)) = items.next()? {
                if number == 1 {
                    out.push(std::mem::replace(&mut separator, ','));
                    write(item.bytes()?, Style::Json, depth + 1, out)?;
                }
            }
            out.push_str(if separator == '[' { "[]" } else { "]" });
        }
        6 => {
            // By name, each once, as Go writes a map.
            let mut members = BTreeMap::new();
            let mut items = Message::new(field.bytes()?);
            while let Some((number, item)) = items.next()? {
                if number == 1 {
                    let (key, value) = key_value(item)?;
                    members.insert(key, value);
                }
            }
            let mut separator = '{';
            for (key, value) in &members {
                out.push(std::mem::replace(&mut separator, ','));
                quote(key, out);
                out.push(':');
                write(value, Style::Json, depth + 1, out)?;
            }
            out.push_str(if separator == '{' { "{}" } else { "}" });
        }
        _ if style == Style::Json => {
            out.push('"');
            STANDARD.encode_string(field.bytes()?, out);
            out.push('"');
        }
        _ => STANDARD.encode_string(field.bytes()?, out),
    }
    Ok(())
}

/// A text in JSON as Go's encoder writes it.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // Writing to a string cannot fail.
            '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// A number as JSON in Go writes it; what JSON does not know is told so, as there.
fn number_text(value: f64, out: &mut String) {
    let magnitude = value.abs();
    // Writing to a string cannot fail.
    let _ = if value.is_nan() {
        write!(out, "json: unsupported value: NaN")
    } else if value.is_infinite() {
        write!(out, "json: unsupported value: {}Inf", if value > 0.0 { '+' } else { '-' })
    } else if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        write!(out, "{}", if magnitude > 1.0 { text.replace('e', "e+") } else { text })
    } else {
        write!(out, "{value}")
    };
}
