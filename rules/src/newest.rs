//! The one value by which a list of rules shows how a rule stands.

use watchfire_model::LabelSet;

use crate::rule::{Condition, Operator, Rule};

/// Of a comparison with a limit: the value that is furthest beyond it, or nearest to it if none is. Of other rules
/// the value of a result that is alone; `None` if there is no such value.
pub(crate) fn telling_value(rule: &Rule, results: &[(LabelSet, f64)]) -> Option<f64> {
    if let [(_, value)] = results {
        return Some(*value);
    }
    let Rule::Alert(rule) = rule else { return None };
    let Condition::Compared(than) = rule.condition else { return None };
    let beyond = |value: &f64| match than.operator {
        Operator::Greater | Operator::GreaterOrEqual => *value,
        Operator::Less | Operator::LessOrEqual => -value,
        Operator::NotEqual => (value - than.threshold).abs(),
        Operator::Equal => -(value - than.threshold).abs(),
    };
    let values = results.iter().map(|(_, value)| *value).filter(|value| !value.is_nan());
    values.max_by(|a, b| beyond(a).total_cmp(&beyond(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RuleSet;

    #[test]
    fn the_furthest_beyond_the_limit_tells_how_a_rule_stands() {
        let results = |values: &[f64]| values.iter().map(|value| (LabelSet::empty(), *value)).collect::<Vec<_>>();
        for (operator, values, expected) in [
            (">", &[3.0, f64::NAN, 12.0, 7.0][..], Some(12.0)),
            ("<=", &[3.0, -1.0, 12.0], Some(-1.0)),
            ("!=", &[9.0, 2.0, 11.0], Some(2.0)),
            ("==", &[9.5, 2.0, 14.0], Some(9.5)),
            (">", &[], None),
            (">", &[4.0], Some(4.0)),
        ] {
            let text = format!(
                r#"[{{"name": "A", "query": "up", "operator": "{operator}", "threshold": 10, "duration": "0s"}}]"#
            );
            let set = RuleSet::load(&[("rules.json", text)]).expect("valid");
            let rule = set.groups().first().and_then(|group| group.rules.first()).expect("a rule");
            assert_eq!(telling_value(rule, &results(values)), expected, "{operator} 10 of {values:?}");
        }
    }
}
