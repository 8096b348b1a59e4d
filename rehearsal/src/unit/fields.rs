//! Values of a test file as YAML and promtool write them.

use std::collections::BTreeMap;

use watchfire_model::Timestamp;
use watchfire_model::time::parse_duration_ms;
use watchfire_yaml::section::Section;
use watchfire_yaml::tree::{Kind, Node};

/// Milliseconds; a plain `0` needs no unit.
pub(super) fn duration(section: &mut Section<'_>, key: &'static str) -> Option<i64> {
    section.parsed(key, "a duration (write 500ms, 30s, 5m, 1h30m or 1d)", |text| {
        if text == "0" { Some(0) } else { parse_duration_ms(text) }
    })
}

/// Seconds since the epoch, or a date.
pub(super) fn start_time(text: &str) -> Option<Timestamp> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds.abs() < 1e12 => {
            Some(Timestamp::from_millis((seconds * 1000.0).round() as i64))
        }
        Ok(_) => None,
        Err(_) => Timestamp::parse_date_time(text),
    }
}

/// A number as YAML writes it.
pub(super) fn float(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        ".nan" => return Some(f64::NAN),
        ".inf" | "+.inf" => return Some(f64::INFINITY),
        "-.inf" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let digits = lower.replace('_', "");
    let of_base = |prefix: &str, base: u32| {
        let rest = digits.strip_prefix(prefix)?;
        i64::from_str_radix(rest, base).ok().map(|number| number as f64)
    };
    of_base("0x", 16).or_else(|| of_base("0o", 8)).or_else(|| of_base("0b", 2)).or_else(|| digits.parse().ok())
}

/// Names and texts of a section; numbers and such are texts too, a name without anything says nothing.
pub(super) fn expected_texts(section: &mut Section<'_>, key: &'static str) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    match section.node(key) {
        None => {}
        Some(Node { kind: Kind::Map(entries), .. }) => {
            for (name, place, node) in entries {
                match &node.kind {
                    Kind::Scalar { text, .. } => drop(texts.insert(name.clone(), text.clone())),
                    Kind::Null => {}
                    kind @ (Kind::List(_) | Kind::Map(_)) => {
                        section.fault(*place, format!("`{key}.{name}` must be text, this is {}", kind.name()));
                    }
                }
            }
        }
        Some(node) => {
            let message = format!("`{key}` must be a section of names and texts, this is {}", node.kind.name());
            section.fault(node.place, message);
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::{float, start_time};

    #[test]
    fn numbers_as_yaml_writes_them() {
        for (text, value) in
            [("1", 1.0), ("-1.5e3", -1500.0), ("0x10", 16.0), ("1_000", 1000.0), ("+.Inf", f64::INFINITY)]
        {
            assert_eq!(float(text), Some(value), "{text}");
        }
        assert!(float(".NaN").is_some_and(f64::is_nan));
        assert!(["", "one", "0xg", "1 2"].into_iter().all(|text| float(text).is_none()));
    }

    #[test]
    fn starts() {
        for (text, millis) in [("0", 0), ("1609459200", 1_609_459_200_000), ("2024-01-01T00:00:00Z", 1_704_067_200_000)]
        {
            assert_eq!(start_time(text).map(|time| time.millis()), Some(millis), "{text}");
        }
        assert!(["", "soon", "1e300", "NaN"].into_iter().all(|text| start_time(text).is_none()));
    }
}
