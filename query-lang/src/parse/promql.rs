//! PromQL: from the grammar's parts to the tree, with the checks of Prometheus' parser.

use std::cell::RefCell;

use watchfire_model::MatcherBudget;

use super::duration::{QueryTimes, Spans, Worked};
use super::{BRACKETS_MAX, Conditions, DEPTH_MAX, Pair, Pairs, Rule, check, literal, meaning, part, span};
use crate::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, Edges, Expr, Fill, Grouping, Matching,
    MatrixSelector, NumberLiteral, Paren, Shift, Span, SpanExpr, Subquery, Unary, VectorSelector,
};
use crate::error::{ParseError, ParseErrorKind};
use crate::functions;

/// A tree and how deep it is.
struct Built {
    expr: Expr,
    depth: usize,
}

/// The tree of a `promql_query`, and whether spans in it depend on the times.
pub(super) fn build(
    text: &str,
    pairs: Pairs<'_>,
    times: Option<QueryTimes>,
    conditions: Conditions,
) -> Result<(Expr, bool), ParseError> {
    let query = pairs.into_iter().next().expect("the grammar gives a query");
    let expression = part(&mut query.into_inner());
    let builder = Builder { text, spans: Spans::new(text, times), budget: RefCell::default(), conditions };
    let expr = builder.expression(expression)?.expr;
    Ok((expr, builder.spans.depend_on_times()))
}

/// What waits for its right side while an expression is read.
enum Pending<'t> {
    Sign { negative: bool, span: Span },
    Infix { op: BinaryOp, pair: Pair<'t> },
}

/// How tightly a sign binds: `-1 ^ 2` is `-(1 ^ 2)`, `-1 * 2` is `(-1) * 2`.
pub(super) const SIGN_PRECEDENCE: u8 = 6;

struct Builder<'t> {
    text: &'t str,
    spans: Spans<'t>,
    budget: RefCell<MatcherBudget>,
    conditions: Conditions,
}

impl<'t> Builder<'t> {
    /// Operator precedence by a stack of what waits, so that long chains do not recurse.
    fn expression(&self, pair: Pair<'t>) -> Result<Built, ParseError> {
        let mut done: Vec<Built> = Vec::new();
        let mut waiting: Vec<Pending<'t>> = Vec::new();
        for item in pair.into_inner() {
            match item.as_rule() {
                Rule::sign => waiting.push(Pending::Sign { negative: item.as_str() == "-", span: span(&item) }),
                Rule::operand => done.push(self.operand(item)?),
                _ => {
                    let word = part(&mut item.clone().into_inner());
                    let op = binary_op(word.as_str())
                        .ok_or_else(|| meaning(self.text, &word, format!("unknown operator `{}`", word.as_str())))?;
                    while let Some(top) = waiting.last() {
                        let binds = match top {
                            Pending::Sign { .. } => SIGN_PRECEDENCE > op.precedence(),
                            Pending::Infix { op: before, .. } => {
                                before.precedence() > op.precedence()
                                    || (before.precedence() == op.precedence() && op != BinaryOp::Power)
                            }
                        };
                        if !binds {
                            break;
                        }
                        self.reduce(&mut waiting, &mut done)?;
                    }
                    waiting.push(Pending::Infix { op, pair: item });
                }
            }
        }
        while !waiting.is_empty() {
            self.reduce(&mut waiting, &mut done)?;
        }
        Ok(done.pop().expect("an expression has an operand"))
    }

    fn reduce(&self, waiting: &mut Vec<Pending<'t>>, done: &mut Vec<Built>) -> Result<(), ParseError> {
        let pending = waiting.pop().expect("something waits");
        let right = done.pop().expect("a sign or operator has a right side");
        let built = match pending {
            Pending::Sign { negative, span: at } => self.signed(negative, at, right)?,
            Pending::Infix { op, pair } => {
                let left = done.pop().expect("an operator has a left side");
                self.binary(op, &pair, left, right)?
            }
        };
        if built.depth > DEPTH_MAX {
            let message = format!("the query is nested more than {DEPTH_MAX} deep");
            return Err(ParseError::at(ParseErrorKind::Limit, self.text, built.expr.span().start, message)
                .with_hint("split it into recording rules"));
        }
        done.push(built);
        Ok(())
    }

    fn signed(&self, negative: bool, at: Span, right: Built) -> Result<Built, ParseError> {
        let whole = Span { start: at.start, end: right.expr.span().end };
        if let Expr::Number(number) = right.expr {
            let value = if negative { -number.value } else { number.value };
            return Ok(Built {
                expr: Expr::Number(NumberLiteral { value, span: whole, ..number }),
                depth: right.depth,
            });
        }
        check::unary(self.text, &right.expr)?;
        let unary = Unary { negative, expr: right.expr, span: whole };
        Ok(Built { expr: Expr::Unary(Box::new(unary)), depth: right.depth + 1 })
    }

    fn binary(&self, op: BinaryOp, pair: &Pair<'t>, left: Built, right: Built) -> Result<Built, ParseError> {
        let mut returns_bool = false;
        let mut written: Option<Matching> = None;
        for item in pair.clone().into_inner().skip(1) {
            match item.as_rule() {
                Rule::bool_word => returns_bool = true,
                Rule::matching => {
                    let mut inner = item.into_inner();
                    let on = part(&mut inner).as_str().eq_ignore_ascii_case("on");
                    let labels = self.label_list(part(&mut inner))?;
                    written = Some(Matching { on, labels, ..Matching::plain(Cardinality::OneToOne) });
                }
                Rule::group_side => {
                    let mut inner = item.into_inner();
                    let left = part(&mut inner).as_str().eq_ignore_ascii_case("group_left");
                    if let Some(matching) = &mut written {
                        matching.cardinality = if left { Cardinality::ManyToOne } else { Cardinality::OneToMany };
                        matching.include = match inner.next() {
                            Some(list) => self.label_list(list)?,
                            None => Vec::new(),
                        };
                    }
                }
                _ => {
                    let matching = written.get_or_insert_with(|| Matching::plain(Cardinality::OneToOne));
                    self.fill(item, &mut matching.fill)?;
                }
            }
        }
        let operator = pair.as_span();
        let span = Span { start: operator.start(), end: operator.end() };
        let matching = check::binary(self.text, op, span, returns_bool, written, &left.expr, &right.expr)?;
        let depth = left.depth.max(right.depth) + 1;
        let binary = Binary { op, left: left.expr, right: right.expr, returns_bool, matching, span };
        Ok(Built { expr: Expr::Binary(Box::new(binary)), depth })
    }

    /// `fill(v)`, or `fill_left(v)` and `fill_right(v)`, each once.
    fn fill(&self, pair: Pair<'t>, fill: &mut Fill) -> Result<(), ParseError> {
        let mut value = None;
        let mut negative = false;
        let mut parts = pair.clone().into_inner();
        let word = part(&mut parts);
        for item in parts {
            match item.as_rule() {
                Rule::sign => negative = item.as_str() == "-",
                Rule::duration => value = Some(literal::duration_ms(self.text, &item)? as f64 / 1000.0),
                Rule::number => value = Some(literal::number(self.text, &item)?),
                _ => {}
            }
        }
        let value = value.map(|value| NumberLiteral {
            value: if negative { -value } else { value },
            is_duration: false,
            span: span(&pair),
        });
        let lower = word.as_str().to_ascii_lowercase();
        let sides: &mut [&mut Option<NumberLiteral>] = match lower.as_str() {
            "fill_left" => &mut [&mut fill.left],
            "fill_right" => &mut [&mut fill.right],
            _ => &mut [&mut fill.left, &mut fill.right],
        };
        if sides.iter().any(|side| side.is_some()) {
            return Err(meaning(self.text, &word, "a side is filled twice"));
        }
        sides.iter_mut().for_each(|side| **side = value);
        Ok(())
    }

    fn operand(&self, pair: Pair<'t>) -> Result<Built, ParseError> {
        let mut parts = pair.into_inner();
        let mut built = self.primary(part(&mut parts))?;
        for suffix in parts {
            match suffix.as_rule() {
                Rule::range_suffix => built = self.range(suffix, built)?,
                Rule::offset_suffix => {
                    let term = suffix.clone().into_inner().nth(1).expect("`offset` has a duration");
                    let offset = self.spans.term(term)?;
                    let (shift, expr) =
                        shift_of(&mut built.expr).ok_or_else(|| no_shift(self.text, &suffix, "offset"))?;
                    if shift.offset_ms != 0 || expr.is_some() {
                        return Err(meaning(self.text, &suffix, "`offset` stands twice"));
                    }
                    shift.offset_ms = offset.millis;
                    *expr = offset.expr;
                }
                Rule::at_suffix => {
                    let at = self.at(part(&mut suffix.clone().into_inner()))?;
                    let (shift, _) = shift_of(&mut built.expr).ok_or_else(|| no_shift(self.text, &suffix, "@"))?;
                    if shift.at.is_some() {
                        return Err(meaning(self.text, &suffix, "`@` stands twice"));
                    }
                    shift.at = Some(at);
                }
                _ => self.edges(&suffix, &mut built.expr)?,
            }
        }
        // Brackets are limited before parsing, so that this recursion is too.
        debug_assert!(built.depth <= DEPTH_MAX * (BRACKETS_MAX + 2));
        if built.depth > DEPTH_MAX {
            let message = format!("the query is nested more than {DEPTH_MAX} deep");
            return Err(ParseError::at(ParseErrorKind::Limit, self.text, built.expr.span().start, message)
                .with_hint("split it into recording rules"));
        }
        Ok(built)
    }

    /// `anchored` and `smoothed`.
    fn edges(&self, suffix: &Pair<'t>, expr: &mut Expr) -> Result<(), ParseError> {
        let is_anchored = suffix.as_str().eq_ignore_ascii_case("anchored");
        let edges = if is_anchored { Edges::Anchored } else { Edges::Smoothed };
        let have = match expr {
            Expr::Vector(node) => &mut node.edges,
            Expr::Matrix(node) => &mut node.selector.edges,
            Expr::Subquery(_) => {
                let message = format!("`{}` is not for subqueries", suffix.as_str());
                return Err(meaning(self.text, suffix, message)
                    .with_hint("a recording rule makes series of the expression, which can be selected so"));
            }
            _ => return Err(no_shift(self.text, suffix, suffix.as_str())),
        };
        if *have != Edges::Open && *have != edges {
            return Err(meaning(self.text, suffix, "`anchored` and `smoothed` do not go together"));
        }
        *have = edges;
        Ok(())
    }

    fn at(&self, pair: Pair<'t>) -> Result<At, ParseError> {
        if pair.as_rule() == Rule::at_edge {
            let word = part(&mut pair.into_inner());
            return Ok(if word.as_str().eq_ignore_ascii_case("start") { At::Start } else { At::End });
        }
        let mut negative = false;
        let mut seconds = 0.0;
        for item in pair.clone().into_inner() {
            match item.as_rule() {
                Rule::sign => negative = item.as_str() == "-",
                Rule::duration => seconds = literal::duration_ms(self.text, &item)? as f64 / 1000.0,
                _ => seconds = literal::number(self.text, &item)?,
            }
        }
        if !seconds.is_finite() || seconds.abs() >= i64::MAX as f64 {
            return Err(meaning(self.text, &pair, "the time after `@` is out of range"));
        }
        let millis = (if negative { -seconds } else { seconds } * 1000.0).round();
        // Up to 2^53 ms, some 285,000 years, every millisecond is a float of its own. Nothing is further away.
        Ok(At::Time(millis.clamp(-9_007_199_254_740_992.0, 9_007_199_254_740_992.0) as i64))
    }

    fn range(&self, suffix: Pair<'t>, built: Built) -> Result<Built, ParseError> {
        let whole = Span { start: built.expr.span().start, end: suffix.as_span().end() };
        let (mut range, mut step, mut is_subquery) = (None, None, false);
        for item in suffix.clone().into_inner() {
            match item.as_rule() {
                Rule::span_sum if is_subquery => {
                    let worked = self.spans.positive(item.clone())?;
                    if worked.is_fraction {
                        let told = "the step is shorter than a millisecond, which no time is told apart by";
                        return Err(meaning(self.text, &item, told));
                    }
                    step = Some(worked);
                }
                Rule::span_sum => range = Some(self.spans.positive(item)?),
                Rule::colon => is_subquery = true,
                _ => {}
            }
        }
        let Worked { millis: range_ms, expr: range_expr, .. } = range.expect("the grammar gives a range");
        if is_subquery {
            check::subquery(self.text, &built.expr)?;
            let (step_ms, step_expr) = step.map(|step| (step.millis, step.expr)).unzip();
            let node = Subquery {
                expr: built.expr,
                range_ms,
                range_expr,
                step_ms,
                step_expr: step_expr.flatten(),
                shift: Shift::default(),
                offset_expr: None,
                span: whole,
            };
            return Ok(Built { expr: Expr::Subquery(Box::new(node)), depth: built.depth + 1 });
        }
        let Expr::Vector(selector) = built.expr else {
            return Err(meaning(self.text, &suffix, "a range stands only after a selector")
                .with_hint("for a range of an expression write a subquery: `(…)[5m:]`"));
        };
        if selector.shift != Shift::default() || selector.offset_expr.is_some() {
            return Err(meaning(self.text, &suffix, "`offset` and `@` stand after the range, not before it"));
        }
        let node = MatrixSelector { selector, range_ms, range_expr, span: whole };
        Ok(Built { expr: Expr::Matrix(node), depth: built.depth })
    }

    fn primary(&self, pair: Pair<'t>) -> Result<Built, ParseError> {
        let at = span(&pair);
        let expr = match pair.as_rule() {
            Rule::duration => {
                let value = literal::duration_ms(self.text, &pair)? as f64 / 1000.0;
                Expr::Number(NumberLiteral { value, is_duration: true, span: at })
            }
            Rule::number => {
                let value = literal::number(self.text, &pair)?;
                Expr::Number(NumberLiteral { value, is_duration: false, span: at })
            }
            Rule::string => Expr::String(literal::text(self.text, &pair, at)?),
            Rule::selector => Expr::Vector(self.selector(pair)?),
            Rule::aggregate => return self.aggregate(pair),
            Rule::call => return self.call(pair),
            _ => {
                let inner = self.expression(part(&mut pair.into_inner()))?;
                let paren = Paren { expr: inner.expr, span: at };
                return Ok(Built { expr: Expr::Paren(Box::new(paren)), depth: inner.depth + 1 });
            }
        };
        Ok(Built { expr, depth: 1 })
    }

    fn arguments(&self, pair: Pair<'t>) -> Result<(Vec<Expr>, usize), ParseError> {
        let mut args = Vec::new();
        let mut depth = 0;
        for item in pair.into_inner().filter(|item| item.as_rule() == Rule::expression) {
            let built = self.expression(item)?;
            depth = depth.max(built.depth);
            args.push(built.expr);
        }
        Ok((args, depth + 1))
    }

    /// The arguments of `info`: the second is conditions of labels, which every series may meet.
    fn info_arguments(&self, pair: Pair<'t>) -> Result<(Vec<Expr>, usize), ParseError> {
        let mut args = Vec::new();
        let mut depth = 0;
        for (at, item) in pair.into_inner().filter(|item| item.as_rule() == Rule::expression).enumerate() {
            if at != 1 {
                let built = self.expression(item)?;
                depth = depth.max(built.depth);
                args.push(built.expr);
                continue;
            }
            let wrong = || {
                meaning(self.text, &item, "the second argument of `info` is conditions of labels")
                    .with_hint("write them in braces: `{version=~\".+\"}`, with `__name__` for the metric")
            };
            let selector = only(item.clone()).and_then(only).filter(|pair| pair.as_rule() == Rule::selector);
            let node = match selector {
                Some(selector) => self.conditions(selector)?,
                // With `offset` or `@`, which mean nothing here, as with Prometheus.
                None => match self.expression(item.clone())?.expr {
                    Expr::Vector(node) => node,
                    _ => return Err(wrong()),
                },
            };
            if node.name.is_some() {
                return Err(wrong());
            }
            args.push(Expr::Vector(node));
        }
        Ok((args, depth + 1))
    }

    fn call(&self, pair: Pair<'t>) -> Result<Built, ParseError> {
        let at = span(&pair);
        let mut parts = pair.into_inner();
        let name = part(&mut parts);
        let Some(function) = functions::find(name.as_str()) else {
            let mut error = meaning(self.text, &name, format!("unknown function `{}`", name.as_str()));
            if let Some(near) = check::nearest_function(name.as_str()) {
                error = error.with_hint(format!("did you mean `{near}`?"));
            }
            return Err(error);
        };
        let (args, depth) = match function.family {
            functions::Family::Info => self.info_arguments(part(&mut parts))?,
            _ => self.arguments(part(&mut parts))?,
        };
        check::call(self.text, function, at, &args)?;
        Ok(Built { expr: Expr::Call(Call { function, args, span: at }), depth })
    }

    fn aggregate(&self, pair: Pair<'t>) -> Result<Built, ParseError> {
        let at = span(&pair);
        let mut parts = pair.into_inner();
        let word = part(&mut parts);
        let lower = word.as_str().to_ascii_lowercase();
        let Some(op) = AggregateOp::ALL.into_iter().find(|op| op.as_str() == lower) else {
            return Err(meaning(self.text, &word, format!("unknown aggregation `{lower}`")));
        };
        let mut grouping = Grouping::default();
        let (mut args, mut depth) = (Vec::new(), 1);
        for item in parts {
            if item.as_rule() == Rule::grouping {
                let mut inner = item.into_inner();
                grouping.without = part(&mut inner).as_str().eq_ignore_ascii_case("without");
                grouping.labels = self.label_list(part(&mut inner))?;
            } else {
                (args, depth) = self.arguments(item)?;
            }
        }
        let (parameter, expr) = check::aggregate(self.text, op, at, args)?;
        Ok(Built { expr: Expr::Aggregate(Box::new(Aggregate { op, expr, parameter, grouping, span: at })), depth })
    }

    fn label_list(&self, pair: Pair<'t>) -> Result<Vec<String>, ParseError> {
        let labels = pair.into_inner().filter(|item| item.as_rule() == Rule::label);
        labels.map(|label| literal::label(self.text, &label)).collect()
    }

    fn selector(&self, pair: Pair<'t>) -> Result<VectorSelector, ParseError> {
        let node = self.conditions(pair.clone())?;
        if self.conditions == Conditions::Needed && node.matchers.iter().all(watchfire_model::Matcher::matches_empty) {
            return Err(meaning(self.text, &pair, "a selector needs a condition that not every series meets")
                .with_hint("name a metric, or a label with a value: `{service=\"api\"}`"));
        }
        Ok(node)
    }

    /// A selector, whatever its conditions are.
    fn conditions(&self, pair: Pair<'t>) -> Result<VectorSelector, ParseError> {
        let at = span(&pair);
        let mut name = None;
        let mut matchers = Vec::new();
        for item in pair.clone().into_inner() {
            if item.as_rule() == Rule::metric_name {
                name = Some(item.as_str().to_owned());
                continue;
            }
            for matcher in item.into_inner().filter(|item| item.as_rule() == Rule::matcher) {
                let mut inner = matcher.clone().into_inner();
                let first = part(&mut inner);
                let label = match first.as_rule() {
                    Rule::string => literal::string(self.text, &first)?,
                    _ => first.as_str().to_owned(),
                };
                let Some(op) = inner.next() else {
                    if name.is_some() {
                        return Err(meaning(self.text, &matcher, "the metric name stands twice"));
                    }
                    // No series has two names, but Prometheus lets one ask for it.
                    matchers.push(literal::name_matcher(&label));
                    continue;
                };
                if label.is_empty() {
                    return Err(meaning(self.text, &first, "a label has an empty name"));
                }
                let value = part(&mut inner);
                let mut budget = self.budget.borrow_mut();
                matchers.push(literal::matcher(self.text, &mut budget, label, literal::match_op(&op), &value)?);
            }
        }
        let named_by_matcher = matchers.iter().any(|m| m.name() == watchfire_model::labels::METRIC_NAME);
        if let Some(name) = &name {
            if named_by_matcher {
                return Err(meaning(self.text, &pair, "the metric name stands twice"));
            }
            matchers.insert(0, literal::name_matcher(name));
        }
        let (shift, edges) = (Shift::default(), Edges::Open);
        Ok(VectorSelector { name, matchers, shift, offset_expr: None, edges, span: at })
    }
}

/// The only part of a pair, if it has one.
fn only(pair: Pair<'_>) -> Option<Pair<'_>> {
    let mut inner = pair.into_inner();
    inner.next().filter(|_| inner.next().is_none())
}

/// The operator of a word.
pub(super) fn binary_op(word: &str) -> Option<BinaryOp> {
    BinaryOp::ALL.into_iter().find(|op| op.as_str().eq_ignore_ascii_case(word))
}

/// The shift of what can be shifted, and what its offset is worked out from.
fn shift_of(expr: &mut Expr) -> Option<(&mut Shift, &mut Option<Box<SpanExpr>>)> {
    match expr {
        Expr::Vector(node) => Some((&mut node.shift, &mut node.offset_expr)),
        Expr::Matrix(node) => Some((&mut node.selector.shift, &mut node.selector.offset_expr)),
        Expr::Subquery(node) => Some((&mut node.shift, &mut node.offset_expr)),
        _ => None,
    }
}

fn no_shift(text: &str, pair: &Pair<'_>, word: &str) -> ParseError {
    meaning(text, pair, format!("`{word}` stands only after a selector or a subquery"))
}
