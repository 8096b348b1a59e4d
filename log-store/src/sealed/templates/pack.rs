//! Numbers of so many bits each, one after the other, lowest bits first; any of them can be read by itself.

/// Appends `values`, each of which must be below `2^width`; `width` is at most 64.
pub(crate) fn put_packed(out: &mut Vec<u8>, width: u32, values: impl Iterator<Item = u64>) {
    if width == 0 {
        return;
    }
    let (mut buffer, mut filled) = (0u128, 0);
    for value in values {
        buffer |= u128::from(value) << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&(buffer as u64).to_le_bytes());
            buffer >>= 64;
            filled -= 64;
        }
    }
    let rest = (buffer as u64).to_le_bytes();
    out.extend(rest.iter().take(filled.div_ceil(8) as usize));
}

/// Bytes of `count` packed values.
pub(crate) fn packed_len(width: u32, count: usize) -> usize {
    (count as u64 * u64::from(width)).div_ceil(8) as usize
}

/// Bits that a number needs.
pub(crate) fn bits_of(number: u64) -> u32 {
    64 - number.leading_zeros()
}

/// The value at `index`; what lies behind the end counts as zero.
#[inline]
pub(crate) fn packed_at(bytes: &[u8], width: u32, index: usize) -> u64 {
    if width == 0 {
        return 0;
    }
    let bit = index * width as usize;
    let (byte, shift) = (bit / 8, bit % 8);
    let mask = u64::MAX >> (64 - width);
    if width <= 56
        && let Some(eight) = bytes.get(byte..byte + 8)
    {
        let mut word = [0; 8];
        word.copy_from_slice(eight);
        return (u64::from_le_bytes(word) >> shift) & mask;
    }
    let rest = bytes.get(byte..).unwrap_or_default();
    let mut word = [0; 16];
    let have = rest.len().min(9);
    word[..have].copy_from_slice(&rest[..have]);
    (u128::from_le_bytes(word) >> shift) as u64 & mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_read_back(width in 0u32..=64, values in prop::collection::vec(any::<u64>(), 0..80)) {
            let values: Vec<u64> = values.iter().map(|value| value.checked_shr(64 - width).unwrap_or(0)).collect();
            let mut out = Vec::new();
            put_packed(&mut out, width, values.iter().copied());
            prop_assert_eq!(out.len(), packed_len(width, values.len()));
            for (index, value) in values.iter().enumerate() {
                prop_assert_eq!(packed_at(&out, width, index), *value);
            }
            // Behind the end is nothing.
            packed_at(&out, width, values.len() + 3);
        }
    }
}
