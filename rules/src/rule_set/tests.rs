use proptest::prelude::*;

use super::*;
use crate::rule::{AlertRule, Comparison, Condition, NoData, Operator};

/// The first rule of the first group, and its comparison.
fn first(set: &RuleSet) -> (&AlertRule, Comparison) {
    let Rule::Alert(rule) = &set.groups()[0].rules[0] else { panic!("an alerting rule") };
    let Condition::Compared(comparison) = rule.condition else { panic!("a rule of ours compares") };
    (rule, comparison)
}

const EXAMPLE: &str = r#"{"name": "HighErrorRate", "query": "rate error_count service=api", "threshold": 10.0, "operator": ">", "duration": "5m", "labels": {"severity": "critical"}, "annotations": {"summary": "High error rate detected"}}"#;

fn errors(text: &str) -> Vec<String> {
    match RuleSet::load(&[("dir/alert_rules.json", text)]) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn reads_the_example_of_the_documents_in_all_three_wrappings() {
    for text in [EXAMPLE.to_owned(), format!("[{EXAMPLE}]"), format!("{{\"rules\": [{EXAMPLE}]}}")] {
        let set = RuleSet::load(&[("dir/alert_rules.json", text)]).expect("valid");
        let [group] = set.groups() else { panic!("one group") };
        assert_eq!((group.name.as_str(), group.file.as_str()), ("alert_rules", "dir/alert_rules.json"));
        let (rule, comparison) = first(&set);
        assert_eq!((rule.name.as_str(), rule.query.text()), ("HighErrorRate", "rate error_count service=api"));
        assert_eq!((comparison.operator, comparison.threshold, rule.duration_ms), (Operator::Greater, 10.0, 300_000));
        assert_eq!((rule.no_data, rule.interval_ms, rule.keep_firing_for_ms), (NoData::Ok, None, 0));
        assert_eq!(rule.labels[0].1.source(), "critical");
        assert_eq!(rule.annotations[0].0, "summary");
        assert!(rule.receivers.is_empty());
    }
    assert_eq!(RuleSet::load(&[("a.json", "[]")]).map(|set| set.rule_count()), Ok(0));
}

#[test]
fn reads_every_optional_field() {
    let text = r#"{"name": "a", "query": "avg m by host", "threshold": 10, "operator": "<=", "interval": "500ms",
        "keep_firing_for": "1m", "resolve_threshold": 12.5, "no_data": "keep", "receivers": ["ops", "mail"]}"#;
    let set = RuleSet::load(&[("a.json", text)]).expect("valid");
    let (rule, comparison) = first(&set);
    assert_eq!(
        (rule.interval_ms, rule.keep_firing_for_ms, comparison.resolve_threshold),
        (Some(500), 60_000, Some(12.5))
    );
    assert_eq!((rule.no_data, rule.duration_ms), (NoData::Keep, 0));
    assert_eq!(rule.receivers, ["ops", "mail"]);
    assert!(RuleSet::load_with_receivers(&[("a.json", text)], Some(&["ops", "mail"])).is_ok());
    let wrong = RuleSet::load_with_receivers(&[("a.json", text)], Some(&["ops", "mails"])).expect_err("unknown");
    assert_eq!(wrong.len(), 1);
    assert_eq!(wrong[0].to_string(), "a.json:2:101: rule 1 `a`: unknown receiver `mail`; did you mean `mails`?");
}

#[test]
fn unknown_receivers_stand_among_all_other_mistakes() {
    let good = r#"{"name": "a", "query": "avg m", "threshold": 1, "operator": ">", "receivers": ["ops"]}"#;
    let bad = r#"{"name": "b", "query": "avg m", "treshold": 1, "operator": ">", "receivers": ["opps"]}"#;
    let twin = good.replace("ops", "pager");
    let text = format!("[{bad},\n{good},\n{twin}]");
    let files = [("a.json", text.as_str()), ("b.json", "7"), ("c.json", &twin)];
    let found = RuleSet::load_with_receivers(&files, Some(&["ops"])).expect_err("mistakes");
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let expected = [
        "a.json:1:2: rule 1 `b`: `threshold` is missing",
        "a.json:1:34: rule 1 `b`: unknown field `treshold`",
        "a.json:1:80: rule 1 `b`: unknown receiver `opps`; did you mean `ops`?",
        "a.json:3:10: rule `a` has the name, query and labels of rule 2",
        "a.json:3:80: rule 3 `a`: unknown receiver `pager`; define it in `alerting.receivers`, where there are ops",
        "b.json:1:1: the file holds a number, not rules",
        "c.json:1:80: rule 1 `a`: unknown receiver `pager`",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, expected) in found.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
    assert_eq!(RuleSet::load(&files[2..]).map(|set| set.rule_count()), Ok(1));
}

#[test]
fn a_number_that_is_not_finite_is_one_mistake_among_the_others() {
    for number in ["1e999", "-1e999", "NaN", "-Infinity"] {
        let text = format!(
            "[{{\"name\": \"a\", \"query\": \"avg m\", \"operator\": \"=\",\n  \"threshold\": {number},\n  \
             \"resolve_threshold\": 5, \"duration\": {number}, \"for\": 1}},\n 7]"
        );
        let found = errors(&text);
        let expected = [
            "1:46: rule 1 `a`: unknown operator `=`".to_owned(),
            format!("2:16: `{number}` is not a finite number; a threshold without end"),
            format!("3:39: `{number}` is not a finite number"),
            format!("3:{}: rule 1 `a`: unknown field `for`", 41 + number.len()),
            "4:2: rule 2 is a number".to_owned(),
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (line, expected) in found.iter().zip(&expected) {
            assert!(line.starts_with(&format!("dir/alert_rules.json:{expected}")), "{line}\n{expected}");
        }
    }
    for operator in [">", "<"] {
        let text = format!(
            r#"{{"name": "a", "query": "avg m", "operator": "{operator}", "threshold": 1e999, "resolve_threshold": 5}}"#
        );
        assert_eq!(errors(&text).len(), 1, "{:#?}", errors(&text));
    }
    assert_eq!(errors("1e999").len(), 1);
}

#[test]
fn tells_all_mistakes_at_once_each_with_its_place() {
    let text = r#"[
  {"name": "A", "query": "rate error_count sevice=", "treshold": 1, "operator": "=", "duration": 5,
   "labels": {"my label": "x", "severity": 3, "alertname": "y"},
   "annotations": {"summary": "caf\u00e9 \"{{ $valeu }}\""}},
  7,
  {"name": "", "query": 1, "threshold": "10", "operator": ">", "for": "5m", "duration": "5 minutes",},
]"#;
    let found = errors(text);
    let places: Vec<(&str, &str)> = found
        .iter()
        .map(|line| line.strip_prefix("dir/alert_rules.json:").expect("the file first"))
        .map(|line| line.split_once(": ").expect("place, then message"))
        .collect();
    let expected = [
        ("2:3", "rule 1 `A`: `threshold` is missing; add \"threshold\": 10"),
        ("2:51", "rule 1 `A`: in the query: "),
        ("2:54", "rule 1 `A`: unknown field `treshold`; did you mean `threshold`?"),
        ("2:81", "rule 1 `A`: unknown operator `=`; equality is written =="),
        ("2:98", "rule 1 `A`: `duration` has no unit; give the unit: \"duration\": \"5s\""),
        ("3:15", "rule 1 `A`: `my label` is no name in `labels`; letters, digits and _ only, no digit first"),
        ("3:44", "rule 1 `A`: `labels.severity` is a number, not a string; put it in double quotes"),
        ("3:47", "rule 1 `A`: label `alertname` is the rule's name already; remove it"),
        ("4:47", "rule 1 `A`: in the template of `annotations.summary`: unknown variable `$valeu`"),
        ("5:3", "rule 2 is a number; a rule is an object"),
        ("6:12", "rule 3 ``: the name is empty"),
        ("6:25", "rule 3 ``: `query` is a number, not a string; write \"rate error_count service=api\""),
        ("6:41", "rule 3 ``: `threshold` is a string, not a number; without quotes: \"threshold\": 10"),
        ("6:64", "rule 3 ``: unknown field `for`; it is called `duration` here"),
        ("6:89", "rule 3 ``: `duration` is no duration: `5 minutes`; write 30s, 5m, 1h30m, 500ms or 0s"),
        ("6:100", "a comma before `}`; remove it"),
        ("6:102", "a comma before `]`; remove it"),
    ];
    assert_eq!(places.len(), expected.len(), "{found:#?}");
    for ((place, message), (expected_place, expected_message)) in places.iter().zip(expected) {
        assert_eq!(*place, expected_place, "{message}");
        assert!(message.starts_with(expected_message), "{message}");
    }
}

#[test]
fn tells_mistakes_of_several_files_together() {
    let found = RuleSet::load(&[("a.json", "{"), ("b.yml", "groups: 1"), ("c.json", EXAMPLE), ("d.json", "7")]);
    let found: Vec<String> = found.expect_err("three bad files").iter().map(ToString::to_string).collect();
    assert_eq!(found[0], "a.json:1:1: this `{` is never closed; add `}`");
    assert!(found[1].starts_with("b.yml:1:9: `groups` must be a list"));
    assert!(found[2].starts_with("d.json:1:1: the file holds a number, not rules"));
    assert_eq!(found.len(), 3);
}

#[test]
fn refuses_what_would_not_work() {
    let rule = |fields: &str| {
        errors(&format!(r#"{{"name": "a", "query": "avg m", "threshold": 10, "operator": ">", {fields}}}"#)).join("\n")
    };
    for (fields, message) in [
        (r#""resolve_threshold": 11"#, "does not go with `> 10`; at most the threshold"),
        (r#""interval": "10ms""#, "too short; at least 100ms"),
        (r#""no_data": "error""#, "one of ok, alert, keep"),
        (r#""receivers": "ops""#, "not a list"),
        (r#""receivers": ["ops", "ops"]"#, "stands twice"),
        (r#""labels": {"__name__": "x"}"#, "reserved"),
        (r#""labels": {"a": "x", "a": "y"}"#, "stands twice"),
        (r#""keep_firing_for": "-5m""#, "no duration"),
        (r#""annotations": {"runbook": "{{ range }}"}"#, "not in this version"),
        (r#""severity": "critical""#, "write it into the labels"),
    ] {
        assert!(rule(fields).contains(message), "{fields}: {}", rule(fields));
    }
    assert!(errors(&format!("[{EXAMPLE},{EXAMPLE}]"))[0].contains("query and labels of rule 1"));
    assert!(errors(r#"{"groups": []}"#)[0].contains("Prometheus rule groups"));
    let found = RuleSet::load(&[("a.json", b"[\"\xff\"]".as_slice())]).expect_err("not UTF-8");
    assert_eq!((found[0].line, found[0].column), (1, 3));
}

#[test]
fn ten_thousand_rules_load_in_linear_time() {
    let rules: Vec<String> = (0..10_000).map(|n| EXAMPLE.replace("HighErrorRate", &format!("Rule{n}"))).collect();
    let set = RuleSet::load(&[("many.json", format!("[{}]", rules.join(",")))]).expect("valid");
    assert_eq!(set.rule_count(), 10_000);
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = RuleSet::load(&[("a.json", bytes)]);
    }

    #[test]
    fn a_cut_or_flipped_file_is_answered(at in 0usize..400, byte: u8, cut: bool) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        if let Err(errors) = RuleSet::load(&[("a.json", bytes)]) {
            prop_assert!(errors.iter().all(|error| error.line >= 1 && error.column >= 1));
        }
    }
}
