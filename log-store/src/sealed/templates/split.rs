//! Cutting a text into its fixed parts and its variables.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::query::tokens;

/// Longest text that is cut; positions in it have 16 bits.
pub(crate) const TEXT_MAX: usize = 32 << 10;
/// Most variables of a text.
pub(crate) const SLOTS_MAX: usize = 200;
/// Texts that are looked at to learn which words are frequent.
const SAMPLE: usize = 4096;
/// A word that comes less often in the sample is a variable.
const FREQUENT: u32 = 3;

/// What an ASCII byte is to a token.
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0u8;
    while byte < 128 {
        if byte.is_ascii_digit() {
            table[byte as usize] = PART | DIGIT;
        } else if byte.is_ascii_alphabetic() || byte == b'_' {
            table[byte as usize] = PART;
        }
        byte += 1;
    }
    table
};
const PART: u8 = 1;
const DIGIT: u8 = 2;

/// Hashes of words, to be looked up as often as there are words: a table of mostly free places.
#[derive(Debug)]
pub(crate) struct Frequent {
    /// A power of two of them; 0 is a free one.
    places: Vec<u64>,
}

impl Frequent {
    fn of(hashes: &[u64]) -> Frequent {
        let mut places = vec![0; (hashes.len() * 4).next_power_of_two()];
        let mask = places.len() - 1;
        for hash in hashes.iter().map(|hash| (*hash).max(1)) {
            let mut at = hash as usize & mask;
            while places[at] != 0 && places[at] != hash {
                at = (at + 1) & mask;
            }
            places[at] = hash;
        }
        Frequent { places }
    }

    #[inline]
    fn has(&self, hash: u64) -> bool {
        let (hash, mask) = (hash.max(1), self.places.len() - 1);
        let mut at = hash as usize & mask;
        while self.places[at] != 0 {
            if self.places[at] == hash {
                return true;
            }
            at = (at + 1) & mask;
        }
        false
    }
}

/// Which tokens are variables.
#[derive(Debug)]
pub(crate) enum Variables {
    /// Those with a digit, and those that are not among the frequent ones (by hash).
    Seldom(Frequent),
    /// All.
    All,
}

impl Variables {
    /// Learns from some of the texts which words are frequent.
    pub fn seldom<'t>(count: usize, text: impl Fn(usize) -> &'t [u8]) -> Variables {
        let mut counts: HashMap<u64, u32, FixedState> = HashMap::default();
        for index in (0..count).step_by(count.div_ceil(SAMPLE).max(1)) {
            let text = text(index);
            each_token(text.get(..TEXT_MAX).unwrap_or(text), |start, end, has_digit| {
                if !has_digit {
                    *counts.entry(word_hash(&text[start..end])).or_default() += 1;
                }
            });
        }
        let frequent = counts.into_iter().filter(|(_, count)| *count >= FREQUENT).map(|(hash, _)| hash);
        Variables::Seldom(Frequent::of(&frequent.collect::<Vec<u64>>()))
    }

    fn has(&self, word: &[u8], has_digit: bool) -> bool {
        match self {
            Variables::All => true,
            Variables::Seldom(frequent) => has_digit || !frequent.has(word_hash(word)),
        }
    }
}

/// A text, cut.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    /// The fixed parts without the variables.
    pub fixed: Vec<u8>,
    /// Where in `fixed` each variable stood.
    pub cuts: Vec<u16>,
    /// Where each variable is in the text.
    pub spans: Vec<(u16, u16)>,
}

impl Cut {
    /// Cuts a text; false if it is too long, has too many variables, or is not UTF-8.
    pub fn cut(&mut self, text: &[u8], variables: &Variables) -> bool {
        self.fixed.clear();
        self.cuts.clear();
        self.spans.clear();
        if text.len() > TEXT_MAX {
            return false;
        }
        let mut piece = 0;
        let is_text = each_token(text, |start, end, has_digit| {
            if variables.has(&text[start..end], has_digit) {
                self.fixed.extend_from_slice(&text[piece..start]);
                self.cuts.push(self.fixed.len() as u16);
                self.spans.push((start as u16, end as u16));
                piece = end;
            }
        });
        self.fixed.extend_from_slice(&text[piece..]);
        is_text && self.cuts.len() <= SLOTS_MAX
    }
}

/// Visits every token: where it starts and ends, and whether it has an ASCII digit. False if the text is not UTF-8.
fn each_token(text: &[u8], mut visit: impl FnMut(usize, usize, bool)) -> bool {
    if !text.is_ascii() {
        let Ok(text) = std::str::from_utf8(text) else { return false };
        for token in tokens(text) {
            visit(token.start, token.start + token.text.len(), token.text.bytes().any(|byte| byte.is_ascii_digit()));
        }
        return true;
    }
    let mut at = 0;
    while at < text.len() {
        let mut classes = CLASS[usize::from(text[at])];
        if classes == 0 {
            at += 1;
            continue;
        }
        let start = at;
        at += 1;
        while let Some(byte) = text.get(at) {
            let class = CLASS[usize::from(*byte)];
            if class == 0 {
                break;
            }
            classes |= class;
            at += 1;
        }
        visit(start, at, classes & DIGIT != 0);
    }
    true
}

/// A quick hash of a word, by its ends; it decides only what is taken for a variable.
fn word_hash(word: &[u8]) -> u64 {
    let four = |at: usize| word.get(at..at + 4).map_or(0, |w| u64::from(u32::from_le_bytes([w[0], w[1], w[2], w[3]])));
    let length = word.len();
    let (low, high) = match length {
        8.. => (four(0) | four(4) << 32, four(length - 8) | four(length - 4) << 32),
        4.. => (four(0), four(length - 4)),
        1.. => (u64::from(word[0]) | u64::from(word[length / 2]) << 8 | u64::from(word[length - 1]) << 16, 0),
        0 => (0, 0),
    };
    let product = u128::from(low ^ 0x9e37_79b9_7f4a_7c15) * u128::from(high ^ 0xd1b5_4a32_d192_ed03 ^ length as u64);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn variables_are_whole_tokens_and_the_text_comes_together_again(
            text in "\\PC{0,30}|[a-c1-3 ._/-]{0,40}|[é語a1 -]{0,12}",
            all in any::<bool>(),
        ) {
            let texts = [text.as_bytes(), b"a b c", b"a b c", b"a b c"];
            let variables = if all { Variables::All } else { Variables::seldom(4, |index| texts[index]) };
            let mut cut = Cut::default();
            prop_assert!(cut.cut(text.as_bytes(), &variables));
            let (mut back, mut from) = (Vec::new(), 0);
            let all_tokens: Vec<(usize, usize)> = tokens(&text).map(|t| (t.start, t.start + t.text.len())).collect();
            for (at, (start, end)) in cut.cuts.iter().zip(&cut.spans) {
                back.extend_from_slice(&cut.fixed[from..usize::from(*at)]);
                back.extend_from_slice(&text.as_bytes()[usize::from(*start)..usize::from(*end)]);
                prop_assert!(all_tokens.contains(&(usize::from(*start), usize::from(*end))));
                from = usize::from(*at);
            }
            back.extend_from_slice(&cut.fixed[from..]);
            prop_assert_eq!(back, text.as_bytes());
        }
    }

    #[test]
    fn what_has_digits_or_is_seldom_is_a_variable() {
        let texts: Vec<String> = (0..50).map(|n| format!("user u{n} of {} left", ["x", "y"][n % 2])).collect();
        let variables = Variables::seldom(texts.len(), |index| texts[index].as_bytes());
        let mut cut = Cut::default();
        assert!(cut.cut(b"user u7 of nobody left", &variables));
        assert_eq!((cut.fixed.as_slice(), cut.spans.as_slice()), (&b"user  of  left"[..], &[(5, 7), (11, 17)][..]));
        assert!(!cut.cut(&[0xff, b'a'], &variables));
        assert!(!cut.cut(&vec![b'x'; TEXT_MAX + 1], &variables));
    }
}
