//! Ids of records: unique, in the order of time, in the form of a UUID (version 7; version 8 when made from a key).

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

use watchfire_model::{Timestamp, uuid};
use watchfire_queue::DedupKey;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

/// Length of an id, bytes.
pub const ID_BYTES: usize = uuid::TEXT_BYTES;

/// Makes ids: 48 bits of time, 32 bits of a counter, 42 bits that are this process' own.
///
/// Two ids of one process are equal only if 2^32 records come in one millisecond.
pub struct IdMaker {
    counter: AtomicU32,
    process: u64,
}

impl Default for IdMaker {
    fn default() -> IdMaker {
        // The standard library seeds each `RandomState` from the operating system.
        IdMaker { counter: AtomicU32::new(0), process: RandomState::new().hash_one(std::process::id()) }
    }
}

impl IdMaker {
    /// A new id for a record that arrived at `now`.
    pub fn make(&self, now: Timestamp) -> [u8; ID_BYTES] {
        let count = u64::from(self.counter.fetch_add(1, Ordering::Relaxed));
        let high = (now.millis().max(0) as u64) << 16 | 0x7000 | count >> 20;
        let low = 0x8000_0000_0000_0000 | (count & 0xf_ffff) << 42 | self.process & ((1 << 42) - 1);
        uuid::text(u128::from(high) << 64 | u128::from(low))
    }
}

/// The id of the record at `index` of a request with this `Idempotency-Key`: the same for every repeat.
pub fn from_key(key: &[u8; 16]) -> [u8; ID_BYTES] {
    uuid::text(uuid::of_version(8, u128::from_le_bytes(*key)))
}

/// What the queue remembers of a record with an id of its own.
pub fn key_of_id(id: &str) -> [u8; 16] {
    xxh3_128(id.as_bytes()).to_le_bytes()
}

/// The `Idempotency-Key` of a request, and what was sent under it.
#[derive(Clone, Copy, Debug)]
pub struct RequestKey<'a> {
    /// The header's value.
    pub key: &'a [u8],
    /// See [`fingerprint`].
    pub contents: u32,
}

impl RequestKey<'_> {
    /// What the queue remembers of the request itself: the key of its first record, whether or not that was taken.
    pub fn of_request(&self) -> DedupKey {
        DedupKey::new(key_of_request(self.key, 0)).with_contents(self.contents)
    }
}

/// Tells what one request sends from what another sends: of its body, unpacked, and of what its address says about
/// the records.
pub fn fingerprint<'a>(body: &[u8], said: impl IntoIterator<Item = Option<&'a str>>) -> u32 {
    let mut hasher = Xxh3Default::new();
    for text in said {
        // Lengths keep `a`, `bc` apart from `ab`, `c`; what is absent differs from what is empty.
        hasher.update(&text.map_or(0, |text| text.len() as u64 + 1).to_le_bytes());
        hasher.update(text.unwrap_or_default().as_bytes());
    }
    hasher.update(body);
    let digest = hasher.digest();
    (digest ^ (digest >> 32)) as u32
}

/// What the queue remembers of the record at `index` of a request with an `Idempotency-Key`.
pub fn key_of_request(idempotency_key: &[u8], index: u32) -> [u8; 16] {
    // The prefix keeps keys of requests apart from ids of records.
    let mut seed = xxh3_128(idempotency_key).to_le_bytes().to_vec();
    seed.extend_from_slice(b"\0request");
    seed.extend_from_slice(&index.to_le_bytes());
    xxh3_128(&seed).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_and_are_version_7() {
        let maker = IdMaker::default();
        let mut last = String::new();
        for millis in [1_700_000_000_000, 1_700_000_000_001, 1_700_000_300_000] {
            for _ in 0..2000 {
                let id = maker.make(Timestamp::from_millis(millis));
                let text = uuid::as_str(&id).to_owned();
                assert!(text > last, "{text} after {last}");
                assert_eq!((text.len(), text.get(14..15), text.get(19..20)), (36, Some("7"), Some("8")));
                last = text;
            }
        }
    }

    #[test]
    fn ids_from_keys_repeat_and_differ() {
        let key = key_of_request(b"abc", 0);
        assert_eq!(from_key(&key), from_key(&key_of_request(b"abc", 0)));
        assert_ne!(key, key_of_request(b"abc", 1));
        assert_ne!(key, key_of_id("abc"));
        assert_eq!(uuid::as_str(&from_key(&key)).get(14..15), Some("8"));
    }

    #[test]
    fn fingerprints_differ_by_body_and_by_what_is_said_of_it() {
        let all = [
            fingerprint(b"body", [Some("a"), None]),
            fingerprint(b"body", [None, Some("a")]),
            fingerprint(b"body", [None, None]),
            fingerprint(b"body", [Some(""), None]),
            fingerprint(b"other", [Some("a"), None]),
            fingerprint(b"", [Some("a"), Some("body")]),
        ];
        let unique: std::collections::BTreeSet<u32> = all.into_iter().collect();
        assert_eq!(unique.len(), all.len());
        assert_eq!(all[0], fingerprint(b"body", [Some("a"), None]));
    }
}
