//! Counting different texts: exactly while they are few, then by HyperLogLog.
//!
//! Texts are told apart by 64 bits of XXH3, so that even "exactly" has a chance of 1 in 10¹¹ to be one too low. The
//! estimate is Ertl's for 2^18 registers (arXiv 1702.01284, "improved raw estimator"): its standard error is
//! 1.04 / 2^9 = 0.2 %, so that 1 % is five of them.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashSet;
use xxhash_rust::xxh3::xxh3_64;

use crate::sealed::kept::{DifferentTexts, DistinctTexts};
use crate::stats::EXACT_MAX;

/// A register per value of so many bits of the hash.
const INDEX_BITS: u32 = 18;
/// Longest run that a register can tell: of the remaining bits, and one.
const RANK_MAX: usize = 64 - INDEX_BITS as usize + 1;

/// What a text is told apart by.
pub(super) fn hash_text(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// The hash of a hash is itself.
#[derive(Clone, Default)]
pub(super) struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The different ones of many texts.
#[derive(Clone, Debug, Default)]
pub(super) struct Distinct {
    set: Set,
    /// Texts in all, equal ones included: there are no more different ones, whatever an estimate says.
    seen: u64,
}

/// A set of hashes, or only how large it is.
#[derive(Clone, Debug)]
enum Set {
    /// At most [`EXACT_MAX`].
    Exact(HashSet<u64, BuildHasherDefault<Same>>),
    /// The longest run of zeros by the first bits of the hash.
    Registers(Box<[u8]>),
}

impl Default for Set {
    fn default() -> Set {
        Set::Exact(HashSet::default())
    }
}

fn note(registers: &mut [u8], hash: u64) {
    let rank = ((hash << INDEX_BITS).leading_zeros() as usize + 1).min(RANK_MAX) as u8;
    if let Some(register) = registers.get_mut((hash >> (64 - INDEX_BITS)) as usize) {
        *register = (*register).max(rank);
    }
}

fn registers_of<'h>(hashes: impl Iterator<Item = &'h u64>) -> Box<[u8]> {
    let mut registers = vec![0; 1 << INDEX_BITS].into_boxed_slice();
    hashes.for_each(|hash| note(&mut registers, *hash));
    registers
}

impl Set {
    fn add(&mut self, hash: u64) {
        match self {
            Set::Exact(hashes) => {
                hashes.insert(hash);
                if hashes.len() > EXACT_MAX {
                    *self = Set::Registers(registers_of(hashes.iter()));
                }
            }
            Set::Registers(registers) => note(registers, hash),
        }
    }

    fn add_all(&mut self, hashes: &[u64]) {
        if let Set::Exact(have) = self
            && hashes.len() > EXACT_MAX
        {
            let registers = registers_of(have.iter().chain(hashes));
            // So many registers were reached by at least as many hashes.
            if registers.iter().filter(|rank| **rank > 0).count() > EXACT_MAX {
                *self = Set::Registers(registers);
                return;
            }
        }
        match self {
            Set::Exact(_) => hashes.iter().for_each(|hash| self.add(*hash)),
            Set::Registers(registers) => hashes.iter().for_each(|hash| note(registers, *hash)),
        }
    }

    fn merge(&mut self, other: Set) {
        match (&mut *self, other) {
            (Set::Registers(mine), Set::Registers(theirs)) => {
                mine.iter_mut().zip(&theirs).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
            }
            (Set::Exact(_), mut registers @ Set::Registers(_)) => {
                std::mem::swap(self, &mut registers);
                self.merge(registers);
            }
            (_, Set::Exact(hashes)) => hashes.into_iter().for_each(|hash| self.add(hash)),
        }
    }
}

impl Distinct {
    /// Adds a text by its [`hash_text`].
    pub fn add(&mut self, hash: u64) {
        self.seen += 1;
        self.set.add(hash);
    }

    /// Adds many texts: quicker than one after the other if many of them differ.
    pub fn add_all(&mut self, hashes: &[u64]) {
        self.seen += hashes.len() as u64;
        self.set.add_all(hashes);
    }

    /// As a block keeps it.
    pub fn kept(&self) -> DistinctTexts {
        let different = match &self.set {
            Set::Exact(hashes) => DifferentTexts::Hashes(hashes.iter().copied().collect()),
            Set::Registers(registers) => {
                let reached = (0u32..).zip(registers).filter(|(_, rank)| **rank > 0);
                DifferentTexts::Registers(reached.map(|(number, rank)| number << 8 | u32::from(*rank)).collect())
            }
        };
        DistinctTexts { seen: self.seen, different }
    }

    /// Adds what a block has kept.
    pub fn add_kept(&mut self, kept: &DistinctTexts) {
        self.seen += kept.seen;
        match &kept.different {
            DifferentTexts::Hashes(hashes) => hashes.iter().for_each(|hash| self.set.add(*hash)),
            DifferentTexts::Registers(reached) => {
                if let Set::Exact(hashes) = &self.set {
                    self.set = Set::Registers(registers_of(hashes.iter()));
                }
                let Set::Registers(registers) = &mut self.set else { return };
                for entry in reached {
                    if let Some(register) = registers.get_mut((entry >> 8) as usize) {
                        *register = (*register).max((entry & 0xff) as u8);
                    }
                }
            }
        }
    }

    /// Adds another set.
    pub fn merge(&mut self, other: Distinct) {
        self.seen += other.seen;
        self.set.merge(other.set);
    }

    /// How many, and whether that is an estimate.
    pub fn count(&self) -> (u64, bool) {
        match &self.set {
            Set::Exact(hashes) => (hashes.len() as u64, false),
            Set::Registers(registers) => ((estimate(registers).round() as u64).min(self.seen), true),
        }
    }

    /// About the memory in use, bytes.
    pub fn memory(&self) -> usize {
        match &self.set {
            Set::Exact(hashes) => hashes.allocation_size(),
            Set::Registers(registers) => registers.len(),
        }
    }
}

fn estimate(registers: &[u8]) -> f64 {
    let mut counts = [0u32; RANK_MAX + 1];
    registers.iter().for_each(|rank| counts[usize::from(*rank).min(RANK_MAX)] += 1);
    let m = registers.len() as f64;
    let mut z = m * tau(1.0 - f64::from(counts[RANK_MAX]) / m);
    for count in counts[1..RANK_MAX].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    m * m / (2.0 * std::f64::consts::LN_2 * z)
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: std::ops::Range<u64>) -> Distinct {
        let mut distinct = Distinct::default();
        numbers.for_each(|number| distinct.add(hash_text(&number.to_string())));
        distinct
    }

    #[test]
    fn exact_to_ten_thousand_then_within_a_percent() {
        assert_eq!(of(0..0).count(), (0, false));
        assert_eq!(of(0..10_000).count(), (10_000, false));
        for count in [10_001u64, 30_000, 262_144, 1_000_000, 3_000_000] {
            let (estimate, is_approximate) = of(0..count).count();
            let error = (estimate as f64 - count as f64).abs() / count as f64;
            assert!(is_approximate && error < 0.01, "{count}: {estimate}");
        }
    }

    #[test]
    fn never_more_than_there_are_texts() {
        let mut beyond = 0;
        for count in (10_001u64..60_000).step_by(700) {
            let whole = of(0..count);
            let Set::Registers(registers) = &whole.set else { panic!("{count} are not few") };
            beyond += usize::from(estimate(registers).round() as u64 > count);
            let (mut parts, mut kept) = (of(0..count / 2), of(0..0));
            parts.merge(of(count / 2..count));
            kept.add_kept(&whole.kept());
            for distinct in [whole, parts, kept] {
                assert!(distinct.count().0 <= count, "{count}: {:?}", distinct.count());
            }
        }
        assert!(beyond > 0, "no estimate was too high: this proves nothing");
    }

    #[test]
    fn many_at_once_are_as_one_by_one() {
        for (count, times, before) in [(9_990, 3, 10), (9_990, 3, 11), (10_001, 1, 0), (40_000, 2, 100), (5, 5_000, 0)]
        {
            let hashes: Vec<u64> = (0..count * times).map(|number| hash_text(&(number % count).to_string())).collect();
            let (mut all, mut each) = (of(1_000_000..1_000_000 + before), of(1_000_000..1_000_000 + before));
            all.add_all(&hashes);
            hashes.iter().for_each(|hash| each.add(*hash));
            assert_eq!(all.count(), each.count());
            all.add_all(&hashes[..20]);
            assert_eq!(all.count(), each.count());
        }
    }

    #[test]
    fn what_a_block_keeps_is_the_same() {
        for count in [0, 7, 10_000, 10_001, 60_000] {
            for before in [0, 5_000, 20_000] {
                let (mut by_kept, mut by_merge) = (of(3_000..3_000 + before), of(3_000..3_000 + before));
                by_kept.add_kept(&of(0..count).kept());
                by_merge.merge(of(0..count));
                assert_eq!(by_kept.count(), by_merge.count(), "{count} to {before}");
            }
        }
    }

    #[test]
    fn merged_in_any_order_it_is_the_same() {
        let whole = of(0..50_000).count();
        for cut in [10, 20_000, 45_000] {
            // They overlap.
            let (mut low, high) = (of(0..cut + 5), of(cut..50_000));
            low.merge(high);
            assert_eq!(low.count(), whole);
            let (low, mut high) = (of(0..cut + 5), of(cut..50_000));
            high.merge(low);
            assert_eq!(high.count(), whole);
        }
        let mut two = of(0..6_000);
        two.merge(of(4_000..9_000));
        assert_eq!(two.count(), (9_000, false));
    }
}
