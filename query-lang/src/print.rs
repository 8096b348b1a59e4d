//! The canonical spelling of a tree; it reads back as the same tree.

use std::fmt::{Display, Formatter, Result, Write};

use watchfire_model::time::format_duration_ms;
use watchfire_model::{MatchOp, Matcher};

use crate::ast::{
    At, BinaryOp, Cardinality, Edges, Expr, Fill, Grouping, Matching, NumberLiteral, Shift, ShortScope, SpanExpr,
    VectorSelector,
};

/// A text in quotes, with the escapes that the parser reads.
pub(crate) struct Quoted<'t>(pub &'t str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_char('"')?;
        escaped(self.0, f)?;
        f.write_char('"')
    }
}

/// A string with bytes that are no UTF-8.
fn quoted_bytes(bytes: &[u8], f: &mut Formatter<'_>) -> Result {
    f.write_char('"')?;
    for chunk in bytes.utf8_chunks() {
        escaped(chunk.valid(), f)?;
        chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
    }
    f.write_char('"')
}

fn escaped(text: &str, f: &mut Formatter<'_>) -> Result {
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\x07' => f.write_str("\\a")?,
            '\x08' => f.write_str("\\b")?,
            '\x0b' => f.write_str("\\v")?,
            '\x0c' => f.write_str("\\f")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            // As it stands, the parser takes it for what was no text.
            char::REPLACEMENT_CHARACTER => f.write_str("\\ufffd")?,
            c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
            c if c.is_control() || (c.is_whitespace() && c != ' ') => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    Ok(())
}

/// Words that cannot stand bare as a metric name.
const RESERVED: [&str; 8] = ["bool", "on", "ignoring", "group_left", "group_right", "atan2", "inf", "nan"];

fn is_bare_label(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

pub(crate) fn is_bare_metric(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
        && !RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name))
}

struct Label<'t>(&'t str);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if is_bare_label(self.0) { f.write_str(self.0) } else { Quoted(self.0).fmt(f) }
    }
}

fn list(f: &mut Formatter<'_>, labels: &[String]) -> Result {
    f.write_char('(')?;
    for (at, label) in labels.iter().enumerate() {
        write!(f, "{}{}", if at == 0 { "" } else { ", " }, Label(label))?;
    }
    f.write_char(')')
}

/// A number as the parser reads it.
pub(crate) struct Number(pub f64);

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let value = self.0;
        if value.is_nan() {
            f.write_str("NaN")
        } else if value.is_infinite() {
            f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
        } else {
            write!(f, "{value}")
        }
    }
}

/// A number of `fill`, which Prometheus writes with an exponent if it is very large or small.
struct Filled(f64);

impl Display for Filled {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let size = self.0.abs();
        if !size.is_finite() || size == 0.0 || (1e-4..1e21).contains(&size) {
            return Number(self.0).fmt(f);
        }
        let text = format!("{:e}", self.0);
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
        write!(f, "{digits}e{sign}{exponent:0>2}")
    }
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.is_duration {
            true => f.write_str(&format_duration_ms((self.value * 1000.0).round() as i64)),
            false => Number(self.value).fmt(f),
        }
    }
}

impl Display for SpanExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            SpanExpr::Number(number) => number.fmt(f),
            SpanExpr::Step => f.write_str("step()"),
            SpanExpr::Range => f.write_str("range()"),
            SpanExpr::Choice(node) => write!(f, "{}({}, {})", node.word(), node.left, node.right),
            SpanExpr::Minus(inner) => write!(f, "-{inner}"),
            SpanExpr::Binary(node) => write!(f, "{} {} {}", node.left, node.op.as_str(), node.right),
            SpanExpr::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

/// A span: what it was worked out from, or its milliseconds.
struct Spelt<'t>(i64, Option<&'t SpanExpr>);

impl Display for Spelt<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.1 {
            Some(expr) => expr.fmt(f),
            None => f.write_str(&format_duration_ms(self.0)),
        }
    }
}

fn condition(matcher: &Matcher) -> String {
    format!("{}{}{}", Label(matcher.name()), matcher.op().as_str(), Quoted(matcher.value()))
}

/// A selector as Prometheus writes it, its conditions in the order of their text; without its shift, and with a range if
/// one is given.
pub(crate) struct Selector<'t> {
    pub selector: &'t VectorSelector,
    pub range_ms: Option<i64>,
}

impl Display for Selector<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let VectorSelector { name, matchers, .. } = self.selector;
        let bare_name = name.as_deref().filter(|name| is_bare_metric(name));
        let conditions = if bare_name.is_some() { matchers.get(1..).unwrap_or_default() } else { matchers };
        f.write_str(bare_name.unwrap_or_default())?;
        // A bare `sum` before another word would read as the short form.
        if !conditions.is_empty() || bare_name.is_some_and(crate::parse::is_short_word) {
            let mut texts: Vec<String> = conditions.iter().map(condition).collect();
            texts.sort_unstable();
            write!(f, "{{{}}}", texts.join(","))?;
        }
        match self.range_ms {
            Some(range) => write!(f, "[{}]", format_duration_ms(range)),
            None => Ok(()),
        }
    }
}

fn edges(f: &mut Formatter<'_>, edges: Edges) -> Result {
    edges.word().map_or(Ok(()), |word| write!(f, " {word}"))
}

fn shift(f: &mut Formatter<'_>, shift: &Shift, offset_expr: Option<&SpanExpr>) -> Result {
    match shift.at {
        Some(At::Time(millis)) => write!(f, " @ {}", Millis(millis))?,
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        None => {}
    }
    if shift.offset_ms != 0 || offset_expr.is_some() {
        write!(f, " offset {}", Spelt(shift.offset_ms, offset_expr))?;
    }
    Ok(())
}

/// Milliseconds as seconds with three decimals.
struct Millis(i64);

impl Display for Millis {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let millis = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:03}", millis / 1000, millis % 1000)
    }
}

/// What stands between an aggregation's name and its brackets.
pub(crate) struct GroupingWords<'t>(pub &'t Grouping);

impl Display for GroupingWords<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Grouping { without, labels } = self.0;
        if !without && labels.is_empty() {
            return Ok(());
        }
        f.write_str(if *without { " without " } else { " by " })?;
        list(f, labels)?;
        f.write_char(' ')
    }
}

fn matching(f: &mut Formatter<'_>, op: BinaryOp, matching: &Matching) -> Result {
    let side = match matching.cardinality {
        Cardinality::ManyToOne => Some("group_left"),
        Cardinality::OneToMany => Some("group_right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if matching.on || !matching.labels.is_empty() || side.is_some() {
        f.write_str(if matching.on { " on " } else { " ignoring " })?;
        list(f, &matching.labels)?;
    }
    if let (Some(side), false) = (side, op.is_set()) {
        write!(f, " {side} ")?;
        list(f, &matching.include)?;
    }
    let Fill { left, right } = matching.fill;
    if left.is_some() && left == right {
        return left.map_or(Ok(()), |value| write!(f, " fill ({})", Filled(value.value)));
    }
    for (word, value) in [("fill_left", left), ("fill_right", right)] {
        if let Some(value) = value {
            write!(f, " {word} ({})", Filled(value.value))?;
        }
    }
    Ok(())
}

/// A value of the short form, bare where it can be.
fn short_value(f: &mut Formatter<'_>, matcher: &Matcher) -> Result {
    let value = matcher.value();
    let needs_quotes = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '`' | ',');
    // After `=` a value that opens with `~` would read as another operator.
    let reads_as_operator = matcher.op() == MatchOp::Equal && value.starts_with('~');
    let quoted = value.is_empty() || value.starts_with('#') || value.contains(needs_quotes) || reads_as_operator;
    if quoted { Quoted(value).fmt(f) } else { f.write_str(value) }
}

fn short(f: &mut Formatter<'_>, word: &dyn Display, scope: &ShortScope) -> Result {
    let metric = scope.selector.name.as_deref().unwrap_or_default();
    write!(f, "{word} ")?;
    if is_bare_metric(metric) && !matches!(metric.to_ascii_lowercase().as_str(), "by" | "without") {
        f.write_str(metric)?;
    } else {
        Quoted(metric).fmt(f)?;
    }
    for matcher in scope.selector.matchers.iter().skip(1) {
        write!(f, " {}{}", Label(matcher.name()), matcher.op().as_str())?;
        short_value(f, matcher)?;
    }
    if let Some(window) = scope.over_ms {
        write!(f, " over {}", format_duration_ms(window))?;
    }
    for (at, label) in scope.by.iter().enumerate() {
        write!(f, "{}{}", if at == 0 { " by " } else { "," }, Label(label))?;
    }
    Ok(())
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Expr::Number(node) => node.fmt(f),
            Expr::String(node) => match &node.bytes {
                None => Quoted(&node.value).fmt(f),
                Some(bytes) => quoted_bytes(bytes, f),
            },
            Expr::Vector(node) => {
                Selector { selector: node, range_ms: None }.fmt(f)?;
                edges(f, node.edges)?;
                shift(f, &node.shift, node.offset_expr.as_deref())
            }
            Expr::Matrix(node) => {
                let selector = &node.selector;
                Selector { selector, range_ms: None }.fmt(f)?;
                write!(f, "[{}]", Spelt(node.range_ms, node.range_expr.as_deref()))?;
                edges(f, selector.edges)?;
                shift(f, &selector.shift, selector.offset_expr.as_deref())
            }
            Expr::Subquery(node) => {
                write!(f, "{}[{}:", node.expr, Spelt(node.range_ms, node.range_expr.as_deref()))?;
                if let Some(step) = node.step_ms {
                    Spelt(step, node.step_expr.as_deref()).fmt(f)?;
                }
                f.write_char(']')?;
                shift(f, &node.shift, node.offset_expr.as_deref())
            }
            Expr::Unary(node) => write!(f, "{}{}", if node.negative { "-" } else { "+" }, node.expr),
            Expr::Paren(node) => write!(f, "({})", node.expr),
            Expr::Binary(node) => {
                write!(f, "{} {}", node.left, node.op.as_str())?;
                if node.returns_bool {
                    f.write_str(" bool")?;
                }
                if let Some(how) = &node.matching {
                    matching(f, node.op, how)?;
                }
                write!(f, " {}", node.right)
            }
            Expr::Aggregate(node) => {
                f.write_str(node.op.as_str())?;
                GroupingWords(&node.grouping).fmt(f)?;
                match &node.parameter {
                    Some(parameter) => write!(f, "({parameter}, {})", node.expr),
                    None => write!(f, "({})", node.expr),
                }
            }
            Expr::Call(node) => {
                write!(f, "{}(", node.function.name)?;
                for (at, arg) in node.args.iter().enumerate() {
                    write!(f, "{}{arg}", if at == 0 { "" } else { ", " })?;
                }
                f.write_char(')')
            }
            Expr::ShortAggregate(node) => short(f, &node.op.as_str(), &node.scope),
            Expr::ShortRate(node) => short(f, &"rate", &node.scope),
            Expr::ShortQuantile(node) => short(f, &format_args!("p{}", node.percentile), &node.scope),
        }
    }
}
