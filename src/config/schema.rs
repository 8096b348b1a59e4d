//! The keys of the configuration as a JSON Schema, for editors: what its reader asks for, and what the file to begin
//! with says about it.

use serde_json::{Map, Value, json};
use watchfire_yaml::outline::{Key, Keys, Outline, Shape, join};
use watchfire_yaml::tree::Place;

use super::{init, read};

/// Any text that takes something from the environment.
const FROM_ENVIRONMENT: &str = r"\$\{";

/// The schema, in the draft that editors speak.
pub fn schema() -> Value {
    let outline = read::outline();
    let described: Map<String, Value> =
        init::descriptions().into_iter().map(|(path, text)| (path, text.into())).collect();
    let mut definitions = values();
    for (path, keys) in outline.sections() {
        definitions.insert(named(path), section(path, keys, &outline, &described));
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Configuration of Watchfire",
        "allOf": [to(&named(""))],
        "definitions": definitions,
    })
}

/// What a section is called among the definitions.
fn named(path: &str) -> String {
    if path.is_empty() { "file".to_owned() } else { format!("section {path}") }
}

/// A definition, to be followed.
fn to(name: &str) -> Value {
    // In a pointer in an address a blank is written so.
    json!({"$ref": format!("#/definitions/{}", name.replace(' ', "%20"))})
}

/// What values look like. Each may come from the environment.
fn values() -> Map<String, Value> {
    let or_environment = |shape: Value| json!({"anyOf": [shape, {"type": "string", "pattern": FROM_ENVIRONMENT}]});
    let text = json!({"type": ["string", "number", "boolean"]});
    let values = [
        ("texts", json!({"anyOf": [{"type": "array", "items": text}, text]})),
        ("text", text),
        ("boolean", or_environment(json!({"type": "boolean"}))),
        ("whole", or_environment(json!({"type": "integer", "minimum": 0}))),
        (
            "duration",
            or_environment(json!({"type": "string", "pattern": r"^\s*(0|([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w|y))+)\s*$"})),
        ),
        (
            "bytes",
            or_environment(json!({"anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtT]([iI]?[bB])?|[bB])?\s*$"},
            ]})),
        ),
    ];
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A section.
fn section(path: &str, keys: &Keys, outline: &Outline, described: &Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for (name, key) in keys.known.iter().filter(|(_, key)| key.shape != Shape::NotYet) {
        let below = join(path, name);
        let mut value = Map::from_iter([("allOf".to_owned(), json!([value(&below, key, outline)]))]);
        let expected = Some(&key.expected).filter(|expected| !expected.is_empty());
        if let Some(text) = described.get(&below).cloned().or(expected.map(|text| text.as_str().into())) {
            value.insert("description".to_owned(), text);
        }
        if let Some(text) = key.default_at(Place::default()) {
            // What the text is depends on the key, as it does in YAML.
            let default = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
            value.insert("default".to_owned(), default);
        }
        properties.insert((*name).to_owned(), value.into());
    }
    let required: Vec<&str> = keys.known.iter().filter(|(_, key)| key.required).map(|(name, _)| *name).collect();
    let others = if keys.free { to("text") } else { Value::Bool(false) };
    // A section without anything in it is as good as none, where nothing has to be in it.
    let kinds = if required.is_empty() { json!(["object", "null"]) } else { json!("object") };
    json!({"type": kinds, "properties": properties, "additionalProperties": others, "required": required})
}

/// What stands at a key.
fn value(path: &str, key: &Key, outline: &Outline) -> Value {
    let is_section = outline.section(path).is_some();
    let wanted = match &key.shape {
        Shape::Any if is_section => to(&named(path)),
        Shape::List if is_section => {
            let item = to(&named(path));
            json!({"anyOf": [{"type": ["array", "null"], "items": item}, item]})
        }
        Shape::List => json!({"type": ["array", "null"]}),
        Shape::Any | Shape::NotYet => json!({}),
        Shape::Texts => to("texts"),
        Shape::TextLists => json!({"type": "object", "additionalProperties": to("texts")}),
        Shape::Text => to("text"),
        Shape::Boolean => to("boolean"),
        Shape::Whole => to("whole"),
        Shape::Duration => to("duration"),
        Shape::Bytes => to("bytes"),
        Shape::Word(words) => json!({"anyOf": [{"enum": words}, {"type": "string", "pattern": FROM_ENVIRONMENT}]}),
    };
    if key.or_words.is_empty() { wanted } else { json!({"anyOf": [wanted, {"enum": key.or_words}]}) }
}
