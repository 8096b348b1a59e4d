//! A label set as flat bytes: what is hashed, compared, and written to disk.
//!
//! ```text
//! key = (varint length, name, varint length, value)*      sorted by name, names unique, values not empty
//! ```

use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{LabelError, LabelSet};

use crate::bytes::{Cursor, Damaged, put_bytes};

/// What is wrong with a key that is none.
pub(crate) const NO_LABEL_SET: Damaged = Damaged("labels are not sorted, not unique or empty");

/// Appends the key of a label set.
pub(crate) fn write(labels: &LabelSet, out: &mut Vec<u8>) {
    for (name, value) in labels.iter() {
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
    }
}

/// Sorts the pairs and appends their key; pairs with an empty value are dropped.
pub(crate) fn write_pairs(pairs: &mut [(&str, &str)], out: &mut Vec<u8>) -> Result<(), LabelError> {
    if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
        pairs.sort_unstable_by(|a, b| a.0.cmp(b.0));
        if let Some(pair) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(LabelError::Duplicate { name: pair[0].0.to_owned() });
        }
    }
    if let Some(("", value)) = pairs.first() {
        return Err(LabelError::EmptyName { value: (*value).to_owned() });
    }
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
    }
    Ok(())
}

/// A label as it lies in a key, and its parts.
pub(crate) struct Label<'k> {
    pub(crate) whole: &'k [u8],
    pub(crate) name: &'k [u8],
    pub(crate) value: &'k [u8],
}

/// The labels of a key; ends early at damage, which `checked_pairs` reports.
pub(crate) fn labels(key: &[u8]) -> impl Iterator<Item = Label<'_>> {
    let mut cursor = Cursor::new(key);
    std::iter::from_fn(move || {
        let begin = cursor.rest();
        let (name, value) = (cursor.bytes().ok()?, cursor.bytes().ok()?);
        Some(Label { whole: begin.get(..begin.len() - cursor.rest().len())?, name, value })
    })
}

/// Names and values of a key; ends early as [`labels`] does.
pub(crate) fn pairs(key: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    labels(key).map(|label| (label.name, label.value))
}

/// Splits a key behind the metric's name, if that comes first, as it does before all names in small letters; else before all.
pub(crate) fn split_metric_name(key: &[u8]) -> (&[u8], &[u8]) {
    let mut cursor = Cursor::new(key);
    let is_first = cursor.bytes() == Ok(METRIC_NAME.as_bytes()) && cursor.bytes().is_ok();
    key.split_at(if is_first { key.len() - cursor.rest().len() } else { 0 })
}

/// Whether a key has at most so many labels, and names and values of at most so many bytes together.
pub(crate) fn is_within(key: &[u8], most: usize, bytes: usize) -> bool {
    let (mut have, mut have_bytes) = (0, 0);
    pairs(key).all(|(name, value)| {
        have += 1;
        have_bytes += name.len() + value.len();
        have <= most && have_bytes <= bytes
    })
}

/// The value of a label, `None` if the key has none of that name.
pub(crate) fn value_of<'k>(key: &'k [u8], name: &str) -> Option<&'k [u8]> {
    pairs(key).find(|(have, _)| *have == name.as_bytes()).map(|(_, value)| value)
}

/// The texts of a key that came from a disk, proven to be a label set.
pub(crate) fn checked_pairs(key: &[u8]) -> Result<Vec<(&str, &str)>, Damaged> {
    let mut cursor = Cursor::new(key);
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    while !cursor.is_empty() {
        let (name, value) = (cursor.text()?, cursor.text()?);
        if name.is_empty() || value.is_empty() || pairs.last().is_some_and(|(before, _)| *before >= name) {
            return Err(NO_LABEL_SET);
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_split_behind_the_name_of_its_metric() {
        let key = |pairs: &[(&str, &str)]| {
            let mut key = Vec::new();
            write_pairs(&mut pairs.to_vec(), &mut key).expect("valid");
            key
        };
        let labels = key(&[("a", "1"), ("b", "2")]);
        let whole = key(&[("__name__", "up"), ("a", "1"), ("b", "2")]);
        assert_eq!(split_metric_name(&whole), (&*key(&[("__name__", "up")]), &*labels));
        assert_eq!(split_metric_name(&labels), (&[][..], &*labels));
        let behind = key(&[("A", "1"), ("__name__", "up")]);
        assert_eq!(split_metric_name(&behind), (&[][..], &*behind));
        assert_eq!(split_metric_name(&[]), (&[][..], &[][..]));
    }

    #[test]
    fn a_key_is_within_its_limits() {
        let mut key = Vec::new();
        write_pairs(&mut [("a", "123"), ("bcd", "2")], &mut key).expect("valid");
        assert!(is_within(&key, 2, 8) && is_within(&key, usize::MAX, usize::MAX) && is_within(&[], 0, 0));
        assert!(!is_within(&key, 1, 8) && !is_within(&key, 2, 7));
    }

    #[test]
    fn pairs_and_sets_have_the_same_key() {
        let labels = LabelSet::from_pairs([("b", "2"), ("a", "1"), ("c", "")]).expect("valid");
        let (mut from_set, mut from_pairs) = (Vec::new(), Vec::new());
        write(&labels, &mut from_set);
        write_pairs(&mut [("b", "2"), ("c", ""), ("a", "1")], &mut from_pairs).expect("valid");
        assert_eq!(from_set, from_pairs);
        assert_eq!(checked_pairs(&from_set), Ok(vec![("a", "1"), ("b", "2")]));
        assert_eq!(value_of(&from_set, "b"), Some(&b"2"[..]));
        assert!(write_pairs(&mut [("b", "2"), ("b", "3")], &mut from_pairs).is_err());
        assert!(write_pairs(&mut [("", "2")], &mut from_pairs).is_err());
    }
}
