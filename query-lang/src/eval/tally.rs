//! What an aggregation has seen of each group at each step, column by column.

use watchfire_model::Sum;

use super::column::{ABSENT, is_absent};
use super::mean::{Mean, Means, add_to_sums};
use crate::ast::AggregateOp;

/// Groups of so many steps each; a step of a group has its place in each of the columns that the operator needs.
pub(super) struct Tallies {
    steps: usize,
    /// Whether there was a column with a value at every step.
    full: Vec<bool>,
    of: Of,
}

enum Of {
    Sum {
        sums: Vec<f64>,
        rests: Vec<f64>,
        /// Whether there was a value.
        seen: Vec<bool>,
    },
    Mean(Means),
    /// The smallest or largest; none while absent.
    Extreme {
        is_largest: bool,
        extremes: Vec<f64>,
    },
    Spread {
        is_root: bool,
        spreads: Vec<Spread>,
    },
    Count(Vec<f64>),
    /// Whether there was a value.
    Group(Vec<bool>),
}

/// Running mean and sum of squared differences (Welford).
#[derive(Clone, Copy, Default)]
struct Spread {
    count: f64,
    center: f64,
    squares: f64,
}

impl Spread {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.center = value;
            self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
        } else {
            let difference = value - self.center;
            self.center += difference / self.count;
            self.squares += difference * (value - self.center);
        }
    }
}

impl Tallies {
    /// For an operator; `None` for those that do not fold value by value.
    pub fn new(op: AggregateOp, steps: usize) -> Option<Tallies> {
        let of = match op {
            AggregateOp::Sum => Of::Sum { sums: Vec::new(), rests: Vec::new(), seen: Vec::new() },
            AggregateOp::Avg => Of::Mean(Means::default()),
            AggregateOp::Min => Of::Extreme { is_largest: false, extremes: Vec::new() },
            AggregateOp::Max => Of::Extreme { is_largest: true, extremes: Vec::new() },
            AggregateOp::StdDev => Of::Spread { is_root: true, spreads: Vec::new() },
            AggregateOp::StdVar => Of::Spread { is_root: false, spreads: Vec::new() },
            AggregateOp::Count => Of::Count(Vec::new()),
            AggregateOp::Group => Of::Group(Vec::new()),
            AggregateOp::TopK
            | AggregateOp::BottomK
            | AggregateOp::Quantile
            | AggregateOp::CountValues
            | AggregateOp::LimitK
            | AggregateOp::LimitRatio => return None,
        };
        Some(Tallies { steps, full: Vec::new(), of })
    }

    /// Memory that a group takes, bytes.
    pub fn group_bytes(&self) -> usize {
        self.steps
            * match &self.of {
                Of::Sum { .. } => 2 * size_of::<f64>() + 1,
                Of::Mean(_) => Means::BYTES,
                Of::Spread { .. } => size_of::<Spread>(),
                Of::Extreme { .. } | Of::Count(_) => size_of::<f64>(),
                Of::Group(_) => 1,
            }
    }

    /// Makes room for one more group.
    pub fn add_group(&mut self) {
        self.full.push(false);
        let all = self.full.len() * self.steps;
        match &mut self.of {
            Of::Sum { sums, rests, seen } => {
                sums.resize(all, 0.0);
                rests.resize(all, 0.0);
                seen.resize(all, false);
            }
            Of::Mean(means) => means.resize(all),
            Of::Extreme { extremes, .. } => extremes.resize(all, ABSENT),
            Of::Spread { spreads, .. } => spreads.resize(all, Spread::default()),
            Of::Count(counts) => counts.resize(all, 0.0),
            Of::Group(seen) => seen.resize(all, false),
        }
    }

    /// Adds a column to a group; `is_full` if it has a value at each step.
    pub fn add(&mut self, group: usize, values: &[f64], is_full: bool) {
        self.full[group] |= is_full;
        let places = group * self.steps..(group + 1) * self.steps;
        match &mut self.of {
            Of::Sum { sums, rests, .. } if is_full => {
                add_to_sums(&mut sums[places.clone()], &mut rests[places], values);
            }
            Of::Sum { sums, rests, seen } => {
                for (at, value) in places.zip(values).filter(|(_, value)| !is_absent(**value)) {
                    let mut of = Sum { sum: sums[at], rest: rests[at] };
                    of.add(*value);
                    (sums[at], rests[at], seen[at]) = (of.sum, of.rest, true);
                }
            }
            Of::Mean(means) if is_full => means.add_all(places, values),
            Of::Mean(means) => {
                let present = places.zip(values).filter(|(_, value)| !is_absent(**value));
                present.for_each(|(at, value)| means.add(at, *value));
            }
            Of::Spread { spreads, .. } => each(&mut spreads[places], values, |spread, value| spread.add(value)),
            // Anything beats what is no number, and so does the first one.
            Of::Extreme { is_largest: true, extremes } => each(&mut extremes[places], values, |have, value| {
                if value > *have || have.is_nan() {
                    *have = value;
                }
            }),
            Of::Extreme { is_largest: false, extremes } => each(&mut extremes[places], values, |have, value| {
                if value < *have || have.is_nan() {
                    *have = value;
                }
            }),
            Of::Count(counts) => each(&mut counts[places], values, |count, _| *count += 1.0),
            Of::Group(seen) => each(&mut seen[places], values, |seen, _| *seen = true),
        }
    }

    /// The values of a group, absent where nothing was seen.
    pub fn result(&self, group: usize) -> Vec<f64> {
        let places = group * self.steps..(group + 1) * self.steps;
        let present = |is_there: bool, value: f64| if is_there { value } else { ABSENT };
        match &self.of {
            Of::Sum { sums, rests, seen } => {
                let is_full = self.full[group];
                places.map(|at| present(is_full || seen[at], Sum { sum: sums[at], rest: rests[at] }.total())).collect()
            }
            Of::Mean(means) => {
                let of = |mean: Mean| present(!mean.is_empty(), mean.mean());
                places.map(|at| of(means.get(at))).collect()
            }
            Of::Extreme { extremes, .. } => extremes[places].to_vec(),
            Of::Spread { is_root, spreads } => {
                let variances =
                    spreads[places].iter().map(|spread| (spread.count > 0.0, spread.squares / spread.count));
                let of = |variance: f64| if *is_root { variance.sqrt() } else { variance };
                variances.map(|(is_there, variance)| present(is_there, of(variance))).collect()
            }
            Of::Count(counts) => counts[places].iter().map(|count| present(*count > 0.0, *count)).collect(),
            Of::Group(seen) => seen[places].iter().map(|seen| present(*seen, 1.0)).collect(),
        }
    }
}

/// Adds the values that are there to what was seen at their steps.
fn each<T>(seen: &mut [T], values: &[f64], add: impl Fn(&mut T, f64)) {
    for (seen, value) in seen.iter_mut().zip(values) {
        if !is_absent(*value) {
            add(seen, *value);
        }
    }
}
