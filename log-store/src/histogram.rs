//! Bars of equal width over event time.

use crate::search::{Bucket, Histogram};

/// Widths of bars that people read easily, milliseconds.
const STEPS_MS: [i64; 30] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    172_800_000,
    604_800_000,
    2_592_000_000,
];

/// Where the bars of a histogram lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bars {
    pub start_ms: i64,
    pub step_ms: i64,
    pub count: usize,
}

impl Bars {
    /// At most `count_max` bars (at least 1) over `[start_ms, end_ms)`, aligned to multiples of their width.
    pub fn over(start_ms: i64, end_ms: i64, count_max: usize) -> Bars {
        let count_max = i64::try_from(count_max.max(1)).unwrap_or(i64::MAX);
        let last_ms = end_ms.saturating_sub(1).max(start_ms);
        let bars = |step: i64| last_ms.div_euclid(step).saturating_sub(start_ms.div_euclid(step)).saturating_add(1);
        let fixed = STEPS_MS.iter().copied().find(|step| bars(*step) <= count_max);
        let step_ms = fixed.unwrap_or_else(|| {
            let mut step = STEPS_MS[STEPS_MS.len() - 1];
            // Two bars may always be needed, when a multiple of the width lies inside the range.
            while bars(step) > count_max.max(2) {
                step = step.saturating_mul(2);
            }
            step
        });
        let first = start_ms.div_euclid(step_ms);
        Bars { start_ms: first.saturating_mul(step_ms), step_ms, count: bars(step_ms).max(1) as usize }
    }

    /// Bars of one width over `[start_ms, end_ms)`, aligned to multiples of it; `None` if they are more than
    /// `count_max`, or the width is none.
    pub fn stepped(start_ms: i64, end_ms: i64, step_ms: i64, count_max: usize) -> Option<Bars> {
        if step_ms <= 0 {
            return None;
        }
        let last_ms = end_ms.saturating_sub(1).max(start_ms);
        let first = start_ms.div_euclid(step_ms);
        let count = last_ms.div_euclid(step_ms).checked_sub(first)?.checked_add(1)?;
        let count = usize::try_from(count).ok().filter(|count| *count <= count_max)?;
        Some(Bars { start_ms: first.saturating_mul(step_ms), step_ms, count })
    }

    /// Where a bar begins.
    pub fn start_of(&self, bar: usize) -> i64 {
        self.start_ms.saturating_add(self.step_ms.saturating_mul(bar as i64))
    }

    /// The bar of a time inside the range.
    pub fn bar_of(&self, time_ms: i64) -> usize {
        let bar = time_ms.saturating_sub(self.start_ms).div_euclid(self.step_ms);
        usize::try_from(bar).unwrap_or(0).min(self.count - 1)
    }

    /// Where a bar ends.
    pub fn end_of(&self, bar: usize) -> i64 {
        self.start_ms.saturating_add(self.step_ms.saturating_mul(bar as i64 + 1))
    }

    pub fn empty(&self) -> Histogram {
        Histogram { start_ms: self.start_ms, step_ms: self.step_ms, buckets: vec![Bucket::default(); self.count] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_time_has_a_bar(start in -1i64 << 45..1 << 45, length in 1i64..1 << 40, count in 1usize..500, at in 0.0f64..1.0) {
            let bars = Bars::over(start, start + length, count);
            prop_assert!(bars.count <= count.max(2));
            let time = start + ((length - 1) as f64 * at) as i64;
            let bar = bars.bar_of(time);
            prop_assert!(time < bars.end_of(bar) && time >= bars.end_of(bar) - bars.step_ms);
        }
    }

    #[test]
    fn an_hour_in_sixty_bars_is_a_minute_each() {
        assert_eq!(Bars::over(7_200_000, 10_800_000, 60), Bars { start_ms: 7_200_000, step_ms: 60_000, count: 60 });
    }

    #[test]
    fn all_of_time_has_bars_too() {
        let bars = Bars::over(i64::MIN, i64::MAX, 60);
        assert!(bars.count <= 60);
    }
}
