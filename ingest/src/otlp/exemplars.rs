//! Exemplars of data points: observations that stand for them, with the trace that they belong to.
//!
//! ```text
//! Exemplar  2 time (fixed64, ns)  3 double  4 span id  5 trace id  6 int (fixed64)  7 attributes*
//! ```

use watchfire_engine::Exemplar;
use watchfire_model::{LabelSet, Timestamp};
use watchfire_protobuf::{Field, Message};

use super::Fault;
use super::points::{fixed64, millis};
use super::value::attribute;

/// With more characters than this, labels and values together, attributes are left out; ids never are.
const CHARS_MAX: usize = 128;

/// An exemplar of a point of this time; `None` if it has no value, or labels that are none.
pub(super) fn read(field: Field<'_>, point_at: Timestamp) -> Result<Option<Exemplar>, Fault> {
    let mut message = Message::new(field.bytes()?);
    let (mut time_ns, mut value) = (0, None);
    let (mut span, mut trace) = (String::new(), String::new());
    let mut attributes = Vec::new();
    while let Some((number, field)) = message.next()? {
        match number {
            2 => time_ns = fixed64(field)?,
            3 => value = Some(field.double()?),
            4 => span = id(field.bytes()?),
            5 => trace = id(field.bytes()?),
            6 => value = Some(fixed64(field)?.cast_signed() as f64),
            7 => attributes.push(attribute(field)?),
            _ => {}
        }
    }
    let Some(value) = value else { return Ok(None) };
    let mut pairs: Vec<(&str, &str)> = [("trace_id", &trace), ("span_id", &span)]
        .into_iter()
        .filter(|(_, id)| !id.is_empty())
        .map(|(name, id)| (name, id.as_str()))
        .collect();
    let others: Vec<(&str, &str)> = attributes.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let chars = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum::<usize>()
    };
    if chars(&pairs) + chars(&others) <= CHARS_MAX {
        pairs.extend(others);
    }
    let Ok(labels) = LabelSet::from_pairs(pairs) else { return Ok(None) };
    let at_ms = millis(time_ns);
    let at = if at_ms == 0 { point_at } else { Timestamp::from_millis(at_ms) };
    Ok(Some(Exemplar { labels, value, at, is_dated: at_ms != 0 }))
}

/// An id in hexadecimal; of zeros alone it is none.
fn id(bytes: &[u8]) -> String {
    if bytes.iter().all(|byte| *byte == 0) {
        return String::new();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
