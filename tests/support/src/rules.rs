//! The rules that ship, for tests that cannot wait as long as they do.

use std::path::Path;

use serde_json::{Value, json};

/// `rules/examples/own_health.json` with durations of 0 s, and these thresholds (rule, threshold) instead of its own.
pub fn own_health(thresholds: &[(&str, f64)]) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/examples/own_health.json");
    let text = std::fs::read_to_string(file).expect("the rules ship");
    let mut rules: Value = serde_json::from_str(&text).expect("they are JSON");
    for rule in rules.as_array_mut().expect("a list") {
        rule["duration"] = json!("0s");
        if let Some((_, threshold)) = thresholds.iter().find(|(name, _)| rule["name"] == **name) {
            rule["threshold"] = json!(threshold);
        }
    }
    rules
}
