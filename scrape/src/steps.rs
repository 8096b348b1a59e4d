//! What the rules of a job make of labels, rule by rule: to see why a target has the labels that it has, or is none.

use watchfire_exposition::labels::Labels;
use watchfire_model::LabelSet;

use crate::relabel::RelabelRule;
use crate::target::label_set;

/// What is there behind a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The rule.
    pub rule: RelabelRule,
    /// The labels; none if it was dropped.
    pub output: LabelSet,
    /// Whether no rule has dropped it so far.
    pub keeps: bool,
}

/// Applies rules one by one. Those behind one that drops are not applied any more.
pub(crate) fn steps(rules: &[RelabelRule], mut labels: Labels<'_>) -> Vec<Step> {
    let mut keeps = true;
    let step = |rule: &RelabelRule| {
        keeps = keeps && rule.apply(&mut labels);
        let output = if keeps { label_set(&labels, |_| true) } else { LabelSet::default() };
        Step { rule: rule.clone(), output, keeps }
    };
    rules.iter().map(step).collect()
}
