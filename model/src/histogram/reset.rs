//! Whether a histogram began anew after the one before it.

use super::bounds::exponential;
use super::{Buckets, Histogram, ResetHint};

impl Histogram {
    /// Whether anything of it is less than it was before: all of it, a bucket, the one around zero. The sum may fall.
    /// Buckets can only become wider without a reset.
    pub fn is_reset_after(&self, before: &Histogram) -> bool {
        match self.hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < before.count {
            return true;
        }
        if self.is_custom() {
            return !before.is_custom() || self.custom_falls_below(before);
        }
        // A custom schema is below all others.
        if self.schema > before.schema || self.zero_threshold < before.zero_threshold {
            return true;
        }
        let (zero_count, threshold) = before.zero_count_of(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let widened;
        let before = if before.schema > self.schema {
            widened = before.at_schema(self.schema);
            &widened
        } else {
            before
        };
        let outside = |buckets: &Buckets| -> Buckets {
            let first = buckets.iter().position(|(index, _)| exponential(*index, self.schema) > self.zero_threshold);
            buckets.get(first.unwrap_or(buckets.len())..).unwrap_or_default().to_vec()
        };
        falls_below(&self.positive, &outside(&before.positive))
            || falls_below(&self.negative, &outside(&before.negative))
    }

    /// The same of custom buckets, in those of the bounds that both have.
    fn custom_falls_below(&self, before: &Histogram) -> bool {
        if self.bounds == before.bounds {
            return falls_below(&self.positive, &before.positive);
        }
        let mut common: Vec<f64> = self.bounds.iter().copied().filter(|bound| before.bounds.contains(bound)).collect();
        common.push(f64::INFINITY);
        let counts = |of: &Histogram| {
            let mut counts = vec![0.0; common.len()];
            for (index, count) in &of.positive {
                let bound = of.upper_of(*index);
                // All bounds are at or below infinity, the last of them.
                if let Some(have) = counts.get_mut(common.partition_point(|have| *have < bound)) {
                    *have += count;
                }
            }
            counts
        };
        counts(self).iter().zip(counts(before)).any(|(now, before)| *now < before)
    }
}

/// Whether a bucket is smaller than it was, or gone.
fn falls_below(now: &[(i32, f64)], before: &[(i32, f64)]) -> bool {
    let mut rest = now.iter().peekable();
    before.iter().any(|(index, count)| {
        while rest.next_if(|(have, _)| have < index).is_some() {}
        match rest.peek() {
            Some((have, now)) if have == index => now < count,
            _ => *count != 0.0,
        }
    })
}
