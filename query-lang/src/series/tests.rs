use proptest::prelude::*;
use watchfire_model::LabelSet;

use super::{parse_labels, parse_values, print_histogram};
use crate::eval::PointValue;

/// Values as they are written, one by one.
fn spelled(text: &str) -> Result<String, (usize, String)> {
    let values = parse_values(text).map_err(|fault| (fault.offset, fault.message))?;
    let word = |value: &Option<PointValue>| match value {
        None => "_".to_owned(),
        Some(PointValue::Float(value)) if watchfire_model::sample::is_stale(*value) => "stale".to_owned(),
        Some(PointValue::Float(value)) => value.to_string(),
        Some(PointValue::Histogram(histogram)) => print_histogram(histogram),
    };
    Ok(values.iter().map(word).collect::<Vec<_>>().join(" "))
}

#[test]
fn values_expand_as_in_prometheus() {
    for (text, expected) in [
        ("", ""),
        ("  1  2 ", "1 2"),
        ("1x2", "1 1 1"),
        ("1+2x2 -1-2x1 -2+4x2", "1 3 5 -1 -3 -2 2 6"),
        ("_ _x3 stale", "_ _ _ _ stale"),
        ("1e3+1e-1x1 .5 Inf -Inf NaN", "1000 1000.1 0.5 inf -inf NaN"),
        ("0+0.1x3", "0 0.1 0.2 0.30000000000000004"),
        ("stalex1", "stale stale"),
        ("{{}}", "{{}}"),
        ("{{sum:3 count:2 buckets:[2]}}x1 7", "{{count:2 sum:3 buckets:[2]}} {{count:2 sum:3 buckets:[2]}} 7"),
        (
            "{{sum:3 count:2 buckets:[2]}}+{{sum:1.5 count:1 buckets:[1]}}x2",
            "{{count:2 sum:3 buckets:[2]}} {{count:3 sum:4.5 buckets:[3]}} {{count:4 sum:6 buckets:[4]}}",
        ),
        (
            "{{schema:1 sum:-0.3 count:32.1 z_bucket:7.1 z_bucket_w:0.05 buckets:[5 1 10] offset:-3 n_buckets:[4 5] n_offset:-5 counter_reset_hint:gauge}}",
            "{{schema:1 count:32.1 sum:-0.3 z_bucket:7.1 z_bucket_w:0.05 counter_reset_hint:gauge offset:-3 buckets:[5 1 10] n_offset:-5 n_buckets:[4 5]}}",
        ),
        (
            "{{schema:-53 sum:1 count:3 custom_values:[5 10] buckets:[1 0 2]}}",
            "{{schema:-53 count:3 sum:1 custom_values:[5 10] buckets:[1 0 2]}}",
        ),
    ] {
        assert_eq!(spelled(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn mistakes_point_into_the_text() {
    for (text, offset, message) in [
        ("1 apple", 2, "no number"),
        ("1x", 0, "how often"),
        ("1 2x-3", 2, "how often"),
        ("1 2+3", 5, "how often"),
        ("1x9999999999", 0, "at most"),
        ("1 {{sum:1", 2, "never closed"),
        ("{{sum:1 kount:2}}", 8, "has no `kount`"),
        ("{{sum:x}}", 2, "cannot be the `sum`"),
        ("{{sum}}", 2, "no `key:value`"),
        ("{{count:1}}y", 11, "expected xN"),
        ("{{count:1}}+{{count:1}}", 23, "expected xN"),
        ("{{schema:99}}", 0, "schema"),
        ("{{schema:1 count:1 buckets:[1]}}+{{count:1 buckets:[1]}}x1", 0, "cannot grow"),
    ] {
        let (found_offset, found) = spelled(text).expect_err(text);
        assert!(found.contains(message) && found_offset == offset, "{text}: {found_offset} {found}");
    }
}

#[test]
fn labels_are_those_of_a_selector_that_only_equals() {
    let labels = |pairs: &[(&str, &str)]| LabelSet::from_pairs(pairs.iter().copied()).expect("valid");
    for (text, pairs) in [
        ("", &[][..]),
        (" { } ", &[]),
        ("up", &[("__name__", "up")]),
        ("up{job=\"a\", instance=\"b\"}", &[("__name__", "up"), ("job", "a"), ("instance", "b")]),
        ("{job='a'}", &[("job", "a")]),
        ("sum{}", &[("__name__", "sum")]),
    ] {
        assert_eq!(parse_labels(text), Ok(labels(pairs)), "{text}");
    }
    for text in ["up{job!=\"a\"}", "up[5m]", "up offset 5m", "1", "rate(up[5m])", "up{", "p95 latency"] {
        assert!(parse_labels(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "[-+0-9.eExX_ {}:\\[\\]a-z]{0,40}") {
        let _ = parse_values(&text);
        let _ = parse_labels(&text);
    }
}
