//! Counts by place, to add histograms up in.

use crate::distribution::blocks::{BLOCK, BLOCKS};

/// Largest count of a place in a histogram at rest: 2^24 of them add up in 64 bits.
pub(super) const COUNT_MAX: u64 = (1 << 40) - 1;

/// Counts by place. Only those between `low` and `high` can be other than zero.
pub(super) struct Dense {
    counts: Box<[[u64; BLOCK]; BLOCKS]>,
    low: usize,
    high: usize,
    pub(super) sum: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

thread_local! {
    static DENSE: std::cell::RefCell<Dense> = std::cell::RefCell::new(Dense::new());
}

/// Lends this thread's empty counts. What runs inside must not borrow them again.
pub(super) fn with_dense<T>(work: impl FnOnce(&mut Dense) -> T) -> T {
    DENSE.with_borrow_mut(|dense| {
        dense.clear();
        work(dense)
    })
}

impl Dense {
    fn new() -> Dense {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Dense { counts: Box::new([[0; BLOCK]; BLOCKS]), low: BLOCK * BLOCKS, high: 0, sum: 0.0, min, max }
    }

    pub(super) fn clear(&mut self) {
        if let Some(used) = self.counts.as_flattened_mut().get_mut(self.low..self.high) {
            used.fill(0);
        }
        (self.low, self.high, self.sum) = (BLOCK * BLOCKS, 0, 0.0);
        (self.min, self.max) = (f64::INFINITY, f64::NEG_INFINITY);
    }

    /// Adds values of one place, and says whether there is such a place.
    pub(super) fn add(&mut self, place: usize, count: u64) -> bool {
        let Some(have) = self.counts.as_flattened_mut().get_mut(place) else { return false };
        *have = have.wrapping_add(count.min(COUNT_MAX));
        self.reach(place, place + 1);
        true
    }

    /// Adds a value of each of these places.
    pub(super) fn add_each(&mut self, places: &[u16]) {
        let (Some(low), Some(high)) = (places.iter().min(), places.iter().max()) else { return };
        let counts = self.counts.as_flattened_mut();
        for place in places {
            // Places come from `place_of` alone, which knows no others.
            if let Some(count) = counts.get_mut(usize::from(*place)) {
                *count = count.wrapping_add(1);
            }
        }
        self.reach(usize::from(*low), usize::from(*high) + 1);
    }

    /// Says that counts in these places may be other than zero.
    fn reach(&mut self, low: usize, high: usize) {
        self.low = self.low.min(low);
        self.high = self.high.max(high);
    }

    /// Some of the blocks, to be added to; `None` if there are not so many.
    pub(super) fn blocks_mut(&mut self, first: usize, many: usize) -> Option<&mut [[u64; BLOCK]]> {
        let end = first.checked_add(many).filter(|end| *end <= BLOCKS)?;
        if many > 0 {
            self.reach(first * BLOCK, end * BLOCK);
        }
        self.counts.get_mut(first..end)
    }

    /// The number of the first block that may hold something, and the blocks from there to the last one.
    pub(super) fn blocks(&self) -> (usize, &[[u64; BLOCK]]) {
        let first = self.low / BLOCK;
        (first, self.counts.get(first..self.high.div_ceil(BLOCK)).unwrap_or_default())
    }

    /// Adds what is known of values beside their places.
    pub(super) fn add_summary(&mut self, sum: f64, min: f64, max: f64) {
        self.sum += sum;
        self.min = self.min.min(min);
        self.max = self.max.max(max);
    }

    /// The first place that may hold something, and the counts from there to the last one.
    pub(super) fn used(&self) -> (usize, &[u64]) {
        (self.low, self.counts.as_flattened().get(self.low..self.high).unwrap_or_default())
    }

    /// (place, count) of the places that hold something, ascending.
    #[cfg(test)]
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, u64)> {
        let (low, used) = self.used();
        used.iter().enumerate().filter(|(_, count)| **count > 0).map(move |(at, count)| (low + at, *count))
    }

    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        self.counts.as_flattened().iter().all(|count| *count == 0)
    }
}
