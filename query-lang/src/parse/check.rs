//! Whether parts fit together: types, numbers of arguments, matching. The rules are Prometheus'.

use crate::ast::{AggregateOp, BinaryOp, Cardinality, Expr, Fill, Matching, Span, ValueType};
use crate::error::{ParseError, ParseErrorKind};
use crate::functions::{FUNCTIONS, Function};

fn error(text: &str, offset: usize, message: String) -> ParseError {
    ParseError::at(ParseErrorKind::Meaning, text, offset, message)
}

fn expect_type(text: &str, expr: &Expr, wanted: ValueType, place: &str) -> Result<(), ParseError> {
    let found = expr.value_type();
    if found == wanted {
        return Ok(());
    }
    let message = format!("expected type {} in {place}, got {}", wanted.name(), found.name());
    let mut error = error(text, expr.span().start, message);
    if wanted == ValueType::Matrix && matches!(expr.without_parens(), Expr::Vector(_)) {
        error = error.with_hint("give a range: `name[5m]`");
    } else if wanted == ValueType::Matrix && found == ValueType::Vector {
        error = error.with_hint("write a subquery: `(…)[5m:]`");
    } else if wanted == ValueType::Vector && found == ValueType::Matrix {
        error = error.with_hint("leave the range out, or wrap it in a function such as `rate(…)`");
    }
    Err(error)
}

pub(super) fn unary(text: &str, expr: &Expr) -> Result<(), ParseError> {
    match expr.value_type() {
        ValueType::Scalar | ValueType::Vector => Ok(()),
        found @ (ValueType::Matrix | ValueType::String) => {
            let message = format!("a sign stands only before a scalar or an instant vector, not a {}", found.name());
            Err(error(text, expr.span().start, message))
        }
    }
}

pub(super) fn subquery(text: &str, expr: &Expr) -> Result<(), ParseError> {
    expect_type(text, expr, ValueType::Vector, "a subquery")
}

/// Checks a binary expression; gives how its series meet, if both sides are vectors.
pub(super) fn binary(
    text: &str,
    op: BinaryOp,
    span: Span,
    returns_bool: bool,
    written: Option<Matching>,
    left: &Expr,
    right: &Expr,
) -> Result<Option<Matching>, ParseError> {
    for side in [left, right] {
        let found = side.value_type();
        if !matches!(found, ValueType::Scalar | ValueType::Vector) {
            let message =
                format!("`{}` stands only between scalars and instant vectors, not a {}", op.as_str(), found.name());
            return Err(error(text, side.span().start, message));
        }
    }
    let vectors = left.value_type() == ValueType::Vector && right.value_type() == ValueType::Vector;
    let scalars = left.value_type() == ValueType::Scalar && right.value_type() == ValueType::Scalar;
    if returns_bool && !op.is_comparison() {
        return Err(error(text, span.start, "`bool` goes only with comparisons".to_owned()));
    }
    if op.is_comparison() && scalars && !returns_bool {
        return Err(error(text, span.start, "a comparison of two scalars needs `bool`".to_owned())
            .with_hint(format!("write `{} bool`", op.as_str())));
    }
    if op.is_set() && !vectors {
        return Err(error(text, span.start, format!("`{}` stands only between instant vectors", op.as_str()))
            .with_hint("make a vector of a scalar by `vector(…)`"));
    }
    let Some(mut matching) = written else {
        let cardinality = if op.is_set() { Cardinality::ManyToMany } else { Cardinality::OneToOne };
        return Ok(vectors.then(|| Matching::plain(cardinality)));
    };
    if !vectors {
        if matching.fill != Fill::default() {
            return Err(error(
                text,
                span.start,
                "missing series are filled in only between instant vectors".to_owned(),
            ));
        }
        // Without labels it says nothing, and Prometheus takes it.
        return if matching.labels.is_empty() {
            Ok(None)
        } else {
            Err(error(text, span.start, "labels are matched only between instant vectors".to_owned()))
        };
    }
    if op.is_set() {
        if matching.cardinality != Cardinality::OneToOne {
            return Err(error(text, span.start, format!("`{}` takes no `group_left` or `group_right`", op.as_str())));
        }
        if matching.fill != Fill::default() {
            return Err(error(text, span.start, format!("`{}` takes no `fill`", op.as_str())));
        }
        matching.cardinality = Cardinality::ManyToMany;
    }
    if matching.on
        && let Some(label) = matching.labels.iter().find(|label| matching.include.contains(label))
    {
        let message = format!("label `{label}` stands both in `on` and in `group_left` or `group_right`");
        return Err(error(text, span.start, message));
    }
    Ok(Some(matching))
}

/// Checks an aggregation; gives its parameter and what it aggregates.
pub(super) fn aggregate(
    text: &str,
    op: AggregateOp,
    span: Span,
    args: Vec<Expr>,
) -> Result<(Option<Expr>, Expr), ParseError> {
    let wanted = if op.parameter().is_some() { 2 } else { 1 };
    let found = args.len();
    let wrong_number =
        || error(text, span.start, format!("`{}` takes {wanted} argument(s), {found} given", op.as_str()));
    let mut args = args.into_iter();
    let parameter = match op.parameter() {
        Some(kind) => {
            let parameter = args.next().ok_or_else(wrong_number)?;
            expect_type(text, &parameter, kind, "the parameter of an aggregation")?;
            Some(parameter)
        }
        None => None,
    };
    let (Some(expr), None) = (args.next(), args.next()) else { return Err(wrong_number()) };
    expect_type(text, &expr, ValueType::Vector, "an aggregation")?;
    Ok((parameter, expr))
}

/// Checks number and types of a call's arguments.
pub(super) fn call(text: &str, function: &Function, span: Span, args: &[Expr]) -> Result<(), ParseError> {
    let least = function.args.len() - function.optional;
    let most = function.args.len().saturating_add(function.repeats);
    if !(least..=most).contains(&args.len()) {
        let wanted = match most {
            usize::MAX => format!("at least {least}"),
            most if most == least => most.to_string(),
            most => format!("{least} to {most}"),
        };
        let message = format!("`{}` takes {wanted} argument(s), {} given", function.name, args.len());
        return Err(error(text, span.start, message));
    }
    for (at, arg) in args.iter().enumerate() {
        let wanted = function.args.get(at).or(function.args.last());
        if let Some(wanted) = wanted {
            expect_type(text, arg, *wanted, &format!("a call of `{}`", function.name))?;
        }
    }
    Ok(())
}

/// The function whose name is nearest to a misspelt one, if it is near.
pub(super) fn nearest_function(name: &str) -> Option<&'static str> {
    watchfire_model::nearest(name, FUNCTIONS.iter().map(|function| function.name))
}

#[cfg(test)]
mod tests {
    use super::nearest_function;

    #[test]
    fn slips_are_recognised() {
        assert_eq!(nearest_function("ratee"), Some("rate"));
        assert_eq!(nearest_function("histogram_quantil"), Some("histogram_quantile"));
        assert_eq!(nearest_function("holt_winters"), None);
        assert_eq!(nearest_function(&"x".repeat(1000)), None);
    }
}
