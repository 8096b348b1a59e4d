//! Filters: which words a column of a block surely does not have.
//!
//! A blocked Bloom filter: a key belongs to one line of 64 bytes and sets five of its 480 bits; the last four bytes
//! of a line are its CRC-32, so that a look-up reads and checks one line. About 1 % of absent keys seem present.
//! Keys are hashes of lower-cased words ([`KeyHash`]); where every text of a column has the same number of words (an
//! id with dashes), the key is all of them together.

use super::section::{ReadSections, SectionWriter};
use super::wire::{Wire, WireError, put_varint};
use crate::query::{Phrase, tokens};

const LINE_BYTES: usize = 64;
const LINE_DATA: usize = 60;
const LINE_BITS: u64 = LINE_DATA as u64 * 8;
const BITS_PER_KEY: u64 = 9;
const KEY_BITS: usize = 5;
/// Stands between the words of a key of several.
const WORD_END: u8 = 0;
/// More words than this in each text, and words are keys one by one.
const WORDS_MAX: usize = 16;

/// Where a filter lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    offset: u64,
    lines: u32,
    /// How many words together are a key; 1 for words one by one.
    words: u32,
}

impl Filter {
    pub fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.offset);
        put_varint(out, u64::from(self.lines));
        put_varint(out, u64::from(self.words));
    }

    pub fn read(wire: &mut Wire<'_>) -> Result<Filter, WireError> {
        Ok(Filter { offset: wire.varint()?, lines: wire.u32_varint()?, words: wire.u32_varint()? })
    }

    /// Its length in the file.
    pub fn bytes(&self) -> u64 {
        u64::from(self.lines) * LINE_BYTES as u64
    }

    /// False if no text of the column has these words in a row.
    pub fn may_have(&self, phrase: &Phrase, file: &dyn ReadSections) -> Result<bool, String> {
        let words = phrase.words();
        if self.words > 1 {
            if phrase.is_prefix() || words.len() != self.words as usize {
                return Ok(true);
            }
            let mut key = KeyHash::new();
            for (number, word) in words.iter().enumerate() {
                if number > 0 {
                    key.put(WORD_END);
                }
                key.put_all(word.as_bytes());
            }
            return self.has_key(key.finish(), file);
        }
        // The last word of a prefix is not known whole.
        let whole = words.len() - usize::from(phrase.is_prefix());
        for word in words.iter().take(whole) {
            if !self.has_key(KeyHash::of(word.as_bytes()), file)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn has_key(&self, key: u64, file: &dyn ReadSections) -> Result<bool, String> {
        if self.lines == 0 {
            return Ok(false);
        }
        let line = file.stretch(self.offset + line_of(key, self.lines) as u64 * LINE_BYTES as u64, LINE_BYTES)?;
        let (data, sum) = line.split_at_checked(LINE_DATA).ok_or("a filter is cut short")?;
        if crc32fast::hash(data).to_le_bytes() != sum {
            return Err("a filter has a wrong checksum".to_owned());
        }
        Ok(bits_of(key).iter().all(|bit| data.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)))
    }
}

fn line_of(key: u64, lines: u32) -> usize {
    (((key >> 32) * u64::from(lines)) >> 32) as usize
}

fn bits_of(key: u64) -> [usize; KEY_BITS] {
    let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 4;
    std::array::from_fn(|number| ((((mixed >> (number * 12)) & 0xfff) * LINE_BITS) >> 12) as usize)
}

/// The hash of a key, byte by byte, so that words are hashed while they are found: FNV-1a, its bits mixed at the end.
/// It stands on disk.
#[derive(Clone, Copy)]
struct KeyHash(u64);

impl KeyHash {
    const fn new() -> KeyHash {
        KeyHash(0xcbf2_9ce4_8422_2325)
    }

    fn of(bytes: &[u8]) -> u64 {
        let mut hash = KeyHash::new();
        hash.put_all(bytes);
        hash.finish()
    }

    #[inline]
    fn put(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    fn put_all(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.put(*byte));
    }

    /// Mixing of MurmurHash3 (Austin Appleby).
    #[inline]
    fn finish(self) -> u64 {
        let mut bits = self.0;
        bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        bits ^ (bits >> 33)
    }
}

/// About how many different keys there are: linear counting (Whang and others 1990), far cheaper than to put equal ones
/// together. With eight bits a key it errs by less than a hundredth; at least one where there is any.
fn different(keys: &[u64]) -> u64 {
    let log = (keys.len() * 8).next_power_of_two().ilog2().max(9);
    let mut seen = vec![0u64; 1 << (log - 6)];
    for key in keys {
        let at = (key >> (64 - log)) as usize;
        seen[at / 64] |= 1 << (at % 64);
    }
    let (all, free) = ((1u64 << log) as f64, seen.iter().map(|word| u64::from(word.count_zeros())).sum::<u64>());
    (all * (all / free as f64).ln()).round() as u64
}

/// How many words an ASCII text has.
fn words_of(text: &[u8]) -> usize {
    text.split(|byte| LOWER[usize::from(*byte)] == 0).filter(|word| !word.is_empty()).count()
}

/// The lower-case form of each byte of an ASCII word; 0 for bytes that are part of none.
const LOWER: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_' {
            table[byte] = (byte as u8).to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

/// The words of a column's texts.
pub(crate) struct FilterBuilder {
    /// Some of them several times.
    keys: Vec<u64>,
    /// How many keys there may be before those that are there twice are looked for.
    keys_max: usize,
    /// Keys seen lately, by their low bits: most words come again and again.
    recent: Vec<u64>,
    /// Words that make a key.
    words: usize,
    lower: String,
}

const RECENT: usize = 2048;
/// So many keys are looked through for equal ones at first.
const KEYS_MAX: usize = 64 << 10;
/// Texts that are hashed side by side.
const SIDE_BY_SIDE: usize = 4;

/// Where the hash of a text stands.
#[derive(Clone, Copy)]
struct Lane {
    key: KeyHash,
    /// Bytes that are part of no word.
    gaps: usize,
    words: usize,
    in_word: bool,
}

impl Lane {
    const START: Lane = Lane { key: KeyHash::new(), gaps: 0, words: 0, in_word: false };

    #[inline]
    fn put(&mut self, byte: u8) {
        let lower = LOWER[usize::from(byte)];
        self.key.put(lower);
        self.gaps += usize::from(lower == 0);
        self.words += usize::from(lower != 0 && !self.in_word);
        self.in_word = lower != 0;
    }
}

impl FilterBuilder {
    /// For a column whose texts have words of any number.
    pub fn of_words() -> FilterBuilder {
        FilterBuilder::with_room(0, 1)
    }

    /// Of ASCII texts of one length; where all have as many words, these are the keys.
    pub fn of_one_length<'t, T: Iterator<Item = &'t [u8]>>(texts: impl Fn() -> T, count: usize) -> FilterBuilder {
        let words = texts().next().map_or(1, words_of);
        if (2..=WORDS_MAX).contains(&words) {
            let mut builder = FilterBuilder::with_room(count, words);
            if builder.add_side_by_side(texts()) {
                return builder;
            }
        }
        let mut builder = FilterBuilder::with_room(count, 1);
        builder.add_side_by_side(texts());
        builder
    }

    fn with_room(count: usize, words: usize) -> FilterBuilder {
        let (keys, keys_max) = (Vec::with_capacity(count), count.max(KEYS_MAX));
        FilterBuilder { keys, keys_max, recent: vec![0; RECENT], words, lower: String::new() }
    }

    /// Bytes of a filter of `keys` keys.
    pub fn bytes_of(keys: usize) -> u64 {
        (keys as u64 * BITS_PER_KEY).div_ceil(LINE_BITS) * LINE_BYTES as u64
    }

    /// Adds ASCII texts of one length. Each byte of a hash waits for the one before, but not for those of other texts.
    /// False, and not all are added, if keys are of several words and a text has another number of them.
    fn add_side_by_side<'t>(&mut self, mut texts: impl Iterator<Item = &'t [u8]>) -> bool {
        let mut some: [&[u8]; SIDE_BY_SIDE] = [&[]; SIDE_BY_SIDE];
        loop {
            let many = some.iter_mut().zip(&mut texts).map(|(place, text)| *place = text).count();
            if self.words == 1 {
                self.add_words_of_each(&some, many);
            } else if !self.add_together_each(&some, many) {
                return false;
            }
            if many < some.len() {
                return true;
            }
        }
    }

    /// Adds so many of these texts as keys of several words; false, and not all are added, if one has another number of them.
    fn add_together_each(&mut self, texts: &[&[u8]; SIDE_BY_SIDE], many: usize) -> bool {
        let mut lanes = [Lane::START; SIDE_BY_SIDE];
        for at in 0..texts[0].len() {
            for (lane, text) in lanes.iter_mut().zip(texts) {
                lane.put(text.get(at).copied().unwrap_or(0));
            }
        }
        for (lane, text) in lanes.into_iter().zip(texts).take(many) {
            if lane.words != self.words {
                return false;
            }
            if lane.gaps + 1 == lane.words {
                // A single byte between two words is what a key has there.
                self.put(lane.key.finish());
            } else {
                self.add_together(text);
            }
        }
        true
    }

    /// Adds the words of so many of these texts, most of which are a word each.
    fn add_words_of_each(&mut self, texts: &[&[u8]; SIDE_BY_SIDE], many: usize) {
        let mut lanes = [(KeyHash::new(), true); SIDE_BY_SIDE];
        for at in 0..texts[0].len() {
            for ((key, is_word), text) in lanes.iter_mut().zip(texts) {
                let lower = LOWER[usize::from(text.get(at).copied().unwrap_or(0))];
                key.put(lower);
                *is_word &= lower != 0;
            }
        }
        for ((key, is_word), text) in lanes.into_iter().zip(texts).take(many) {
            if is_word && !text.is_empty() {
                self.put(key.finish());
            } else {
                self.add_words(text);
            }
        }
    }

    pub fn add(&mut self, text: &str) {
        if !text.is_ascii() {
            self.add_any(text);
        } else if self.words == 1 {
            self.add_words(text.as_bytes());
        } else {
            self.add_together(text.as_bytes());
        }
    }

    #[inline]
    fn put(&mut self, key: u64) {
        let slot = &mut self.recent[key as usize % RECENT];
        if *slot != key {
            *slot = key;
            self.keys.push(key);
            if self.keys.len() > self.keys_max {
                self.leave_one_of_each();
                self.keys_max = (2 * self.keys.len()).max(KEYS_MAX);
            }
        }
    }

    fn leave_one_of_each(&mut self) {
        self.keys.sort_unstable();
        self.keys.dedup();
    }

    /// The words of an ASCII text, one by one.
    fn add_words(&mut self, text: &[u8]) {
        let mut word: Option<KeyHash> = None;
        for byte in text {
            let lower = LOWER[usize::from(*byte)];
            if lower != 0 {
                word.get_or_insert_with(KeyHash::new).put(lower);
            } else if let Some(word) = word.take() {
                self.put(word.finish());
            }
        }
        if let Some(word) = word {
            self.put(word.finish());
        }
    }

    /// The words of an ASCII text as one key.
    fn add_together(&mut self, text: &[u8]) {
        let (mut key, mut has_word, mut in_word) = (KeyHash::new(), false, false);
        for byte in text {
            let lower = LOWER[usize::from(*byte)];
            if lower == 0 {
                in_word = false;
                continue;
            }
            if has_word && !in_word {
                key.put(WORD_END);
            }
            key.put(lower);
            (has_word, in_word) = (true, true);
        }
        self.put(key.finish());
    }

    fn add_any(&mut self, text: &str) {
        let mut lower = std::mem::take(&mut self.lower);
        let mut key = KeyHash::new();
        for (number, token) in tokens(text).enumerate() {
            let word = token.lower(&mut lower).as_bytes();
            if self.words == 1 {
                self.put(KeyHash::of(word));
                continue;
            }
            if number > 0 {
                key.put(WORD_END);
            }
            key.put_all(word);
        }
        if self.words > 1 {
            self.put(key.finish());
        }
        self.lower = lower;
    }

    /// Writes the filter.
    pub fn finish(self, sections: &mut SectionWriter) -> Filter {
        let lines = (different(&self.keys) * BITS_PER_KEY).div_ceil(LINE_BITS);
        let lines = u32::try_from(lines).unwrap_or(u32::MAX);
        let mut bytes = vec![0u8; lines as usize * LINE_BYTES];
        for key in &self.keys {
            let start = line_of(*key, lines) * LINE_BYTES;
            for bit in bits_of(*key) {
                bytes[start + bit / 8] |= 1 << (bit % 8);
            }
        }
        for line in bytes.chunks_exact_mut(LINE_BYTES) {
            let (data, sum) = line.split_at_mut(LINE_DATA);
            sum.copy_from_slice(&crc32fast::hash(data).to_le_bytes());
        }
        let offset = sections.file.len() as u64;
        sections.file.extend_from_slice(&bytes);
        Filter { offset, lines, words: self.words as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::section::Section;
    use proptest::prelude::*;

    struct InMemory(Vec<u8>);

    impl ReadSections for InMemory {
        fn section(&self, _: &Section) -> Result<Vec<u8>, String> {
            Err("no sections here".to_owned())
        }

        fn stretch(&self, offset: u64, length: usize) -> Result<Vec<u8>, String> {
            let at = offset as usize;
            self.0.get(at..at + length).map(<[u8]>::to_vec).ok_or_else(|| "cut short".to_owned())
        }
    }

    fn filter(texts: &[String], mut builder: FilterBuilder) -> (Filter, InMemory) {
        texts.iter().for_each(|text| builder.add(text));
        let mut sections = SectionWriter::default();
        let filter = builder.finish(&mut sections);
        (filter, InMemory(sections.file))
    }

    fn phrase(text: &str, prefix: bool) -> Phrase {
        Phrase::new(text, prefix).expect("has a word")
    }

    #[test]
    fn nothing_present_is_missed_and_little_absent_is_suspected() {
        let texts: Vec<String> = (0..20_000).map(|n| format!("User{n} logged in ({})", n * 7)).collect();
        let (filter, file) = filter(&texts, FilterBuilder::of_words());
        for n in (0..20_000).step_by(37) {
            assert_eq!(filter.may_have(&phrase(&format!("user{n} LOGGED"), false), &file), Ok(true));
            assert_eq!(filter.may_have(&phrase(&format!("in {}x", n * 7), true), &file), Ok(true));
        }
        let suspected =
            (0..10_000).filter(|n| filter.may_have(&phrase(&format!("absent{n}"), false), &file) == Ok(true)).count();
        assert!(suspected < 400, "{suspected} of 10000");
    }

    proptest! {
        #[test]
        fn side_by_side_texts_have_the_keys_that_they_have_alone(
            texts in prop::collection::vec("[a-cA-C09_-]{7}|[a-f0-9]{3}-[a-f0-9]{3}|-[a-c]{2}-[a-c]{3}", 1..10),
        ) {
            let mut together = FilterBuilder::of_one_length(|| texts.iter().map(String::as_bytes), texts.len());
            let all_have = |words: usize| texts.iter().all(|text| tokens(text).count() == words);
            let words = (2..=WORDS_MAX).find(|words| all_have(*words)).unwrap_or(1);
            let mut alone = FilterBuilder::with_room(0, words);
            texts.iter().for_each(|text| alone.add(text));
            together.leave_one_of_each();
            alone.leave_one_of_each();
            prop_assert_eq!((together.words, together.keys), (words, alone.keys));
        }
    }

    #[test]
    fn different_keys_are_counted_well_enough() {
        for (count, many) in [(0u64, 1u64), (1, 1), (2, 9), (100, 3), (5000, 2), (60_000, 1)] {
            let keys: Vec<u64> = (0..count * many).map(|n| KeyHash::of(&(n % count).to_le_bytes())).collect();
            let found = different(&keys);
            assert!(found.abs_diff(count) <= count / 50 && (count == 0 || found > 0), "{found} of {count}");
        }
    }

    #[test]
    fn ids_with_dashes_are_one_key() {
        let texts: Vec<String> = (0..1000).map(|n| format!("{n:08x}-ABCD-{n:04x}")).collect();
        let builder = FilterBuilder::of_one_length(|| texts.iter().map(String::as_bytes), texts.len());
        let (filter, file) = filter(&[], builder);
        assert_eq!(filter.words, 3);
        assert_eq!(filter.may_have(&phrase("000003e7-abcd-03e7", false), &file), Ok(true));
        assert_eq!(filter.may_have(&phrase("000003e7-abcd", false), &file), Ok(true));
        let absent =
            (0..1000).filter(|n| filter.may_have(&phrase(&format!("{n:08x}-abcd-ffff"), false), &file) == Ok(true));
        assert!(absent.count() < 60);
    }

    /// The lower case of `İ` is two characters, the second of which is part of no word.
    #[test]
    fn a_word_whose_lower_case_falls_apart_is_asked_for_as_it_is() {
        let texts: Vec<String> = (0..1000).map(|n| format!("İé{n}")).collect();
        let (filter, file) = filter(&texts, FilterBuilder::of_words());
        for n in 0..1000 {
            let lower = crate::query::fold(&format!("İé{n}"));
            assert_eq!(filter.may_have(&Phrase::of_word(&lower).expect("a word"), &file), Ok(true));
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let texts = vec!["hello world".to_owned(), "again".to_owned()];
        let (filter, mut file) = filter(&texts, FilterBuilder::of_words());
        file.0[3] ^= 1;
        assert!(filter.may_have(&phrase("hello", false), &file).is_err());
    }
}
