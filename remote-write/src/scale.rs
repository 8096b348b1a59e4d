//! How many shards a destination needs.

/// Share of the time in requests from which on the shards have no time to spare.
const BUSY: f64 = 0.8;
/// Share below which half of them would do.
const IDLE: f64 = 0.2;

/// What was seen since the last look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    /// Shards that there are.
    pub(crate) shards: usize,
    /// Share of their time in which they waited for answers, 0 to 1.
    pub(crate) busy: f64,
    /// More is there to be sent than is sent.
    pub(crate) behind: bool,
    /// The receiver cannot take anything: more of the same would not help it.
    pub(crate) failing: bool,
}

/// How many there shall be, within limits: twice as many when all are busy and it is not enough, half of them when they idle.
pub(crate) fn shards(load: Load, min: usize, max: usize) -> usize {
    let wanted = match load {
        Load { failing: true, .. } => load.shards,
        Load { behind: true, busy, .. } if busy >= BUSY => load.shards * 2,
        Load { behind: false, busy, .. } if busy <= IDLE => load.shards.div_ceil(2),
        _ => load.shards,
    };
    wanted.clamp(min.max(1), max.max(min).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_follow_the_load() {
        let load = |shards, busy, behind, failing| Load { shards, busy, behind, failing };
        for (seen, wanted) in [
            (load(1, 0.9, true, false), 2),
            (load(2, 0.9, false, false), 2),
            (load(2, 0.5, true, false), 2),
            (load(6, 1.0, true, false), 8),
            (load(4, 1.0, true, true), 4),
            (load(4, 0.1, false, false), 2),
            (load(1, 0.0, false, false), 1),
            (load(0, 0.0, false, false), 1),
        ] {
            assert_eq!(shards(seen, 1, 8), wanted, "{seen:?}");
        }
        assert_eq!(shards(load(4, 0.0, false, false), 3, 8), 3);
    }
}
