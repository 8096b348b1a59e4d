use proptest::prelude::*;
use watchfire_model::record::{Core, Fields, Root, Value};
use watchfire_model::{Level, LogRecord, RecordView, Timestamp};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn parsed(text: &str) -> Query {
    parse(text, NOW).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The tree as text with every bracket, to see what binds how.
fn shape(node: &Node) -> String {
    let list =
        |nodes: &[Node], name: &str| format!("{name}[{}]", nodes.iter().map(shape).collect::<Vec<_>>().join(", "));
    match &node.expr {
        Expr::And(nodes) => list(nodes, "and"),
        Expr::Or(nodes) => list(nodes, "or"),
        Expr::Not(node) => format!("not {}", shape(node)),
        expr => Query { root: Node { span: Span::default(), expr: expr.clone() } }.to_string(),
    }
}

#[test]
fn operators_bind_as_told() {
    for (text, expected) in [
        ("", "*"),
        (" \n\t ", "*"),
        ("*", "*"),
        ("a", "a"),
        ("a b", "and[a, b]"),
        ("a AND b", "and[a, b]"),
        ("a b OR c d", "or[and[a, b], and[c, d]]"),
        ("a OR b AND c OR d", "or[a, and[b, c], d]"),
        ("(a OR b) c", "and[or[a, b], c]"),
        ("-a b", "and[not a, b]"),
        ("NOT a b", "and[not a, b]"),
        ("NOT (a b)", "not and[a, b]"),
        ("-(a OR -b)", "not or[a, not b]"),
        ("--a", "not not a"),
        ("((a))", "a"),
        ("(a)(b)", "and[a, b]"),
        ("a NOT b", "and[a, not b]"),
        ("and or not", "and[and, or, not]"),
        ("\"AND\" \"OR\"", "and[\"AND\", \"OR\"]"),
        ("ANDa ORANGE NOTE", "and[ANDa, ORANGE, NOTE]"),
        ("foo-bar", "foo-bar"),
        ("conn*", "conn*"),
        ("\"two wor\"*", "\"two wor\"*"),
        ("12:30:45", "\"12:30:45\""),
        ("10.0.0.1:80", "\"10.0.0.1:80\""),
        ("http://a.b/c", "\"http://a.b/c\""),
        ("std::io::Error", "\"std::io::Error\""),
        ("x:y:z", "x:\"y:z\""),
        ("user=5", "\"user=5\""),
        ("\"!alpha\" x:\"!=5\" \"n>300\"", "and[\"!alpha\", x:\"!=5\", \"n>300\"]"),
        ("n:> 300 status:>= 500", "and[n:>300, status:>=500]"),
        ("<14>x mysql> select Vec< T <b> >x", "and[\"<14>x\", \"mysql>\", select, \"Vec<\", T, \"<b>\", \">x\"]"),
        ("a->b a->5 k=>v Vec<u8> 3<5 hello!", "and[\"a->b\", \"a->5\", \"k=>v\", \"Vec<u8>\", \"3<5\", \"hello!\"]"),
        ("n\\!=a:x", "n\\!\\=a:x"),
        ("level:error service:api", "and[level:error, service:api]"),
        ("/a b\\/c/ d", "and[/a b\\/c/, d]"),
    ] {
        assert_eq!(shape(&parsed(text).root), expected, "{text}");
    }
}

#[test]
fn names_and_values_mean_what_the_field_is() {
    for (text, expected) in [
        ("LEVEL:Warning", "level:warn"),
        ("level:>=error", "level:>=error"),
        ("level:<info", "level:<=debug"),
        ("level:[notice TO err]", "level:[notice TO error]"),
        ("level:/^(info|fatal)$/", "level:/^(info|fatal)$/"),
        ("level:err*", "level:error"),
        ("level:*", "level:*"),
        ("Service:API", "service:api"),
        ("fields.service:x", "fields.service:x"),
        ("fields.duration_ms:>5", "duration_ms:>5"),
        ("tags.env:prod", "tags.env:prod"),
        ("error_details.a.b:x", "error_details.a.b:x"),
        ("insight:*", "insight:*"),
        ("x:*", "x:*"),
        ("x:[1 TO 5]", "x:[1 TO 5]"),
        ("x:[* TO 5.0]", "x:<=5"),
        ("x:[1 to *]", "x:>=1"),
        ("x:[* TO *]", "x:[* TO *]"),
        ("x:> 5", "x:>5"),
        ("x:\"\"", "x:\"\""),
        ("x:\"+\"", "x:\"+\""),
        ("x:/a[0-9]+$/", "x:/a[0-9]+$/"),
        ("my\\ key:x", "my\\ key:x"),
        ("fields.9:x", "fields.9:x"),
        ("seq:12", "seq:12"),
        ("seq:>12", "seq:>=13"),
        ("timestamp:>=1700000000", "timestamp:>=\"2023-11-14T22:13:20.000Z\""),
        ("accepted_at:<now-1h", "accepted_at:<=\"2023-11-14T21:13:19.999Z\""),
        (
            "timestamp:[2023-11-14T22:13:20+01:00 TO 1h]",
            "timestamp:[\"2023-11-14T21:13:20.000Z\" TO \"2023-11-14T21:13:20.000Z\"]",
        ),
        ("path:C:\\Users\\x", "path:\"C:\\\\Users\\\\x\""),
    ] {
        let query = parsed(text);
        if !text.starts_with("timestamp:[") {
            assert_eq!(query.to_string(), expected, "{text}");
        }
        assert_eq!(parsed(&query.to_string()), query, "{text}");
    }
    assert_eq!(Field::parse("tags.a.b"), Some(Field::Leaf(Root::Tags, Path::new("a.b"))));
    assert_eq!(Field::parse("USER_ID"), Some(Field::Core(Core::UserId)));
}

#[test]
fn mistakes_point_into_the_text() {
    for (text, offset, message) in [
        ("(a b", 4, "expected `)`"),
        ("a (b OR (c)", 11, "expected `)`"),
        ("a)", 1, "this `)` closes nothing"),
        (")", 0, "this `)` closes nothing"),
        ("()", 1, "nothing stands in these brackets"),
        ("a AND", 5, "nothing stands after `AND`"),
        ("a OR  ", 6, "nothing stands after `OR`"),
        ("OR a", 0, "nothing stands between the start and `OR`"),
        ("a AND OR b", 6, "nothing stands between `AND` and `OR`"),
        ("(NOT )", 5, "nothing stands after `NOT`"),
        ("a - b", 2, "a dash on its own has no letter or digit to search for"),
        ("a && b", 2, "`&&` has no letter or digit to search for"),
        ("\"\"", 0, "`\"\"` has no letter or digit to search for"),
        ("say \"hello", 4, "this quote is never closed"),
        ("/abc", 0, "this regular expression is never closed"),
        ("/api/users", 5, "expected a blank between the regular expression and `u`"),
        ("main()", 4, "expected a blank between the word and `(`"),
        ("\"a\"b", 3, "expected a blank between the phrase and `b`"),
        ("//", 0, "an empty regular expression"),
        ("x:/(/", 2, "bad regular expression: unclosed group"),
        ("x:/(?=a)/", 2, "bad regular expression: look-around, including look-ahead and look-behind, is not supported"),
        ("x:", 2, "a value is missing after `x:`"),
        ("a x: b", 4, "a value is missing after `x:`"),
        ("x:[1 5]", 5, "expected `TO`"),
        ("x:[1 TO 5", 9, "expected `]`"),
        ("x:[TO 5]", 6, "expected `TO`"),
        ("x:[]", 3, "an end of the range is missing"),
        ("x:[5 TO 1]", 2, "an empty range: it begins after its end"),
        ("!alpha", 0, "`!` is no operator here"),
        ("a !level:error", 2, "`!` is no operator here"),
        ("!(a OR b)", 0, "`!` is no operator here"),
        ("-!a", 1, "`!` is no operator here"),
        ("x:!=5", 2, "`!=` is no operator here"),
        ("x:!5", 2, "`!` is no operator here"),
        ("x:=5", 2, "`=` is no operator here"),
        ("x:!", 2, "`!` is no operator here"),
        ("x:=~\"a.*\"", 2, "`=~` is no operator here"),
        ("level:!=error", 6, "`!=` is no operator here"),
        ("tags.env:!=\"a b\"", 9, "`!=` is no operator here"),
        ("x!=5", 1, "`!=` is no operator here"),
        ("service!=\"a b\"", 7, "`!=` is no operator here"),
        ("time!=12:30", 4, "`!=` is no operator here"),
        ("a x>5", 3, "`>` is no operator here"),
        ("x<-0.5", 1, "`<` is no operator here"),
        ("x>=5", 1, "`>=` is no operator here"),
        ("level>=warn", 5, "`>=` is no operator here"),
        ("level>warn", 5, "`>` is no operator here"),
        ("x<>5", 1, "`<>` is no operator here"),
        ("x=~a.*", 1, "`=~` is no operator here"),
        ("x !=200", 2, "`!=` is no operator here"),
        ("x != 200", 2, "`!=` is no operator here"),
        ("x > 200", 2, "`>` is no operator here"),
        ("x> 200", 1, "`>` is no operator here"),
        ("x :>200", 3, "`>` is no operator here"),
        ("x !=", 2, "`!=` has no letter or digit to search for"),
        ("x:{1 TO 5}", 2, "a value cannot begin with `{`"),
        ("x:(a OR b)", 2, "a field takes one value, not brackets"),
        ("x:>5s", 3, "`5s` is no number"),
        ("x:>", 3, "a value to compare with is missing"),
        ("a*b", 1, "`*` stands only at the end of a word"),
        ("x:*b", 2, "`*` stands only at the end of a word"),
        ("level:loud", 6, "`loud` is no level"),
        ("level:>fatal", 6, "no level lies in this range"),
        ("timestamp:>yesterday", 11, "`yesterday` is no time and no number"),
        ("timestamp:[now TO now-1h]", 10, "an empty range: it begins after its end"),
        ("seq:abc", 4, "`abc` is no time and no number"),
        ("tags:prod", 0, "`tags` holds named values and has none itself"),
        ("fields.:x", 7, "a name is missing after `fields.`"),
        ("\"my key\":x", 8, "expected a blank after the phrase, not `:`"),
    ] {
        let error = parse(text, NOW).expect_err(text);
        assert_eq!((error.offset, error.message.as_str()), (offset, message), "{text}");
    }
    for (text, instead) in [
        ("!alpha", "-alpha"),
        ("!level:error x", "-level:error"),
        ("!(a OR b)", "-(…)"),
        ("!=200", "-name:200"),
        ("n:!=200", "-n:200"),
        ("n:!200", "-n:200"),
        ("v:=1", "v:1"),
        ("v:=>1", "v:>1"),
        ("my\\ key:!=\"a b\"", "-my\\ key:\"…\""),
        ("n!=200)", "-n:200"),
        ("n!~a", "-n:/…/"),
        ("n>=300", "n:>=300"),
        ("n>300", "n:>300"),
        ("n> 300", "n:>300"),
        ("n >300", "n:>300"),
        ("n > 300", "n:>300"),
        ("x (n  <\t-1.5)", "n:<-1.5"),
        ("status >= 500", "status:>=500"),
        ("status>= x", "status:>=x"),
        ("status != 500", "-status:500"),
        ("status !=500", "-status:500"),
        ("status!= 500", "-status:500"),
        ("status <> 500", "-status:500"),
        ("path =~ /a/", "path:/…/"),
        ("path=~ \"a\"", "path:/…/"),
        ("level > warn", "level:>warn"),
        ("level >warn", "level:>warn"),
        ("timestamp > now-1h", "timestamp:>now-1h"),
        ("n :>300", "n:>300"),
        ("n :> 300", "n:>300"),
        ("duration > 5s", "duration:>5s"),
        (">300", "name:>300"),
        ("a AND > 5", "name:>5"),
        ("a > b", "a:>b"),
    ] {
        let error = parse(text, NOW).expect_err(text);
        assert_eq!(error.hint, Some(format!("write {instead}; put signs that are meant in quotes")), "{text}");
    }
    let error = parse("aé\n (b", NOW).expect_err("unbalanced");
    assert_eq!((error.offset, error.line, error.column), (7, 2, 4));
    assert_eq!(error.hint.as_deref(), Some("the `(` at line 2, column 2 is never closed"));
}

#[test]
fn limits_hold_and_nothing_overflows_the_stack() {
    for text in
        ["(".repeat(1 << 20), "-".repeat(60_000), "NOT ".repeat(16_000), "(".repeat(60_000), "-(".repeat(30_000)]
    {
        assert!(parse(&text, NOW).is_err());
    }
    assert!(parse(&format!("{}a{}", "(".repeat(100), ")".repeat(100)), NOW).is_ok());
    assert!(parse(&format!("{}a{}", "(".repeat(101), ")".repeat(101)), NOW).is_err());
    assert!(parse(&"a ".repeat(CLAUSES_MAX), NOW).is_ok());
    assert!(parse(&"a ".repeat(CLAUSES_MAX + 1), NOW).is_err());
    assert!(parse(&"/a/ ".repeat(PATTERNS_MAX + 1), NOW).is_err());
    for (start, end) in [("\"", "\""), ("x:\"", "\""), ("", ""), ("x:", "")] {
        let phrase = |words| format!("{start}{}{end}", vec!["a"; words].join("-"));
        assert!(parse(&phrase(WORDS_MAX), NOW).is_ok());
        assert!(parse(&phrase(WORDS_MAX + 1), NOW).is_err());
    }
    let error = parse("x:/((((a{1,1000}){1,1000}){1,1000}){1,1000})/", NOW).expect_err("too large");
    assert!(error.message.contains("larger than"), "{error}");
}

fn object(members: &[(&str, Value)]) -> Fields {
    members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn record() -> LogRecord {
    LogRecord {
        timestamp: NOW,
        accepted_at: NOW.plus_millis(1500),
        level: Level::Error,
        message: "Connection refused: db_1 (10.0.0.7:5432) für Ärzte".to_owned(),
        service: "Api-Gateway".to_owned(),
        source: Some("nginx".to_owned()),
        host: None,
        id: "01HX-abc".to_owned(),
        user_id: Some("4711".to_owned()),
        tags: vec![("env".to_owned(), "Prod EU".to_owned()), ("a.b".to_owned(), "x".to_owned())],
        fields: object(&[
            ("duration_ms", Value::Int(5001)),
            ("ratio", Value::Float(0.5)),
            ("status", text("503")),
            ("ok", Value::Bool(true)),
            ("nothing", Value::Null),
            ("sign", text("+")),
            ("dotted.key", text("Deep Value")),
            ("http", Value::Object(object(&[("request", Value::Object(object(&[("path", text("/api/v1/users"))])))]))),
            ("list", Value::Array(vec![text("red apple"), text("green pear"), Value::Int(7)])),
            (
                "items",
                Value::Array(vec![
                    Value::Object(object(&[("name", text("bolt")), ("price", Value::Float(1.5))])),
                    Value::Object(object(&[
                        ("name", text("nut")),
                        ("deep", Value::Object(object(&[("er", Value::Int(9))]))),
                    ])),
                ]),
            ),
        ]),
        error_details: object(&[("type", text("IoError"))]),
        ..LogRecord::default()
    }
}

#[test]
fn records_match_as_the_language_says() {
    let mut bytes = Vec::new();
    record().encode(&mut bytes);
    let view = RecordView::parse(&bytes).expect("just written");
    let yes = [
        "",
        "*",
        "refused",
        "CONNECTION",
        "\"connection refused\"",
        "connection-refused",
        "db_1",
        "10.0.0.7:5432",
        "ärzte",
        "ÄRZTE für",
        "conn*",
        "\"refused db\"*",
        "apple",
        "\"green pear\"",
        "bolt",
        "\"deep value\"",
        "503",
        "/re.used/",
        "/^Conn/",
        "/(?i)^conn/",
        "/v1.users$/",
        "-/^conn/",
        "level:error",
        "level:ERR",
        "level:>=warn",
        "level:<=error",
        "-level:info",
        "level:[warn TO fatal]",
        "service:api-gateway",
        "service:API*",
        "service:/Gate/",
        "service:*",
        "source:nginx",
        "-host:*",
        "-host:db1",
        "id:01hx-ABC",
        "user_id:4711",
        "user_id:>4000",
        "seq:7",
        "seq:[5 TO 9]",
        "seq:<8",
        "tags.env:\"prod eu\"",
        "tags.env:prod*",
        "tags.a.b:x",
        "tags:*",
        "error_details:*",
        "-insight:*",
        "message:refused",
        "message:\"refused db_1\"",
        "message:/\\d{4}/",
        "message:conn*",
        "duration_ms:>5000",
        "duration_ms:>=5001",
        "duration_ms:<5002",
        "duration_ms:[5001 TO 5001]",
        "duration_ms:5001",
        "duration_ms:50*",
        "duration_ms:/^5/",
        "fields.duration_ms:5001.0",
        "ratio:0.5",
        "ratio:[0.4 TO 0.6]",
        "ratio:.50",
        "status:503",
        "status:>=500",
        "status:5*",
        "ok:true",
        "ok:TRUE",
        "ok:t*",
        "sign:\"+\"",
        "-nothing:*",
        "dotted.key:deep",
        "fields.dotted.key:\"deep value\"",
        "dotted:*",
        "http:*",
        "http.request.path:users",
        "http.request.path:\"v1 users\"",
        "http.request.path:/users$/",
        "list:apple",
        "list:7",
        "list:>6",
        "list:*",
        "items:*",
        "items.name:nut",
        "items.price:<2",
        "items.deep.er:9",
        "items.deep:*",
        "-items.other:*",
        "error_details.type:ioerror",
        "timestamp:now",
        "timestamp:>now-1s",
        "timestamp:[1h TO now+1s]",
        "accepted_at:>now",
        "accepted_at:1700000001.5",
        "(refused OR nonsense) -nonsense",
        "NOT (a OR b)",
    ];
    let no = [
        "connect",
        "refus",
        "\"refused connection\"",
        "\"apple green\"",
        "9",
        "5001",
        "ioerror",
        "prod",
        "nginx",
        "arzte",
        "/connection/",
        "/prod/",
        "level:info",
        "level:>error",
        "service:api",
        "service:gateway",
        "host:*",
        "host:db1",
        "id:01hx",
        "user_id:471",
        "seq:8",
        "tags.env:prod",
        "tags.missing:*",
        "insight:*",
        "message:503",
        "message:conn",
        "duration_ms:>5001",
        "duration_ms:500",
        "status:50",
        "status:[600 TO *]",
        "ratio:0",
        "nothing:*",
        "nothing:null",
        "sign:\"++\"",
        "http:users",
        "http.request:users",
        "list:\"apple green\"",
        "list:gre",
        "items:bolt",
        "items.name:screw",
        "items.price:>2",
        "ok:false",
        "timestamp:>now",
        "accepted_at:now",
        "NOT refused",
        "x:*",
    ];
    for query in yes {
        assert!(matches(&parsed(query), &view, 7), "{query}");
    }
    for query in no {
        assert!(!matches(&parsed(query), &view, 7), "{query}");
    }
}

#[test]
fn filters_are_data() {
    let none = Query::all();
    let query = none.clone().with_list(&Field::Core(Core::Service), "api, a\" OR level:* ,,x*").expect("texts");
    assert_eq!(query.to_string(), "service:api OR service:\"a\\\" or level:*\" OR service:\"x*\"");
    assert_eq!(parsed(&query.to_string()), query);
    let both = parsed("a OR b").and(query.clone()).with_list(&Field::Level, "WARNING,3").expect("levels");
    assert_eq!(parsed(&both.to_string()), both);
    assert_eq!(none.clone().with_list(&Field::Level, " , ").expect("empty"), none);
    let error = none.with_list(&Field::Level, "loud").expect_err("no level");
    assert_eq!(error.to_string(), "`loud` is no level");
}

fn any_query_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        prop::sample::select(vec![
            "a",
            "B_c",
            "\"two words\"",
            "\"q\\\"\\\\\"",
            "é*",
            "x:y",
            "x:\"y z\"*",
            "x:>5",
            "x:<=-1.5e3",
            "x:[1 TO 5]",
            "x:[* TO 2]",
            "x:*",
            "x:/a\\/b/",
            "/re[a-z]/",
            "level:warn",
            "level:/o/",
            "level:<=notice",
            "seq:>3",
            "timestamp:>now-1h",
            "accepted_at:[2h TO 1h]",
            "tags.a.b:c*",
            "service:İx",
            "a\\:b:c",
            "fields.level:x",
            "fields.-x:1",
            "insight:*",
            "AND",
            "OR",
            "NOT",
            "(",
            ")",
            "-",
            " ",
            "*",
            ":",
            "12:30",
            "\\",
            "x:\"\"",
            "x:-",
            "x:-*",
            "x:5.*",
            "\u{1f}",
            "a::b",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
        "[a-z:\"/*()\\[\\]<>\\\\ .-]{0,8}",
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_printed_reads_back(text in any_query_text()) {
        match parse(&text, NOW) {
            Ok(query) => {
                let printed = query.to_string();
                let again = parse(&printed, NOW);
                prop_assert_eq!(again.as_ref(), Ok(&query), "{} printed as {}", text, printed);
            }
            Err(error) => {
                prop_assert!(text.is_char_boundary(error.offset));
                prop_assert!(!error.message.is_empty() && error.line >= 1 && error.column >= 1);
            }
        }
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        let _ = parse(&text, NOW);
    }

    #[test]
    fn names_of_any_kind_can_be_asked_for(name in "\\PC{1,10}") {
        let field = Field::Leaf(Root::Fields, Path::new(&name));
        let query = Query::any_of(&field, ["x"]).expect("a text");
        prop_assert_eq!(parse(&query.to_string(), NOW), Ok(query));
    }

    #[test]
    fn values_of_any_kind_can_be_asked_for(value in "\\PC{0,12}", core in prop::sample::select(Core::ALL.to_vec())) {
        let query = Query::any_of(&Field::Core(core), [value.as_str()]).expect("a text");
        prop_assert_eq!(parse(&query.to_string(), NOW), Ok(query));
    }
}
