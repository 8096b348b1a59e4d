//! How long to wait before a failed message is tried again.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The wait after the first failure, before jitter, in milliseconds.
pub const FIRST_MS: i64 = 500;
/// The longest wait, in milliseconds.
pub const LONGEST_MS: i64 = 60_000;
/// The longest `Retry-After` that is obeyed, in milliseconds; a longer one is cut to it.
pub const RETRY_AFTER_MAX_MS: i64 = 3_600_000;

/// The wait after the `failures`-th failure in a row (from 1), in milliseconds: 0.5 s, each time one and a half
/// times as long, up to a minute; of that, at random, between a half and one and a half times.
///
/// The chance comes from `seed`, so that the same message waits the same in a test, and different ones that failed
/// together do not come back together.
pub fn wait_ms(failures: u32, seed: &str) -> i64 {
    let exponent = i32::try_from(failures.saturating_sub(1).min(64)).unwrap_or(64);
    let interval = (FIRST_MS as f64 * 1.5f64.powi(exponent)).min(LONGEST_MS as f64);
    let mut hasher = DefaultHasher::new();
    (seed, failures).hash(&mut hasher);
    // The upper 53 bits as a number in [0, 1).
    let share = (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64;
    ((interval * (0.5 + share)) as i64).min(LONGEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_by_half_with_jitter_up_to_a_minute() {
        for seed in ["a", "b", "c"] {
            let mut interval = 500f64;
            for failures in 1..100 {
                let wait = wait_ms(failures, seed) as f64;
                assert!(
                    wait >= (interval * 0.5).floor() && wait <= (interval * 1.5).min(60_000.0),
                    "{failures}: {wait}"
                );
                interval = (interval * 1.5).min(60_000.0);
            }
        }
        assert_ne!(wait_ms(5, "a"), wait_ms(5, "b"));
    }
}
