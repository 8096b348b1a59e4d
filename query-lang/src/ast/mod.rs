//! The tree of a query: text positions and values, never storage.
//!
//! One tree for both spellings. Short-form words whose meaning depends on the kind of series found
//! (a quantile of a distribution or of samples) are nodes of their own, resolved when series are
//! selected. Durations are milliseconds. Two trees are equal when they mean the same: positions and
//! the bits of NaN aside.

mod invariant;
mod operators;
mod span_expr;
mod walk;

use watchfire_model::Matcher;

use crate::functions::Function;
pub use operators::{AggregateOp, BinaryOp, ShortOp};
pub use span_expr::{SpanBinary, SpanChoice, SpanExpr};

/// Where a node stands in the text, in bytes. Takes no part in equality.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// Always equal, so that trees compare by meaning.
impl PartialEq for Span {
    fn eq(&self, _: &Span) -> bool {
        true
    }
}

/// What an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// One number per time.
    Scalar,
    /// A number per series and time.
    Vector,
    /// The samples of a range, per series and time.
    Matrix,
    /// A text.
    String,
}

impl ValueType {
    /// As messages name it.
    pub const fn name(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            ValueType::String => "string",
        }
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `1.5`, `0x1f`, `5m` (300)
    Number(NumberLiteral),
    /// `"text"`
    String(StringLiteral),
    /// `name{label="value"} offset 5m`
    Vector(VectorSelector),
    /// `name[5m]`
    Matrix(MatrixSelector),
    /// `(expression)[1h:5m]`
    Subquery(Box<Subquery>),
    /// `-x`
    Unary(Box<Unary>),
    /// `a + b`
    Binary(Box<Binary>),
    /// `sum by (a) (x)`
    Aggregate(Box<Aggregate>),
    /// `rate(x[5m])`
    Call(Call),
    /// `(x)`
    Paren(Box<Paren>),
    /// `sum m over 5m by a`
    ShortAggregate(ShortAggregate),
    /// `rate m over 5m by a`
    ShortRate(ShortRate),
    /// `p95 m over 5m by a`
    ShortQuantile(ShortQuantile),
}

/// A number.
#[derive(Clone, Copy, Debug)]
pub struct NumberLiteral {
    /// The number; a duration in the place of a number is its seconds.
    pub value: f64,
    /// Whether it is written as a duration.
    pub is_duration: bool,
    /// Where.
    pub span: Span,
}

/// All NaNs are one, and 5m is 300.
impl PartialEq for NumberLiteral {
    fn eq(&self, other: &NumberLiteral) -> bool {
        self.value.to_bits() == other.value.to_bits() || (self.value.is_nan() && other.value.is_nan())
    }
}

/// A text.
#[derive(Clone, Debug, PartialEq)]
pub struct StringLiteral {
    /// The text without quotes and escapes, with U+FFFD for each byte that belongs to no character.
    pub value: String,
    /// The same as it is written, if it has such bytes (`"\xff"`).
    pub bytes: Option<Box<[u8]>>,
    /// Where.
    pub span: Span,
}

/// The time that `@` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A fixed time, milliseconds since the epoch.
    Time(i64),
    /// `start()`: of the range that is evaluated.
    Start,
    /// `end()`: of the range that is evaluated.
    End,
}

/// `offset` and `@`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// How far back, milliseconds; negative looks ahead.
    pub offset_ms: i64,
    /// The time named by `@`; the evaluation time otherwise.
    pub at: Option<At>,
}

/// What stands at the ends of a selector's range, where there is no sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edges {
    /// Nothing: only the samples inside count.
    #[default]
    Open,
    /// `anchored`: at the left end the newest sample before it, within the lookback delta; at the right end the last
    /// one inside.
    Anchored,
    /// `smoothed`: what lies on the line between the samples on both sides of an end, within the lookback delta.
    Smoothed,
}

impl Edges {
    /// The word for it; none is written for open ends.
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Edges::Open => None,
            Edges::Anchored => Some("anchored"),
            Edges::Smoothed => Some("smoothed"),
        }
    }
}

/// Series at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSelector {
    /// The metric name, if written outside of the braces.
    pub name: Option<String>,
    /// All conditions; the first is that of `name` if there is one.
    pub matchers: Vec<Matcher>,
    /// `offset` and `@`.
    pub shift: Shift,
    /// What `offset` was worked out from.
    pub offset_expr: Option<Box<SpanExpr>>,
    /// `anchored` or `smoothed`; of a range, those of the range.
    pub edges: Edges,
    /// Where.
    pub span: Span,
}

/// Series over a range that ends at the moment; left-open.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    /// Which series, and the shift.
    pub selector: VectorSelector,
    /// Length of the range; positive.
    pub range_ms: i64,
    /// What it was worked out from.
    pub range_expr: Option<Box<SpanExpr>>,
    /// Where.
    pub span: Span,
}

/// An expression evaluated over a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// The expression, an instant vector or a scalar.
    pub expr: Expr,
    /// Length of the range; positive.
    pub range_ms: i64,
    /// What it was worked out from.
    pub range_expr: Option<Box<SpanExpr>>,
    /// Distance between evaluations; the default step if absent.
    pub step_ms: Option<i64>,
    /// What it was worked out from.
    pub step_expr: Option<Box<SpanExpr>>,
    /// `offset` and `@`.
    pub shift: Shift,
    /// What `offset` was worked out from.
    pub offset_expr: Option<Box<SpanExpr>>,
    /// Where.
    pub span: Span,
}

/// A sign.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    /// Whether it is `-`; `+` changes nothing but drops no name either.
    pub negative: bool,
    /// What it stands before.
    pub expr: Expr,
    /// Where.
    pub span: Span,
}

/// Brackets.
#[derive(Clone, Debug, PartialEq)]
pub struct Paren {
    /// What is inside.
    pub expr: Expr,
    /// Where.
    pub span: Span,
}

/// How many series of each side may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// One of each.
    OneToOne,
    /// `group_left`: many on the left.
    ManyToOne,
    /// `group_right`: many on the right.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// Which labels two series must agree in to meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Matching {
    /// How many may meet.
    pub cardinality: Cardinality,
    /// Whether `labels` are those that count (`on`) or those that do not (`ignoring`).
    pub on: bool,
    /// The labels.
    pub labels: Vec<String>,
    /// Labels taken over from the "one" side.
    pub include: Vec<String>,
    /// What stands in for series that have no partner, on either side.
    pub fill: Fill,
}

/// Values in the place of partners that are missing (`fill`, `fill_left`, `fill_right`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fill {
    /// In the place of a series of the left side.
    pub left: Option<NumberLiteral>,
    /// In the place of a series of the right side.
    pub right: Option<NumberLiteral>,
}

impl Matching {
    /// All labels but the metric's name count, and series meet as they may with that many.
    pub fn plain(cardinality: Cardinality) -> Matching {
        Matching { cardinality, on: false, labels: Vec::new(), include: Vec::new(), fill: Fill::default() }
    }
}

/// Two expressions and an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Left side.
    pub left: Expr,
    /// Right side.
    pub right: Expr,
    /// `bool`: comparisons give 0 or 1 instead of filtering.
    pub returns_bool: bool,
    /// Between two instant vectors, how series meet.
    pub matching: Option<Matching>,
    /// Where the operator stands with its modifiers.
    pub span: Span,
}

/// Which labels make a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grouping {
    /// Whether all labels but these count.
    pub without: bool,
    /// The labels.
    pub labels: Vec<String>,
}

/// An aggregation over series.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Which.
    pub op: AggregateOp,
    /// Over what.
    pub expr: Expr,
    /// The `k`, quantile or label of those that take one.
    pub parameter: Option<Expr>,
    /// `by` or `without`.
    pub grouping: Grouping,
    /// Where.
    pub span: Span,
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Of which function.
    pub function: &'static Function,
    /// Its arguments; their number and types fit.
    pub args: Vec<Expr>,
    /// Where.
    pub span: Span,
}

/// What all short queries have: `M label=value … [over W] [by a,b]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ShortScope {
    /// Metric and conditions; never shifted.
    pub selector: VectorSelector,
    /// The window as written; positive.
    pub over_ms: Option<i64>,
    /// The labels to split by; without them all series are one.
    pub by: Vec<String>,
}

/// `sum|avg|min|max|count M …`
#[derive(Clone, Debug, PartialEq)]
pub struct ShortAggregate {
    /// Which.
    pub op: ShortOp,
    /// Over what.
    pub scope: ShortScope,
}

/// Window of `rate` when none is written.
pub const RATE_WINDOW_MS: i64 = 60_000;
/// Window of `pNN` when none is written, and of aggregations of a distribution at a moment.
pub const QUANTILE_WINDOW_MS: i64 = 300_000;

/// `rate M …`
#[derive(Clone, Debug, PartialEq)]
pub struct ShortRate {
    /// Over what.
    pub scope: ShortScope,
}

/// `pNN M …`
#[derive(Clone, Debug, PartialEq)]
pub struct ShortQuantile {
    /// As written, in `[0, 100]`.
    pub percentile: f64,
    /// Over what.
    pub scope: ShortScope,
}

impl ShortQuantile {
    /// The quantile, in `[0, 1]`.
    pub fn quantile(&self) -> f64 {
        self.percentile / 100.0
    }
}

impl Expr {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Expr::Number(node) => node.span,
            Expr::String(node) => node.span,
            Expr::Vector(node) => node.span,
            Expr::Matrix(node) => node.span,
            Expr::Subquery(node) => node.span,
            Expr::Unary(node) => node.span,
            Expr::Binary(node) => Span { start: node.left.span().start, end: node.right.span().end },
            Expr::Aggregate(node) => node.span,
            Expr::Call(node) => node.span,
            Expr::Paren(node) => node.span,
            Expr::ShortAggregate(node) => node.scope.selector.span,
            Expr::ShortRate(node) => node.scope.selector.span,
            Expr::ShortQuantile(node) => node.scope.selector.span,
        }
    }

    /// What it gives.
    pub fn value_type(&self) -> ValueType {
        match self {
            Expr::Number(_) => ValueType::Scalar,
            Expr::String(_) => ValueType::String,
            Expr::Matrix(_) | Expr::Subquery(_) => ValueType::Matrix,
            Expr::Unary(node) => node.expr.value_type(),
            Expr::Paren(node) => node.expr.value_type(),
            Expr::Binary(node) => match (node.left.value_type(), node.right.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
            Expr::Call(node) => node.function.returns,
            Expr::Vector(_)
            | Expr::Aggregate(_)
            | Expr::ShortAggregate(_)
            | Expr::ShortRate(_)
            | Expr::ShortQuantile(_) => ValueType::Vector,
        }
    }

    /// The expression without brackets around it.
    pub fn without_parens(&self) -> &Expr {
        let mut expr = self;
        while let Expr::Paren(paren) = expr {
            expr = &paren.expr;
        }
        expr
    }
}
