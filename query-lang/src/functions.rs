//! PromQL's functions: names, arguments, results, and which family evaluates them.
//!
//! All of Prometheus 3 are there, those behind its feature flags too.

use crate::ast::ValueType;

/// A function of the language.
#[derive(Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Types of its arguments.
    pub args: &'static [ValueType],
    /// How many of the last arguments may be left out.
    pub optional: usize,
    /// How many times more the last argument may stand.
    pub repeats: usize,
    /// What it gives.
    pub returns: ValueType,
    /// Who evaluates it.
    pub family: Family,
}

/// The families of functions; the evaluator has a file for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A number for each number.
    Math(MathFunction),
    /// A number from the samples of a range.
    Window(WindowFunction),
    /// What is missing.
    Absence(AbsenceFunction),
    /// Changes of labels.
    Label(LabelFunction),
    /// Order of an instant result.
    Sort(SortFunction),
    /// Between scalars and vectors, and times.
    Convert(ConvertFunction),
    /// A part of a date from each number, or from the time of evaluation.
    Date(DateFunction),
    /// Over native histograms, some also over buckets of classic ones.
    Histogram(HistogramFunction),
    /// Labels of info metrics beside those of other series.
    Info,
}

/// Functions of one number, some with scalar parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as the function that it is")]
pub enum MathFunction {
    Abs,
    Ceil,
    Floor,
    Sqrt,
    Ln,
    Log2,
    Log10,
    Exp,
    Sgn,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Deg,
    Rad,
    Round,
    Clamp,
    ClampMin,
    ClampMax,
}

/// Functions of the samples of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as the function that it is")]
pub enum WindowFunction {
    Rate,
    Increase,
    Delta,
    Irate,
    Idelta,
    Changes,
    Resets,
    Deriv,
    PredictLinear,
    AvgOverTime,
    MinOverTime,
    MaxOverTime,
    SumOverTime,
    CountOverTime,
    FirstOverTime,
    LastOverTime,
    PresentOverTime,
    StdDevOverTime,
    StdVarOverTime,
    MadOverTime,
    QuantileOverTime,
    DoubleExponentialSmoothing,
    TsOfFirstOverTime,
    TsOfLastOverTime,
    TsOfMinOverTime,
    TsOfMaxOverTime,
}

/// `absent` and its sister.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as the function that it is")]
pub enum AbsenceFunction {
    Absent,
    AbsentOverTime,
}

/// Functions that change labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as the function that it is")]
pub enum LabelFunction {
    Replace,
    Join,
}

/// Functions that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as the function that it is")]
pub enum SortFunction {
    Ascending,
    Descending,
    ByLabel,
    ByLabelDescending,
}

/// Functions between types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as the function that it is")]
pub enum ConvertFunction {
    Time,
    Pi,
    Vector,
    Scalar,
    Timestamp,
    StartTimestamp,
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

/// Parts of the date that a number of seconds since 1970 stands for, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as the function that it is")]
pub enum DateFunction {
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    DaysInMonth,
    Hour,
    Minute,
    Month,
    Year,
}

/// Functions of histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as the function that it is")]
pub enum HistogramFunction {
    Avg,
    Count,
    Fraction,
    Quantile,
    Quantiles,
    StdDev,
    StdVar,
    Sum,
}

/// The names of all.
pub fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

/// The function of a name.
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

const S: ValueType = ValueType::Scalar;
const V: ValueType = ValueType::Vector;
const M: ValueType = ValueType::Matrix;
const T: ValueType = ValueType::String;

const fn function(name: &'static str, args: &'static [ValueType], returns: ValueType, family: Family) -> Function {
    Function { name, args, optional: 0, repeats: 0, returns, family }
}

const fn optional(name: &'static str, args: &'static [ValueType], returns: ValueType, family: Family) -> Function {
    Function { name, args, optional: 1, repeats: 0, returns, family }
}

const fn repeating(name: &'static str, args: &'static [ValueType], returns: ValueType, family: Family) -> Function {
    Function { name, args, optional: 1, repeats: usize::MAX, returns, family }
}

const fn math(name: &'static str, which: MathFunction) -> Function {
    function(name, &[V], V, Family::Math(which))
}

const fn window(name: &'static str, which: WindowFunction) -> Function {
    function(name, &[M], V, Family::Window(which))
}

const fn date(name: &'static str, which: DateFunction) -> Function {
    optional(name, &[V], V, Family::Date(which))
}

const fn of_native(name: &'static str, which: HistogramFunction) -> Function {
    function(name, &[V], V, Family::Histogram(which))
}

/// Every function of Prometheus 3, in the order of names within a family.
pub static FUNCTIONS: [Function; 90] = [
    math("abs", MathFunction::Abs),
    math("acos", MathFunction::Acos),
    math("acosh", MathFunction::Acosh),
    math("asin", MathFunction::Asin),
    math("asinh", MathFunction::Asinh),
    math("atan", MathFunction::Atan),
    math("atanh", MathFunction::Atanh),
    math("ceil", MathFunction::Ceil),
    math("cos", MathFunction::Cos),
    math("cosh", MathFunction::Cosh),
    math("deg", MathFunction::Deg),
    math("exp", MathFunction::Exp),
    math("floor", MathFunction::Floor),
    math("ln", MathFunction::Ln),
    math("log10", MathFunction::Log10),
    math("log2", MathFunction::Log2),
    math("rad", MathFunction::Rad),
    math("sgn", MathFunction::Sgn),
    math("sin", MathFunction::Sin),
    math("sinh", MathFunction::Sinh),
    math("sqrt", MathFunction::Sqrt),
    math("tan", MathFunction::Tan),
    math("tanh", MathFunction::Tanh),
    function("clamp", &[V, S, S], V, Family::Math(MathFunction::Clamp)),
    function("clamp_max", &[V, S], V, Family::Math(MathFunction::ClampMax)),
    function("clamp_min", &[V, S], V, Family::Math(MathFunction::ClampMin)),
    optional("round", &[V, S], V, Family::Math(MathFunction::Round)),
    window("avg_over_time", WindowFunction::AvgOverTime),
    window("changes", WindowFunction::Changes),
    window("count_over_time", WindowFunction::CountOverTime),
    window("delta", WindowFunction::Delta),
    window("deriv", WindowFunction::Deriv),
    window("first_over_time", WindowFunction::FirstOverTime),
    window("idelta", WindowFunction::Idelta),
    window("increase", WindowFunction::Increase),
    window("irate", WindowFunction::Irate),
    window("last_over_time", WindowFunction::LastOverTime),
    window("mad_over_time", WindowFunction::MadOverTime),
    window("max_over_time", WindowFunction::MaxOverTime),
    window("min_over_time", WindowFunction::MinOverTime),
    window("present_over_time", WindowFunction::PresentOverTime),
    window("rate", WindowFunction::Rate),
    window("resets", WindowFunction::Resets),
    window("stddev_over_time", WindowFunction::StdDevOverTime),
    window("stdvar_over_time", WindowFunction::StdVarOverTime),
    window("sum_over_time", WindowFunction::SumOverTime),
    window("ts_of_first_over_time", WindowFunction::TsOfFirstOverTime),
    window("ts_of_last_over_time", WindowFunction::TsOfLastOverTime),
    window("ts_of_max_over_time", WindowFunction::TsOfMaxOverTime),
    window("ts_of_min_over_time", WindowFunction::TsOfMinOverTime),
    function("double_exponential_smoothing", &[M, S, S], V, Family::Window(WindowFunction::DoubleExponentialSmoothing)),
    function("predict_linear", &[M, S], V, Family::Window(WindowFunction::PredictLinear)),
    function("quantile_over_time", &[S, M], V, Family::Window(WindowFunction::QuantileOverTime)),
    function("absent", &[V], V, Family::Absence(AbsenceFunction::Absent)),
    function("absent_over_time", &[M], V, Family::Absence(AbsenceFunction::AbsentOverTime)),
    function("label_replace", &[V, T, T, T, T], V, Family::Label(LabelFunction::Replace)),
    repeating("label_join", &[V, T, T, T], V, Family::Label(LabelFunction::Join)),
    function("sort", &[V], V, Family::Sort(SortFunction::Ascending)),
    function("sort_desc", &[V], V, Family::Sort(SortFunction::Descending)),
    repeating("sort_by_label", &[V, T], V, Family::Sort(SortFunction::ByLabel)),
    repeating("sort_by_label_desc", &[V, T], V, Family::Sort(SortFunction::ByLabelDescending)),
    date("day_of_month", DateFunction::DayOfMonth),
    date("day_of_week", DateFunction::DayOfWeek),
    date("day_of_year", DateFunction::DayOfYear),
    date("days_in_month", DateFunction::DaysInMonth),
    date("hour", DateFunction::Hour),
    date("minute", DateFunction::Minute),
    date("month", DateFunction::Month),
    date("year", DateFunction::Year),
    function("end", &[], S, Family::Convert(ConvertFunction::End)),
    function("max_of", &[S, S], S, Family::Convert(ConvertFunction::MaxOf)),
    function("min_of", &[S, S], S, Family::Convert(ConvertFunction::MinOf)),
    function("range", &[], S, Family::Convert(ConvertFunction::Range)),
    function("start", &[], S, Family::Convert(ConvertFunction::Start)),
    function("step", &[], S, Family::Convert(ConvertFunction::Step)),
    function("time", &[], S, Family::Convert(ConvertFunction::Time)),
    function("pi", &[], S, Family::Convert(ConvertFunction::Pi)),
    function("vector", &[S], V, Family::Convert(ConvertFunction::Vector)),
    function("scalar", &[V], S, Family::Convert(ConvertFunction::Scalar)),
    function("timestamp", &[V], V, Family::Convert(ConvertFunction::Timestamp)),
    function("start_timestamp", &[V], V, Family::Convert(ConvertFunction::StartTimestamp)),
    function("histogram_fraction", &[S, S, V], V, Family::Histogram(HistogramFunction::Fraction)),
    function("histogram_quantile", &[S, V], V, Family::Histogram(HistogramFunction::Quantile)),
    of_native("histogram_avg", HistogramFunction::Avg),
    of_native("histogram_count", HistogramFunction::Count),
    of_native("histogram_stddev", HistogramFunction::StdDev),
    of_native("histogram_stdvar", HistogramFunction::StdVar),
    of_native("histogram_sum", HistogramFunction::Sum),
    Function {
        repeats: 8,
        ..repeating("histogram_quantiles", &[V, T, S, S], V, Family::Histogram(HistogramFunction::Quantiles))
    },
    optional("info", &[V, V], V, Family::Info),
];
