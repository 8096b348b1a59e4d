use proptest::prelude::*;

use super::*;
use crate::labels::Labels;

/// All entries as text, a line each; what is wrong at the end.
fn read(body: &[u8], format: Format) -> (Vec<String>, Option<String>) {
    let mut parser = Parser::new(body, format);
    let mut lines = Vec::new();
    loop {
        let entry = match parser.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => return (lines, None),
            Err(error) => return (lines, Some(error.to_string())),
        };
        lines.push(match entry {
            Entry::Help { metric, text } => format!("help {metric} {text:?}"),
            Entry::Type { metric, kind } => format!("type {metric} {}", kind.as_str()),
            Entry::Unit { metric, unit } => format!("unit {metric} {unit:?}"),
            Entry::Sample { series, value, at_ms, .. } => {
                let mut labels = Labels::default();
                if let Err(error) = parser.labels(series, &mut labels) {
                    return (lines, Some(error.to_string()));
                }
                let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                format!("{} {value} {at_ms:?}", labels.join(" "))
            }
        });
    }
}

fn good(body: &str, format: Format, expected: &[&str]) {
    assert_eq!(read(body.as_bytes(), format), (expected.iter().map(ToString::to_string).collect(), None), "{body}");
}

fn bad(body: &[u8], format: Format, expected: &str) {
    let (_, error) = read(body, format);
    let error = error.unwrap_or_else(|| panic!("{} is read", String::from_utf8_lossy(body)));
    assert!(error.contains(expected), "{}: {error}", String::from_utf8_lossy(body));
}

#[test]
fn the_classic_format_is_read_as_prometheus_reads_it() {
    let classic = |body: &str, expected: &[&str]| good(body, Format::Classic, expected);
    classic("", &[]);
    classic("\n \t\n# a comment\n#HELP x y\n# EOF\n#\n", &[]);
    classic(
        "# HELP m what\\nit \\\\ \\\"means\n#  TYPE \t m counter",
        &["help m \"what\\nit \\\\ \\\\\\\"means\"", "type m counter"],
    );
    bad(b"# TYPE m  counter\n", Format::Classic, "counter, gauge");
    classic("# TYPE m counter\n# TYPE n untyped\n# HELP m\n", &["type m counter", "type n unknown", "help m \"\""]);
    classic(
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# TYPE s summary\ns{quantile=\"0.50\",le=\"1\"} 1\nother{le=\"x\"} 1",
        &[
            "type h histogram",
            "le=\"1.0\" __name__=\"h_bucket\" 1 None",
            "type s summary",
            "quantile=\"0.5\" le=\"1\" __name__=\"s\" 1 None",
            "le=\"x\" __name__=\"other\" 1 None",
        ],
    );
    classic("m 1", &["__name__=\"m\" 1 None"]);
    classic("  m:x \t +1.5e3 \t -12 \n", &["__name__=\"m:x\" 1500 Some(-12)"]);
    classic("m{} 1\nm { } 1\n", &["__name__=\"m\" 1 None"; 2]);
    classic("m{a=\"b\",}1\n", &["a=\"b\" __name__=\"m\" 1 None"]);
    classic("m { a = \"b\" c=\"\" , d=\"}\\\"{\" } 1 2\n", &[r#"a="b" c="" d="}\"{" __name__="m" 1 Some(2)"#]);
    classic("m{a=\"\\n\\\\\\x\"} NaN\n", &[r#"a="\n\\\\x" __name__="m" NaN None"#]);
    classic("m{a=\"line\nend\"} -Inf\n", &[r#"a="line\nend" __name__="m" -inf None"#]);
    classic("{\"a metric\",\"a label\"=\"b\"} infinity\n", &[r#"a label="b" __name__="a metric" inf None"#]);
    classic("# TYPE \"a metric\" gauge\n", &["type a metric gauge"]);
}

#[test]
fn what_the_classic_format_is_not_is_told_with_its_line() {
    let classic = |body: &str, expected: &str| bad(body.as_bytes(), Format::Classic, expected);
    classic("m 1\nm\n", "line 2: expected a value behind the metric, found the end of the line");
    classic("m 1\n\nm x\n", "line 3: expected a value behind the metric, found `x`");
    classic("m 1\r\n", "a value behind the metric, found `1\\r`");
    classic("m 1 1.5\n", "a time in milliseconds");
    classic("m 1 2 3\n", "the end of the line behind the sample");
    classic("m 0x10\n", "a value");
    classic("m 1_000\n", "a value");
    classic("m 1e999\n", "a value");
    classic("m -NaN\n", "a value");
    classic("m{a=\"b\" 1\n", "`}` behind the labels");
    classic("m{a=\"b} 1\n", "closing quote");
    classic("m{a=b} 1\n", "the value of a label in quotes, found `b} 1`");
    classic("m{a} 1\n", "`=` behind the name of a label");
    classic("m{=\"b\"} 1\n", "the name of a label");
    classic("m{0=\"b\"} 1\n", "the name of a label");
    classic("m{a=\"b\",a=\"c\"} 1\n", "each label once");
    classic("m{\"n\"} 1\n", "one name of the metric only");
    classic("{a=\"b\"} 1\n", "the name of the metric in front");
    classic("{a,b=\"c\"} 1\n", "`=` behind");
    classic("0m 1\n", "a metric, a comment or the end");
    classic("<html>\n", "a metric, a comment or the end, found `<html>`");
    classic("m\u{e9} 1\n", "a value");
    classic("# TYPE m thing\n", "counter, gauge, histogram, summary or untyped, found `thing`");
    classic("# TYPE m\n", "counter, gauge");
    classic("# HELP 0 x\n", "the name of a metric");
    classic("m{__name__=\"n\"} 1\n", "the name of the metric is `__name__`");
    bad(b"m{a=\"\xff\"} 1\n", Format::Classic, "UTF-8");
    bad(b"# HELP m \xff\n", Format::Classic, "UTF-8");
    bad(b"m 1\n\0m 1\n", Format::Classic, "line 2");
    // In what only people read anything may stand.
    assert_eq!(read(b"# \xff\nm 1\n", Format::Classic).0.len(), 1);
}

#[test]
fn openmetrics_is_read_to_the_letter() {
    let open = |body: &str, expected: &[&str]| good(body, Format::OpenMetrics, expected);
    open("# EOF", &[]);
    open("# EOF\n", &[]);
    open(
        "# HELP m_s what \\\"it\\\" is\n# TYPE m_s stateset\n# UNIT m_s s\n# HELP m_s \n# UNIT m_s \n# EOF\n",
        &["help m_s \"what \\\"it\\\" is\"", "type m_s stateset", "unit m_s \"s\"", "help m_s \"\"", "unit m_s \"\""],
    );
    open("m{a=\"b\",c=\"d\"} 1 1.5\n# EOF\n", &[r#"a="b" c="d" __name__="m" 1 Some(1500)"#]);
    open("m_total 1 -0.001 # {t=\"x\"} 0.5 12.5\n# EOF", &["__name__=\"m_total\" 1 Some(-1)"]);
    open("m_bucket{le=\"1\"} 1 # {} 0.5\n# EOF", &["le=\"1\" __name__=\"m_bucket\" 1 None"]);
    open("{\"a.b\",\"c.d\"=\"e\"} 1\n# EOF", &[r#"c.d="e" __name__="a.b" 1 None"#]);
}

#[test]
fn what_is_no_openmetrics_is_told() {
    let open = |body: &str, expected: &str| bad(body.as_bytes(), Format::OpenMetrics, expected);
    open("", "`# EOF` at the end, found the end");
    open("m 1\n", "`# EOF` at the end");
    open("m 1\n# EOF\nm 2\n", "nothing behind `# EOF`");
    open("m  1\n# EOF", "a value");
    open("m 1 \n# EOF", "a time");
    open("m 1 1 \n# EOF", "the end of the line");
    open("m 1", "the end of the line behind the sample, found the end");
    open("m {a=\"b\"} 1\n# EOF", "a blank and a value");
    open("m{a=\"b\" c=\"d\"} 1\n# EOF", "`,` or `}`");
    open("m{a=\"b\", c=\"d\"} 1\n# EOF", "the name of a label");
    open("m{a=\"b\nc\"} 1\n# EOF", "closing quote");
    open("m 1 NaN\n# EOF", "a time in seconds");
    open("m 1 +Inf\n# EOF", "a time in seconds");
    open("m 1 1e20\n# EOF", "a time in seconds");
    open("\n# EOF", "a metric");
    open("# comment\n# EOF", "HELP, TYPE, UNIT or EOF");
    open("# TYPE m untyped\n# EOF", "a type of OpenMetrics");
    open("# UNIT m seconds\n# EOF", "a unit with which the metric's name ends");
    open("# UNIT mseconds seconds\n# EOF", "a unit");
    open("# HELP m x", "the end of the line, and `# EOF`");
    open("m 1 # {a=\"b\"}\n# EOF", "the exemplar's labels");
    open("m 1 # {a=\"b\"} x\n# EOF", "the exemplar's labels");
    open("m 1 # {a=\"b\"} 1 x\n# EOF", "the exemplar's time");
    open("m 1 # {\"a\"} 1\n# EOF", "labels of an exemplar");
}

#[test]
fn no_number_says_that_a_series_ended() {
    let value = parse_number(b"nan").expect("a number");
    assert_eq!(value.to_bits(), 0x7ff8_0000_0000_0001);
    assert!(!watchfire_model::sample::is_stale(value));
    for text in ["", ".", "e5", "+nan", "1e309", "inf1", "--1", " 1"] {
        assert_eq!(parse_number(text.as_bytes()), None, "{text}");
    }
    assert_eq!(parse_number(b"-INFINITY"), Some(f64::NEG_INFINITY));
    assert_eq!(parse_number(b"1e-999"), Some(0.0));
}

/// A text as a target writes it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

proptest! {
    #[test]
    fn no_bytes_break_it(body: Vec<u8>, pieces in prop::collection::vec(0usize..14, 0..40)) {
        const PIECES: [&str; 14] =
            ["m", "{", "}", "\"", "a=\"b\"", ",", " ", "\n", "1.5", "# EOF", "# HELP m ", "# {", "\\", "# TYPE m gauge"];
        let made: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        for format in [Format::Classic, Format::OpenMetrics] {
            read(&body, format);
            read(made.as_bytes(), format);
        }
    }

    #[test]
    fn what_is_written_is_read(name: String, value: String, help: String, number: f64, at: i32) {
        // Names are one line each.
        let (name, plain) = (format!("n{}", name.replace('\n', "")), format!("{number:?}"));
        let body = format!(
            "# HELP \"{n}\" {}\n# TYPE \"{n}\" gauge\n{{\"{n}\",\"l{n}\"=\"{}\"}} {plain} {at}\n# EOF\n",
            escaped(&help), escaped(&value), n = escaped(&name),
        );
        for format in [Format::Classic, Format::OpenMetrics] {
            let mut parser = Parser::new(body.as_bytes(), format);
            let Ok(Some(Entry::Help { metric, text })) = parser.next_entry() else { panic!("{body}") };
            prop_assert_eq!(&metric, &name);
            if format == Format::OpenMetrics {
                prop_assert_eq!(text, help.as_str());
            }
            prop_assert_eq!(parser.next_entry(), Ok(Some(Entry::Type { metric, kind: FamilyType::Gauge })));
            let Ok(Some(Entry::Sample { series, value: read, at_ms, .. })) = parser.next_entry() else { panic!("{body}") };
            prop_assert!(read == number || number.is_nan());
            let factor = if format == Format::Classic { 1 } else { 1000 };
            prop_assert_eq!(at_ms, Some(i64::from(at) * factor));
            let mut labels = Labels::default();
            parser.labels(series, &mut labels).expect("labels");
            let label = format!("l{name}");
            prop_assert_eq!(labels.iter().collect::<Vec<_>>(), [(label.as_str(), value.as_str()), ("__name__", &name)]);
            prop_assert_eq!(parser.next_entry(), Ok(None));
        }
    }
}
