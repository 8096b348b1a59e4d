//! Which series carry one label pair.

use roaring::RoaringBitmap;

/// Longest list that is kept as plain numbers.
const FEW: usize = 12;

/// A set of series numbers of one shard. Most pairs of a high-cardinality label have one series.
#[derive(Debug)]
pub(crate) enum Postings {
    One(u32),
    /// Ascending; may be empty.
    Few(Vec<u32>),
    Many(Box<RoaringBitmap>),
}

impl Postings {
    pub(crate) const fn new() -> Postings {
        Postings::Few(Vec::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Postings::Few(numbers) if numbers.is_empty())
    }

    /// How many series.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Postings::One(_) => 1,
            Postings::Few(numbers) => numbers.len() as u64,
            Postings::Many(numbers) => numbers.len(),
        }
    }

    /// The only member, if there is one and it is kept as such.
    pub(crate) fn only(&self) -> Option<u32> {
        if let Postings::One(number) = self { Some(*number) } else { None }
    }

    pub(crate) fn insert(&mut self, number: u32) {
        match self {
            Postings::One(have) if *have != number => {
                *self = Postings::Few(vec![number.min(*have), number.max(*have)]);
            }
            Postings::One(_) => {}
            Postings::Few(numbers) if numbers.is_empty() => *self = Postings::One(number),
            Postings::Few(numbers) => {
                if let Err(at) = numbers.binary_search(&number) {
                    numbers.insert(at, number);
                    if numbers.len() > FEW {
                        let bitmap: RoaringBitmap = numbers.iter().copied().collect();
                        *self = Postings::Many(Box::new(bitmap));
                    }
                }
            }
            Postings::Many(bitmap) => put_last(bitmap, number),
        }
    }

    pub(crate) fn remove(&mut self, number: u32) {
        match self {
            Postings::One(have) if *have == number => *self = Postings::new(),
            Postings::One(_) => {}
            Postings::Few(numbers) => {
                if let Ok(at) = numbers.binary_search(&number) {
                    numbers.remove(at);
                }
            }
            Postings::Many(bitmap) => {
                bitmap.remove(number);
                if bitmap.len() <= FEW as u64 / 2 {
                    *self = Postings::Few(bitmap.iter().collect());
                }
            }
        }
    }

    /// Whether any member is such a one.
    pub(crate) fn any(&self, mut is_one: impl FnMut(u32) -> bool) -> bool {
        match self {
            Postings::One(number) => is_one(*number),
            Postings::Few(numbers) => numbers.iter().copied().any(is_one),
            Postings::Many(bitmap) => bitmap.iter().any(is_one),
        }
    }

    /// Calls back with each member, ascending.
    pub(crate) fn each(&self, mut each: impl FnMut(u32)) {
        match self {
            Postings::One(number) => each(*number),
            Postings::Few(numbers) => numbers.iter().copied().for_each(each),
            Postings::Many(bitmap) => bitmap.iter().for_each(each),
        }
    }

    /// Adds the members to a set.
    pub(crate) fn union_into(&self, set: &mut RoaringBitmap) {
        match self {
            Postings::One(number) => {
                set.insert(*number);
            }
            Postings::Few(numbers) => set.extend(numbers.iter().copied()),
            Postings::Many(bitmap) => *set |= &**bitmap,
        }
    }

    /// Takes the members out of a set.
    pub(crate) fn subtract_from(&self, set: &mut RoaringBitmap) {
        match self {
            Postings::One(number) => {
                set.remove(*number);
            }
            Postings::Few(numbers) => numbers.iter().for_each(|number| {
                set.remove(*number);
            }),
            Postings::Many(bitmap) => *set -= &**bitmap,
        }
    }

    /// Leaves only the members in a set.
    pub(crate) fn intersect_into(&self, set: &mut RoaringBitmap) {
        match self {
            Postings::Many(bitmap) => *set &= &**bitmap,
            Postings::One(_) | Postings::Few(_) => *set &= self.to_bitmap(),
        }
    }

    pub(crate) fn to_bitmap(&self) -> RoaringBitmap {
        match self {
            Postings::One(number) => std::iter::once(*number).collect(),
            Postings::Few(numbers) => numbers.iter().copied().collect(),
            Postings::Many(bitmap) => (**bitmap).clone(),
        }
    }
}

/// Members of a set up to which it is a plain list of them.
const PLAIN_MAX: u64 = 4096;

/// Adds a number to a set, quickly where it is larger than all in it.
pub(crate) fn put_last(set: &mut RoaringBitmap, number: u32) {
    // To find the largest member of one that has become bits is to look through all of its room.
    if set.len() > PLAIN_MAX || set.try_push(number).is_err() {
        set.insert(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behave_like_a_set(steps in prop::collection::vec((any::<bool>(), 0u32..40), 0..200), other in prop::collection::btree_set(0u32..40, 0..40)) {
            let (mut postings, mut model) = (Postings::new(), BTreeSet::new());
            for (insert, number) in steps {
                if insert { postings.insert(number); model.insert(number); } else { postings.remove(number); model.remove(&number); }
                prop_assert_eq!(postings.is_empty(), model.is_empty());
            }
            let set = |numbers: &BTreeSet<u32>| numbers.iter().copied().collect::<RoaringBitmap>();
            prop_assert_eq!(postings.to_bitmap(), set(&model));
            let (mut union, mut difference, mut both) = (set(&other), set(&other), set(&other));
            postings.union_into(&mut union);
            postings.subtract_from(&mut difference);
            postings.intersect_into(&mut both);
            prop_assert_eq!(union, set(&(&other | &model)));
            prop_assert_eq!(difference, set(&(&other - &model)));
            prop_assert_eq!(both, set(&(&other & &model)));
        }
    }
}
