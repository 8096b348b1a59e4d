//! Hashes that are trusted: what has the same one is taken for the same, and not looked at again.
//!
//! They have 128 bits and are keyed by as much chance as the hash itself mixes in, which the system gives each process
//! anew. Who does not know it cannot look for two texts with one hash; and by accident, among a thousand million label
//! sets, there are two with a chance of one in 10^21.

use std::hash::BuildHasher;

use xxhash_rust::xxh3::xxh3_128_with_secret;

/// Bytes of a secret, all of which the hash of a long text uses.
const SECRET_BYTES: usize = 192;

/// A trusted hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    low: u64,
    high: u64,
}

impl Fingerprint {
    /// A part of it that is enough to find a place in a table by.
    pub(crate) fn short(self) -> u64 {
        self.low
    }

    pub(crate) fn to_le_bytes(self) -> [u8; 16] {
        ((u128::from(self.high) << 64) | u128::from(self.low)).to_le_bytes()
    }
}

/// What makes fingerprints, all under one secret. Those of two makers have nothing to do with each other.
pub(crate) struct Fingerprints {
    secret: Box<[u8]>,
}

impl Fingerprints {
    /// Under a secret of its own.
    pub(crate) fn new() -> Fingerprints {
        // Its keys are the system's.
        let chance = std::hash::RandomState::new();
        let secret = (0..SECRET_BYTES / 8).flat_map(|word| chance.hash_one(word).to_le_bytes());
        Fingerprints { secret: secret.collect() }
    }

    /// The fingerprint of these bytes.
    pub(crate) fn of(&self, bytes: &[u8]) -> Fingerprint {
        let hash = xxh3_128_with_secret(bytes, &self.secret);
        Fingerprint { low: hash as u64, high: (hash >> 64) as u64 }
    }

    /// The fingerprint of two things in this order, of which there are fingerprints.
    pub(crate) fn of_both(&self, one: Fingerprint, other: Fingerprint) -> Fingerprint {
        let mut both = [0; 32];
        both[..16].copy_from_slice(&one.to_le_bytes());
        both[16..].copy_from_slice(&other.to_le_bytes());
        self.of(&both)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn other_bytes_and_other_makers_have_other_fingerprints() {
        let makers = [Fingerprints::new(), Fingerprints::new()];
        let mut seen = HashSet::new();
        for maker in &makers {
            for length in 0..400 {
                let mut bytes = vec![7; length];
                assert!(seen.insert(maker.of(&bytes).to_le_bytes()), "{length}");
                for place in 0..length {
                    bytes[place] ^= 1;
                    assert!(seen.insert(maker.of(&bytes).to_le_bytes()), "{place} of {length}");
                    bytes[place] ^= 1;
                }
            }
        }
        let [one, other] = [&b"one"[..], b"other"].map(|bytes| makers[0].of(bytes));
        for (first, second) in [(one, other), (other, one), (one, one), (other, other)] {
            assert!(seen.insert(makers[0].of_both(first, second).to_le_bytes()));
        }
        let lows: HashSet<u64> = (0u32..1000).map(|n| makers[0].of(&n.to_le_bytes()).short()).collect();
        assert_eq!(lows.len(), 1000);
    }
}
