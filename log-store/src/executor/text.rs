//! Looking for words and expressions in many texts that lie one after the other.

use memchr::memmem;
use regex_syntax::hir::{Hir, HirKind};

use super::leaf::{ColumnTest, Kind};
use crate::query::{Pattern, Phrase, is_token_byte};
use crate::values::{Bits, Raw};

/// Below this share of candidates among the texts, each is looked at by itself.
const SINGLE_SHARE: usize = 8;

/// A bytes string without which no text passes a test; found by one pass over all texts.
#[derive(Debug)]
pub(crate) struct Needle {
    finder: memmem::Finder<'static>,
    /// Look in a lower-cased copy.
    folded: bool,
    /// It is the whole test: a word that stands by itself, or (if `Some(true)`) one that may go on.
    is_prefix: Option<bool>,
}

impl Needle {
    /// The needle of a test, if it has one.
    pub fn of(test: &ColumnTest<'_, '_>) -> Option<Needle> {
        match test.kind {
            Kind::Words(phrase) | Kind::Phrase(phrase) => Needle::of_phrase(phrase),
            Kind::Regex(pattern) | Kind::FieldRegex(pattern) => {
                Some(Needle { finder: required_literal_of(pattern)?, folded: false, is_prefix: None })
            }
            _ => None,
        }
    }

    /// The longest word; a text without other than ASCII characters has it in lower case if it has the phrase.
    fn of_phrase(phrase: &Phrase) -> Option<Needle> {
        let word = phrase.words().iter().max_by_key(|word| word.len())?;
        let is_prefix = (phrase.words().len() == 1 && word.is_ascii()).then(|| phrase.is_prefix());
        Some(Needle { finder: memmem::Finder::new(word.as_bytes()).into_owned(), folded: true, is_prefix })
    }
}

impl Needle {
    /// What every text that passes has in it.
    pub fn bytes(&self) -> &[u8] {
        self.finder.needle()
    }

    /// Whether the bytes are in lower case, and the text's case does not matter.
    pub fn is_folded(&self) -> bool {
        self.folded
    }

    /// Whether the needle at `hit` stands as a word in the ASCII text at `range`.
    fn is_word_at(&self, haystack: &[u8], range: &std::ops::Range<usize>, hit: usize, is_prefix: bool) -> bool {
        let is_in_word = |at: usize| range.contains(&at) && haystack.get(at).is_some_and(|byte| is_token_byte(*byte));
        let end = hit + self.finder.needle().len();
        hit.checked_sub(1).is_none_or(|before| !is_in_word(before)) && (is_prefix || !is_in_word(end))
    }
}

/// The longest literal that every text has in it in which an expression is found.
pub(crate) fn required_literal_of(pattern: &Pattern) -> Option<memmem::Finder<'static>> {
    let hir = regex_syntax::parse(pattern.source()).ok()?;
    required_literal(&hir).map(|literal| memmem::Finder::new(&literal).into_owned())
}

/// The longest literal that every match of an expression has in it.
fn required_literal(hir: &Hir) -> Option<Vec<u8>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.to_vec()),
        HirKind::Capture(capture) => required_literal(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required_literal(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(required_literal).max_by_key(Vec::len),
        HirKind::Repetition(_) | HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Alternation(_) => {
            None
        }
    }
    .filter(|literal| !literal.is_empty())
}

/// Texts one after the other: `ends[i]` is where text `i` ends in `bytes`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextRun<'a> {
    pub bytes: &'a [u8],
    pub ends: &'a [u32],
}

impl<'a> TextRun<'a> {
    fn range(&self, index: usize) -> std::ops::Range<usize> {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        start as usize..self.ends.get(index).copied().unwrap_or(start) as usize
    }

    fn get(&self, index: usize) -> &'a [u8] {
        self.bytes.get(self.range(index)).unwrap_or_default()
    }
}

/// Sets `first + i` for each text `i` that passes, among `candidates`.
pub(crate) fn scan_texts(
    texts: TextRun<'_>,
    first: usize,
    test: &ColumnTest<'_, '_>,
    needle: Option<&Needle>,
    candidates: &Bits,
    found: &mut Bits,
) {
    let count = texts.ends.len();
    let wanted = candidates.count_range(first..first + count);
    if wanted == 0 {
        return;
    }
    match needle {
        Some(needle) if wanted * SINGLE_SHARE >= count => {
            scan_by_needle(texts, first, test, needle, candidates, found);
        }
        _ => {
            for index in (0..count).filter(|index| candidates.get(first + index)) {
                if test.matches(Raw::Text(texts.get(index))) {
                    found.set(first + index);
                }
            }
        }
    }
}

fn scan_by_needle(
    texts: TextRun<'_>,
    first: usize,
    test: &ColumnTest<'_, '_>,
    needle: &Needle,
    candidates: &Bits,
    found: &mut Bits,
) {
    let lowered;
    let mut haystack = texts.bytes;
    let mut is_ascii = true;
    if needle.folded {
        lowered = haystack.to_ascii_lowercase();
        haystack = &lowered;
        is_ascii = haystack.is_ascii();
    }
    let mut next = 0;
    let mut at = 0;
    // Where the needle starts, in ascending order; a text is looked at once.
    while let Some(hit) = haystack.get(at..).and_then(|rest| needle.finder.find(rest)) {
        let hit = at + hit;
        next += texts.ends.get(next..).unwrap_or_default().partition_point(|end| *end as usize <= hit);
        let range = texts.range(next);
        // One that reaches over the end of its text is none.
        if hit + needle.finder.needle().len() > range.end {
            at = hit + 1;
            continue;
        }
        if candidates.get(first + next) {
            if let Some(is_prefix) = needle.is_prefix.filter(|_| is_ascii) {
                if !needle.is_word_at(haystack, &range, hit, is_prefix) {
                    at = hit + 1;
                    continue;
                }
                found.set(first + next);
            } else if test.matches(Raw::Text(texts.get(next))) {
                found.set(first + next);
            }
        }
        at = range.end;
        next += 1;
    }
    if !is_ascii {
        // Other characters may become ASCII ones in lower case, and change their length.
        for index in 0..texts.ends.len() {
            let text = texts.get(index);
            if candidates.get(first + index) && !text.is_ascii() && test.matches(Raw::Text(text)) {
                found.set(first + index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::leaf::Leaf;
    use proptest::prelude::*;
    use watchfire_model::record::{Column, Core};

    proptest! {
        #[test]
        fn one_pass_over_all_agrees_with_each_by_itself(
            texts in prop::collection::vec("[abAB K_é-]{0,10}", 0..40),
            phrase in "[abk_é]{1,2}( [ab])?",
            prefix in any::<bool>(),
            pattern in prop::sample::select(vec!["ab", "a+b", "(ab)+a", "a[ab]*K", "^a", "b$", "a|b", "é"]),
            gaps in prop::collection::vec(any::<bool>(), 40),
        ) {
            let mut bytes = Vec::new();
            let ends: Vec<u32> = texts.iter().map(|text| { bytes.extend_from_slice(text.as_bytes()); bytes.len() as u32 }).collect();
            let run = TextRun { bytes: &bytes, ends: &ends };
            let mut candidates = Bits::none(texts.len() + 3);
            (0..texts.len()).filter(|index| gaps[*index]).for_each(|index| candidates.set(3 + index));
            let phrase = Phrase::new(&phrase, prefix);
            let pattern = Pattern::new(pattern).expect("good");
            let leaves = phrase.iter().map(Leaf::Text).chain([Leaf::TextRegex(&pattern)]);
            for leaf in leaves {
                let test = leaf.on(Column::Core(Core::Message)).expect("is searched");
                let expected: Vec<usize> = (0..texts.len())
                    .filter(|index| gaps[*index] && test.matches(Raw::Text(texts[*index].as_bytes())))
                    .map(|index| 3 + index)
                    .collect();
                let mut found = Bits::none(texts.len() + 3);
                scan_texts(run, 3, &test, Needle::of(&test).as_ref(), &candidates, &mut found);
                prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
            }
        }
    }
}
