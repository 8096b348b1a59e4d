//! Words in a row, met by templates.
//!
//! Every variable is a whole token, so a phrase stands in a text if, from some token of the template on, each fixed
//! token is the word wanted and each variable's value is.

use std::collections::HashMap;
use std::rc::Rc;

use super::{Search, Verdict};
use crate::query::{Phrase, folded_eq, folded_starts_with};
use crate::sealed::templates::set::{Item, Template};
use crate::sealed::templates::slot::{Slot, VARIES};
use crate::sealed::templates::values::SlotValues;
use crate::values::Bits;

/// A word of a phrase, and what of the block it may be.
struct Word<'p> {
    text: &'p str,
    /// A value that only starts with it will do.
    is_prefix: bool,
    /// By word of the templates' vocabulary.
    vocabulary: Vec<bool>,
    /// By word of the dictionary.
    dictionary: Vec<bool>,
    has_dictionary: bool,
    /// The number that it spells, if that is how numbers are written, or all of its characters are digits.
    is_digits: bool,
    /// The block's filter does not rule it out.
    may_be_in_filter: bool,
}

impl Word<'_> {
    fn is(&self, value: &str) -> bool {
        if self.is_prefix { folded_starts_with(value, self.text) } else { folded_eq(value, self.text) }
    }

    fn is_bytes(&self, value: &[u8]) -> bool {
        if value.is_ascii() && self.text.is_ascii() {
            let start = if self.is_prefix { value.get(..self.text.len()) } else { Some(value) };
            return start.is_some_and(|value| value.eq_ignore_ascii_case(self.text.as_bytes()));
        }
        std::str::from_utf8(value).is_ok_and(|value| self.is(value))
    }

    /// Whether a value of a slot may be the word; values are not looked at.
    fn may_be(&self, slot: &Slot) -> bool {
        if !self.may_be_in_filter && slot.is_in_filter() {
            return false;
        }
        match slot {
            Slot::Numbers { digits, min, max, .. } | Slot::Steps { digits, min, max, .. } => {
                self.is_digits && (self.is_prefix || self.number(*digits).is_some_and(|n| (*min..=*max).contains(&n)))
            }
            Slot::Chars { fixed, alphabet, .. } => {
                let text = self.text.as_bytes();
                let fits = if self.is_prefix { text.len() <= fixed.len() } else { text.len() == fixed.len() };
                fits && fixed.iter().zip(text).all(|(fixed, wanted)| match *fixed {
                    VARIES => alphabet.may_have(&[*wanted], true),
                    fixed => fixed.to_ascii_lowercase() == *wanted,
                })
            }
            Slot::Words { list: None, .. } => self.has_dictionary,
            Slot::Words { list: Some(list), .. } => {
                self.has_dictionary && list.iter().any(|id| self.dictionary.get(*id as usize) == Some(&true))
            }
            Slot::Texts { .. } => true,
        }
    }

    /// The number that the word is among numbers filled up to so many digits.
    fn number(&self, digits: u8) -> Option<u64> {
        let is_written = match digits {
            0 => self.text.len() == 1 || !self.text.starts_with('0'),
            digits => self.text.len() == usize::from(digits),
        };
        self.text.parse().ok().filter(|_| is_written && self.is_digits)
    }

    /// The values of a slot that are the word.
    fn find(&self, values: &SlotValues<'_>) -> Bits {
        let mut found = Bits::none(values.count);
        let wanted_number = match values.slot {
            Slot::Numbers { digits, .. } | Slot::Steps { digits, .. } if !self.is_prefix => self.number(*digits),
            _ => None,
        };
        match values.slot {
            Slot::Numbers { .. } | Slot::Steps { .. } if !self.is_prefix => {
                let is_it = |index: &usize| Some(values.number(*index)) == wanted_number;
                (0..values.count).filter(is_it).for_each(|index| found.set(index));
            }
            Slot::Words { .. } => {
                let is_it = |index: &usize| self.dictionary.get(values.number(*index) as usize) == Some(&true);
                (0..values.count).filter(is_it).for_each(|index| found.set(index));
            }
            Slot::Chars { .. } if !self.is_prefix => {
                values.find_chars(self.text.as_bytes(), |index| found.set(index));
            }
            Slot::Numbers { .. } | Slot::Steps { .. } | Slot::Chars { .. } | Slot::Texts { .. } => {
                let mut value = Vec::new();
                for index in 0..values.count {
                    value.clear();
                    if values.put(index, &mut value) && self.is_bytes(&value) {
                        found.set(index);
                    }
                }
            }
        }
        found
    }
}

/// Values that are a word, by slot and number of the word.
type Found = HashMap<(u32, usize), Rc<Bits>>;

impl Search<'_> {
    /// What each template says to a phrase.
    pub(super) fn by_words(&self, phrase: &Phrase) -> Result<Vec<Verdict>, String> {
        let words = self.words_of(phrase)?;
        let mut found = Found::new();
        let templates = self.reader.set.templates.iter();
        templates.map(|template| self.meet(template, &words, &mut found)).collect()
    }

    fn words_of<'p>(&self, phrase: &'p Phrase) -> Result<Vec<Word<'p>>, String> {
        let set = &self.reader.set;
        let last = phrase.words().len() - 1;
        let words = phrase.words().iter().enumerate().map(|(number, text)| {
            let is_prefix = phrase.is_prefix() && number == last;
            let mut word = Word {
                text,
                is_prefix,
                vocabulary: Vec::new(),
                dictionary: Vec::new(),
                has_dictionary: false,
                is_digits: text.bytes().all(|byte| byte.is_ascii_digit()),
                may_be_in_filter: true,
            };
            let is_fixed = |fixed: &str| if is_prefix { fixed.starts_with(&**text) } else { fixed == &**text };
            word.vocabulary = set.vocabulary.iter().map(|fixed| is_fixed(fixed)).collect();
            word.dictionary =
                (0..set.words()).map(|id| set.word(id as u64).is_some_and(|have| word.is_bytes(have))).collect();
            word.has_dictionary = word.dictionary.contains(&true);
            if !is_prefix && let Some(alone) = Phrase::of_word(text) {
                word.may_be_in_filter = self.may_have(&alone)?;
            }
            Ok(word)
        });
        words.collect()
    }

    fn meet(&self, template: &Template, words: &[Word<'_>], found: &mut Found) -> Result<Verdict, String> {
        if template.is_plain {
            let may = words.iter().all(|word| word.may_be_in_filter);
            return Ok(if may { Verdict::Perhaps } else { Verdict::Never });
        }
        let set = &self.reader.set;
        let mut ways: Vec<Vec<(u32, usize)>> = Vec::new();
        for items in set.items(template).windows(words.len()) {
            let mut way = Vec::new();
            let is_met = items.iter().zip(words).enumerate().all(|(number, (item, word))| match item {
                Item::Word(id) => word.vocabulary.get(*id as usize) == Some(&true),
                Item::Slot(slot) => {
                    way.push((*slot, number));
                    set.slots.get(*slot as usize).is_some_and(|slot| word.may_be(slot))
                }
            });
            if is_met && way.is_empty() {
                return Ok(Verdict::Always);
            }
            if is_met {
                ways.push(way);
            }
        }
        let rows = template.rows as usize;
        let mut all = Bits::none(rows);
        for way in ways {
            let mut of_way = Bits::all(rows);
            for (slot, number) in way {
                let have = match found.get(&(slot, number)) {
                    Some(have) => Rc::clone(have),
                    None => {
                        let values = self.reader.values(slot, template.rows)?;
                        let have = Rc::new(words[number].find(&values));
                        found.insert((slot, number), Rc::clone(&have));
                        have
                    }
                };
                of_way.and(&have);
                if of_way.is_empty() {
                    break;
                }
            }
            all.or(&of_way);
        }
        Ok(if all.is_empty() { Verdict::Never } else { Verdict::Some(all) })
    }
}
