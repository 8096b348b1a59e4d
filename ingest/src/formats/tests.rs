//! What must hold of any line, whatever parses it.

use proptest::prelude::*;
use watchfire_model::{RecordView, Timestamp};

use super::*;
use crate::id::IdMaker;
use crate::normalise::{Context, Normaliser};

/// 2024-03-01T12:00:00Z
const NOW: Timestamp = Timestamp::from_millis(1_709_294_400_000);

/// One line of each format, to be spoilt.
const LINES: [&str; 9] = [
    r#"{"timestamp":"2024-03-01T11:00:00Z","level":"error","message":"a \"b\" \u00e9","fields":{"a":[1,{"b":null}]}}"#,
    r#"<165>1 2024-03-01T11:00:00Z h a 7 ID47 [x@1 a="b \"c\"" a="d"][y@2] message"#,
    "<34>Feb 11 22:14:15 mymachine su[77]: 'su root' failed",
    "<13>2024-03-01T11:00:00.123456+01:00 web-1 nginx[99]: as rsyslog forwards",
    r#"::1 - frank [01/Mar/2024:11:00:00 +0000] "GET /a?b HTTP/1.1" 200 15 "-" "x \"y\"" 0.123 rt=0.2 "z""#,
    r#"level=info ts=2024-03-01T11:00:00Z msg="a \"b\"\n" n=12.50 e="#,
    r#"2024/03/01 11:00:00 [error] 12#34: *5 failed, client: ::1, request: "GET /, x", host: "h""#,
    "shop;2024-03-01T11:00:00Z;WARN;17;not enough",
    "<189>29: *Mar  1 11:00:00.123: %SYS-5-CONFIG_I: Configured",
];

fn parsers() -> Parsers {
    let pattern = r"^(?P<app>\w+);(?P<timestamp>\S+);(?P<level>\w+);(?P<n>\d+);(?P<message>.*)$";
    let shop = CustomParser::new("shop", pattern, &[("fields.message".into(), "n".into())]);
    Parsers::new(vec![shop.expect("the pattern compiles")])
}

/// Parses a line in every way; each record must be sound, have unique columns, and lose nothing if unknown.
fn survives(line: &str) {
    let parsers = parsers();
    let mut draft = Draft::default();
    let mut normaliser = Normaliser::default();
    let all = Format::BUILT_IN.into_iter().chain([Format::Custom(0), Format::Custom(1)]).map(Some).chain([None]);
    for asked in all {
        let format = match asked {
            None => parsers.parse_auto(line, NOW, &mut draft),
            Some(format) => match parsers.parse_as(format, line, NOW, &mut draft) {
                Ok(()) => format,
                Err(error) => {
                    assert!(error.at <= line.len() + 1, "{error} in {line:?}");
                    continue;
                }
            },
        };
        let context = Context { message: Some(line), ..Context::at(NOW) };
        normaliser.decide(&draft, line, &context, &IdMaker::default()).expect("nothing to refuse");
        let mut bytes = Vec::new();
        normaliser.write(&draft, line, &context, &mut bytes);
        let view = RecordView::parse(&bytes).expect("just written");
        let mut columns: Vec<String> = view.entries().map(|(column, _)| format!("{column:?}")).collect();
        columns.sort_unstable();
        assert!(columns.windows(2).all(|pair| pair[0] != pair[1]), "{line:?} as {format:?}: {columns:?}");
        if format == Format::Unknown {
            assert_eq!(view.to_record().message, line);
        }
    }
}

#[test]
fn each_line_is_taken_for_what_it_is() {
    let parsers = parsers();
    let formats = LINES.map(|line| parsers.name(parsers.parse_auto(line, NOW, &mut Draft::default())).to_owned());
    assert_eq!(
        formats,
        [
            "json",
            "syslog_rfc5424",
            "syslog_rfc3164",
            "syslog_rfc3164",
            "apache_combined",
            "logfmt",
            "nginx_error",
            "regex:shop",
            "syslog_rfc3164"
        ]
    );
    LINES.iter().for_each(|line| survives(line));
}

/// The record of a line whose format is found out.
fn detected(line: &str) -> (String, watchfire_model::LogRecord) {
    let parsers = parsers();
    let mut draft = Draft::default();
    let format = parsers.parse_auto(line, NOW, &mut draft);
    let mut normaliser = Normaliser::default();
    let context = Context { message: Some(line), ..Context::at(NOW) };
    normaliser.decide(&draft, line, &context, &IdMaker::default()).expect("nothing to refuse");
    let mut bytes = Vec::new();
    normaliser.write(&draft, line, &context, &mut bytes);
    (parsers.name(format).to_owned(), RecordView::parse(&bytes).expect("just written").to_record())
}

#[test]
fn virtual_hosts_and_proxies_are_told_from_clients() {
    let rest = r#"[01/Mar/2024:11:00:00 +0000] "GET /a HTTP/1.1" 200 15"#;
    for (start, known) in [
        ("1.2.3.4 - -", Some((None, "1.2.3.4", None, None))),
        ("1.2.3.4 - frank", Some((None, "1.2.3.4", None, Some("frank")))),
        ("client.example - \"\"", Some((None, "client.example", None, None))),
        ("shop.example:443 1.2.3.4 - -", Some((Some("shop.example"), "1.2.3.4", None, None))),
        ("shop.example 2001:db8::1 - frank", Some((Some("shop.example"), "2001:db8::1", None, Some("frank")))),
        ("10.0.0.1:80 1.2.3.4 - -", Some((Some("10.0.0.1"), "1.2.3.4", None, None))),
        ("1.2.3.4, 5.6.7.8 - -", Some((None, "1.2.3.4", Some("1.2.3.4, 5.6.7.8"), None))),
        ("::1,5.6.7.8, unknown - bob", Some((None, "::1", Some("::1,5.6.7.8, unknown"), Some("bob")))),
        ("shop:80 1.2.3.4, 5.6.7.8 - -", Some((Some("shop"), "1.2.3.4", Some("1.2.3.4, 5.6.7.8"), None))),
        ("1.2.3.4 - John Smith", None),
        ("1.2.3.4 frank John Smith", None),
        ("::1 - - -", None),
        ("1.2.3.4, - -", None),
        ("a, b - -", None),
    ] {
        let (format, record) = detected(&format!("{start} {rest}"));
        let text = |name: &str| {
            record.fields.iter().find(|(have, _)| have == name).map(|(_, value)| match value {
                watchfire_model::Value::Text(text) => text.clone(),
                other => format!("{other:?}"),
            })
        };
        match known {
            None => assert_eq!((&*format, record.user_id.as_deref()), ("unknown", None), "{start}"),
            Some((vhost, client, list, user)) => {
                let seen = (text("vhost"), text("client_ip"), text("forwarded_for"), record.user_id.as_deref());
                let owned = |text: Option<&str>| text.map(str::to_owned);
                assert_eq!(seen, (owned(vhost), owned(Some(client)), owned(list), user), "{start}");
                assert_eq!(format, "apache_common", "{start}");
            }
        }
    }
}

#[test]
fn logfmt_is_found_with_bare_names_escapes_and_empty_values() {
    let line = r#"level=warn ts=2024-03-01T11:00:00Z msg="hello \"w\"" caller=main.go:12 dur=12ms empty= flag"#;
    let (format, record) = detected(line);
    assert_eq!((&*format, &*record.message, record.level.as_str()), ("logfmt", "hello \"w\"", "warn"));
    assert_eq!(record.timestamp.to_rfc3339(), "2024-03-01T11:00:00.000Z");
    let text = |text: &str| watchfire_model::Value::Text(text.into());
    let mut fields = record.fields;
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        fields,
        [
            ("caller".into(), text("main.go:12")),
            ("dur".into(), text("12ms")),
            ("empty".into(), text("")),
            ("flag".into(), watchfire_model::Value::Bool(true)),
        ]
    );
    assert_eq!(detected("a=1 ok b=").0, "logfmt");
    for line in ["a=1", "a=1 flag", "flag a=1 b=2", "a=1 b=2 are the values", "x = 1, y=2", "a=1 b=\"2"] {
        assert_eq!(detected(line).0, "unknown", "{line}");
    }
}

#[test]
fn integers_that_do_not_fit_keep_their_digits() {
    let (_, record) = detected(
        r#"{"message":"m","a":18446744073709551615,"b":-9223372036854775809,"c":9223372036854775807,"d":1e19,"e":10000000000000000000.5,"f":-0}"#,
    );
    use watchfire_model::Value::{Float, Int, Text};
    let values: Vec<_> = record.fields.into_iter().map(|(_, value)| value).collect();
    let large = [Text("18446744073709551615".into()), Text("-9223372036854775809".into()), Int(i64::MAX)];
    assert_eq!(values, [&large[..], &[Float(1e19), Float(1e19), Float(-0.0)]].concat());
}

#[test]
fn names_are_found_and_numbers_go_both_ways() {
    let parsers = parsers();
    for name in parsers.names() {
        let format = parsers.find(name).expect("its own name");
        assert_eq!((parsers.name(format), Format::from_index(format.index())), (name, format));
    }
    assert_eq!(parsers.find("shop"), Some(Format::Custom(0)));
    assert_eq!(parsers.find("regex:other"), None);
}

#[test]
fn mistakes_in_patterns_are_named() {
    for (name, pattern, fields, message) in [
        ("a b", "(?P<x>.)", vec![], "parser name `a b` must be of letters, digits, `_`, `-` and `.`"),
        ("logfmt", "(?P<x>.)", vec![], "parser name `logfmt` is the name of a built-in format; choose another"),
        ("auto", "(?P<x>.)", vec![], "parser name `auto` is the name of a built-in format; choose another"),
        ("a", "(?P<x>.", vec![], "pattern of parser `a`: unclosed group; a backslash before a sign makes it plain"),
        (
            "a",
            "x",
            vec![],
            "pattern of parser `a` has no named group; write `(?P<message>…)` around what is to be kept",
        ),
        (
            "a",
            "(?P<x>.)",
            vec![("level".into(), "y".into())],
            "parser `a` maps `level` from group `y`, which its pattern does not have; it has `x`",
        ),
    ] {
        let faults = CustomParser::new(name, pattern, &fields).err().expect("a mistake");
        assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), [message]);
    }
    let fields = [("level".to_owned(), "y".to_owned()), ("host".to_owned(), "z".to_owned())];
    let faults = CustomParser::new("a b", "(?P<x>.)", &fields).err().expect("three mistakes");
    let parts: Vec<_> = faults.into_iter().map(|fault| fault.part).collect();
    let field = |name: &str| PatternPart::Field(name.to_owned());
    assert_eq!(parts, [PatternPart::Name, field("level"), field("host")]);
    let faults = CustomParser::new("a", "a(b", &[]).err().expect("a mistake");
    assert_eq!(faults[0].part, PatternPart::Pattern { offset: 1 });
    assert_eq!(Parsers::same_names(&["a", "b", "A"]), []);
    let same: Vec<_> = Parsers::same_names(&["a", "b", "c", "b", "a"]).into_iter().map(|same| same.at).collect();
    assert_eq!(same, [3, 4]);
}

proptest! {
    #[test]
    fn any_text_survives(line in any::<String>()) {
        survives(&line);
    }

    #[test]
    fn any_bytes_survive(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn spoilt_lines_survive(
        which in 0usize..LINES.len(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0u8..4, prop::sample::select(vec![
            " ", "\"", "\\", "[", "]", "<", ">", "=", ":", "-", "{", "}", "\0", "\u{1f}", "é", "😀", "9", ".", ",", "\n",
        ])), 1..6),
    ) {
        let mut characters: Vec<char> = LINES[which].chars().collect();
        for (at, kind, text) in cuts {
            if characters.is_empty() { break; }
            let at = at.index(characters.len());
            match kind {
                0 => { characters.remove(at); }
                1 => characters.truncate(at),
                2 => { let copy = characters[at..].to_vec(); characters.extend(copy); }
                _ => { characters.splice(at..at, text.chars()); }
            }
        }
        survives(&characters.into_iter().collect::<String>());
    }
}
