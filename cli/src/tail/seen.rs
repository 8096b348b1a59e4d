//! Which records were shown: the newest numbers, so that what comes twice is shown once.

use std::collections::BTreeSet;

/// Numbers that are remembered. A record that comes twice was stored while the history was being asked for, so that
/// it is among the newest; older numbers need not be known.
const REMEMBERED_MAX: usize = 1 << 18;

/// Numbers of records that were shown.
#[derive(Debug, Default)]
pub struct Seen {
    numbers: BTreeSet<u64>,
    begin: Option<u64>,
}

impl Seen {
    /// Says which number was the newest before anything was shown.
    pub fn begin_after(&mut self, seq: u64) {
        self.begin = Some(seq);
    }

    /// True the first time that a number is asked for.
    pub fn is_new(&mut self, seq: u64) -> bool {
        let new = self.numbers.insert(seq);
        if self.numbers.len() > REMEMBERED_MAX {
            self.numbers.pop_first();
        }
        new
    }

    /// The largest number so far, else the one before the begin.
    pub fn newest(&self) -> Option<u64> {
        self.numbers.last().copied().or(self.begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_once_and_not_all_for_ever() {
        let mut seen = Seen::default();
        seen.begin_after(2);
        assert_eq!(seen.newest(), Some(2));
        assert!(seen.is_new(5) && seen.is_new(3) && !seen.is_new(5));
        assert_eq!(seen.newest(), Some(5));
        for seq in 0..=REMEMBERED_MAX as u64 + 10 {
            seen.is_new(seq);
        }
        assert_eq!(seen.numbers.len(), REMEMBERED_MAX);
    }
}
