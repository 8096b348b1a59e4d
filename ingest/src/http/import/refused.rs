//! Where in an imported file the lines stand that were refused: another day they may be taken.
//!
//! ```text
//! places = unplaced u64 | (gap varint | length varint | records varint | skipping u8)*
//! ```
//! The gap is from the end of the stretch before; `varint` is LEB128.

use watchfire_protobuf::{put_varint, varint};

use crate::sources::skipping::Skipping;

/// Bytes that the stretches of one file may take.
const BYTES_MAX: usize = 6 << 10;

/// A part of a file of which all records were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) from: u64,
    /// Behind it.
    pub(super) to: u64,
    /// How many records.
    pub(super) records: u64,
    /// What is passed over at its begin.
    pub(super) skipping: Skipping,
}

/// All of them of a file, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    /// Records whose places are not kept: they lie among lines of a record that was stored, or there are too many.
    pub(super) unplaced: u64,
    stretches: Vec<Stretch>,
    /// What the stretches take, bytes.
    bytes: usize,
}

impl Refused {
    /// The whole of a file up to a position, or records of which no more is known.
    pub(super) fn of_all(records: u64, position: u64) -> Refused {
        let mut all = Refused::default();
        all.add(Stretch { from: 0, to: position, records, skipping: Skipping::default() });
        all
    }

    /// Records of which no places are known.
    pub(super) fn of_unplaced(unplaced: u64) -> Refused {
        Refused { unplaced, ..Refused::default() }
    }

    pub(super) fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// How many records may be tried again.
    pub(super) fn records(&self) -> u64 {
        self.stretches.iter().fold(0, |sum, stretch| sum.saturating_add(stretch.records))
    }

    /// Adds a stretch behind all others.
    pub(super) fn add(&mut self, stretch: Stretch) {
        let before = self.end();
        match self.stretches.last() {
            Some(last) if last.to == stretch.from && stretch.skipping == Skipping::default() => {
                self.lengthen(stretch.to, stretch.records);
            }
            _ if self.bytes + bytes_of(before, &stretch) > BYTES_MAX => {
                self.unplaced = self.unplaced.saturating_add(stretch.records);
            }
            _ => self.push(stretch),
        }
    }

    fn push(&mut self, stretch: Stretch) {
        self.bytes += bytes_of(self.end(), &stretch);
        self.stretches.push(stretch);
    }

    /// What follows the last stretch belongs to it.
    pub(super) fn extend(&mut self, from: u64, to: u64) {
        if self.stretches.last().is_some_and(|last| last.to == from) {
            self.lengthen(to, 0);
        }
    }

    /// Lets the last stretch reach further.
    fn lengthen(&mut self, to: u64, records: u64) {
        let Some(last) = self.stretches.pop() else { return };
        self.bytes -= bytes_of(self.end(), &last);
        self.push(Stretch { to, records: last.records.saturating_add(records), ..last });
    }

    /// The stretch that begins at a position, with what is before and behind it.
    pub(super) fn split(&self, position: u64) -> Option<(Refused, Stretch, &[Stretch])> {
        let at = self.stretches.binary_search_by_key(&position, |stretch| stretch.from).ok()?;
        let (before, rest) = self.stretches.split_at_checked(at)?;
        let (stretch, behind) = rest.split_first()?;
        let mut first = Refused::of_unplaced(self.unplaced);
        before.iter().for_each(|stretch| first.push(*stretch));
        Some((first, *stretch, behind))
    }

    /// With these behind, which were there before.
    pub(super) fn with(mut self, behind: &[Stretch]) -> Refused {
        behind.iter().for_each(|stretch| self.push(*stretch));
        self
    }

    fn end(&self) -> u64 {
        self.stretches.last().map_or(0, |last| last.to)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.unplaced.to_le_bytes());
        let mut before = 0;
        for stretch in &self.stretches {
            numbers(before, stretch).into_iter().for_each(|number| put_varint(out, number));
            out.push(stretch.skipping.flags());
            before = stretch.to;
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Refused> {
        let (unplaced, mut rest) = bytes.split_first_chunk()?;
        let mut refused = Refused::of_unplaced(u64::from_le_bytes(*unplaced));
        while !rest.is_empty() {
            let mut number = || {
                let (number, behind) = varint(rest).ok()?;
                rest = behind;
                Some(number)
            };
            let from = refused.end().checked_add(number()?)?;
            let to = from.checked_add(number()?)?;
            let records = number()?;
            let (flags, behind) = rest.split_first()?;
            rest = behind;
            refused.push(Stretch { from, to, records, skipping: Skipping::of_flags(*flags) });
        }
        Some(refused)
    }
}

/// What says where a stretch lies behind a position.
fn numbers(before: u64, stretch: &Stretch) -> [u64; 3] {
    let Stretch { from, to, records, .. } = *stretch;
    [from.saturating_sub(before), to.saturating_sub(from), records]
}

/// How many bytes a stretch takes behind a position.
fn bytes_of(before: u64, stretch: &Stretch) -> usize {
    let of_number = |number: u64| (u64::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize;
    numbers(before, stretch).into_iter().map(of_number).sum::<usize>() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(from: u64, to: u64) -> Stretch {
        Stretch { from, to, records: 1, skipping: Skipping::default() }
    }

    fn come_back(refused: &Refused) {
        let mut bytes = Vec::new();
        refused.encode(&mut bytes);
        assert_eq!(Refused::decode(&bytes).as_ref(), Some(refused));
        assert_eq!(bytes.len(), size_of::<u64>() + refused.bytes);
        assert!(refused.bytes <= BYTES_MAX + 64, "{}", refused.bytes);
    }

    #[test]
    fn stretches_that_touch_are_one_and_too_many_are_counted() {
        let mut refused = Refused::default();
        refused.add(stretch(0, 10));
        refused.add(stretch(10, 300));
        refused.extend(300, 310);
        refused.extend(400, 410);
        refused.add(Stretch { skipping: Skipping::of_flags(32), ..stretch(310, 320) });
        assert_eq!(refused.stretches().len(), 2);
        assert_eq!(refused.stretches().first(), Some(&Stretch { records: 2, ..stretch(0, 310) }));
        come_back(&refused);
        for number in 1..10_000 {
            refused.add(stretch(number * 1_000_000_000, number * 1_000_000_000 + 300));
        }
        assert_eq!(refused.records() + refused.unplaced, 3 + 9_999);
        assert!(refused.unplaced > 0 && refused.records() > 500, "{}", refused.records());
        come_back(&refused);
        assert_eq!(Refused::decode(b""), None);
        assert_eq!(Refused::decode(&[0xff; 30]), None);
    }

    #[test]
    fn what_is_before_and_behind_a_stretch_stays() {
        let mut refused = Refused::of_unplaced(7);
        [(0, 10), (20, 30), (40, 50)].into_iter().for_each(|(from, to)| refused.add(stretch(from, to)));
        assert!(refused.split(25).is_none());
        let (mut before, found, behind) = refused.split(20).expect("one begins there");
        assert_eq!(found, stretch(20, 30));
        before.add(stretch(22, 24));
        let rest = before.with(behind);
        assert_eq!(rest.stretches(), [stretch(0, 10), stretch(22, 24), stretch(40, 50)]);
        assert_eq!(rest.unplaced, 7);
        come_back(&rest);
    }
}
