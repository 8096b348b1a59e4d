use super::read;
use crate::rule::Rule;
use crate::rule_set::RuleGroup;

fn good(text: &str) -> Vec<RuleGroup> {
    read("rules.yml", text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
}

const WHOLE: &str = r#"
groups:
  - name: node
    interval: 30s
    query_offset: 1m
    limit: 5
    labels: {team: infra, severity: none}
    rules:
      - record: job:up:sum
        expr: |
          sum by (job) (up)
      - alert: Down
        expr: up == 0
        for: 5m
        keep_firing_for: 1h30m
        labels:
          severity: page
          alertname: other
        annotations:
          summary: "{{ $labels.instance }} is at {{ $value }}"
  - name: empty
"#;

#[test]
fn a_whole_file_is_read() {
    let groups = good(WHOLE);
    let [node, empty] = groups.as_slice() else { panic!("{groups:?}") };
    assert_eq!((node.interval_ms, node.query_offset_ms, node.limit), (Some(30_000), Some(60_000), 5));
    assert_eq!((empty.name.as_str(), empty.interval_ms, empty.limit, empty.rules.len()), ("empty", None, 0, 0));
    let [Rule::Record(record), Rule::Alert(alert)] = node.rules.as_slice() else { panic!("{node:?}") };
    assert_eq!(record.name, "job:up:sum");
    assert_eq!(record.labels, [("severity".into(), "none".into()), ("team".into(), "infra".into())]);
    assert_eq!((alert.name.as_str(), alert.duration_ms, alert.keep_firing_for_ms), ("Down", 300_000, 5_400_000));
    let labels: Vec<_> = alert.labels.iter().map(|(name, text)| (name.as_str(), text.source())).collect();
    assert_eq!(labels, [("alertname", "other"), ("severity", "page"), ("team", "infra")]);
    assert_eq!(alert.annotations.len(), 1);
}

#[test]
fn what_means_nothing_loads_nothing() {
    for text in ["", "# only a comment\n", "groups:\n", "groups: []\n", "---\ngroups: []\n---\nsecond: 1\n"] {
        assert!(good(text).is_empty(), "{text}");
    }
    // JSON is YAML, aliases are read, and a plain 0 needs no unit.
    let json = r#"{"groups": [{"name": "a", "rules": [{"alert": "A", "expr": "1", "for": 0}]}]}"#;
    assert_eq!(good(json).len(), 1);
    let aliases = "groups:\n- name: a\n  rules:\n  - &one {alert: A, expr: vector(1), labels: &l {a: b}}\n  - {<<: *one, alert: B}\n";
    assert_eq!(good(aliases)[0].rules[1].label_texts(), [("a", "b")]);
}

/// What is wrong, where (line and column), and a part of what is said of it.
const BAD: [(&str, usize, usize, &str); 24] = [
    ("- a\n", 1, 1, "not rule groups"),
    ("groups: x\n", 1, 9, "must be a list"),
    ("group: []\n", 1, 1, "did you mean `groups`"),
    ("groups: [x]\n", 1, 10, "group 1 is"),
    ("groups: [{rules: []}]\n", 1, 10, "`name` is missing"),
    ("groups: [{name: a}, {name: a}]\n", 1, 28, "group `a` has the name of group 1"),
    ("groups: [{name: a, interval: x}]\n", 1, 30, "group `a`: `interval`"),
    ("groups: [{name: a, interval: 1ms}]\n", 1, 30, "too short"),
    ("groups: [{name: a, limit: x}]\n", 1, 27, "`limit`"),
    ("groups: [{name: a, labels: {__name__: b}}]\n", 1, 29, "no name in `labels`"),
    ("groups: [{name: a, rules: [x]}]\n", 1, 28, "rule 1 is"),
    ("groups: [{name: a, rules: [{expr: up}]}]\n", 1, 28, "has no name"),
    ("groups: [{name: a, rules: [{alert: A}]}]\n", 1, 28, "group `a`: rule 1 `A`: `expr` is missing"),
    ("groups: [{name: a, rules: [{alert: A, record: b, expr: up}]}]\n", 1, 47, "either alerts or records"),
    ("groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]\n", 1, 50, "in `expr`"),
    ("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: |\n      up\n      > sum(\n", 7, 13, "in `expr`"),
    ("groups: [{name: a, rules: [{alert: A, expr: 'up[5m]'}]}]\n", 1, 46, "range vector"),
    ("groups: [{name: a, rules: [{alert: A, expr: up, foor: 5m}]}]\n", 1, 49, "did you mean `for`"),
    ("groups: [{name: a, rules: [{alert: A, expr: up, for: 5}]}]\n", 1, 54, "`for`"),
    ("groups: [{name: a, rules: [{record: a, expr: up, for: 5m}]}]\n", 1, 55, "`for` is for alerts"),
    ("groups: [{name: a, rules: [{record: a, expr: up, annotations: {a: b}}]}]\n", 1, 63, "`annotations` is for"),
    ("groups: [{name: a, rules: [{record: 'a{b}', expr: up}]}]\n", 1, 37, "without braces"),
    ("groups: [{name: a, rules: [{alert: A, expr: up, labels: {a: [b]}}]}]\n", 1, 61, "must be text"),
    (
        "groups: [{name: a, rules: [{alert: A, expr: up, annotations: {a: 'x {{ $valeu }}'}}]}]\n",
        1,
        72,
        "in the template of `annotations.a`",
    ),
];

#[test]
fn each_mistake_is_told_with_its_place() {
    for (text, line, column, message) in BAD {
        let faults = read("rules.yml", text).expect_err(text);
        let first = &faults[0];
        assert!(first.message.contains(message), "{text}: {faults:?}");
        assert_eq!((first.place.line, first.place.column), (line, column), "{text}: {faults:?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "groups:\n- name: a\n  rules:\n  - {alert: A, expr: 'up >'}\n  - {alert: B, exp: up}\n- nam: b\n";
    let faults = read("rules.yml", text).expect_err("mistakes");
    let lines: Vec<usize> = faults.iter().map(|fault| fault.place.line).collect();
    assert_eq!(lines, [4, 5, 5, 6, 6], "{faults:?}");
}
