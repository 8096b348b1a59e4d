//! A time as Go holds it: seconds and nanoseconds, from which milliseconds are made in two ways that part where times are far.

use watchfire_model::Timestamp;

const NANOS_OF_SECOND: i64 = 1_000_000_000;
/// Nanoseconds of a millisecond.
pub(super) const NANOS_OF_MILLI: i64 = 1_000_000;

/// A moment of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Since 1970.
    seconds: i64,
    /// In `0..10^9`.
    nanos: i64,
}

impl Moment {
    /// The earliest and the latest that Prometheus knows.
    pub(super) const MIN: Moment = Moment { seconds: i64::MIN / 1000 + 62_135_596_801, nanos: 0 };
    pub(super) const MAX: Moment = Moment { seconds: i64::MAX / 1000 - 62_135_596_801, nanos: 999_999_999 };

    /// From whole seconds, and nanoseconds of any size.
    pub(super) fn new(seconds: i64, nanos: i64) -> Moment {
        let seconds = seconds.wrapping_add(nanos.div_euclid(NANOS_OF_SECOND));
        Moment { seconds, nanos: nanos.rem_euclid(NANOS_OF_SECOND) }
    }

    /// From seconds, to the next millisecond. What is no number, or more than 64 bits hold, is the number that a processor
    /// makes of it.
    pub(super) fn of_seconds(seconds: f64) -> Moment {
        let (whole, rest) = (seconds.trunc(), (seconds.fract() * 1000.0).round() / 1000.0);
        let is_held = whole.abs() < i64::MAX as f64;
        // The casts are exact, or saturate at what is asked for then.
        let whole = if is_held { whole as i64 } else { i64::MIN };
        let nanos = if rest.is_nan() { i64::MIN } else { (rest * NANOS_OF_SECOND as f64) as i64 };
        Moment::new(whole, nanos)
    }

    /// From milliseconds.
    pub(super) fn of(at: Timestamp) -> Moment {
        let millis = at.millis();
        Moment { seconds: millis.div_euclid(1000), nanos: millis.rem_euclid(1000) * NANOS_OF_MILLI }
    }

    /// As samples are looked for.
    pub(super) fn millis(self) -> Timestamp {
        Timestamp::from_millis(self.seconds.wrapping_mul(1000).wrapping_add(self.nanos / NANOS_OF_MILLI))
    }

    /// As queries are evaluated at it: by way of nanoseconds of 64 bits, which end in the year 2262, begin anew in 1677, and
    /// so on.
    pub(super) fn evaluated(self) -> Timestamp {
        let nanos = self.seconds.wrapping_mul(NANOS_OF_SECOND).wrapping_add(self.nanos);
        Timestamp::from_millis(nanos / NANOS_OF_MILLI)
    }

    /// Seconds since the year 1, by which moments are compared; what is past their end is before all.
    fn compared(self) -> i64 {
        self.seconds.wrapping_add(62_135_596_800)
    }

    pub(super) fn is_before(self, other: Moment) -> bool {
        (self.compared(), self.nanos) < (other.compared(), other.nanos)
    }

    /// How many nanoseconds it is later than another; at most what 64 bits hold.
    pub(super) fn since_ns(self, earlier: Moment) -> i64 {
        let seconds = i128::from(self.compared()) - i128::from(earlier.compared());
        let nanos = seconds * i128::from(NANOS_OF_SECOND) + i128::from(self.nanos - earlier.nanos);
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_times_come_to_what_they_come_to_there() {
        for (seconds, millis, evaluated) in [
            (0.0, 0, 0),
            (1.5, 1500, 1500),
            (-1.5, -1500, -1500),
            (-0.0004, 0, 0),
            (1e18, 3_875_820_019_684_212_736, -6_930_898_827_444),
            (-1e18, -3_875_820_019_684_212_736, 6_930_898_827_444),
            (9.2e18, -4_925_292_781_066_256_384, 6_333_358_267_607),
            (1e19, 0, 0),
            (9_223_372_036_854_775_807.0, 0, 0),
        ] {
            let moment = Moment::of_seconds(seconds);
            assert_eq!((moment.millis().millis(), moment.evaluated().millis()), (millis, evaluated), "{seconds}");
        }
        let no_number = Moment::of_seconds(f64::NAN);
        assert_eq!(no_number, Moment::of_seconds(f64::INFINITY));
        assert!(no_number.is_before(Moment::of_seconds(-1e18)) && Moment::MIN.is_before(Moment::MAX));
        assert_eq!(Moment::new(253_402_300_799, 999_999_999).evaluated().millis(), -4_852_116_231_933);
        assert_eq!(Moment::of(Timestamp::from_millis(-1)), Moment::new(-1, 999_000_000));
        assert_eq!((Moment::MAX.since_ns(Moment::MIN), Moment::MIN.since_ns(Moment::MAX)), (i64::MAX, i64::MIN));
        assert_eq!(Moment::new(2, 5).since_ns(Moment::new(1, 7)), 999_999_998);
    }
}
