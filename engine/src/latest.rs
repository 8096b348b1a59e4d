//! New series are entered one beside the other: one has mostly the same names as that before it, and some of the same values.
//!
//! What begins as a label of the one before, byte by byte, is that label: its pair need not be looked for.

use std::iter::Peekable;

use crate::bytes::{Cursor, Damaged};
use crate::pairs::Pairs;

/// The labels of the series of a shard that came last, if it is still there.
#[derive(Default)]
pub(crate) struct Latest {
    slot: Option<u32>,
    key: Vec<u8>,
    /// Its pairs, and where each ends in the key.
    pairs: Vec<u32>,
    ends: Vec<usize>,
    /// Room for those of the next one.
    next: (Vec<u32>, Vec<usize>),
}

impl Latest {
    /// Enters the pairs of the series that comes next, all of them or none, and says how much memory that took; it is the latest
    /// one then.
    pub(crate) fn become_next(&mut self, pairs: &mut Pairs, slot: u32, key: &[u8]) -> Result<usize, Damaged> {
        let (mut next_pairs, mut next_ends) = std::mem::take(&mut self.next);
        next_pairs.clear();
        next_ends.clear();
        let mut like = self.labels().peekable();
        let (mut at, mut bytes) = (0, 0);
        while let Some(rest) = key.get(at..).filter(|rest| !rest.is_empty()) {
            let same = like.next_if(|(label, _)| rest.starts_with(label));
            let joined = same.and_then(|(label, pair)| Some((label.len(), pair, pairs.join(pair, slot)?)));
            match joined.map_or_else(|| enter_label(rest, &mut like, pairs, slot), Ok) {
                Ok((length, pair, more)) => {
                    (at, bytes) = (at + length, bytes + more);
                    next_pairs.push(pair);
                    next_ends.push(at);
                }
                Err(what) => {
                    next_pairs.iter().for_each(|pair| {
                        pairs.remove(*pair, slot);
                    });
                    return Err(what);
                }
            }
        }
        drop(like);
        self.key.clear();
        self.key.extend_from_slice(key);
        self.slot = Some(slot);
        self.next = (std::mem::replace(&mut self.pairs, next_pairs), std::mem::replace(&mut self.ends, next_ends));
        Ok(bytes)
    }

    /// Its pairs, in the order of names.
    pub(crate) fn pairs(&self) -> &[u32] {
        &self.pairs
    }

    /// The series of a slot is gone.
    pub(crate) fn forget(&mut self, slot: u32) {
        if self.slot == Some(slot) {
            *self = Latest::default();
        }
    }

    /// The bytes of each of its labels in the key, with its pair.
    fn labels(&self) -> impl Iterator<Item = (&[u8], u32)> {
        let mut start = 0;
        self.ends.iter().zip(&self.pairs).map(move |(end, pair)| {
            let label = self.key.get(start..*end).unwrap_or_default();
            start = *end;
            (label, *pair)
        })
    }
}

/// Enters a series under the label with which some bytes begin. Gives the label's length there, its pair, and how much memory that
/// took. `like`: labels of another series, and their pairs.
fn enter_label<'l>(
    bytes: &[u8],
    like: &mut Peekable<impl Iterator<Item = (&'l [u8], u32)>>,
    pairs: &mut Pairs,
    slot: u32,
) -> Result<(usize, u32, usize), Damaged> {
    let mut cursor = Cursor::new(bytes);
    let (name, value) = (cursor.bytes()?, cursor.bytes()?);
    let name_of = |label: &'l [u8]| Cursor::new(label).bytes().unwrap_or_default();
    // Both are in the order of names.
    while like.next_if(|(label, _)| name_of(label) < name).is_some() {}
    let of_name = like.next_if(|(label, _)| name_of(label) == name).map(|(_, pair)| pair);
    let (pair, more) = pairs.insert(name, value, slot, of_name)?;
    Ok((bytes.len() - cursor.rest().len(), pair, more))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key;

    fn key_of(labels: &[(&str, &str)]) -> Vec<u8> {
        let mut key = Vec::new();
        key::write_pairs(&mut labels.to_vec(), &mut key).expect("a label set");
        key
    }

    #[test]
    fn each_series_gets_its_own_pairs_whatever_came_before() {
        let sets: [&[(&str, &str)]; 8] = [
            &[("b", "1"), ("c", "2"), ("e", "3")],
            &[("b", "1"), ("c", "9"), ("e", "3")],
            &[("c", "9"), ("e", "3")],
            &[("a", "0"), ("b", "1"), ("c", "9"), ("d", "3"), ("e", "3")],
            &[("a", "0"), ("e", "33")],
            &[],
            &[("e", "3")],
            &[("e", "3"), ("f", "3")],
        ];
        let (mut latest, mut pairs) = (Latest::default(), Pairs::default());
        for (slot, set) in (0u32..).zip(sets) {
            latest.become_next(&mut pairs, slot, &key_of(set)).expect("enters");
            let texts = latest.pairs().iter().filter_map(|pair| pairs.texts(*pair));
            let wanted = set.iter().map(|(name, value)| (*name, value.as_bytes()));
            assert!(texts.map(|(name, value)| (&**name, value)).eq(wanted), "{set:?}");
            let has = |pair: &u32| pairs.postings(*pair).is_some_and(|all| all.to_bitmap().contains(slot));
            assert!(latest.pairs().iter().all(has), "{set:?}");
        }
        latest.forget(3);
        assert_eq!(latest.pairs().len(), 2);
        latest.forget(7);
        assert_eq!(latest.pairs(), []);
    }

    #[test]
    fn of_a_series_that_cannot_be_entered_nothing_stays() {
        let (mut latest, mut pairs) = (Latest::default(), Pairs::default());
        let mut key = key_of(&[("a", "1"), ("b", "2")]);
        key.pop();
        assert!(latest.become_next(&mut pairs, 0, &key).is_err());
        assert_eq!((pairs.len(), latest.pairs()), (0, &[][..]));
    }
}
