use watchfire_model::{AlertState, LabelSet, Timestamp};

use super::*;
use crate::rule::Rule;
use crate::rule_set::RuleSet;

fn rule(fields: &str) -> AlertRule {
    let text = format!(r#"{{"name": "R", "query": "avg m by host", "threshold": 10, "operator": ">" {fields}}}"#);
    let set = RuleSet::load(&[("r.json", text)]).expect("valid");
    let Rule::Alert(rule) = &set.groups()[0].rules[0] else { panic!("an alerting rule") };
    (**rule).clone()
}

fn labels(pairs: &[(&str, &str)]) -> LabelSet {
    LabelSet::from_pairs(pairs.iter().copied()).expect("valid")
}

fn host(name: &str, value: f64) -> (LabelSet, f64) {
    (labels(&[("host", name)]), value)
}

fn values(results: &[(LabelSet, f64)]) -> InstantValues {
    InstantValues { values: results.to_vec(), ..InstantValues::default() }
}

fn step(set: &mut AlertSet, rule: &AlertRule, seconds: i64, results: &[(LabelSet, f64)]) -> Vec<(String, AlertState)> {
    let mut changes = Vec::new();
    set.step(rule, &values(results), Timestamp::from_millis(seconds * 1000), false, 0, &mut changes).expect("no twins");
    show(set)
}

fn show(set: &AlertSet) -> Vec<(String, AlertState)> {
    let name = |labels: &LabelSet| labels.get("host").unwrap_or("-").to_owned();
    set.alerts.iter().map(|(labels, tracked)| (name(labels), tracked.life.state())).collect()
}

use AlertState::{Firing, Pending, Resolved};

fn is(expected: &[(&str, AlertState)]) -> Vec<(String, AlertState)> {
    expected.iter().map(|(host, state)| ((*host).to_owned(), *state)).collect()
}

#[test]
fn each_label_set_lives_its_own_life() {
    let rule =
        rule(r#", "duration": "10s", "labels": {"severity": "{{ if gt $value 50.0 }}page{{ else }}mail{{ end }}"}"#);
    let mut set = AlertSet::default();
    assert_eq!(step(&mut set, &rule, 0, &[host("a", 11.0), host("b", 9.0)]), is(&[("a", Pending)]));
    assert_eq!(step(&mut set, &rule, 5, &[host("a", 12.0), host("b", 11.0)]), is(&[("a", Pending), ("b", Pending)]));
    assert_eq!(step(&mut set, &rule, 10, &[host("a", 13.0), host("b", 10.0)]), is(&[("a", Firing)]));
    let expected = labels(&[("alertname", "R"), ("host", "a"), ("severity", "mail")]);
    assert_eq!(set.alerts.keys().collect::<Vec<_>>(), [&expected]);
    assert_eq!(set.alerts[&expected].value, 13.0);
    assert_eq!(step(&mut set, &rule, 15, &[host("a", 1.0)]), is(&[("a", Resolved)]));
    assert_eq!(set.alerts[&expected].value, 13.0, "the value stays at the last one that fired");
}

#[test]
fn metric_names_drop_and_rule_labels_win() {
    let rule = rule(r#", "labels": {"host": "all", "empty": ""}"#);
    let mut set = AlertSet::default();
    let result = labels(&[("__name__", "m"), ("host", "a"), ("alertname", "other"), ("zone", "z")]);
    step(&mut set, &rule, 0, &[(result, 11.0)]);
    let expected = labels(&[("alertname", "R"), ("host", "all"), ("zone", "z")]);
    assert_eq!(set.alerts.keys().collect::<Vec<_>>(), [&expected]);
}

#[test]
fn twins_are_an_error_and_change_nothing() {
    let rule = rule(r#", "labels": {"host": "all"}"#);
    let mut set = AlertSet::default();
    step(&mut set, &rule, 0, &[host("a", 11.0), host("b", 9.0)]);
    let before = show(&set);
    let mut changes = Vec::new();
    let twice = [host("a", 11.0), host("b", 11.0)];
    let error = set.step(&rule, &values(&twice), Timestamp::from_millis(9000), false, 0, &mut changes);
    assert!(matches!(error, Err(StepError::Twins { .. })), "{error:?}");
    assert_eq!(show(&set), before);
    assert!(changes.is_empty());
}

#[test]
fn a_resolve_threshold_holds_what_fires() {
    let rule = rule(r#", "duration": "10s", "resolve_threshold": 5"#);
    let mut set = AlertSet::default();
    assert_eq!(step(&mut set, &rule, 0, &[host("a", 11.0)]), is(&[("a", Pending)]));
    assert_eq!(step(&mut set, &rule, 5, &[host("a", 7.0)]), is(&[]), "pending needs the threshold itself");
    step(&mut set, &rule, 10, &[host("a", 11.0)]);
    assert_eq!(step(&mut set, &rule, 20, &[host("a", 11.0)]), is(&[("a", Firing)]));
    assert_eq!(step(&mut set, &rule, 30, &[host("a", 5.1)]), is(&[("a", Firing)]));
    assert_eq!(step(&mut set, &rule, 40, &[host("a", 5.0)]), is(&[("a", Resolved)]));
    assert_eq!(step(&mut set, &rule, 50, &[host("a", 7.0)]), is(&[("a", Resolved)]));
}

#[test]
fn no_data_is_what_the_rule_says() {
    for (policy, expected) in [("ok", Resolved), ("keep", Firing), ("alert", Firing)] {
        let rule = rule(&format!(r#", "no_data": "{policy}""#));
        let mut set = AlertSet::default();
        step(&mut set, &rule, 0, &[host("a", 11.0), host("b", 11.0)]);
        assert_eq!(step(&mut set, &rule, 1, &[host("b", 11.0)]), is(&[("a", expected), ("b", Firing)]), "{policy}");
        assert_eq!(step(&mut set, &rule, 2, &[]), is(&[("a", expected), ("b", expected)]), "{policy}");
        let back = [host("a", 1.0), host("b", 1.0)];
        assert_eq!(step(&mut set, &rule, 3, &back), is(&[("a", Resolved), ("b", Resolved)]), "{policy}");
    }
}

#[test]
fn a_rule_without_any_data_is_an_alert_itself_if_it_says_so() {
    let rule = rule(r#", "no_data": "alert", "duration": "10s""#);
    let mut set = AlertSet::default();
    assert_eq!(step(&mut set, &rule, 0, &[]), is(&[("-", Pending)]));
    assert_eq!(step(&mut set, &rule, 10, &[]), is(&[("-", Firing)]));
    assert_eq!(step(&mut set, &rule, 20, &[host("a", 1.0)]), is(&[("-", Resolved)]));
}

#[test]
fn alerts_from_before_a_restart_wait_for_their_series() {
    let rule = rule("");
    let mut set = AlertSet::default();
    step(&mut set, &rule, 0, &[host("a", 11.0), host("b", 11.0)]);
    set.alerts.values_mut().for_each(|tracked| tracked.is_restored = true);
    let mut changes = Vec::new();
    let (b_only, at) = ([host("b", 1.0)], Timestamp::from_millis(9000));
    set.step(&rule, &values(&b_only), at, true, 0, &mut changes).expect("no twins");
    assert_eq!(show(&set), is(&[("a", Firing), ("b", Resolved)]), "what is back is believed");
    set.step(&rule, &values(&b_only), at, false, 0, &mut changes).expect("no twins");
    assert_eq!(show(&set), is(&[("a", Resolved), ("b", Resolved)]));
}

#[test]
fn resolved_alerts_leave_when_they_are_told_and_shown() {
    let rule = rule("");
    let mut set = AlertSet::default();
    step(&mut set, &rule, 0, &[host("a", 11.0), host("b", 11.0)]);
    step(&mut set, &rule, 1, &[]);
    let told = labels(&[("alertname", "R"), ("host", "a")]);
    set.alerts.get_mut(&told).expect("is there").is_acknowledged = true;
    assert_eq!(step(&mut set, &rule, 900, &[]).len(), 2);
    assert_eq!(step(&mut set, &rule, 902, &[]), is(&[("b", Resolved)]));
    assert_eq!(step(&mut set, &rule, 90_000, &[]), is(&[]));
}

#[test]
fn above_the_limit_all_alerts_are_dropped() {
    let rule = rule("");
    let mut set = AlertSet::default();
    let at = Timestamp::from_millis(1000);
    let mut changes = Vec::new();
    set.step(&rule, &values(&[host("a", 11.0), host("b", 12.0)]), at, false, 2, &mut changes).expect("two are allowed");
    changes.clear();
    let three = [host("a", 11.0), host("b", 12.0), host("c", 13.0)];
    let error = set.step(&rule, &values(&three), at, false, 2, &mut changes).expect_err("three are not");
    assert_eq!(error, StepError::Limit { count: 3, limit: 2 });
    assert!(set.alerts.is_empty());
    assert_eq!(changes.len(), 3);
}
