//! The samples that both sides hold: counters that start anew, gauges with gaps, NaN and infinities, histograms whole
//! and broken, series that end and come again, names that are no words.

use watchfire_model::histogram::{CUSTOM_SCHEMA, HistogramParts};
use watchfire_model::sample::STALE_NAN_BITS;
use watchfire_model::{Histogram, ResetHint};

use crate::chance::Random;

/// The first sample's time, milliseconds; a multiple of all steps.
pub const START_MS: i64 = 1_700_006_400_000;
/// Distance between samples.
pub const STEP_MS: i64 = 15_000;
/// How many steps there are.
pub const STEPS: i64 = 480;

/// A series.
pub struct Series {
    /// Names and values, sorted by name.
    pub labels: Vec<(String, String)>,
    /// Times in milliseconds and values, ascending.
    pub samples: Vec<(i64, f64)>,
    /// Times and native histograms, ascending; no time is in both.
    pub histograms: Vec<(i64, Histogram)>,
}

/// A value at a step; none where there is no sample.
type Value<'v> = &'v mut dyn FnMut(i64) -> Option<f64>;

struct Builder {
    random: Random,
    series: Vec<Series>,
}

impl Builder {
    fn add(&mut self, labels: &[(&str, &str)], jitter: bool, value: Value) {
        let mut labels: Vec<(String, String)> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        labels.sort();
        let mut samples = Vec::new();
        for step in 0..STEPS {
            let shift = if jitter { self.random.below(4000) as i64 } else { 0 };
            samples.extend(value(step).map(|value| (START_MS + step * STEP_MS + shift, value)));
        }
        self.series.push(Series { labels, samples, histograms: Vec::new() });
    }

    /// Adds native histograms to the series that was added last.
    fn add_histograms(&mut self, value: &mut dyn FnMut(i64) -> Option<Histogram>) {
        let Some(series) = self.series.last_mut() else { return };
        for step in 0..STEPS {
            series.histograms.extend(value(step).map(|value| (START_MS + step * STEP_MS, value)));
        }
    }
}

/// All of them, always the same.
pub fn series() -> Vec<Series> {
    let mut to = Builder { random: Random::new(7), series: Vec::new() };
    counters(&mut to);
    gauges(&mut to);
    histograms(&mut to);
    odd(&mut to);
    natives(&mut to);
    empties(&mut to);
    around_zero(&mut to);
    // Who comes first is first for Prometheus: so both have them in the order of labels.
    to.series.sort_by(|left, right| left.labels.cmp(&right.labels));
    to.series
}

fn counters(to: &mut Builder) {
    let mut random = Random::new(1);
    for (number, (job, instance, code)) in
        [("api", "a", "200"), ("api", "a", "500"), ("api", "b", "200"), ("db", "a", "200"), ("db", "c", "404")]
            .into_iter()
            .enumerate()
    {
        let mut total = 0.0;
        let reset = 90 + 60 * number as i64;
        let labels = [("__name__", "requests_total"), ("job", job), ("instance", instance), ("code", code)];
        to.add(&labels, number % 2 == 1, &mut |step| {
            total = if step % reset == reset - 1 { 0.0 } else { total + random.below(50) as f64 / 4.0 };
            // A gap of twelve minutes, and single samples that are missing.
            let is_missing = (number == 2 && (200..248).contains(&step)) || random.below(20) == 0;
            (!is_missing).then_some(total)
        });
    }
}

fn gauges(to: &mut Builder) {
    let mut random = Random::new(2);
    for (number, (job, instance)) in
        [("api", "a"), ("api", "b"), ("db", "a"), ("db", "c"), ("web", "d")].into_iter().enumerate()
    {
        let labels = [("__name__", "load"), ("job", job), ("instance", instance)];
        to.add(&labels, number == 3, &mut |step| {
            let value = (random.below(2_000_000) as f64 - 1_000_000.0) / 1013.0;
            match (number, step % 97) {
                (0, 13) => Some(f64::NAN),
                (1, 31) => Some(f64::INFINITY),
                (2, 47) => Some(f64::NEG_INFINITY),
                (3, 20..30) => None,
                // It ends, and comes again.
                (4, 60) => Some(f64::from_bits(STALE_NAN_BITS)),
                (4, 61..) => None,
                _ => Some(value),
            }
        });
    }
    for (instance, value) in [("a", 1.0), ("b", 0.0), ("c", 1.0)] {
        to.add(&[("__name__", "up"), ("job", "api"), ("instance", instance)], false, &mut |_| Some(value));
    }
    let labels = [("__name__", "levels"), ("job", "api")];
    to.add(&labels, false, &mut |step| Some((step / 7 % 5) as f64));
    to.add(&[("__name__", "levels"), ("job", "db")], false, &mut |step| Some((step % 3) as f64 - 1.0));
}

fn histograms(to: &mut Builder) {
    let mut random = Random::new(3);
    for (job, bounds) in
        [("api", &["0.1", "0.5", "1", "2.5", "+Inf"][..]), ("db", &["-1", "0", "1e3", "+Inf"]), ("web", &["1", "2"])]
    {
        let steps: Vec<Vec<f64>> = (0..STEPS)
            .scan(vec![0.0; bounds.len()], |counts, _| {
                let mut below = 0.0;
                for count in counts.iter_mut() {
                    below += random.below(5) as f64;
                    *count += below;
                }
                Some(counts.clone())
            })
            .collect();
        for (index, bound) in bounds.iter().enumerate() {
            let labels = [("__name__", "latency_bucket"), ("job", job), ("le", bound)];
            to.add(&labels, false, &mut |step| steps.get(step as usize).map(|counts| counts[index]));
        }
        let last = bounds.len() - 1;
        to.add(&[("__name__", "latency_count"), ("job", job)], false, &mut |step| {
            steps.get(step as usize).map(|counts| counts[last])
        });
        to.add(&[("__name__", "latency_sum"), ("job", job)], false, &mut |step| {
            steps.get(step as usize).map(|counts| counts[last] * 0.75)
        });
    }
    // Counts that fall where they should rise, a bound twice, a bound that is none.
    for (bound, per_step) in [("1", 3.0), ("2", 2.0), ("2.0", 1.0), ("4", 8.0), ("+Inf", 7.5), ("much", 1.0)] {
        let labels = [("__name__", "broken_bucket"), ("job", "api"), ("le", bound)];
        to.add(&labels, false, &mut |step| Some(per_step * step as f64));
    }
}

fn odd(to: &mut Builder) {
    let mut random = Random::new(4);
    to.add(&[("__name__", "huge"), ("n", "1")], false, &mut |step| Some(1e308 * if step % 2 == 0 { 1.0 } else { 0.9 }));
    to.add(&[("__name__", "huge"), ("n", "2")], false, &mut |step| Some(-1.7e308 + step as f64 * 1e300));
    to.add(&[("__name__", "tiny"), ("n", "1")], false, &mut |step| Some(2.5e-290 * (step + 1) as f64));
    to.add(&[("__name__", "mixed"), ("n", "1")], false, &mut |step| {
        Some([1e100, 1.0, -1e100, 1e-9][step as usize % 4] * (1 + random.below(3)) as f64)
    });
    to.add(&[("__name__", "once")], false, &mut |step| (step == 240).then_some(42.0));
    to.add(&[("__name__", "seldom"), ("job", "api")], true, &mut |step| (step % 25 == 0).then_some(step as f64));
    to.add(&[("__name__", "my.metric"), ("my.label", "x y"), ("job", "api")], false, &mut |step| Some(step as f64));
    for (instance, version) in [("a", "1"), ("b", "2")] {
        let labels = [("__name__", "target_info"), ("job", "api"), ("instance", instance), ("version", version)];
        to.add(&labels, false, &mut |step| (version != "2" || step < 300).then_some(1.0));
    }
    let labels = [("__name__", "target_info"), ("job", "api"), ("instance", "b"), ("version", "3")];
    to.add(&labels, false, &mut |step| (step >= 280).then_some(1.0));
    to.add(&[("__name__", "epoch_seconds"), ("job", "api")], false, &mut |step| {
        Some((START_MS / 1000) as f64 + step as f64 * 86_400.5)
    });
}

/// Counts that grow, as a native histogram.
struct Growing {
    schema: i32,
    zero: f64,
    counts: Vec<f64>,
    negative: Vec<f64>,
    zero_count: f64,
    sum: f64,
    bounds: Vec<f64>,
}

impl Growing {
    fn new(schema: i32, zero: f64, places: usize, below: usize) -> Growing {
        let (counts, negative) = (vec![0.0; places], vec![0.0; below]);
        let mut growing = Growing { schema, zero, counts, negative, zero_count: 0.0, sum: 0.0, bounds: Vec::new() };
        growing.shrink();
        growing
    }

    fn grow(&mut self, random: &mut Random) {
        for _ in 0..random.below(6) {
            let place = random.below(self.counts.len() as u64) as usize;
            self.counts[place] += random.below(5) as f64;
            if let Some(count) = self.negative.get_mut(place) {
                *count += random.below(3) as f64;
            }
        }
        if self.bounds.is_empty() {
            self.zero_count += random.below(2) as f64;
        }
        self.sum += random.below(1000) as f64 / 8.0;
    }

    fn shrink(&mut self) {
        self.counts.fill(0.0);
        self.negative.fill(0.0);
        (self.zero_count, self.sum) = (0.0, 0.0);
        // One with a negative side always has something on both: what Prometheus keeps in one chunk has the buckets of all
        // in it, be they empty, and the bucket around zero ends at zero where a side has none.
        if let Some(first) = self.negative.first_mut() {
            *first = 1.0;
            self.counts[0] = 1.0;
        }
    }

    fn shown(&self, hint: ResetHint) -> Histogram {
        let buckets = |counts: &[f64], first: i32| -> Vec<(i32, f64)> {
            (first..).zip(counts.iter().copied()).filter(|(_, count)| *count > 0.0).collect()
        };
        let (positive, negative) = (buckets(&self.counts, 0), buckets(&self.negative, 1));
        let parts = HistogramParts {
            schema: self.schema,
            hint,
            zero_threshold: self.zero,
            zero_count: self.zero_count,
            count: self.zero_count + positive.iter().chain(&negative).map(|(_, count)| count).sum::<f64>(),
            sum: self.sum,
            positive,
            negative,
            bounds: self.bounds.as_slice().into(),
            is_integer: false,
        };
        Histogram::new(parts).expect("valid")
    }
}

/// Native histograms: counters that begin anew and change their buckets, gauges, custom bounds, floats in between, ends.
fn natives(to: &mut Builder) {
    let mut random = Random::new(9);
    for (number, (job, instance)) in [("api", "a"), ("api", "b"), ("db", "a"), ("web", "d")].into_iter().enumerate() {
        let labels = [("__name__", "native"), ("job", job), ("instance", instance)];
        to.add(&labels, false, &mut |step| {
            // One of them ends, and comes again.
            (number == 3 && step % 120 == 60).then(|| f64::from_bits(STALE_NAN_BITS))
        });
        let schema = [0, 2, 2, 3][number];
        let mut growing =
            Growing::new(schema, if number == 1 { 0.5 } else { 0.001 }, 12, if number == 2 { 4 } else { 0 });
        to.add_histograms(&mut |step| {
            if step % 100 == 70 + number as i64 {
                growing.shrink();
            }
            if number == 1 && step == 250 {
                growing.schema = 1;
            }
            growing.grow(&mut random);
            let is_missing = (number == 3 && step % 120 >= 60) || random.below(25) == 0;
            (!is_missing).then(|| growing.shown(ResetHint::Unknown))
        });
    }
    for (job, schema) in [("api", 1), ("db", -1)] {
        to.add(&[("__name__", "native_gauge"), ("job", job)], false, &mut |_| None);
        to.add_histograms(&mut |step| {
            let mut now = Growing::new(schema, 0.0625, 6, 2);
            (0..1 + step % 5).for_each(|_| now.grow(&mut random));
            Some(now.shown(ResetHint::Gauge))
        });
    }
    for (number, job) in ["api", "db"].into_iter().enumerate() {
        to.add(&[("__name__", "native_custom"), ("job", job)], false, &mut |_| None);
        let mut growing = Growing::new(CUSTOM_SCHEMA.into(), 0.0, 5, 0);
        to.add_histograms(&mut |step| {
            let bounds = if number == 1 && step >= 200 { [0.5, 1.0, 4.0, 8.0] } else { [0.5, 1.0, 2.5, 8.0] };
            if growing.bounds != bounds {
                growing.bounds = bounds.to_vec();
                growing.shrink();
            }
            growing.grow(&mut random);
            Some(growing.shown(ResetHint::Unknown))
        });
    }
    to.add(&[("__name__", "native_mixed"), ("job", "api")], false, &mut |step| {
        (step / 20 % 2 == 0).then_some(step as f64)
    });
    let mut growing = Growing::new(2, 0.001, 8, 0);
    to.add_histograms(&mut |step| {
        growing.grow(&mut random);
        (step / 20 % 2 == 1).then(|| growing.shown(ResetHint::Unknown))
    });
    to.add(&[("__name__", "native_mixed"), ("job", "db")], false, &mut |step| Some(step as f64));
}

/// Steps after which a series of [`empties`] begins anew. Prometheus ends none of its chunks for their size before ten.
const EMPTIES_RUN: i64 = 8;

/// Native histograms with empty buckets: on one side or both, at ends and in between, that come and go as others do with
/// which they lie in one chunk; thresholds that change, hints, observations that are no numbers.
fn empties(to: &mut Builder) {
    let mut random = Random::new(11);
    for case in ["above", "below", "both", "none", "later", "gauge", "custom", "hints", "nan", "around"] {
        to.add(&[("__name__", "native_empty"), ("case", case)], false, &mut |_| None);
        let mut counts = [0.0; 12];
        to.add_histograms(&mut |step| {
            let (run, place) = (step / EMPTIES_RUN, step % EMPTIES_RUN);
            if place == 0 || case == "gauge" {
                counts.fill(0.0);
            }
            for count in &mut counts {
                *count += random.below(3) as f64;
            }
            // After the first of a run something has been counted, before it more: so it begins anew.
            counts[0] = if place == 0 { 1.0 } else { counts[0] + 20.0 };
            Some(empty(case, run, place, &counts))
        });
    }
}

/// What such a series shows at a place of a run.
fn empty(case: &str, run: i64, place: i64, counts: &[f64; 12]) -> Histogram {
    let (filled, nothing) = (|at: i32, nth: usize| (at, counts[nth]), |at: i32| (at, 0.0));
    let late = place >= run % EMPTIES_RUN;
    let (positive, negative) = match case {
        "above" => (vec![nothing(-2), filled(1, 1), nothing(2), filled(3, 2), nothing(7)], vec![]),
        "below" => (vec![], vec![nothing(-2), filled(1, 1), nothing(2), nothing(4), filled(5, 2), nothing(6)]),
        "both" if run % 2 == 0 => (vec![filled(1, 1), filled(2, 2)], vec![nothing(run as i32 % 5 - 2)]),
        "both" => (vec![nothing(1), nothing(9)], vec![filled(1, 1), filled(3, 2)]),
        "none" if run % 3 == 0 => (vec![], vec![]),
        "none" if run % 3 == 1 => (vec![nothing(2), nothing(3)], vec![]),
        "none" => (vec![nothing(0)], vec![nothing(-3), nothing(2)]),
        "later" if late => (vec![filled(1, 1), filled(4, 2)], vec![filled(2, 3)]),
        "later" => (vec![filled(1, 1)], vec![]),
        "gauge" if late => (vec![nothing(3), filled(4 + place as i32, 2)], vec![]),
        "gauge" => (vec![filled(2, 2)], vec![filled(-1, 3)]),
        "custom" => (vec![nothing(0), filled(1, 1), nothing(2), filled(3, 2)], vec![]),
        "around" => (vec![nothing(-1), filled(0, 1), filled(1, 2)], vec![filled(0, 3), nothing(1)]),
        _ => (vec![filled(0, 1), filled(2, 2), nothing(5)], vec![nothing(0)]),
    };
    let is_custom = case == "custom";
    let zero_count = if is_custom { 0.0 } else { counts[0] };
    let inside = zero_count + positive.iter().chain(&negative).map(|(_, count)| count).sum::<f64>();
    let parts = HistogramParts {
        schema: if is_custom { CUSTOM_SCHEMA.into() } else { [0, 2, -1][run as usize % 3] },
        hint: match (case, run % 4) {
            ("gauge", _) => ResetHint::Gauge,
            ("hints", 1) if place == 4 => ResetHint::Reset,
            ("hints", 2) if place < 2 => ResetHint::NotReset,
            ("hints", 3) if place > 4 => ResetHint::Gauge,
            _ => ResetHint::Unknown,
        },
        zero_threshold: match case {
            "custom" => 0.0,
            "around" => [0.75, 1.0, 1.5][place as usize % 3],
            // A gauge goes on for ever otherwise.
            "gauge" if run % 2 == 0 => 0.125,
            _ => 0.25,
        },
        zero_count,
        count: inside + if case == "nan" { counts[4] } else { 0.0 },
        sum: if case == "nan" { f64::NAN } else { inside * 0.75 - counts[3] },
        positive,
        negative,
        bounds: match (is_custom, run % 3) {
            (false, _) => Vec::new(),
            (true, 0) => vec![-1.0, 0.5, 2.0, 4.0],
            (true, 1) => vec![0.5, 2.0, 3.0],
            (true, _) => vec![-4.0, -2.0, 2.0, 4.0, 8.0],
        }
        .into(),
        is_integer: false,
    };
    Histogram::new(parts).expect("valid")
}

/// Native histograms that no library makes: buckets within the one around zero, and one around zero of less than no width.
fn around_zero(to: &mut Builder) {
    let mut random = Random::new(13);
    let widths = [4.0, 0.5, 3.0, -1.0, 0.0, -0.5, 1.0, -4.0];
    for (number, (case, threshold)) in ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter().zip(widths).enumerate() {
        to.add(&[("__name__", "around_zero"), ("case", case)], false, &mut |_| None);
        let mut counts = [1.0; 7];
        to.add_histograms(&mut |_| {
            for count in &mut counts {
                *count += random.below(3) as f64;
            }
            let side =
                |from: i32, counts: &[f64]| (from..).step_by(1 + number % 2).zip(counts.iter().copied()).collect();
            let parts = HistogramParts {
                schema: [0, 1, 0, 0, -1, 2][number % 6],
                zero_threshold: threshold,
                zero_count: counts[6],
                count: counts.iter().sum(),
                sum: counts[0] - counts[1],
                positive: side(-2, &counts[..4]),
                negative: side(-1, &counts[4..6]),
                ..HistogramParts::default()
            };
            Some(Histogram::new(parts).expect("valid"))
        });
    }
}
