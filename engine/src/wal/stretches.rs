//! Where the stretches of the log began that this process has written.
//!
//! A stretch defines each series at its first use in it. A record that was put together while one stretch ended may miss the
//! definitions of the next one, and has those of the one before. So who reads on from a record needs the names of the
//! stretch before its own, too.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Beginnings that are remembered. A stretch has megabytes: so many are far beyond any log that is kept. Where one is
/// forgotten, names are read from an earlier place than they have to be.
const REMEMBERED_MAX: usize = 1 << 16;

/// Beginnings of stretches, ascending.
pub(crate) struct Stretches {
    begun: Mutex<VecDeque<u64>>,
    count: AtomicU64,
}

impl Stretches {
    pub(super) fn begun_at(lsn: u64) -> Stretches {
        Stretches { begun: Mutex::new(VecDeque::from([lsn])), count: AtomicU64::new(1) }
    }

    pub(super) fn push(&self, lsn: u64) {
        let mut begun = self.begun.lock();
        begun.push_back(lsn);
        if begun.len() > REMEMBERED_MAX {
            begun.pop_front();
        }
        self.count.fetch_add(1, Ordering::Release);
    }

    /// How many have begun; changes when there is another one.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// The beginnings behind a record.
    pub(crate) fn after(&self, lsn: u64) -> VecDeque<u64> {
        let begun = self.begun.lock();
        begun.iter().skip(begun.partition_point(|first| *first <= lsn)).copied().collect()
    }

    /// From where on the names have to be read that a record and those behind it use, if that is known.
    pub(crate) fn names_from(&self, lsn: u64) -> Option<u64> {
        let begun = self.begun.lock();
        begun.get(begun.partition_point(|first| *first <= lsn).checked_sub(2)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_the_stretch_before_at_the_latest() {
        let stretches = Stretches::begun_at(10);
        stretches.push(20);
        stretches.push(30);
        for (lsn, from) in
            [(5, None), (10, None), (19, None), (20, Some(10)), (29, Some(10)), (30, Some(20)), (99, Some(20))]
        {
            assert_eq!(stretches.names_from(lsn), from, "{lsn}");
        }
        assert_eq!(stretches.after(20), [30]);
        assert_eq!(stretches.count(), 3);
    }
}
