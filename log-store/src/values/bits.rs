//! A set of rows of one block, a bit each.

/// Rows `0..len`, those in the set have their bit on. Bits past `len` are off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    /// No row.
    pub fn none(len: usize) -> Bits {
        Bits { words: vec![0; len.div_ceil(64)], len }
    }

    /// Every row.
    pub fn all(len: usize) -> Bits {
        let mut bits = Bits { words: vec![u64::MAX; len.div_ceil(64)], len };
        bits.trim();
        bits
    }

    /// From words; bits past `len` are cleared, missing words are off.
    pub fn from_words(mut words: Vec<u64>, len: usize) -> Bits {
        words.resize(len.div_ceil(64), 0);
        let mut bits = Bits { words, len };
        bits.trim();
        bits
    }

    fn trim(&mut self) {
        let used = self.len % 64;
        if used != 0
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << used) - 1;
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn words(&self) -> &[u64] {
        &self.words
    }

    pub fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    #[inline]
    pub fn set(&mut self, row: usize) {
        if let Some(word) = self.words.get_mut(row / 64)
            && row < self.len
        {
            *word |= 1 << (row % 64);
        }
    }

    /// Puts every row of `range` into the set.
    pub fn set_range(&mut self, range: std::ops::Range<usize>) {
        let mut inside = Bits::all(self.len);
        inside.keep_range(range);
        self.or(&inside);
    }

    #[inline]
    pub fn get(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// How many rows of `range` are in the set.
    pub fn count_range(&self, range: std::ops::Range<usize>) -> usize {
        let (start, end) = (range.start.min(self.len), range.end.min(self.len));
        if start >= end {
            return 0;
        }
        let (first, last) = (start / 64, (end - 1) / 64);
        let head = u64::MAX << (start % 64);
        let tail = u64::MAX >> (63 - (end - 1) % 64);
        if first == last {
            return (self.words[first] & head & tail).count_ones() as usize;
        }
        let middle: usize = self.words[first + 1..last].iter().map(|word| word.count_ones() as usize).sum();
        middle + (self.words[first] & head).count_ones() as usize + (self.words[last] & tail).count_ones() as usize
    }

    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub fn and(&mut self, other: &Bits) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= theirs;
        }
    }

    pub fn or(&mut self, other: &Bits) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// Takes the rows of `other` out.
    pub fn and_not(&mut self, other: &Bits) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= !theirs;
        }
    }

    /// Leaves only rows of `range`.
    pub fn keep_range(&mut self, range: std::ops::Range<usize>) {
        for (at, word) in self.words.iter_mut().enumerate() {
            let (low, high) = (at * 64, at * 64 + 64);
            if high <= range.start || low >= range.end {
                *word = 0;
                continue;
            }
            if low < range.start {
                *word &= u64::MAX << (range.start - low);
            }
            if high > range.end {
                *word &= u64::MAX >> (high - range.end);
            }
        }
    }

    /// Rows in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                (word != 0).then(|| {
                    let bit = word.trailing_zeros() as usize;
                    word &= word - 1;
                    at * 64 + bit
                })
            })
        })
    }

    /// Rows in the set, descending.
    pub fn iter_back(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().rev().flat_map(|(at, word)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                (word != 0).then(|| {
                    let bit = 63 - word.leading_zeros() as usize;
                    word &= !(1 << bit);
                    at * 64 + bit
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_behaves_like_a_list_of_flags(flags in prop::collection::vec(any::<bool>(), 0..300), a in 0usize..320, b in 0usize..320) {
            let mut bits = Bits::none(flags.len());
            for (row, _) in flags.iter().enumerate().filter(|(_, flag)| **flag) { bits.set(row); }
            let rows: Vec<usize> = flags.iter().enumerate().filter(|(_, flag)| **flag).map(|(row, _)| row).collect();
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), rows.clone());
            let mut back: Vec<usize> = bits.iter_back().collect();
            back.reverse();
            prop_assert_eq!(back, rows.clone());
            let (start, end) = (a.min(b), a.max(b));
            let inside = rows.iter().filter(|row| (start..end).contains(*row)).count();
            prop_assert_eq!(bits.count_range(start..end), inside);
            let mut kept = bits.clone();
            kept.keep_range(start..end);
            prop_assert_eq!(kept.count(), inside);
            let mut rest = Bits::all(flags.len());
            rest.and_not(&bits);
            prop_assert_eq!(rest.count() + bits.count(), flags.len());
        }
    }
}
