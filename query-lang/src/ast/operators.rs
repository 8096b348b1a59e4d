//! The closed sets of operators and aggregations.

use super::ValueType;

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
    /// `^`
    Power,
    /// `atan2`
    Atan2,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `<`
    Less,
    /// `>=`
    GreaterOrEqual,
    /// `<=`
    LessOrEqual,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
    /// `</`: of histograms, what lies below a number.
    TrimUpper,
    /// `>/`: of histograms, what lies above a number.
    TrimLower,
}

impl BinaryOp {
    /// Every operator.
    pub const ALL: [BinaryOp; 18] = [
        BinaryOp::Add,
        BinaryOp::Subtract,
        BinaryOp::Multiply,
        BinaryOp::Divide,
        BinaryOp::Modulo,
        BinaryOp::Power,
        BinaryOp::Atan2,
        BinaryOp::Equal,
        BinaryOp::NotEqual,
        BinaryOp::Greater,
        BinaryOp::Less,
        BinaryOp::GreaterOrEqual,
        BinaryOp::LessOrEqual,
        BinaryOp::And,
        BinaryOp::Or,
        BinaryOp::Unless,
        BinaryOp::TrimUpper,
        BinaryOp::TrimLower,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Modulo => "%",
            BinaryOp::Power => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Greater => ">",
            BinaryOp::Less => "<",
            BinaryOp::GreaterOrEqual => ">=",
            BinaryOp::LessOrEqual => "<=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
        }
    }

    /// What an operator of arithmetic makes of two numbers; `None` for comparisons and sets.
    #[inline]
    pub fn arithmetic(self, left: f64, right: f64) -> Option<f64> {
        match self {
            BinaryOp::Add => Some(left + right),
            BinaryOp::Subtract => Some(left - right),
            BinaryOp::Multiply => Some(left * right),
            BinaryOp::Divide => Some(left / right),
            BinaryOp::Modulo => Some(left % right),
            BinaryOp::Power => Some(left.powf(right)),
            BinaryOp::Atan2 => Some(left.atan2(right)),
            BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Greater
            | BinaryOp::Less
            | BinaryOp::GreaterOrEqual
            | BinaryOp::LessOrEqual
            | BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::Unless
            | BinaryOp::TrimUpper
            | BinaryOp::TrimLower => None,
        }
    }

    /// How tightly it binds; a sign stands between `*` and `^`.
    pub const fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And | BinaryOp::Unless => 2,
            BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Greater
            | BinaryOp::Less
            | BinaryOp::GreaterOrEqual
            | BinaryOp::LessOrEqual
            | BinaryOp::TrimUpper
            | BinaryOp::TrimLower => 3,
            BinaryOp::Add | BinaryOp::Subtract => 4,
            BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo | BinaryOp::Atan2 => 5,
            BinaryOp::Power => 7,
        }
    }

    /// Whether it compares.
    pub const fn is_comparison(self) -> bool {
        self.precedence() == 3 && !self.is_trim()
    }

    /// Whether it cuts histograms.
    pub const fn is_trim(self) -> bool {
        matches!(self, BinaryOp::TrimUpper | BinaryOp::TrimLower)
    }

    /// Whether it is `and`, `or` or `unless`.
    pub const fn is_set(self) -> bool {
        self.precedence() <= 2
    }
}

/// Aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateOp {
    /// `sum`
    Sum,
    /// `avg`
    Avg,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `count`
    Count,
    /// `stddev`
    StdDev,
    /// `stdvar`
    StdVar,
    /// `group`
    Group,
    /// `topk`
    TopK,
    /// `bottomk`
    BottomK,
    /// `quantile`
    Quantile,
    /// `count_values`
    CountValues,
    /// `limitk`
    LimitK,
    /// `limit_ratio`
    LimitRatio,
}

impl AggregateOp {
    /// Every aggregation.
    pub const ALL: [AggregateOp; 14] = [
        AggregateOp::Sum,
        AggregateOp::Avg,
        AggregateOp::Min,
        AggregateOp::Max,
        AggregateOp::Count,
        AggregateOp::StdDev,
        AggregateOp::StdVar,
        AggregateOp::Group,
        AggregateOp::TopK,
        AggregateOp::BottomK,
        AggregateOp::Quantile,
        AggregateOp::CountValues,
        AggregateOp::LimitK,
        AggregateOp::LimitRatio,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            AggregateOp::Sum => "sum",
            AggregateOp::Avg => "avg",
            AggregateOp::Min => "min",
            AggregateOp::Max => "max",
            AggregateOp::Count => "count",
            AggregateOp::StdDev => "stddev",
            AggregateOp::StdVar => "stdvar",
            AggregateOp::Group => "group",
            AggregateOp::TopK => "topk",
            AggregateOp::BottomK => "bottomk",
            AggregateOp::Quantile => "quantile",
            AggregateOp::CountValues => "count_values",
            AggregateOp::LimitK => "limitk",
            AggregateOp::LimitRatio => "limit_ratio",
        }
    }

    /// The type of its parameter, if it takes one.
    pub const fn parameter(self) -> Option<ValueType> {
        match self {
            AggregateOp::TopK
            | AggregateOp::BottomK
            | AggregateOp::Quantile
            | AggregateOp::LimitK
            | AggregateOp::LimitRatio => Some(ValueType::Scalar),
            AggregateOp::CountValues => Some(ValueType::String),
            AggregateOp::Sum
            | AggregateOp::Avg
            | AggregateOp::Min
            | AggregateOp::Max
            | AggregateOp::Count
            | AggregateOp::StdDev
            | AggregateOp::StdVar
            | AggregateOp::Group => None,
        }
    }
}

/// Aggregations of the short form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShortOp {
    /// `sum`
    Sum,
    /// `avg`
    Avg,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `count`
    Count,
}

impl ShortOp {
    /// Every aggregation of the short form.
    pub const ALL: [ShortOp; 5] = [ShortOp::Sum, ShortOp::Avg, ShortOp::Min, ShortOp::Max, ShortOp::Count];

    /// The aggregation of PromQL of the same name.
    pub const fn in_promql(self) -> AggregateOp {
        match self {
            ShortOp::Sum => AggregateOp::Sum,
            ShortOp::Avg => AggregateOp::Avg,
            ShortOp::Min => AggregateOp::Min,
            ShortOp::Max => AggregateOp::Max,
            ShortOp::Count => AggregateOp::Count,
        }
    }

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            ShortOp::Sum => "sum",
            ShortOp::Avg => "avg",
            ShortOp::Min => "min",
            ShortOp::Max => "max",
            ShortOp::Count => "count",
        }
    }
}
