//! The scanner against serde_json: same acceptance, same values.

use proptest::prelude::*;
use watchfire_model::Value;

use super::*;

fn ours(text: &str) -> Result<Value, JsonError> {
    let mut tape = Tape::default();
    parse(text, &mut tape)?;
    Ok(tape.to_value(text, 0))
}

/// serde_json's tree in our words; objects sorted by name, as serde_json keeps them.
fn theirs(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(bool) => Value::Bool(*bool),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Value::Int(int),
            (None, Some(large)) => Value::Text(large.to_string()),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(values) => Value::Array(values.iter().map(theirs).collect()),
        serde_json::Value::Object(members) => {
            let mut members: Vec<_> =
                members.iter().map(|(name, value)| (name.replace('\u{1f}', "\u{241f}"), theirs(value))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(members)
        }
    }
}

/// Equal, objects as sets; doubles may differ in their last bits, as serde_json's quick way rounds twice.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => {
            a.to_bits() == b.to_bits() || (a - b).abs() <= (a.abs() * 8.0 * f64::EPSILON).max(1e-322)
        }
        // Integers that do not fit: serde_json rounds those that do not fit its own, we keep the digits.
        (Value::Text(digits), Value::Float(rounded)) => {
            let digits_only = digits.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
            digits_only
                && digits.parse::<i64>().is_err()
                && digits.parse().is_ok_and(|float| same(&Value::Float(float), &Value::Float(*rounded)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            let mut a: Vec<_> = a.iter().collect();
            a.sort_by(|a, b| a.0.cmp(&b.0));
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
        }
        (a, b) => a == b,
    }
}

fn check(text: &str) {
    let expected = serde_json::from_str::<serde_json::Value>(text);
    match (ours(text), expected) {
        (Ok(ours), Ok(expected)) => {
            let expected = theirs(&expected);
            assert!(same(&ours, &expected), "{text:?}: ours {ours:?}, serde_json {expected:?}");
        }
        (Err(_), Err(_)) => {}
        // It has no numbers that are too large for a double.
        (Ok(_), Err(error)) if error.to_string().starts_with("number out of range") => {}
        (ours, expected) => panic!("{text:?}: ours {ours:?}, serde_json {expected:?}"),
    }
}

#[test]
fn agrees_with_serde_json_on_known_traps() {
    for text in [
        "",
        " ",
        "{}",
        "[]",
        "{",
        "}",
        "[",
        "]",
        "{]",
        "[1,]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "1 2",
        "{} {}",
        "null",
        "nul",
        "nullx",
        "true",
        "tru",
        "-",
        "-1",
        "-0",
        "-0.0",
        "0",
        "00",
        "01",
        "-01",
        "1.",
        ".1",
        "1.5",
        "1e5",
        "1E+5",
        "1e-5",
        "1e",
        "1e+",
        "1.e5",
        "1e999",
        "[1e999, 2]",
        "-1e999",
        "1e-999",
        "0e0",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890",
        "0.1",
        "0.30000000000000004",
        "123456789.123456789",
        "1.7976931348623157e308",
        "5e-324",
        "2.2250738585072014E-308",
        "\"\"",
        "\"a",
        "\"\\",
        "\"\\\"\"",
        "\"\\u0041\"",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"\\ud83d\\u0041\"",
        "\"\\ud83dx\"",
        "\"\\u12g4\"",
        "\"\\x41\"",
        "\"\\/\\b\\f\\n\\r\\t\\\\\"",
        "\"\n\"",
        "\"\u{1f}\"",
        "\"\u{7f}é😀\"",
        "\"\t\"",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"x\":1},\"a\":{\"y\":2}}",
        "{\"\\u0061\":1,\"a\":2}",
        "{\"a\\u001fb\":1}",
        "\u{feff}{}",
        "{\"a\":[1,2,{\"b\":[]}]}",
        "[\u{b}1]",
        "{\"k\" : 1 , \"l\"\n:\t2\r}",
        "\"12345678\"",
        "\"1234567\\n\"",
        "\"12345678\u{1}\"",
        "'a'",
        "NaN",
        "Infinity",
    ] {
        check(text);
    }
}

#[test]
fn the_last_of_equal_keys_lives_in_large_objects_too() {
    let mut text = String::from("{");
    for at in 0..500 {
        text += &format!("\"key{}\":{at},", at % 200);
    }
    text += "\"end\":null}";
    check(&text);
}

#[test]
fn nesting_is_limited_and_the_error_says_where() {
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert!(ours(&deep(64)).is_ok());
    assert_eq!(ours(&deep(65)), Err(JsonError { kind: JsonErrorKind::Depth, at: 64 }));
    assert!(ours(&"[".repeat(1_000_000)).is_err());
    assert_eq!(ours("{\"a\": tru}"), Err(JsonError { kind: JsonErrorKind::ExpectedValue, at: 6 }));
    assert_eq!(ours("{\"a\": 1"), Err(JsonError { kind: JsonErrorKind::Eof, at: 7 }));
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        (-1_000_000i64..1_000_000, 0u32..6).prop_map(|(m, s)| serde_json::Value::from(m as f64 / 10f64.powi(s as i32))),
        any::<String>().prop_map(serde_json::Value::from),
        "[ -~]{0,30}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::vec((any::<String>(), inner.clone()), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            prop::collection::vec(("[a-d]{1,2}", inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn printed_values_read_back(value in json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        check(&text.expect("a tree prints"));
    }

    #[test]
    fn mutated_texts_are_judged_alike(value in json(), cuts in prop::collection::vec((any::<prop::sample::Index>(), 0u8..4, any::<u8>()), 1..4)) {
        let mut bytes = value.to_string().into_bytes();
        for (at, kind, byte) in cuts {
            if bytes.is_empty() { break; }
            let at = at.index(bytes.len());
            match kind {
                0 => { bytes.remove(at); }
                1 => bytes[at] = byte,
                2 => bytes.insert(at, b"{}[]\",:\\u0-.eE"[usize::from(byte) % 14]),
                _ => bytes.truncate(at),
            }
        }
        if let Ok(text) = std::str::from_utf8(&bytes) { check(text); }
    }

    #[test]
    fn token_soup_is_judged_alike(parts in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\\n\"", "1", "-", "0.5", "e3", "true", "null", " ", "\n", "\"", "\\", "\\u00", "é",
    ]), 0..14)) {
        check(&parts.concat());
    }

    #[test]
    fn numbers_read_as_the_standard_library_reads_them(text in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?") {
        let value = ours(&text);
        let float: f64 = text.parse().expect("JSON numbers are Rust numbers");
        match value {
            Ok(Value::Int(int)) => prop_assert_eq!(int.to_string(), text),
            Ok(Value::Text(digits)) => {
                let is_integer = !text.contains(['.', 'e', 'E']);
                let is_beyond = if is_integer { text.parse::<i64>().is_err() } else { float.is_infinite() };
                prop_assert!(is_beyond);
                prop_assert_eq!(digits, text);
            }
            Ok(Value::Float(ours)) => prop_assert_eq!(ours.to_bits(), float.to_bits()),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
