//! Queries made by chance: mostly ones that mean something for the data, some that do not fit together.

use crate::chance::Random;

impl Random {
    /// One of these.
    fn of<'t>(&mut self, all: &[&'t str]) -> &'t str {
        all[self.below(all.len() as u64) as usize]
    }
}

const METRICS: [&str; 22] = [
    "requests_total",
    "requests_total",
    "requests_total",
    "load",
    "load",
    "load",
    "up",
    "levels",
    "latency_bucket",
    "latency_count",
    "huge",
    "mixed",
    "seldom",
    "tiny",
    "once",
    "{\"my.metric\"}",
    "native",
    "native",
    "native_gauge",
    "native_custom",
    "native_mixed",
    "native_empty",
];
const NATIVES: [&str; 6] = ["native", "native", "native_gauge", "native_custom", "native_mixed", "native_empty"];
const NATIVE_FUNCTIONS: [&str; 5] =
    ["histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"];
const MATCHERS: [&str; 10] = [
    "job=\"api\"",
    "job!=\"api\"",
    "job=~\"api|db\"",
    "job!~\"a.*\"",
    "instance=\"a\"",
    "instance!=\"\"",
    "code=~\"[24]..\"",
    "code=\"\"",
    "missing=\"\"",
    "job=~\".+\"",
];
const DURATIONS: [&str; 12] = ["15s", "30s", "45s", "1m", "1m30s", "5m", "7m", "15m", "1h", "90", "2m1s", "10m"];
const SPANS: [&str; 7] = ["1m:15s", "5m:30s", "10m:1m", "5m:", "7m:61s", "1h:5m", "3m:1s"];
const NUMBERS: [&str; 14] =
    ["0", "1", "-1", "2", "0.5", "3.25", "100", "1e3", "-0.1", "Inf", "-Inf", "NaN", "0x1f", "5m"];
const QUANTILES: [&str; 8] = ["0", "0.25", "0.5", "0.9", "0.99", "1", "-1", "2"];
const LABELS: [&str; 4] = ["job", "instance", "code", "missing"];
const OVER_TIME: [&str; 25] = [
    "rate",
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "changes",
    "resets",
    "deriv",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "last_over_time",
    "first_over_time",
    "present_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "mad_over_time",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_min_over_time",
    "ts_of_max_over_time",
    "absent_over_time",
];
const MATH: [&str; 30] = [
    "abs",
    "ceil",
    "floor",
    "sqrt",
    "ln",
    "log2",
    "log10",
    "exp",
    "sgn",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "deg",
    "rad",
    "hour",
    "minute",
    "month",
    "year",
    "day_of_month",
    "day_of_week",
    "days_in_month",
];
const AGGREGATIONS: [&str; 8] = ["sum", "avg", "min", "max", "count", "stddev", "stdvar", "group"];
const ARITHMETIC: [&str; 7] = ["+", "-", "*", "/", "%", "^", "atan2"];
const COMPARISONS: [&str; 6] = ["==", "!=", ">", "<", ">=", "<="];
const SETS: [&str; 3] = ["and", "or", "unless"];

/// Makes queries.
pub struct Maker {
    random: Random,
}

impl Maker {
    /// The queries of a seed.
    pub fn new(seed: u64) -> Maker {
        Maker { random: Random::new(seed) }
    }

    /// The next one.
    pub fn query(&mut self) -> String {
        match self.random.below(22) {
            0 => self.scalar(2),
            1..=3 => self.of_native(),
            4 | 5 => self.edged(),
            _ => {
                let depth = 1 + self.random.below(3);
                self.vector(depth)
            }
        }
    }

    fn pick<'t>(&mut self, all: &[&'t str]) -> &'t str {
        self.random.of(all)
    }

    fn shift(&mut self) -> String {
        match self.random.below(14) {
            0 => format!(" offset {}", self.pick(&DURATIONS)),
            1 => format!(" offset -{}", self.pick(&DURATIONS)),
            2 => " @ start()".to_owned(),
            3 => " @ end()".to_owned(),
            4 => format!(" @ {}", 1_700_006_400 + self.random.below(7200)),
            5 => format!(" @ end() offset {}", self.pick(&DURATIONS)),
            _ => String::new(),
        }
    }

    fn bare_selector(&mut self) -> String {
        let metric = self.pick(&METRICS);
        let count = self.random.below(3);
        let matchers: Vec<&str> = (0..count).map(|_| self.random.of(&MATCHERS)).collect();
        match (metric.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')), matchers.is_empty()) {
            (_, true) => metric.to_owned(),
            (Some(quoted), false) => format!("{{{quoted}, {}}}", matchers.join(", ")),
            (None, false) => format!("{metric}{{{}}}", matchers.join(", ")),
        }
    }

    fn selector(&mut self) -> String {
        format!("{}{}", self.bare_selector(), self.shift())
    }

    fn matrix(&mut self, depth: u64) -> String {
        if depth > 0 && self.random.below(4) == 0 {
            let inner = self.vector(depth - 1);
            return format!("({inner})[{}]{}", self.pick(&SPANS), self.shift());
        }
        format!("{}[{}]{}{}", self.bare_selector(), self.pick(&DURATIONS), self.edges(), self.shift())
    }

    /// What stands at the ends of a range, most of the time nothing.
    fn edges(&mut self) -> &'static str {
        match self.random.below(16) {
            0 => " anchored",
            1 => " smoothed",
            _ => "",
        }
    }

    /// A function of a range whose ends are something.
    fn edged(&mut self) -> String {
        let metrics: &[&str] = if self.random.below(3) == 0 { &NATIVES } else { &METRICS };
        let (metric, duration, shift) = (self.pick(metrics), self.pick(&DURATIONS), self.shift());
        let changes = ["rate", "increase", "delta"];
        match self.random.below(8) {
            0 => format!("{metric} smoothed{shift}"),
            1 => format!("{metric}[{duration}]{}{shift}", self.pick(&[" anchored", " smoothed"])),
            2 => format!("{}({metric}[{duration}] anchored{shift})", self.pick(&["changes", "resets"])),
            3..=5 => format!("{}({metric}[{duration}] smoothed{shift})", self.pick(&changes)),
            _ => format!("{}({metric}[{duration}] anchored{shift})", self.pick(&changes)),
        }
    }

    fn scalar(&mut self, depth: u64) -> String {
        match self.random.below(if depth == 0 { 2 } else { 6 }) {
            0 | 1 => self.pick(&NUMBERS).to_owned(),
            2 => format!("scalar({})", self.vector(depth - 1)),
            3 => "time()".to_owned(),
            4 => format!("({} {} {})", self.scalar(depth - 1), self.pick(&ARITHMETIC), self.scalar(depth - 1)),
            _ => format!("-{}", self.scalar(depth - 1)),
        }
    }

    fn grouping(&mut self) -> String {
        let (first, second) = (self.pick(&LABELS), self.pick(&LABELS));
        match self.random.below(6) {
            0 => String::new(),
            1 => format!(" without ({first})"),
            2 => format!(" without ({first}, {second})"),
            3 => format!(" by ({first}, {second})"),
            _ => format!(" by ({first})"),
        }
    }

    fn vector(&mut self, depth: u64) -> String {
        if depth == 0 {
            return self.selector();
        }
        let less = depth - 1;
        match self.random.below(20) {
            0..=3 => format!("{}({})", self.pick(&OVER_TIME), self.matrix(less)),
            4 => match self.random.below(3) {
                0 => format!("quantile_over_time({}, {})", self.pick(&QUANTILES), self.matrix(less)),
                1 => format!("predict_linear({}, {})", self.matrix(less), self.pick(&NUMBERS)),
                _ => format!("double_exponential_smoothing({}, 0.3, 0.6)", self.matrix(less)),
            },
            5 | 6 => format!("{}({})", self.pick(&MATH), self.vector(less)),
            7 | 8 => format!("{}{} ({})", self.pick(&AGGREGATIONS), self.grouping(), self.vector(less)),
            9 => self.with_parameter(less),
            10 | 11 => self.with_scalar(less),
            12 | 13 => self.matched(less),
            14 => format!("{} {} {}", self.vector(less), self.pick(&SETS), self.vector(less)),
            15 => self.labels(less),
            16 => format!("-{}", self.vector(less)),
            17 => format!("({})", self.vector(less)),
            18 => self.other(less),
            _ => match self.random.below(8) {
                0 => format!("{} smoothed{}", self.bare_selector(), self.shift()),
                _ => self.selector(),
            },
        }
    }

    fn with_parameter(&mut self, less: u64) -> String {
        let (grouping, inner) = (self.grouping(), self.vector(less));
        match self.random.below(6) {
            0 | 1 => format!("topk{grouping} ({}, {inner})", 1 + self.random.below(3)),
            2 => format!("bottomk{grouping} ({}, {inner})", 1 + self.random.below(3)),
            // Values of which no digit depends on whose library has computed them.
            3 => format!("count_values{grouping} (\"value\", {})", self.selector()),
            4 => format!("quantile{grouping} ({}, {inner})", self.pick(&QUANTILES)),
            _ => format!("limit_ratio{grouping} ({}, {inner})", self.pick(&["0.5", "-0.5", "1", "0", "0.3"])),
        }
    }

    fn with_scalar(&mut self, less: u64) -> String {
        let (vector, scalar) = (self.vector(less), self.scalar(less));
        let op = match self.random.below(3) {
            0 => self.pick(&ARITHMETIC).to_owned(),
            1 => self.pick(&COMPARISONS).to_owned(),
            _ => format!("{} bool", self.pick(&COMPARISONS)),
        };
        if self.random.below(3) == 0 { format!("{scalar} {op} {vector}") } else { format!("{vector} {op} {scalar}") }
    }

    fn matched(&mut self, less: u64) -> String {
        let (left, right) = (self.vector(less), self.vector(less));
        let op = match self.random.below(3) {
            0 | 1 => self.pick(&ARITHMETIC).to_owned(),
            _ => format!("{}{}", self.pick(&COMPARISONS), self.pick(&["", " bool"])),
        };
        let first = self.pick(&LABELS);
        let fill = self.pick(&["", "", "", " fill (0)", " fill_left (1)", " fill_right (-1)"]);
        match self.random.below(8) {
            0 => format!("{left} {op}{fill} {right}"),
            1 => format!("sum by ({first}) ({left}) {op} on ({first}){fill} sum by ({first}) ({right})"),
            2 => format!("sum without (code) ({left}) {op} ignoring (code){fill} sum without (code) ({right})"),
            3 | 4 => format!("{left} {op} on (job) group_left{fill} sum by (job) ({right})"),
            5 => format!("avg by (instance) ({left}) {op} on (instance) group_right{fill} {right}"),
            6 => format!("{left} {op} on (job, instance) group_left (code){fill} {right}"),
            _ => format!("{left} {op} ignoring (code, le) {right}"),
        }
    }

    fn labels(&mut self, less: u64) -> String {
        let inner = self.vector(less);
        match self.random.below(5) {
            0 => format!("label_replace({inner}, \"new\", \"$1-x\", \"job\", \"(.)(.*)\")"),
            1 => format!("label_replace({inner}, \"job\", \"\", \"instance\", \".*\")"),
            2 => format!("label_join({inner}, \"joined\", \"/\", \"job\", \"instance\", \"missing\")"),
            3 => format!("{}({inner}, \"job\", \"code\")", self.pick(&["sort_by_label", "sort_by_label_desc"])),
            _ => format!("{}({inner})", self.pick(&["sort", "sort_desc"])),
        }
    }

    /// A native histogram: a series, what becomes of it in a range, together with others, or cut.
    fn native(&mut self, depth: u64) -> String {
        let metric = self.pick(&NATIVES);
        let shift = self.shift();
        if depth == 0 {
            return format!("{metric}{shift}");
        }
        let less = depth - 1;
        match self.random.below(9) {
            0..=2 => {
                let functions = ["rate", "increase", "delta", "irate", "idelta", "avg_over_time", "sum_over_time"];
                format!("{}({metric}[{}]{shift})", self.pick(&functions), self.pick(&DURATIONS))
            }
            3 => format!("{}{} ({})", self.pick(&["sum", "avg"]), self.grouping(), self.native(less)),
            4 => format!("{} {} {}", self.native(less), self.pick(&["*", "/", "+"]), self.pick(&NUMBERS)),
            5 => format!("{} {} {}", self.native(less), self.pick(&["</", ">/"]), self.pick(&NUMBERS)),
            6 => format!("{} {} {}", self.native(less), self.pick(&["+", "-", "==", "!=", "and"]), self.native(less)),
            7 => format!("{}({metric}[{}])", self.pick(&["last_over_time", "first_over_time"]), self.pick(&DURATIONS)),
            _ => format!("-{}", self.native(less)),
        }
    }

    /// What is asked of native histograms.
    fn of_native(&mut self) -> String {
        let inner = self.native(2);
        match self.random.below(9) {
            0..=2 => format!("{}({inner})", self.pick(&NATIVE_FUNCTIONS)),
            3 | 4 => format!("histogram_quantile({}, {inner})", self.pick(&QUANTILES)),
            5 => format!("histogram_fraction({}, {}, {inner})", self.pick(&NUMBERS), self.pick(&NUMBERS)),
            6 => format!("{}({}[{}])", self.pick(&OVER_TIME), self.pick(&NATIVES), self.pick(&DURATIONS)),
            7 if self.random.below(4) == 0 => {
                // Over a range, Prometheus takes what an operator gives in the order of a hash table.
                format!("limitk(1, {})", self.pick(&NATIVES))
            }
            7 => format!("{}({inner})", self.pick(&["count", "min", "topk"])).replace("k(", "k(1, "),
            _ => inner,
        }
    }

    fn other(&mut self, less: u64) -> String {
        let inner = self.vector(less);
        match self.random.below(8) {
            0 => format!("absent({inner})"),
            1 => format!("timestamp({inner})"),
            2 => format!("clamp({inner}, {}, {})", self.scalar(less), self.scalar(less)),
            3 => format!("clamp_{}({inner}, {})", self.pick(&["min", "max"]), self.scalar(less)),
            4 => format!("round({inner}, {})", self.pick(&["0.1", "5", "0.25", "1"])),
            5 => format!("vector({})", self.scalar(less)),
            6 => {
                let range = self.pick(&["5m", "10m", "1m"]);
                let (q, by) = (self.pick(&QUANTILES), self.pick(&["le", "le, job"]));
                format!("histogram_quantile({q}, sum by ({by}) (rate(latency_bucket[{range}])))")
            }
            _ => format!("histogram_quantile({}, {{__name__=~\".*_bucket\"}})", self.pick(&QUANTILES)),
        }
    }
}
