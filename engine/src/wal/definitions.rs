//! The series that a record defines: their numbers, kinds and label sets, each set by what it has of the one before it.
//!
//! ```text
//! definition = varint id | kind u8 | varint pairs | pair*
//! pair       = 0 | bytes name | bytes value
//!            | 2n + 1                              pair n of the label set before
//!            | 2n + 2 | bytes value                the name of pair n of the label set before, and another value
//! ```
//! The pairs that are taken over from the label set before ascend. The first one of a record has nothing before it.

use crate::bytes::{Cursor, Damaged, put_bytes, put_varint};
use crate::key::{self, Label};
use crate::kind::SeriesKind;

/// Writes the definitions of a record, one after another.
#[derive(Default)]
pub(super) struct Definitions<'k> {
    labels: Vec<Label<'k>>,
    before: Vec<Label<'k>>,
}

impl<'k> Definitions<'k> {
    /// Appends a definition.
    pub(super) fn put(&mut self, id: u64, kind: SeriesKind, key: &'k [u8], out: &mut Vec<u8>) {
        put_varint(out, id);
        out.push(kind.code());
        std::mem::swap(&mut self.labels, &mut self.before);
        self.labels.clear();
        self.labels.extend(key::labels(key));
        put_varint(out, self.labels.len() as u64);
        let mut before = (0u64..).zip(&self.before).peekable();
        for Label { whole, name, value } in &self.labels {
            // Most are those of the label set before, in the same order.
            if let Some((number, _)) = before.next_if(|(_, have)| have.whole == *whole) {
                put_varint(out, 2 * number + 1);
                continue;
            }
            while before.next_if(|(_, have)| have.name < *name).is_some() {}
            match before.next_if(|(_, have)| have.name == *name) {
                Some((number, have)) if have.value == *value => put_varint(out, 2 * number + 1),
                Some((number, _)) => {
                    put_varint(out, 2 * number + 2);
                    put_bytes(out, value);
                }
                None => {
                    out.push(0);
                    put_bytes(out, name);
                    put_bytes(out, value);
                }
            }
        }
    }
}

/// Label pairs.
pub(crate) type Labels<'a> = [(&'a str, &'a str)];

/// Reads so many definitions and hands each on: number, kind, labels, which are those of a label set.
pub(super) fn read<'a>(
    cursor: &mut Cursor<'a>,
    many: u64,
    mut each: impl FnMut(u64, SeriesKind, &Labels<'a>),
) -> Result<(), Damaged> {
    // No text is copied: a set is what it has of the one before, and what stands beside that.
    let (mut labels, mut before) = (Vec::new(), Vec::new());
    for _ in 0..many {
        let id = cursor.varint()?;
        let kind = SeriesKind::from_code(cursor.u8()?).ok_or(Damaged("a series is of an unknown kind"))?;
        std::mem::swap(&mut labels, &mut before);
        read_labels(cursor, &before, &mut labels)?;
        each(id, kind, &labels);
    }
    Ok(())
}

fn read_labels<'a>(
    cursor: &mut Cursor<'a>,
    before: &Labels<'a>,
    labels: &mut Vec<(&'a str, &'a str)>,
) -> Result<(), Damaged> {
    labels.clear();
    let (mut next, mut last_name) = (0, "");
    for _ in 0..cursor.length(cursor.rest().len())? {
        let (name, value) = match cursor.varint()?.checked_sub(1) {
            None => (cursor.text()?, cursor.text()?),
            Some(code) => {
                let number = usize::try_from(code / 2).ok().filter(|number| *number >= next);
                let found = number.and_then(|number| before.get(number)).copied();
                let (name, value) = found.ok_or(Damaged("a label set before has no such pair"))?;
                next = number.unwrap_or(next) + 1;
                (name, if code % 2 == 0 { value } else { cursor.text()? })
            }
        };
        if name <= last_name || value.is_empty() {
            return Err(key::NO_LABEL_SET);
        }
        labels.push((name, value));
        last_name = name;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watchfire_model::LabelSet;

    use super::*;

    proptest! {
        #[test]
        fn definitions_read_back(
            sets in prop::collection::vec((any::<u64>(), 1u8..6, prop::collection::btree_map("[a-d]{1,2}", "[x-z]{1,2}", 0..7)), 0..12),
        ) {
            let keys: Vec<Vec<u8>> = sets.iter().map(|(_, _, pairs)| {
                let mut key = Vec::new();
                key::write(&LabelSet::from_pairs(pairs.iter().map(|(n, v)| (&**n, &**v))).expect("valid"), &mut key);
                key
            }).collect();
            let (mut definitions, mut bytes) = (Definitions::default(), Vec::new());
            for ((id, kind, _), key) in sets.iter().zip(&keys) {
                definitions.put(*id, SeriesKind::from_code(*kind).expect("known"), key, &mut bytes);
            }
            bytes.extend_from_slice(b"after");
            let (mut cursor, mut back) = (Cursor::new(&bytes), Vec::new());
            read(&mut cursor, sets.len() as u64, |id, kind, labels| {
                let mut key = Vec::new();
                key::write_pairs(&mut labels.to_vec(), &mut key).expect("a label set");
                back.push((id, kind.code(), key));
            }).expect("whole");
            prop_assert_eq!(cursor.rest(), b"after");
            let wanted: Vec<_> = sets.iter().zip(keys).map(|((id, kind, _), key)| (*id, *kind, key)).collect();
            prop_assert_eq!(back, wanted);
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&mut Cursor::new(&bytes), 9, |_, _, _| {});
        }
    }

    #[test]
    fn what_is_no_label_set_is_refused() {
        let definition = |pairs: &[(&[u8], &[u8])]| {
            let mut bytes = vec![7, 4, pairs.len() as u8];
            for (name, value) in pairs {
                bytes.push(0);
                put_bytes(&mut bytes, name);
                put_bytes(&mut bytes, value);
            }
            bytes
        };
        let good = definition(&[(b"a", b"1"), (b"b", b"2")]);
        let refused = |bytes: &[u8], many: u64| read(&mut Cursor::new(bytes), many, |_, _, _| {}).is_err();
        assert!(!refused(&good, 1));
        let bad: [&[(&[u8], &[u8])]; 5] = [
            &[(b"b", b"1"), (b"a", b"2")],
            &[(b"a", b"1"), (b"a", b"2")],
            &[(b"a", b"")],
            &[(b"", b"1")],
            &[(b"a", b"\xff")],
        ];
        bad.iter().for_each(|pairs| assert!(refused(&definition(pairs), 1), "{pairs:?}"));
        // The second one takes over: both pairs; the second and then the first; one that there is not; an empty value.
        let second = |codes: &[u8]| [&good[..], &[8, 4, 2], codes].concat();
        assert!(!refused(&second(&[1, 3]), 2));
        assert!(refused(&second(&[3, 1]), 2));
        assert!(refused(&second(&[1, 5]), 2));
        assert!(refused(&second(&[1, 4, 0]), 2));
    }

    #[test]
    fn a_series_that_differs_by_a_value_takes_little_more_than_that() {
        let key = |name: &str| {
            let mut key = Vec::new();
            let labels = [("__name__", name), ("instance", "10.0.0.1:9100"), ("job", "node"), ("zone", "eu-west-1")];
            key::write(&LabelSet::from_pairs(labels).expect("valid"), &mut key);
            key
        };
        let (first, second) = (key("node_load1"), key("node_load5"));
        let (mut definitions, mut bytes) = (Definitions::default(), Vec::new());
        definitions.put(1, SeriesKind::Increments, &first, &mut bytes);
        let one = bytes.len();
        definitions.put(2, SeriesKind::Increments, &second, &mut bytes);
        assert_eq!(bytes.len() - one, 3 + 2 + "node_load5".len() + 3);
    }
}
