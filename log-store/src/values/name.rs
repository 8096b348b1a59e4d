//! The name of a column.

use watchfire_model::record::{Column, Core, Root};

/// Which column: a number for a core text or for the root, and the path below the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ColumnName {
    /// A [`Core`] number, or `0x10 +` a [`Root`] number.
    pub kind: u8,
    /// Empty for core texts.
    pub path: Box<str>,
}

const ROOT: u8 = 0x10;

impl ColumnName {
    /// The parts of a column's name, without a copy.
    pub fn parts(column: Column<'_>) -> (u8, &str) {
        match column {
            Column::Core(core) => (core as u8, ""),
            Column::Leaf(root, path) => (ROOT + root as u8, path),
        }
    }

    pub fn new(kind: u8, path: &str) -> ColumnName {
        ColumnName { kind, path: path.into() }
    }

    /// Whether these are the parts of this name.
    #[inline]
    pub fn is(&self, kind: u8, path: &str) -> bool {
        self.kind == kind && same_bytes(self.path.as_bytes(), path.as_bytes())
    }

    /// `None` if the number is of a kind that this version does not know.
    pub fn column(&self) -> Option<Column<'_>> {
        match self.kind.checked_sub(ROOT) {
            Some(root) => Root::ALL.get(usize::from(root)).map(|root| Column::Leaf(*root, &self.path)),
            None => Core::ALL.get(usize::from(self.kind).checked_sub(1)?).map(|core| Column::Core(*core)),
        }
    }
}

/// As queries name it; in brackets, by its number, what records do not name.
impl std::fmt::Display for ColumnName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.column() {
            Some(Column::Core(core)) => f.write_str(core.name()),
            Some(Column::Leaf(root, path)) => write!(f, "{}.{path}", root.name()),
            None => write!(f, "({:#x})", self.kind),
        }
    }
}

/// Equality of bytes; of short ones without a call of `memcmp`, as most names and values are.
#[inline]
pub(crate) fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match (ends::<8>(a), ends::<8>(b)) {
        (Some(a_ends), Some(b_ends)) if a.len() <= 16 => a_ends == b_ends,
        (Some(_), Some(_)) => a == b,
        _ => match (ends::<4>(a), ends::<4>(b)) {
            (Some(a_ends), Some(b_ends)) => a_ends == b_ends,
            _ => a.iter().zip(b).all(|(a, b)| a == b),
        },
    }
}

/// The first and the last so many bytes, which overlap where there are fewer than twice as many.
#[inline]
fn ends<const N: usize>(bytes: &[u8]) -> Option<([u8; N], [u8; N])> {
    Some((*bytes.first_chunk()?, *bytes.last_chunk()?))
}

/// Tells most short texts apart, from their ends and their length.
#[inline]
pub(crate) fn mark_of(bytes: &[u8]) -> u64 {
    let (low, high) = match (ends::<8>(bytes), ends::<4>(bytes)) {
        (Some((first, last)), _) => (u64::from_le_bytes(first), u64::from_le_bytes(last)),
        (None, Some((first, last))) => (u64::from(u32::from_le_bytes(first)), u64::from(u32::from_le_bytes(last))),
        (None, None) => (bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    };
    (low ^ high.rotate_left(25) ^ (bytes.len() as u64) << 51).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_is_what_is_equal_byte_by_byte(a in "[ab]{0,20}", b in "[ab]{0,20}", at in 0usize..20) {
            prop_assert_eq!(same_bytes(a.as_bytes(), b.as_bytes()), a == b);
            prop_assert!(same_bytes(a.as_bytes(), a.clone().as_bytes()));
            prop_assert_eq!(mark_of(a.as_bytes()), mark_of(a.clone().as_bytes()));
            let mut other = a.clone().into_bytes();
            if let Some(byte) = other.get_mut(at) {
                *byte ^= 1;
                prop_assert!(!same_bytes(a.as_bytes(), &other));
            }
        }
    }
}
