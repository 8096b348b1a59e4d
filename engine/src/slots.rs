//! A set of slots, or of pairs, while it is put together: a bit each, as many of them come in no order.

use roaring::RoaringBitmap;

use crate::postings::Postings;

/// Slots below a known end.
pub(crate) struct SlotSet {
    bytes: Vec<u8>,
}

impl SlotSet {
    /// Nothing yet of the slots below `end`.
    pub(crate) fn new(end: u32) -> SlotSet {
        SlotSet { bytes: vec![0; (end as usize).div_ceil(8)] }
    }

    /// Adds a slot.
    pub(crate) fn insert(&mut self, slot: u32) {
        if let Some(byte) = self.bytes.get_mut(slot as usize / 8) {
            *byte |= 1 << (slot % 8);
        }
    }

    /// Whether a slot is in it.
    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.bytes.get(slot as usize / 8).is_some_and(|byte| byte >> (slot % 8) & 1 == 1)
    }

    /// Adds the series of a pair.
    pub(crate) fn add(&mut self, postings: &Postings) {
        postings.each(|slot| self.insert(slot));
    }

    /// As a bitmap.
    pub(crate) fn into_bitmap(self) -> RoaringBitmap {
        RoaringBitmap::from_lsb0_bytes(0, &self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_put_in() {
        let mut set = SlotSet::new(70_001);
        let slots = [0u32, 7, 8, 300, 65_535, 65_536, 70_000];
        slots.iter().for_each(|slot| set.insert(*slot));
        let mut few = Postings::new();
        few.insert(9);
        few.insert(4000);
        set.add(&few);
        let mut wanted: Vec<u32> = slots.into_iter().chain([9, 4000]).collect();
        wanted.sort_unstable();
        assert!(wanted.iter().all(|slot| set.contains(*slot)) && !set.contains(10) && !set.contains(80_000));
        assert_eq!(set.into_bitmap().iter().collect::<Vec<_>>(), wanted);
        assert!(SlotSet::new(0).into_bitmap().is_empty());
    }
}
