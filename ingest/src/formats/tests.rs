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
        ("a", "(?P<x>.", vec![], "pattern of parser `a`: unclosed group"),
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
            "parser `a` maps `level` from group `y`, which its pattern does not have",
        ),
    ] {
        let error = CustomParser::new(name, pattern, &fields).err().expect("a mistake");
        assert_eq!(error.to_string(), message);
    }
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
