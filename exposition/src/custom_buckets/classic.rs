//! One classic histogram: its parts, and the native one that they make.

use watchfire_engine::Exemplar;
use watchfire_model::histogram::{CUSTOM_SCHEMA, HistogramParts};
use watchfire_model::{Histogram, ResetHint, Timestamp};

use super::Line;
use crate::protobuf::Native;

/// Whole numbers above are not all floats.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// Most empty buckets in a row that are kept between two that hold something.
const EMPTY_BETWEEN_MAX: usize = 2;

/// What a series of a histogram tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    /// How many observations are at most this.
    Bucket(f64),
    Sum,
    Count,
}

/// What is known of a histogram.
#[derive(Default)]
pub(super) struct Classic {
    labels: Vec<(String, String)>,
    /// There is a native one of the same labels.
    pub(super) is_native: bool,
    /// Bounds and cumulative counts.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    /// The time of its first series, milliseconds.
    at_ms: Option<i64>,
    has_parts: bool,
    exemplars: Vec<Exemplar>,
    /// Those of the histogram itself, which stand for it rather than those of its buckets.
    own_exemplars: Option<Vec<Exemplar>>,
}

/// What became of one.
pub(super) struct Made {
    pub(super) labels: Vec<(String, String)>,
    /// It has no place yet.
    pub(super) native: Native,
    /// Milliseconds.
    pub(super) at_ms: Option<i64>,
}

impl Classic {
    pub(super) fn of(labels: &[(&str, &str)]) -> Classic {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Classic { labels, ..Classic::default() }
    }

    pub(super) fn add(&mut self, part: Part, line: &mut Line<'_>) {
        if let Some(own) = line.own.take() {
            self.own_exemplars = Some(own);
        }
        if !std::mem::replace(&mut self.has_parts, true) {
            self.at_ms = line.at_ms;
        }
        match part {
            Part::Bucket(bound) => self.buckets.push((bound, line.value)),
            Part::Sum => self.sum = line.value,
            Part::Count => self.count = Some(line.value),
        }
        // An exemplar of a native histogram needs a time of its own.
        let dated = line.exemplar.as_ref().and_then(|exemplar| exemplar.kept(Timestamp::from_millis(exemplar.at_ms?)));
        self.exemplars.extend(dated);
    }

    /// The native histogram; `None` if there is one already, or the parts make none.
    pub(super) fn convert(mut self, hint: ResetHint) -> Option<Made> {
        if self.is_native || !self.has_parts {
            return None;
        }
        // Of bounds that come twice the first counts.
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.buckets.dedup_by(|again, first| again.0 == first.0);
        let highest = self.buckets.last().copied();
        let count = self.count.or(highest.map(|(_, count)| count)).unwrap_or_default();
        if highest.is_none_or(|(bound, _)| bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        // All observations are in some bucket.
        if self.buckets.last().is_none_or(|(_, all)| *all != count) {
            return None;
        }
        let mut positive = Vec::with_capacity(self.buckets.len());
        let mut below = 0.0;
        for (place, (_, cumulative)) in (0i32..).zip(&self.buckets) {
            positive.push((place, cumulative - below));
            below = *cumulative;
        }
        let bounds = self.buckets.iter().map(|(bound, _)| *bound).filter(|bound| *bound != f64::INFINITY).collect();
        let is_integer = self.buckets.iter().all(|(_, count)| count.fract() == 0.0 && *count <= WHOLE_MAX);
        let parts = HistogramParts {
            schema: CUSTOM_SCHEMA.into(),
            hint,
            count,
            sum: self.sum,
            positive,
            bounds,
            is_integer,
            ..HistogramParts::default()
        };
        // Counts that do not ascend are refused here.
        let mut histogram = Histogram::new(parts).ok()?;
        // Few between others stay, of whole numbers, as Prometheus has it.
        histogram.compact_but_between(if is_integer { EMPTY_BETWEEN_MAX } else { 0 });
        let native = Native { at: 0, histogram, exemplars: self.own_exemplars.unwrap_or(self.exemplars) };
        Some(Made { labels: self.labels, native, at_ms: self.at_ms })
    }
}
