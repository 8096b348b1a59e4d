//! The values of a variable, read.

use std::rc::Rc;

use super::super::bytes::Texts;
use super::groups::Place;
use super::pack::{packed_at, packed_len};
use super::set::TemplateSet;
use super::slot::{Slot, VARIES, put_number};

/// The values of one slot, in the order of the rows of its template.
pub(crate) struct SlotValues<'s> {
    pub slot: &'s Slot,
    set: &'s TemplateSet,
    pub count: usize,
    /// The section that the packed values lie in, and where.
    section: Rc<Vec<u8>>,
    place: Place,
    bits: u32,
    /// Numbers that are known by their steps.
    summed: Vec<u64>,
    texts: Option<Texts>,
    /// The characters that codes stand for.
    characters: Vec<u8>,
    varying: usize,
}

impl<'s> SlotValues<'s> {
    /// Takes the values out of their section.
    pub fn read(
        slot: &'s Slot,
        set: &'s TemplateSet,
        count: usize,
        section: impl FnOnce(u32) -> Result<Rc<Vec<u8>>, String>,
    ) -> Result<SlotValues<'s>, String> {
        let (place, bits) = match slot {
            Slot::Numbers { packed, .. }
            | Slot::Steps { packed, .. }
            | Slot::Chars { packed, .. }
            | Slot::Words { packed, .. } => (packed.place, u32::from(packed.bits)),
            Slot::Texts { place } => (*place, 0),
        };
        let section = if place.length == 0 { Rc::default() } else { section(place.group)? };
        let run = place.of(&section).ok_or("values beyond their section")?;
        let mut values = SlotValues {
            slot,
            set,
            count,
            section: Rc::clone(&section),
            place,
            bits,
            summed: Vec::new(),
            texts: None,
            characters: Vec::new(),
            varying: 1,
        };
        match slot {
            Slot::Texts { .. } => {
                values.texts = Some(Texts::read(run.to_vec(), count).map_err(|error| error.to_string())?);
                return Ok(values);
            }
            Slot::Chars { fixed, alphabet, .. } => {
                values.characters = (0..128u8).filter(|byte| alphabet.0 >> byte & 1 == 1).collect();
                values.varying = fixed.iter().filter(|byte| **byte == VARIES).count();
            }
            Slot::Numbers { .. } | Slot::Steps { .. } | Slot::Words { .. } => {}
        }
        if run.len() != packed_len(bits, count.saturating_mul(values.varying)) {
            return Err("values of another length".to_owned());
        }
        if let Slot::Steps { first, step, .. } = slot {
            let mut value = *first;
            values.summed = (0..count)
                .map(|index| {
                    if index > 0 {
                        value = value.wrapping_add_signed(*step).wrapping_add(packed_at(run, bits, index));
                    }
                    value
                })
                .collect();
        }
        Ok(values)
    }

    fn run(&self) -> &[u8] {
        self.place.of(&self.section).unwrap_or_default()
    }

    /// The value at `index` as a number: what it spells, or the id of its word in the dictionary.
    #[inline]
    pub fn number(&self, index: usize) -> u64 {
        match self.slot {
            Slot::Numbers { min, .. } => min.wrapping_add(packed_at(self.run(), self.bits, index)),
            Slot::Steps { .. } => self.summed.get(index).copied().unwrap_or(0),
            Slot::Words { list, .. } => {
                let id = packed_at(self.run(), self.bits, index);
                match list {
                    None => id,
                    Some(list) => list.get(id as usize).map_or(u64::MAX, |id| u64::from(*id)),
                }
            }
            Slot::Chars { .. } | Slot::Texts { .. } => 0,
        }
    }

    /// Appends the value at `index`; false if it cannot be.
    pub fn put(&self, index: usize, out: &mut Vec<u8>) -> bool {
        match self.slot {
            Slot::Numbers { digits, .. } | Slot::Steps { digits, .. } => put_number(out, self.number(index), *digits),
            Slot::Words { .. } => match self.set.word(self.number(index)) {
                Some(word) => out.extend_from_slice(word),
                None => return false,
            },
            Slot::Texts { .. } => out.extend_from_slice(self.texts.as_ref().map_or(&[], |texts| texts.get(index))),
            Slot::Chars { fixed, .. } => {
                let run = self.run();
                let mut at = index * self.varying;
                for byte in fixed {
                    if *byte != VARIES {
                        out.push(*byte);
                        continue;
                    }
                    match self.characters.get(packed_at(run, self.bits, at) as usize) {
                        Some(byte) => out.push(*byte),
                        None => return false,
                    }
                    at += 1;
                }
            }
        }
        true
    }

    /// Indexes of texts of one length that are `lower` but for their case.
    pub fn find_chars(&self, lower: &[u8], mut visit: impl FnMut(usize)) {
        let Slot::Chars { fixed, .. } = self.slot else { return };
        let is = |byte: u8, wanted: u8| byte.to_ascii_lowercase() == wanted;
        if fixed.len() != lower.len() || fixed.iter().zip(lower).any(|(byte, l)| *byte != VARIES && !is(*byte, *l)) {
            return;
        }
        // By varying place, which codes will do.
        let wanted = fixed.iter().zip(lower).filter(|(byte, _)| **byte == VARIES);
        let wanted: Vec<Vec<bool>> =
            wanted.map(|(_, lower)| self.characters.iter().map(|byte| is(*byte, *lower)).collect()).collect();
        let run = self.run();
        for index in 0..self.count {
            let base = index * self.varying;
            let is_it = |(at, wanted): (usize, &Vec<bool>)| {
                wanted.get(packed_at(run, self.bits, base + at) as usize).copied().unwrap_or(false)
            };
            if wanted.iter().enumerate().all(is_it) {
                visit(index);
            }
        }
    }
}
