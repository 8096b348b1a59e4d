use super::*;
use proptest::prelude::*;

/// Our tree as serde_json's, to compare with.
fn plain(node: &Node) -> serde_json::Value {
    match &node.value {
        Json::Null => serde_json::Value::Null,
        Json::Bool => serde_json::Value::Bool(true),
        Json::Number(number) => serde_json::json!(number),
        Json::String(string) => serde_json::Value::String(string.text.clone()),
        Json::Array(items) => items.iter().map(plain).collect(),
        Json::Object(members) => members.iter().map(|m| (m.key.clone(), plain(&m.node))).collect(),
    }
}

fn with_true(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Bool(_) => true.into(),
        serde_json::Value::Number(n) => serde_json::json!(n.as_f64()),
        serde_json::Value::Array(items) => items.into_iter().map(with_true).collect(),
        serde_json::Value::Object(map) => map.into_iter().map(|(k, v)| (k, with_true(v))).collect(),
        other => other,
    }
}

fn errors(text: &str) -> Vec<(usize, usize, String)> {
    let (_, errors) = read(text);
    errors
        .into_iter()
        .map(|e| {
            let (line, column) = places(text, vec![e.offset])[&e.offset];
            (line, column, e.message)
        })
        .collect()
}

#[test]
fn reads_what_serde_json_reads() {
    for text in [
        r#"{"a": [1, -2.5e3, true, null, "x\"\\\/\b\f\n\r\té€\ud83d\ude00"], "b": {"c": ""}}"#,
        " [ ] ",
        "{}",
        r#""é""#,
        "0.1",
    ] {
        let (tree, errors) = read(text);
        assert_eq!(errors, [], "{text}");
        let theirs: serde_json::Value = serde_json::from_str(text).expect("valid JSON");
        assert_eq!(plain(&tree.expect("a tree")), with_true(theirs), "{text}");
    }
}

#[test]
fn goes_on_behind_slips() {
    let text = "{\n  // why\n  \"a\": 1,\n  \"a\": 2,\n  \"b\": [1, 2,],\n}";
    let (tree, _) = read(text);
    assert_eq!(plain(&tree.expect("a tree")), serde_json::json!({"a": 1.0, "b": [1.0, 2.0]}));
    assert_eq!(
        errors(text).into_iter().map(|(line, column, _)| (line, column)).collect::<Vec<_>>(),
        [(2, 3), (4, 3), (5, 13), (5, 15)]
    );
}

#[test]
fn says_where_it_gave_up() {
    for (text, line, column) in [
        ("", 1, 1),
        ("[1,\n 2", 1, 1),
        ("{\"a\": 'x'}", 1, 7),
        ("{\"a\" 1}", 1, 6),
        ("[1 2]", 1, 4),
        ("[\"é\", yes]", 1, 7),
        ("[\"abc\n\"]", 1, 2),
        ("{} {}", 1, 4),
        ("[1e999]", 1, 2),
        ("[5m]", 1, 2),
        (r#"["\ud800"]"#, 1, 3),
    ] {
        let found = errors(text);
        assert_eq!(found.last().map(|(l, c, _)| (*l, *c)), Some((line, column)), "{text}: {found:?}");
    }
    assert!(read(&"[".repeat(1000)).0.is_none(), "deep nesting is refused, not recursed into");
}

#[test]
fn offsets_inside_strings_survive_escapes() {
    let text = r#"["a\"b\u00e9c"]"#;
    let (Some(Node { value: Json::Array(items), .. }), _) = read(text) else { panic!("a list") };
    let Json::String(string) = &items[0].value else { panic!("a string") };
    assert_eq!(string.text, "a\"béc");
    for c in ["a", "b", "c"] {
        let inside = string.text.find(c).expect("in it");
        let in_file = string.offset_in_file(inside);
        assert_eq!(&text[in_file..=in_file], c);
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "\\PC{0,60}") {
        let (tree, errors) = read(&text);
        prop_assert!(tree.is_some() || !errors.is_empty());
        for error in errors {
            prop_assert!(text.is_char_boundary(error.offset));
            prop_assert!(places(&text, vec![error.offset]).contains_key(&error.offset));
        }
    }

    #[test]
    fn near_json_is_answered_as_serde_json_does(text in r#"[\[\]{}",:0-9eE.\\ \-nulltrue]{0,30}"#) {
        let (tree, errors) = read(&text);
        if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(&text) {
            // A key given twice is a slip here and no error there.
            if !errors.iter().any(|e| e.message.contains("twice")) {
                prop_assert_eq!(tree.as_ref().map(plain), Some(with_true(theirs)), "{:?}", errors);
                prop_assert!(errors.is_empty(), "{:?}", errors);
            }
        } else {
            prop_assert!(!errors.is_empty());
        }
    }
}
