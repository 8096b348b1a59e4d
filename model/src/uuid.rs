//! Ids in the form of a UUID (RFC 9562).

/// Length of the text, bytes.
pub const TEXT_BYTES: usize = 36;

/// The bits with those of the version and the variant set.
pub const fn of_version(version: u8, bits: u128) -> u128 {
    bits & !(0xf << 76) & !(0x3 << 62) | (version as u128 & 0xf) << 76 | 0x2 << 62
}

/// As it is written: `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
pub fn text(bits: u128) -> [u8; TEXT_BYTES] {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    let mut text = [b'-'; TEXT_BYTES];
    let mut at = 0;
    for byte in bits.to_be_bytes() {
        at += usize::from(DASHES.contains(&at));
        [text[at], text[at + 1]] = PAIRS[usize::from(byte)];
        at += 2;
    }
    text
}

/// The two digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// The text of an id.
pub fn as_str(id: &[u8; TEXT_BYTES]) -> &str {
    std::str::from_utf8(id).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_and_the_variant_stand_where_they_belong() {
        let written = |version, bits| String::from_utf8(text(of_version(version, bits)).to_vec()).expect("digits");
        assert_eq!(written(4, 0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(written(8, u128::MAX), "ffffffff-ffff-8fff-bfff-ffffffffffff");
        assert_eq!(written(4, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), "01234567-89ab-4def-8123-456789abcdef");
    }
}
