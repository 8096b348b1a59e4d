//! The short form: `FUNCTION METRIC label=value … [over W] [by a,b]`, clauses in any order.

use std::collections::HashSet;

use watchfire_model::MatcherBudget;

use super::{Pair, Pairs, Rule, literal, meaning, part, span};
use crate::ast::{
    Edges, Expr, Shift, ShortAggregate, ShortOp, ShortQuantile, ShortRate, ShortScope, Span, VectorSelector,
};
use crate::error::ParseError;

/// The tree of a `short_query`.
pub(super) fn build(text: &str, pairs: Pairs<'_>) -> Result<Expr, ParseError> {
    let query = pairs.into_iter().next().expect("the grammar gives a query");
    let whole = span(&query);
    let mut parts = query.into_inner();
    let function = part(&mut parts);
    let scope = scope(text, whole, &mut parts)?;
    let word = function.as_str().to_ascii_lowercase();
    if let Some(op) = ShortOp::ALL.into_iter().find(|op| op.as_str() == word) {
        return Ok(Expr::ShortAggregate(ShortAggregate { op, scope }));
    }
    if word == "rate" {
        return Ok(Expr::ShortRate(ShortRate { scope }));
    }
    let percentile: f64 = word
        .trim_start_matches('p')
        .parse()
        .map_err(|_| meaning(text, &function, format!("`{word}` is no percentile")))?;
    if !(0.0..=100.0).contains(&percentile) {
        let message = format!("`{word}` is no percentile; it must lie between p0 and p100");
        return Err(meaning(text, &function, message));
    }
    Ok(Expr::ShortQuantile(ShortQuantile { percentile, scope }))
}

fn scope(text: &str, whole: Span, parts: &mut Pairs<'_>) -> Result<ShortScope, ParseError> {
    let name = metric(text, part(parts))?;
    let mut matchers = vec![literal::name_matcher(&name)];
    let mut over_ms = None;
    let mut by: Option<Vec<String>> = None;
    let mut budget = MatcherBudget::default();
    for clause in parts {
        match clause.as_rule() {
            Rule::short_over => {
                if over_ms.is_some() {
                    return Err(meaning(text, &clause, "`over` stands twice"));
                }
                let duration = clause.into_inner().nth(1).expect("`over` has a duration");
                over_ms = Some(literal::positive_duration_ms(text, &duration)?);
            }
            Rule::short_by => {
                if by.is_some() {
                    return Err(
                        meaning(text, &clause, "`by` stands twice").with_hint("put all labels into one: `by a,b`")
                    );
                }
                let (mut labels, mut seen) = (Vec::new(), HashSet::new());
                for label in clause.into_inner().filter(|pair| pair.as_rule() == Rule::label) {
                    let name = literal::label(text, &label)?;
                    if seen.insert(name.clone()) {
                        labels.push(name);
                    }
                }
                by = Some(labels);
            }
            Rule::short_selector => {
                let mut inner = clause.into_inner();
                let (label, op, value) = (part(&mut inner), part(&mut inner), part(&mut inner));
                let value = part(&mut value.into_inner());
                let name = literal::label(text, &label)?;
                matchers.push(literal::matcher(text, &mut budget, name, literal::match_op(&op), &value)?);
            }
            _ => {}
        }
    }
    let (shift, edges) = (Shift::default(), Edges::Open);
    let selector = VectorSelector { name: Some(name), matchers, shift, offset_expr: None, edges, span: whole };
    Ok(ShortScope { selector, over_ms, by: by.unwrap_or_default() })
}

fn metric(text: &str, pair: Pair<'_>) -> Result<String, ParseError> {
    let inner = part(&mut pair.into_inner());
    let name = match inner.as_rule() {
        Rule::string => literal::string(text, &inner)?,
        _ => inner.as_str().to_owned(),
    };
    if name.is_empty() {
        return Err(meaning(text, &inner, "the metric has an empty name"));
    }
    Ok(name)
}
