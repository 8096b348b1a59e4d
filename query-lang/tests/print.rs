//! Printing then parsing is identity; any text is answered.

use proptest::prelude::*;
use watchfire_query_lang::parse;

/// Texts of PromQL expressions that are valid by construction: a vector each.
fn vectors() -> impl Strategy<Value = String> {
    // As it is written here and as it is printed, by which the conditions of a selector are sorted.
    let value = prop_oneof![
        "[a-z0-9 ]{0,6}".prop_map(|text| (format!("{text:?}"), format!("{text:?}"))),
        Just((r"'it\'s'".to_owned(), r#""it's""#.to_owned())),
        Just((r"`\raw`".to_owned(), r#""\\raw""#.to_owned())),
        Just((r#""\u00e9\n\\""#.to_owned(), r#""é\n\\""#.to_owned())),
    ];
    let op = prop::sample::select(vec!["=", "!="]);
    let label = prop::sample::select(vec!["a", "by", "_b", "\"c.d\"", "sum"]);
    let matcher = (label.clone(), op, value)
        .prop_map(|(label, op, (value, printed))| (format!("{label}{op}{printed}"), format!("{label}{op}{value}")));
    let shift = prop::sample::select(vec![
        "",
        " offset 5m",
        " offset -1h30m",
        " @ 12.5",
        " @ end() offset 3s",
        " @ -3",
        " smoothed",
        " offset (1m + step() * 2)",
        " offset -max_of(5m, -3)",
        " anchored offset 3s",
    ]);
    let name = prop::sample::select(vec!["foo", "a:b", "sum", "offset", "rate", "by"]);
    let leaf = (name, prop::collection::vec(matcher, 0..3), shift).prop_map(|(name, mut matchers, shift)| {
        matchers.sort();
        let matchers: Vec<String> = matchers.into_iter().map(|(_, text)| text).collect();
        format!("{name}{{{}}}{shift}", matchers.join(","))
    });
    let labels = prop::collection::vec(label, 0..3).prop_map(|labels| format!("({})", labels.join(", ")));
    leaf.prop_recursive(6, 48, 3, move |inner| {
        let arithmetic = prop::sample::select(vec!["+", "-", "*", "/", "%", "^", "atan2", "==", "> bool", "<="]);
        let set = prop::sample::select(vec!["and", "or", "unless"]);
        let how =
            (prop::sample::select(vec!["on", "ignoring"]), labels.clone()).prop_map(|(word, l)| format!("{word}{l}"));
        let group = prop::sample::select(vec!["", "group_left ()", "group_right (z)"]);
        let aggregation = prop::sample::select(vec!["sum", "avg", "COUNT", "stddev", "group"]);
        let grouping =
            (prop::sample::select(vec!["by", "without"]), labels.clone()).prop_map(|(w, l)| format!("{w} {l}"));
        prop_oneof![
            (inner.clone(), arithmetic.clone(), inner.clone()).prop_map(|(l, op, r)| format!("{l} {op} {r}")),
            (inner.clone(), arithmetic.clone(), -100i32..100).prop_map(|(l, op, r)| format!("{l} {op} {r}")),
            (inner.clone(), set, inner.clone()).prop_map(|(l, op, r)| format!("{l} {op} {r}")),
            (inner.clone(), arithmetic, how, group, inner.clone())
                .prop_map(|(l, op, how, group, r)| format!("{l} {op} {how} {group} {r}")),
            inner.clone().prop_map(|x| format!("({x})")),
            inner.clone().prop_map(|x| format!("-{x}")),
            inner.clone().prop_map(|x| format!("+ -{x}")),
            inner.clone().prop_map(|x| format!("abs({x})")),
            inner.clone().prop_map(|x| format!("rate(({x})[1h:5m])")),
            inner.clone().prop_map(|x| format!("rate(({x})[1h * 2:-(5m - 10m) ^ 1])")),
            inner.clone().prop_map(|x| format!("rate(foo[2m ^ 2 * 3 + (1)]) + {x}")),
            inner.clone().prop_map(|x| format!("delta(foo[5m] smoothed @ end()) + {x}")),
            inner.clone().prop_map(|x| format!("max_over_time(({x})[1d:] offset 5m)")),
            (aggregation.clone(), inner.clone(), grouping.clone()).prop_map(|(a, x, g)| format!("{a}({x}) {g}")),
            (aggregation, inner.clone(), grouping).prop_map(|(a, x, g)| format!("{a} {g} ({x})")),
            inner.clone().prop_map(|x| format!("topk(3, {x})")),
            inner.prop_map(|x| format!("label_replace({x}, \"a\", `$1`, 'b', \"(.*)\")")),
        ]
    })
}

fn short_queries() -> impl Strategy<Value = String> {
    let function = prop::sample::select(vec!["sum", "avg", "min", "max", "count", "rate", "p50", "p99.9", "P0"]);
    let metric = prop::sample::select(vec!["latency", "over", "a:b", "\"my metric\"", "sum"]);
    let clause = prop_oneof![
        (prop::sample::select(vec!["=", "!=", "=~", "!~"]), "[a-z0-9/_.|-]{1,8}")
            .prop_map(|(op, v)| format!("a{op}{v}")),
        "[ a-z~#,']{0,8}".prop_map(|v| format!("\"b.c\"={v:?}")),
    ];
    let window = prop::sample::select(vec!["", "over 5m", "over 1h30m", "OVER 500ms"]);
    let by = prop::sample::select(vec!["", "by a", "by a , b", "BY (\"x y\", by)"]);
    (function, metric, prop::collection::vec(clause, 0..4), window, by)
        .prop_map(|(f, m, clauses, window, by)| format!("{f} {m} {window} {} {by}", clauses.join(" ")))
}

fn check_identity(text: &str) -> Result<(), TestCaseError> {
    let Ok(query) = parse(text) else { return Err(TestCaseError::fail(format!("refused: {:?}", parse(text)))) };
    let printed = query.to_string();
    let again = parse(&printed);
    prop_assert_eq!(again.as_ref(), Ok(&query), "{} printed as {}", text, printed);
    prop_assert_eq!(again.map(|query| query.to_string()), Ok(printed));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printed_promql_reads_back(text in vectors()) {
        // A random matching can be contradictory; those are refused for good reason.
        if parse(&text).is_ok_and(|query| query.language() == watchfire_query_lang::Language::PromQl) {
            check_identity(&text)?;
        } else {
            let error = parse(&text).err().map(|error| error.message).unwrap_or_default();
            prop_assert!(error.contains("scalar") || error.contains("instant vectors") || error.contains("stands both") || error.contains("twice"), "{}: {}", text, error);
        }
    }

    #[test]
    fn printed_short_queries_read_back(text in short_queries()) {
        check_identity(&text)?;
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,60}") {
        if let Err(error) = parse(&text) {
            prop_assert!(text.is_char_boundary(error.offset));
            error.render(&text);
        }
    }

    #[test]
    fn any_words_are_answered(words in prop::collection::vec(prop::sample::select(vec![
        "sum", "p95", "by", "over", "rate", "x", "5m", "1", "(", ")", "[", "]", "{", "}", ",", ":", "=", "=~", "!=", "\"a\"", "'", "`",
        "offset", "@", "start", "+", "-", "^", "and", "on", "group_left", "bool", "#", "\n", "é", "\\", "0x", "1e", "fill", "topk",
    ]), 0..24), blanks in any::<bool>()) {
        let text = words.join(if blanks { " " } else { "" });
        match parse(&text) {
            Ok(_) => check_identity(&text)?,
            Err(error) => {
                prop_assert!(error.offset <= text.len() && text.is_char_boundary(error.offset));
                prop_assert!(!error.message.is_empty());
                error.render(&text);
            }
        }
    }
}
