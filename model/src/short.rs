//! Short runs of bytes, as most names and values are: compared and told apart without calls.

/// Equality of bytes; of short ones without a call of `memcmp`, as most names and values are.
#[inline]
pub fn same_bytes(a: &[u8], b: &[u8]) -> bool {
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
pub fn mark_of(bytes: &[u8]) -> u64 {
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
