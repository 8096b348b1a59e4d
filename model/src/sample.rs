//! One point of a series.

use crate::Timestamp;

/// Bits of the NaN that says "this series ended here" (Prometheus' staleness marker).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Upper half of the bits of the NaNs by which evaluations mean native histograms: no sample has such a value, and no
/// processor makes one, as they are not quiet.
pub const HISTOGRAM_NAN_BITS: u32 = 0xfff0_4849;

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub timestamp: Timestamp,
    /// How much, in the unit of the metric.
    pub value: f64,
}

/// Whether a value is the staleness marker; other NaNs are ordinary values.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_marker_is_stale() {
        assert!(super::is_stale(f64::from_bits(super::STALE_NAN_BITS)));
        assert!(!super::is_stale(f64::NAN));
        assert!(!super::is_stale(0.0));
    }
}
