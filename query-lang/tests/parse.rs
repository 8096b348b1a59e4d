//! What texts parse to, what is refused and where, and what deep or long texts do.

use watchfire_query_lang::{
    BRACKETS_MAX, DEPTH_MAX, Language, ParseErrorKind, Query, TEXT_BYTES_MAX, WORDS_MAX, parse,
};

fn printed(text: &str) -> String {
    match parse(text) {
        Ok(query) => query.to_string(),
        Err(error) => panic!("`{text}` is refused:\n{}", error.render(text)),
    }
}

/// Each text with its canonical spelling.
#[test]
fn short_form_in_any_order() {
    for (text, canonical) in [
        ("rate error_count service=api", "rate error_count service=api"),
        ("sum log_events_total over 5m by service", "sum log_events_total over 5m by service"),
        ("sum log_events_total by service over 5m", "sum log_events_total over 5m by service"),
        ("p95 latency service=api over 5m", "p95 latency service=api over 5m"),
        (
            "p99.9 latency over 90s service=api by route , service",
            "p99.9 latency service=api over 1m30s by route,service",
        ),
        ("p095 latency", "p95 latency"),
        ("COUNT x BY (a, b) OVER 1h30m", "count x over 1h30m by a,b"),
        ("max x a != b c=~d|e f!~'g h'", r#"max x a!=b c=~d|e f!~"g h""#),
        (r#"min "my.metric" "a.b"="c d" x="" by "a.b""#, r#"min "my.metric" "a.b"="c d" x="" by "a.b""#),
        ("avg x by a,a", "avg x by a"),
        ("avg over by=x over=y by by", "avg over by=x over=y by by"),
        ("sum\tx # a comment\n  a=b", "sum x a=b"),
        ("sum x path=/a/{id}?b=(c) over 1d", "sum x path=/a/{id}?b=(c) over 1d"),
        ("count x a=\"~b\"", "count x a=\"~b\""),
    ] {
        let query = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((query.language(), query.to_string().as_str()), (Language::Short, canonical), "{text}");
    }
}

#[test]
fn promql_and_its_precedence() {
    for (text, canonical) in [
        ("up", "up"),
        ("sum", "sum{}"),
        ("sum{} and foo", "sum{} and foo"),
        (
            "1_000 + 0x1F + 0755 + .5 + 5. + 1e-9 + 5m + Inf + nan",
            "1000 + 31 + 493 + 0.5 + 5 + 0.000000001 + 5m + +Inf + NaN",
        ),
        ("-1 ^ 2", "-1 ^ 2"),
        ("2 ^ 3 ^ -x", "2 ^ 3 ^ -x"),
        ("a{b=\"c\",}[5m] offset 1h @ 1.5", r#"a{b="c"}[5m] @ 1.500 offset 1h"#),
        ("a[300]", "a[5m]"),
        ("a offset -5m @ start()", "a @ start() offset -5m"),
        ("{\"a.b\", c!=\"d\"}", r#"{__name__="a.b",c!="d"}"#),
        ("{__name__=~\"a.+\"}", r#"{__name__=~"a.+"}"#),
        ("sum by(a,)(x)", "sum by (a) (x)"),
        ("topk without () (2, x)", "topk without () (2, x)"),
        ("count_values(\"v\", x)", "count_values(\"v\", x)"),
        ("a / on(b) group_left c", "a / on (b) group_left () c"),
        ("a == bool ignoring(b, \"c.d\") d", "a == bool ignoring (b, \"c.d\") d"),
        ("rate(x[5m:1m])", "rate(x[5m:1m])"),
        ("max_over_time((a+b)[1h:] offset 5m)", "max_over_time((a + b)[1h:] offset 5m)"),
        ("ROUND", "ROUND"),
        ("SUM(x) BY (a)", "sum by (a) (x)"),
        ("a AND b OR c UNLESS d", "a and b or c unless d"),
        ("label_join(x, 'a', `\\`)", r#"label_join(x, "a", "\\")"#),
        ("(a) # comment", "(a)"),
        ("offset offset 5m", "offset offset 5m"),
        ("x[1y2w3d4h5m6s7ms]", "x[382d4h5m6s7ms]"),
        ("x @ 5m", "x @ 300.000"),
    ] {
        let query = parse(text).unwrap_or_else(|error| panic!("{text}\n{}", error.render(text)));
        assert_eq!((query.language(), query.to_string().as_str()), (Language::PromQl, canonical), "{text}");
        assert_eq!(parse(canonical).as_ref(), Ok(&query), "{text}");
    }
    // Grouping is seen in the tree, not in the print.
    for (text, bracketed) in [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("a or b and c", "a or (b and c)"),
        ("a - b - c", "(a - b) - c"),
        ("a ^ b ^ c", "a ^ (b ^ c)"),
        ("2 ^ -a * 3", "(2 ^ (-a)) * 3"),
        ("-a ^ b", "-(a ^ b)"),
        ("-a * b", "(-a) * b"),
        ("a < b == c", "(a < b) == c"),
    ] {
        assert_eq!(shape(&printed(text)), shape(bracketed), "{text}");
    }
}

/// The tree with every bracket taken out, so that `a + (b)` and `a + b` compare.
fn shape(text: &str) -> String {
    let query = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let debug = format!("{:?}", query.root());
    let mut out = String::new();
    let mut rest = debug.as_str();
    // Spans differ, brackets are transparent: keep operators and names in their order of nesting.
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let word_end = rest[at..].find(|c: char| !c.is_ascii_alphanumeric()).map_or(rest.len(), |end| at + end);
        let word = &rest[at..word_end];
        if ["Binary", "Unary", "Vector"].contains(&word) {
            out.push_str(word);
            out.push(' ');
        }
        if word == "op" || word == "value" {
            out.push_str(rest[word_end..].split(',').next().unwrap_or(""));
        }
        rest = &rest[word_end..];
    }
    out
}

/// Each text with the byte, and words of the message or the hint.
#[test]
fn mistakes_point_into_the_text() {
    use ParseErrorKind::{Meaning, Syntax};
    for (text, kind, offset, words) in [
        ("", Syntax, 0, "rate error_count service=api"),
        ("sum(rate(error_count[5m])", Syntax, 25, "expected `)`"),
        ("sum x over", Syntax, 10, "expected a duration"),
        ("sum x over 5", Syntax, 11, "expected a duration"),
        ("sum x over 5min", Syntax, 11, "`30s`, `5m`"),
        ("sum x over 5m over 1m", Meaning, 14, "stands twice"),
        ("sum x by a by b", Meaning, 11, "`by a,b`"),
        ("sum x over 0s", Meaning, 11, "greater than 0"),
        ("p101 x", Meaning, 0, "between p0 and p100"),
        ("rate x service api", Syntax, 15, "`=`"),
        ("rate x{a=\"b\"}", Syntax, 6, "conditions follow the metric"),
        ("rate x a=b, c=d", Syntax, 10, "separate conditions by blanks"),
        ("rate x a=", Syntax, 9, "a value"),
        ("rate x a=~(", Meaning, 10, "not a regular expression"),
        ("foo{a=b}", Syntax, 6, "values stand in quotes"),
        ("foo{a=\"b}", Syntax, 6, "no closing"),
        ("foo{a=~\"(\"}", Meaning, 7, "not a regular expression"),
        ("rate(foo)", Meaning, 5, "give a range: `name[5m]`"),
        ("rate(a + b)", Meaning, 5, "subquery"),
        ("abs(foo[5m])", Meaning, 4, "range vector"),
        ("rat foo", Syntax, 4, "did you mean `rate`?"),
        ("median foo over 5m", Syntax, 7, "the short form begins with sum, avg, min, max, count, rate or a percentile"),
        ("rats(foo[5m])", Meaning, 0, "did you mean `rate`?"),
        ("info(foo, bar)", Meaning, 10, "conditions of labels"),
        ("info(foo, sum({a=\"b\"}))", Meaning, 10, "conditions of labels"),
        ("rate(foo[5m] smoothed anchored)", Meaning, 22, "do not go together"),
        ("foo[5m:1m] anchored", Meaning, 11, "not for subqueries"),
        ("1 smoothed", Meaning, 2, "only after a selector"),
        ("foo[5m / 0]", Meaning, 7, "divided by 0"),
        ("foo[5m - 300]", Meaning, 4, "greater than 0"),
        ("foo[step(1)]", Meaning, 4, "takes no argument"),
        ("a && b", Syntax, 2, "write `and`"),
        ("1 > 2", Meaning, 2, "`> bool`"),
        ("a and 1", Meaning, 2, "between instant vectors"),
        ("a + bool b", Meaning, 2, "only with comparisons"),
        ("a + on(x) 1", Meaning, 2, "only between instant vectors"),
        ("a and on(x) group_left b", Meaning, 2, "takes no `group_left`"),
        ("a * on(x) group_left(x) b", Meaning, 2, "stands both"),
        ("\"a\" + 1", Meaning, 0, "not a string"),
        ("-\"a\"", Meaning, 1, "a sign stands only"),
        ("sum(1)", Meaning, 4, "expected type instant vector"),
        ("topk(foo)", Meaning, 5, "expected type scalar"),
        ("clamp(foo, 1)", Meaning, 0, "takes 3 argument(s), 2 given"),
        ("round(foo, 1, 2)", Meaning, 0, "takes 1 to 2 argument(s)"),
        ("{}", Meaning, 0, "needs a condition"),
        ("{a=~\".*\"}", Meaning, 0, "needs a condition"),
        ("a{__name__=\"b\"}", Meaning, 0, "stands twice"),
        ("(a)[5m]", Meaning, 3, "subquery"),
        ("a offset 5m [5m]", Meaning, 12, "after the range"),
        ("a[0s]", Meaning, 2, "greater than 0"),
        ("sum(a) offset 5m", Meaning, 7, "only after a selector"),
        ("a offset 5m offset 5m", Meaning, 12, "twice"),
        ("a b", Syntax, 2, "expected"),
        ("a\n+\n)", Syntax, 4, "expected an expression"),
        ("'\\q'", Meaning, 1, "unknown escape"),
        ("'a\\\"'", Meaning, 2, "unknown escape"),
        ("foo{a=\"b\\'\"}", Meaning, 8, "only the string's own"),
        ("\"a\u{fffd}\"", Meaning, 2, "no UTF-8"),
        ("foo{a=`\u{fffd}`}", Meaning, 7, "`\\ufffd`"),
        ("foo[1m:0.0001]", Meaning, 7, "shorter than a millisecond"),
        ("foo[-0.0001]", Meaning, 4, "greater than 0"),
        ("0xfffffffffffffffff", Meaning, 0, "is no number"),
        ("99999999y", Meaning, 0, "out of range"),
        ("a @ Inf", Meaning, 4, "out of range"),
    ] {
        let error = parse(text).expect_err(text);
        let shown = error.render(text);
        assert_eq!((error.kind, error.offset), (kind, offset), "`{text}`\n{shown}");
        assert!(shown.contains(words), "`{text}` does not say `{words}`:\n{shown}");
    }
    let error = parse("a\n+\n)").expect_err("no right side");
    assert_eq!((error.line, error.column), (3, 1));
}

#[test]
fn length_and_depth_are_limited() {
    let long = format!("x{}", " ".repeat(TEXT_BYTES_MAX));
    assert!(parse(&long).is_err_and(|error| error.kind == ParseErrorKind::Limit));
    assert!(parse(&"a".repeat(TEXT_BYTES_MAX)).is_ok());
    assert!(parse(&format!("up{{a!=\"{}\"}}", "b ".repeat(TEXT_BYTES_MAX / 2 - 10))).is_ok());
    for (many, is_within) in [(WORDS_MAX / 2 - 10, true), (WORDS_MAX / 2, false), (WORDS_MAX * 5, false)] {
        for text in [format!("sum by ({}) (up)", "a,".repeat(many)), format!("sum up by {}a", "a,".repeat(many))] {
            assert_eq!(
                parse(&text).err().map(|error| error.kind),
                (!is_within).then_some(ParseErrorKind::Limit),
                "{many}"
            );
        }
    }
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("abs(", "a", ")"),
        ("sum by (x) (", "a", ")"),
        ("a + (", "a", ")"),
        ("-(", "a", ")"),
        ("max_over_time(", "a", "[5m:1m])"),
        ("sum(", "", ""),
        ("[", "", ""),
        ("{", "", ""),
        ("a[(", "", ""),
    ] {
        let text = format!("{}{middle}{}", open.repeat(10_000), close.repeat(10_000));
        assert!(parse(&text).is_err_and(|error| error.kind == ParseErrorKind::Limit), "{open}");
        let allowed = BRACKETS_MAX / open.matches(['(', '[', '{']).count().max(1) - 2;
        if !close.is_empty() {
            let text = format!("{}{middle}{}", open.repeat(allowed), close.repeat(allowed));
            assert!(parse(&text).is_ok(), "{open} {allowed}: {:?}", parse(&text).err());
        }
    }
    let signs = format!("{}a", "-".repeat(100_000));
    assert!(parse(&signs).is_err_and(|error| error.kind == ParseErrorKind::Limit));
    for chain in ["a + ", "a ^ ", "a and ", "a - -"] {
        assert!(
            parse(&format!("{}a", chain.repeat(20_000))).is_err_and(|e| e.kind == ParseErrorKind::Limit),
            "{chain}"
        );
    }
    let fits = format!("{}a", "a + ".repeat(DEPTH_MAX - 1));
    assert_eq!(printed(&fits), fits);
    // Wrong at the very inside: backtracking must not multiply with depth.
    let wrong = format!("{}!{}", "sum(abs((".repeat(30), ")))".repeat(30));
    assert!(parse(&wrong).is_err_and(|error| error.kind == ParseErrorKind::Syntax));
}

#[test]
fn conditions_are_limited() {
    let selector = |many: usize, op: &str| {
        let conditions: Vec<String> = (0..many).map(|number| format!("a{number}{op}\"b.*\"")).collect();
        format!("up{{{}}}", conditions.join(","))
    };
    for (most, op) in [(10_000, "!="), (1_000, "=~")] {
        assert!(parse(&selector(most, op)).is_ok());
        let error = parse(&selector(most + 1, op)).expect_err("one too many");
        assert!(error.message.contains(&format!("too many: a request has {most} at most")), "{}", error.message);
        // All selectors of a query count together.
        let halves = format!("{} + {}", selector(most / 2 + 1, op), selector(most / 2 + 1, op));
        assert!(parse(&halves).is_err());
    }
    let by: Vec<String> = (0..40_000).map(|number| format!("a{number}")).collect();
    assert!(parse(&format!("sum up by {}", by.join(","))).is_ok());
}

#[test]
fn queries_can_be_shared() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Query>();
}
