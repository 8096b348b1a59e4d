//! Counts by place, to add histograms up in.

use crate::distribution::blocks::{BLOCK, BLOCKS};

/// Largest count of a place in a histogram at rest: 2^24 of them add up in 64 bits.
pub(super) const COUNT_MAX: u64 = (1 << 40) - 1;

/// Words with a bit for each block.
const TOUCHED: usize = BLOCKS.div_ceil(64);

/// Counts by place. Only those between `low` and `high`, in blocks that were touched, can be other than zero.
pub(super) struct Dense {
    counts: Box<[[u64; BLOCK]; BLOCKS]>,
    low: usize,
    high: usize,
    /// Blocks that may hold something, a bit each: few values lie far apart, and what is between them need not be looked at.
    touched: [u64; TOUCHED],
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
        let (counts, touched) = (Box::new([[0; BLOCK]; BLOCKS]), [0; TOUCHED]);
        Dense { counts, low: BLOCK * BLOCKS, high: 0, touched, sum: 0.0, min, max }
    }

    pub(super) fn clear(&mut self) {
        for (touched, blocks) in self.touched.iter_mut().zip(self.counts.chunks_mut(64)) {
            let mut left = std::mem::take(touched);
            while left != 0 {
                blocks[left.trailing_zeros() as usize].fill(0);
                left &= left - 1;
            }
        }
        (self.low, self.high, self.sum) = (BLOCK * BLOCKS, 0, 0.0);
        (self.min, self.max) = (f64::INFINITY, f64::NEG_INFINITY);
    }

    /// Adds values of one place, and says whether there is such a place.
    pub(super) fn add(&mut self, place: usize, count: u64) -> bool {
        let Some(have) = self.counts.as_flattened_mut().get_mut(place) else { return false };
        *have = have.wrapping_add(count.min(COUNT_MAX));
        self.touch(place / BLOCK);
        self.reach(place, place + 1);
        true
    }

    /// Adds a value of each of these places.
    pub(super) fn add_each(&mut self, places: &[u16]) {
        let (Some(low), Some(high)) = (places.iter().min(), places.iter().max()) else { return };
        for place in places.iter().map(|place| usize::from(*place)) {
            // Places come from `place_of` alone, which knows no others.
            if let Some(count) = self.counts.as_flattened_mut().get_mut(place) {
                *count = count.wrapping_add(1);
                self.touch(place / BLOCK);
            }
        }
        self.reach(usize::from(*low), usize::from(*high) + 1);
    }

    /// Says that counts in these places may be other than zero.
    fn reach(&mut self, low: usize, high: usize) {
        self.low = self.low.min(low);
        self.high = self.high.max(high);
    }

    #[inline]
    fn touch(&mut self, block: usize) {
        self.touched[block / 64] |= 1 << (block % 64);
    }

    /// Whether a block may hold something.
    pub(super) fn is_touched(&self, block: usize) -> bool {
        self.touched.get(block / 64).is_some_and(|touched| touched >> (block % 64) & 1 == 1)
    }

    /// A block, to be added to; `None` if there is no such block.
    pub(super) fn block_mut(&mut self, block: usize) -> Option<&mut [u64; BLOCK]> {
        if block >= BLOCKS {
            return None;
        }
        self.touch(block);
        self.reach(block * BLOCK, (block + 1) * BLOCK);
        self.counts.get_mut(block)
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
