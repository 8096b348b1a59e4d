//! Native histograms of an answer are made as coarse as the job asks for.

use watchfire_exposition::protobuf::Native;
use watchfire_model::Histogram;
use watchfire_model::histogram::{SCHEMA_MAX, SCHEMA_MIN};

use crate::config::HistogramConfig;

/// A histogram that cannot be made so coarse: its answer counts as a whole not at all.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("a native histogram has {buckets} buckets at its coarsest, more than `native_histogram_bucket_limit` {limit}")]
pub(crate) struct TooFine {
    buckets: usize,
    limit: u64,
}

/// Makes all histograms of an answer as coarse as the job asks for.
pub(crate) fn coarsen_all(natives: &mut [Native], config: HistogramConfig) -> Result<(), TooFine> {
    natives.iter_mut().try_for_each(|native| coarsen(&mut native.histogram, config))
}

fn buckets(histogram: &Histogram) -> usize {
    histogram.positive().len() + histogram.negative().len()
}

fn coarsen(histogram: &mut Histogram, config: HistogramConfig) -> Result<(), TooFine> {
    let finest = schema_of(config.min_bucket_factor);
    if config.min_bucket_factor > 0.0 && histogram.schema() > finest {
        *histogram = histogram.at_schema(finest);
    }
    let limit = config.bucket_limit;
    while limit > 0 && buckets(histogram) as u64 > limit {
        if histogram.is_custom() || histogram.schema() <= SCHEMA_MIN {
            return Err(TooFine { buckets: buckets(histogram), limit });
        }
        *histogram = histogram.at_schema(histogram.schema() - 1);
    }
    Ok(())
}

/// The finest schema whose buckets are wider than the one before by at least this factor, or the coarsest that there is.
fn schema_of(factor: f64) -> i8 {
    let schema = (-factor.log2().log2()).floor();
    // Of factors up to 1, whose logarithms are none, all are fine enough; both ends fit.
    if factor <= 1.0 { SCHEMA_MAX } else { schema.clamp(f64::from(SCHEMA_MIN), f64::from(SCHEMA_MAX)) as i8 }
}

#[cfg(test)]
mod tests {
    use watchfire_model::histogram::HistogramParts;

    use super::*;

    #[test]
    fn factors_name_schemas() {
        for (factor, schema) in
            [(0.0, 8), (1.0, 8), (1.0001, 8), (1.1, 2), (2.0, 0), (2.1, -1), (65536.0, -4), (1e300, -4)]
        {
            assert_eq!(schema_of(factor), schema, "{factor}");
        }
    }

    #[test]
    fn a_histogram_is_made_coarser_until_it_fits() {
        let positive: Vec<(i32, f64)> = (1..=16).map(|place| (place, 1.0)).collect();
        let parts = HistogramParts { schema: 2, count: 16.0, positive, ..HistogramParts::default() };
        let fine = Histogram::new(parts).expect("a histogram");
        let coarse = |config: HistogramConfig| {
            let mut histogram = fine.clone();
            coarsen(&mut histogram, config).map(|()| (histogram.schema(), buckets(&histogram)))
        };
        let config = HistogramConfig::default();
        assert_eq!(coarse(config), Ok((2, 16)));
        assert_eq!(coarse(HistogramConfig { min_bucket_factor: 2.0, ..config }), Ok((0, 4)));
        assert_eq!(coarse(HistogramConfig { bucket_limit: 7, ..config }), Ok((0, 4)));
        let wide =
            HistogramParts { schema: -4, count: 2.0, positive: vec![(0, 1.0), (1, 1.0)], ..HistogramParts::default() };
        let mut wide = Histogram::new(wide).expect("a histogram");
        let error = TooFine { buckets: 2, limit: 1 };
        assert_eq!(coarsen(&mut wide, HistogramConfig { bucket_limit: 1, ..config }), Err(error));
    }
}
