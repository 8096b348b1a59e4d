use super::*;

/// A rule as `key=value` words: `action=replace source=a,b regex=(.*) target=c replacement=$1`.
fn rule(words: &[(&str, &str)]) -> RelabelRule {
    let mut rule = RelabelRule::default();
    for (key, value) in words {
        match *key {
            "action" => rule.action = Action::parse(value).expect("an action"),
            "source" => rule.source_labels = value.split(',').map(str::to_owned).collect(),
            "regex" => rule.regex = Some(Anchored::new(value).expect("an expression")),
            "target" => rule.target_label = (*value).to_owned(),
            "replacement" => rule.replacement = (*value).to_owned(),
            "separator" => rule.separator = (*value).to_owned(),
            "modulus" => rule.modulus = value.parse().expect("a number"),
            other => panic!("{other}"),
        }
    }
    rule
}

/// The labels after these rules, sorted; `dropped` if they were.
fn relabelled(labels: &[(&str, &str)], rules: &[&[(&str, &str)]]) -> String {
    let rules: Vec<RelabelRule> = rules.iter().map(|words| rule(words)).collect();
    let mut labels = Labels::from_pairs(labels.iter().copied());
    if !relabel(&rules, &mut labels) {
        return "dropped".to_owned();
    }
    labels.drop_empty();
    let mut pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.sort();
    pairs.join(" ")
}

/// Labels and rules of Prometheus' own tests, and what it makes of them (`model/relabel/relabel_test.go`).
#[test]
fn rules_do_what_they_do_in_prometheus() {
    let abc = [("a", "foo"), ("b", "bar"), ("c", "baz")];
    let check = |labels: &[(&str, &str)], rules: &[&[(&str, &str)]], expected: &str| {
        assert_eq!(relabelled(labels, rules), expected, "{labels:?} {rules:?}");
    };
    check(
        &abc,
        &[&[
            ("source", "a"),
            ("regex", "f(.*)"),
            ("target", "d"),
            ("separator", ";"),
            ("replacement", "ch${1}-ch${1}"),
        ]],
        "a=foo b=bar c=baz d=choo-choo",
    );
    check(
        &abc,
        &[
            &[("source", "a,b"), ("regex", "f(.*);(.*)r"), ("target", "a"), ("replacement", "b${1}${2}m")],
            &[("source", "c,a"), ("regex", "(b).*b(.*)ba(.*)"), ("target", "d"), ("replacement", "$1$2$2$3")],
        ],
        "a=boobam b=bar c=baz d=boooom",
    );
    check(&abc, &[&[("source", "a"), ("regex", ".*o.*"), ("action", "drop")]], "dropped");
    check(&abc, &[&[("source", "a"), ("regex", "o"), ("action", "drop")]], "a=foo b=bar c=baz");
    check(&abc, &[&[("source", "a"), ("regex", ".*o.*"), ("action", "KEEP")]], "a=foo b=bar c=baz");
    check(&abc, &[&[("source", "a"), ("regex", "no-match"), ("action", "keep")]], "dropped");
    check(&[("a", "boo")], &[&[("regex", "f"), ("target", "b"), ("replacement", "bar")]], "a=boo");
    // An expression that fits nothing of an empty value does not fit; the default fits.
    check(&[("a", "b")], &[&[("target", "c"), ("replacement", "x")]], "a=b c=x");
    check(&[("a", "b"), ("c", "d")], &[&[("source", "none"), ("target", "c")]], "a=b");
    check(
        &[("a", "foo")],
        &[&[("source", "a"), ("regex", "(foo)"), ("target", "${1}"), ("replacement", "b")]],
        "a=foo foo=b",
    );
    check(
        &[("a", "foo")],
        &[&[("source", "a"), ("regex", "(foo)"), ("target", "${3}"), ("replacement", "b")]],
        "a=foo",
    );
    check(
        &[("a", "1\n2")],
        &[&[("source", "a"), ("regex", "1.2"), ("target", "b"), ("replacement", "fits")]],
        "a=1\n2 b=fits",
    );
    check(
        &abc,
        &[&[("source", "c"), ("target", "d"), ("action", "hashmod"), ("modulus", "1000")]],
        "a=foo b=bar c=baz d=976",
    );
    check(
        &[("a", "foo\nbar")],
        &[&[("source", "a"), ("target", "b"), ("action", "hashmod"), ("modulus", "1000")]],
        "a=foo\nbar b=734",
    );
    check(
        &[("a", "foo"), ("b1", "bar"), ("b2", "baz")],
        &[&[("action", "labelmap"), ("regex", "(b.*)"), ("replacement", "bar_${1}")]],
        "a=foo b1=bar b2=baz bar_b1=bar bar_b2=baz",
    );
    check(
        &[("a", "foo"), ("__meta_my_bar", "aaa"), ("__meta_other", "bbb")],
        &[&[("action", "labelmap"), ("regex", "__meta_(my.*)"), ("replacement", "${1}")]],
        "__meta_my_bar=aaa __meta_other=bbb a=foo my_bar=aaa",
    );
    check(&[("a", "x"), ("b1", "y")], &[&[("action", "labeldrop"), ("regex", "(b.*)")]], "a=x");
    check(&[("a", "x"), ("b1", "y")], &[&[("action", "labelkeep"), ("regex", "(b.*)")]], "b1=y");
    check(
        &[("foo", "bAr123Foo")],
        &[
            &[("action", "uppercase"), ("source", "foo"), ("target", "up")],
            &[("action", "lowercase"), ("source", "foo"), ("target", "low")],
        ],
        "foo=bAr123Foo low=bar123foo up=BAR123FOO",
    );
    let ports = [("__tmp_port", "1234"), ("__port1", "1234"), ("__port2", "5678")];
    let all = "__port1=1234 __port2=5678 __tmp_port=1234";
    check(&ports, &[&[("action", "keepequal"), ("source", "__tmp_port"), ("target", "__port1")]], all);
    check(&ports, &[&[("action", "keepequal"), ("source", "__tmp_port"), ("target", "__port2")]], "dropped");
    check(&ports, &[&[("action", "dropequal"), ("source", "__tmp_port"), ("target", "__port1")]], "dropped");
    check(&ports, &[&[("action", "dropequal"), ("source", "__tmp_port"), ("target", "__port2")]], all);
}

#[test]
fn what_a_rule_contradicts_itself_in_is_told() {
    let faults = |words: &[(&str, &str)]| rule(words).faults().into_iter().map(|fault| fault.key).collect::<Vec<_>>();
    for action in ["replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"] {
        assert!(faults(&[("action", action)]).contains(&"target_label"), "{action}");
    }
    assert_eq!(faults(&[("action", "hashmod"), ("target", "a")]), ["modulus"]);
    assert_eq!(faults(&[("action", "labeldrop"), ("regex", "a"), ("source", "b")]), ["source_labels"]);
    assert_eq!(faults(&[("action", "keepequal"), ("target", "a"), ("regex", "b")]), ["regex"]);
    assert!(faults(&[("action", "keep"), ("source", "a"), ("regex", "b")]).is_empty());
    assert!(Anchored::new("(").is_err());
    assert!(Anchored::new("(a{1000}){1000}").is_err(), "what would take much memory is refused");
}
