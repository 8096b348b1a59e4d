use proptest::prelude::*;
use watchfire_model::LabelSet;

use super::{External, Facts, Template};

fn labels() -> LabelSet {
    LabelSet::from_pairs([("service", "api"), ("instance", "web1.example.org:8080")]).expect("valid")
}

fn external() -> External {
    let labels = LabelSet::from_pairs([("region", "eu")]).expect("valid");
    External { labels, url: "http://watchfire.example.org".to_owned() }
}

fn expand(source: &str, value: f64) -> String {
    match Template::parse(source) {
        Ok(template) => template.expand(Facts { labels: &labels(), value, histogram: None, external: &external() }),
        Err(error) => panic!("{source}: {error:?}"),
    }
}

/// Expected texts follow Prometheus' template/template_test.go.
#[test]
fn expands_as_prometheus_does() {
    for (source, value, expected) in [
        ("{{ $externalLabels.region }} {{ .ExternalLabels }} {{ $externalLabels.x }}", 1.0, "eu map[region:eu] "),
        ("{{ $externalURL }} {{ .ExternalURL }}", 1.0, "http://watchfire.example.org http://watchfire.example.org"),
        ("plain { text }}", 0.0, "plain { text }}"),
        ("{{ $value }} on {{ $labels.service }}", 12.1, "12.1 on api"),
        ("{{$value}}/{{$labels.none}}/{{ .Value }}/{{ .Labels.service }}", 1.5e6, "1.5e+06//1.5e+06/api"),
        ("{{ printf \"%.2f\" $value }}", 1.005, "1.00"),
        ("{{ $value | printf \"%.1f%%\" }}", 99.55, "99.5%"),
        ("{{ $value | humanize }}", 1_234_567.0, "1.235M"),
        ("{{ humanize $value }}", 0.0001234, "123.4u"),
        ("{{ $value | humanize1024 }}", 1_048_576.0, "1Mi"),
        ("{{ $value | humanizeDuration }}", 93_784.9, "1d 2h 3m 4s"),
        ("{{ $value | humanizeDuration }}", 59.9, "59.9s"),
        ("{{ $value | humanizeDuration }}", 0.05, "50ms"),
        ("{{ $value | humanizeDuration }}", -61.0, "-1m 1s"),
        ("{{ $value | humanizePercentage }}", 0.123456, "12.35%"),
        ("{{ $value | humanizeTimestamp }}", 1_435_065_584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
        ("{{ index $labels \"service\" | toUpper }}", 0.0, "API"),
        ("{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }}", 0.0, "web1.example.org web1:8080"),
        ("{{ title \"high error rate\" }}", 0.0, "High Error Rate"),
        ("{{ reReplaceAll \"([a-z])p\" \"${1}x\" $labels.service }}", 0.0, "axi"),
        ("{{ match `^a.i$` $labels.service }}", 0.0, "true"),
        ("{{ if gt $value 10.0 }}high{{ else if gt $value 5.0 }}middle{{ else }}low{{ end }}", 7.0, "middle"),
        ("{{ if and (eq $labels.service \"api\") (lt $value 1) }}yes{{ end }}", 0.5, "yes"),
        ("a {{- /* why */ -}} b {{- $value -}}  c", 1.0, "ab1c"),
        ("{{ print $labels.service \" is at \" $value }}", 2.0, "api is at 2"),
        ("{{ $labels }}", 0.0, "map[instance:web1.example.org:8080 service:api]"),
        ("{{ len $labels }} {{ not true }}", 0.0, "2 false"),
        ("{{ humanize \"x\" }}", 0.0, "<error expanding template: `x` is no number>"),
        ("{{ parseDuration \"1h30m\" }}", 0.0, "5400"),
        ("{{ html \"<a>\" }}", 0.0, "&lt;a&gt;"),
    ] {
        assert_eq!(expand(source, value), expected, "{source}");
    }
}

#[test]
fn mistakes_are_found_when_parsed() {
    for (source, offset, message) in [
        ("x {{ $value", 2, "never closed"),
        ("{{ $valeu }}", 3, "unknown variable"),
        ("{{ $value | humanise }}", 12, "unknown function `humanise`"),
        ("{{ service }}", 3, "unknown function"),
        ("{{ range $labels }}{{ end }}", 3, "not in this version"),
        ("{{ query \"up\" }}", 3, "not in this version"),
        ("{{ $externalUrl }}", 3, "unknown variable"),
        ("{{ $x := 1 }}", 3, "unknown variable"),
        ("{{ if $value }}x", 0, "no end"),
        ("{{ end }}", 3, "without an `if`"),
        ("{{ printf }}", 3, "takes at least 1"),
        ("{{ humanize 1 2 }}", 3, "takes 1"),
        ("{{ }}", 3, "value is missing"),
        ("{{ $value $value }}", 10, "after a value"),
        ("{{ match \"(\" $value }}", 3, "regular expression"),
        ("{{ \"x }}", 3, "never ends"),
        ("{{ (humanize $value }}", 3, "never closed"),
        ("{{ .Foo }}", 3, "unknown field"),
    ] {
        let error = Template::parse(source).expect_err(source);
        assert!(error.message.contains(message), "{source}: {error:?}");
        assert_eq!(error.offset, offset, "{source}: {error:?}");
    }
    assert!(Template::parse(&"{{ (".repeat(3000)).is_err());
    assert!(Template::parse(&format!("{{{{ {}", "(".repeat(10_000))).is_err());
    assert!(Template::parse(&"{{if true}}".repeat(5_000)).is_err());
}

#[test]
fn texts_without_facts_are_constant() {
    assert_eq!(Template::parse("critical").ok().and_then(|t| t.constant().map(str::to_owned)), Some("critical".into()));
    assert!(Template::parse("{{ $value }}").is_ok_and(|t| t.constant().is_none()));
}

proptest! {
    #[test]
    fn any_text_is_answered(source in "\\PC{0,40}") {
        let _ = Template::parse(&source).map(|t| t.expand(Facts { labels: &labels(), value: 1.0, histogram: None, external: &external() }));
    }

    #[test]
    fn near_templates_are_answered(
        source in r#"(\{\{|\}\}|-| |\$value|\$labels|\.x|if|else|end|printf|humanize|"%[-+0 ]?[0-9.]{0,4}[a-z]"|\||\(|\)|eq|1|2\.5|`){0,14}"#,
        value in proptest::num::f64::ANY,
    ) {
        let _ = Template::parse(&source).map(|t| t.expand(Facts { labels: &labels(), value, histogram: None, external: &external() }));
    }

    #[test]
    fn printed_values_read_back(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
        prop_assert_eq!(super::go_format::shortest(value).parse(), Ok(value));
    }
}
