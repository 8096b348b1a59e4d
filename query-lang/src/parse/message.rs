//! Says what the grammar expected, in words of the language.

use pest::error::{Error, ErrorVariant, InputLocation};

use super::Rule;
use super::scan::SHORT_WORDS;
use crate::error::{ParseError, ParseErrorKind};

/// Most expectations that a message lists.
const EXPECTED_MAX: usize = 5;

/// Turns what the grammar says into a message, a place and, where it can be guessed, a remedy.
pub(super) fn explain(text: &str, error: &Error<Rule>, short_form: bool) -> ParseError {
    let offset = match error.location {
        InputLocation::Pos(at) => at,
        InputLocation::Span((start, _)) => start,
    };
    let expected = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => expectations(positives),
        ErrorVariant::CustomError { .. } => Vec::new(),
    };
    let message = match expected.split_last() {
        None => "this is no query".to_owned(),
        Some((only, [])) => format!("expected {only}"),
        Some((last, rest)) => format!("expected {} or {last}", rest.join(", ")),
    };
    let error = ParseError::at(ParseErrorKind::Syntax, text, offset, message);
    match hint(&text[error.offset..], &expected, short_form, text.trim().is_empty()) {
        Some(hint) => error.with_hint(hint),
        None if !short_form => match short_word_meant(&text[..error.offset], &text[error.offset..]) {
            Some(hint) => error.with_hint(hint),
            None => error,
        },
        None => error,
    }
}

/// A remedy where a word stands before a name as in the short form, but is none of its functions.
fn short_word_meant(before: &str, rest: &str) -> Option<String> {
    let word = before.trim();
    let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_word(word) || !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return None;
    }
    Some(match watchfire_model::nearest(word, SHORT_WORDS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the short form begins with {} or a percentile such as `p95`", SHORT_WORDS.join(", ")),
    })
}

/// What the rules stand for; when a bracket can be closed, how the expression inside could go on is left out.
fn expectations(rules: &[Rule]) -> Vec<&'static str> {
    let closes = |rule: &Rule| matches!(rule, Rule::close_paren | Rule::close_bracket | Rule::close_brace);
    let closing = rules.iter().any(closes);
    // After `over` and `by` the grammar makes sure that they are no labels of a condition; that is not what is missing.
    let opens_clause = rules.iter().any(|rule| matches!(rule, Rule::duration | Rule::label | Rule::label_name));
    let mut out = Vec::new();
    for rule in rules {
        let Some((word, goes_on)) = describe(*rule) else { continue };
        if opens_clause && *rule == Rule::match_op {
            continue;
        }
        if (closing && goes_on) || out.contains(&word) {
            continue;
        }
        out.push(word);
    }
    out.truncate(EXPECTED_MAX);
    out
}

/// The word for a rule, and whether it is only a way for an expression to go on. Rules that are
/// always reported together with a more telling one have none.
fn describe(rule: Rule) -> Option<(&'static str, bool)> {
    Some(match rule {
        Rule::text_end | Rule::EOI => ("the end of the query", true),
        Rule::short_function => ("a function (sum, avg, min, max, count, rate, p95)", false),
        Rule::short_metric | Rule::metric_name => ("a metric name", false),
        Rule::short_over => ("`over`", true),
        Rule::short_by => ("`by`", true),
        Rule::short_selector => ("a condition `label=value`", true),
        Rule::short_value | Rule::bare_value => ("a value", false),
        Rule::expression
        | Rule::operand
        | Rule::primary
        | Rule::paren
        | Rule::selector
        | Rule::aggregate
        | Rule::call
        | Rule::aggregate_word => ("an expression", false),
        Rule::sign | Rule::span_operator => return None,
        Rule::binary | Rule::operator => ("an operator", true),
        Rule::bool_word | Rule::matching | Rule::matching_word | Rule::group_side | Rule::group_side_word => {
            return None;
        }
        Rule::grouping | Rule::grouping_word => ("`by` or `without`", true),
        Rule::arguments | Rule::label_list => ("`(`", false),
        Rule::function_name => return None,
        Rule::matchers => ("`{`", true),
        Rule::matcher => ("a matcher `label=\"value\"`", false),
        Rule::label | Rule::label_name => ("a label name", false),
        Rule::match_op => ("`=`, `!=`, `=~` or `!~`", false),
        Rule::range_suffix => ("`[`", true),
        Rule::colon => ("`:`", true),
        Rule::offset_suffix | Rule::offset_word => ("`offset`", true),
        Rule::at_suffix => ("`@`", true),
        Rule::at_edge | Rule::at_edge_word | Rule::at_time => ("a time, `start()` or `end()`", false),
        Rule::span_sum | Rule::span_term | Rule::duration => ("a duration", false),
        Rule::number => ("a number", false),
        Rule::string => ("a quoted string", false),
        Rule::close_paren => ("`)`", false),
        Rule::close_bracket => ("`]`", false),
        Rule::close_brace => ("`}`", false),
        _ => return None,
    })
}

/// A remedy for common slips, from what stands at the place.
fn hint(rest: &str, expected: &[&str], short_form: bool, empty: bool) -> Option<&'static str> {
    let expects = |what: &str| expected.iter().any(|word| word.contains(what));
    if empty {
        return Some("a short query reads `rate error_count service=api`, PromQL `sum(rate(x[5m]))`");
    }
    if short_form {
        if rest.starts_with(['{', '(', '[']) {
            return Some(
                "in the short form conditions follow the metric (`service=api`), a window is `over 5m`; write `sum(…)` for PromQL",
            );
        }
        if rest.starts_with(',') {
            return Some("separate conditions by blanks, and put values with commas in quotes");
        }
        if expects("a duration") {
            return Some("durations are written `30s`, `5m`, `1h30m`, `1d`");
        }
        if expects("`=~`") || expects("a condition") {
            return Some(
                "conditions are written `label=value`, `label!=value`, `label=~regex`; values with blanks in quotes",
            );
        }
        return None;
    }
    if rest.starts_with("&&") {
        return Some("write `and`");
    }
    if rest.starts_with("||") {
        return Some("write `or`");
    }
    if rest.starts_with("=~") || rest.starts_with("!~") {
        return Some("regular expressions stand in matchers: `name{label=~\"regex\"}`");
    }
    if rest.starts_with('=') {
        return Some("comparison is written `==`, a matcher `label=\"value\"`");
    }
    if expects("a quoted string") && !expects("an expression") {
        return Some("values stand in quotes: `label=\"value\"`");
    }
    if expects("a duration") && !expects("an expression") {
        return Some("durations are written `30s`, `5m`, `1h30m`, `1d`");
    }
    None
}
