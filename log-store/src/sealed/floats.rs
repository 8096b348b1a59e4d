//! Pages of floats: as integers times a power of ten where that is exact, else their bits in byte planes.

use super::PAGE_VALUES;
use super::section::{Section, SectionWriter, put_plane, read_plane};
use super::wire::{Wire, WireError};

/// Largest power of ten tried.
const EXPONENT_MAX: u8 = 15;
/// Integers up to here are exact as floats.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Where a page lies, and what it spans; NaN is left out of the span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FloatPage {
    pub section: Section,
    pub min: f64,
    pub max: f64,
}

impl FloatPage {
    pub fn put(&self, out: &mut Vec<u8>) {
        self.section.put(out);
        out.extend_from_slice(&self.min.to_le_bytes());
        out.extend_from_slice(&self.max.to_le_bytes());
    }

    pub fn read(wire: &mut Wire<'_>) -> Result<FloatPage, WireError> {
        let section = Section::read(wire)?;
        Ok(FloatPage { section, min: f64::from_bits(wire.u64()?), max: f64::from_bits(wire.u64()?) })
    }
}

/// The value that an integer stands for.
#[inline]
pub(crate) fn unscale(int: i64, exponent: u8) -> f64 {
    int as f64 / power(exponent)
}

fn power(exponent: u8) -> f64 {
    const POWERS: [f64; EXPONENT_MAX as usize + 1] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    POWERS.get(usize::from(exponent)).copied().unwrap_or(1.0)
}

fn scale(value: f64, exponent: u8) -> Option<i64> {
    let scaled = value * power(exponent);
    if scaled.is_nan() || scaled.abs() > EXACT_MAX {
        return None;
    }
    // Rounded by hand: `round` is a call where a processor of any age has to do.
    let mut int = scaled as i64;
    let over = scaled - int as f64;
    int += i64::from(over >= 0.5) - i64::from(over <= -0.5);
    (unscale(int, exponent).to_bits() == value.to_bits()).then_some(int)
}

/// The smallest exponent for which every value is an integer, and the integers.
pub(crate) fn scaled(values: &[f64]) -> Option<(u8, Vec<i64>)> {
    let mut exponent = 0;
    let mut ints = Vec::with_capacity(values.len());
    while exponent <= EXPONENT_MAX {
        ints.clear();
        ints.extend(values.iter().map_while(|value| scale(*value, exponent)));
        let Some(stray) = values.get(ints.len()) else { return Some((exponent, ints)) };
        exponent = (exponent + 1..=EXPONENT_MAX).find(|exponent| scale(*stray, *exponent).is_some())?;
    }
    None
}

/// Writes the bits of values as pages.
pub(crate) fn write(values: &[f64], sections: &mut SectionWriter) -> Vec<FloatPage> {
    let pages = values.chunks(PAGE_VALUES).map(|page| {
        let mut out = Vec::with_capacity(page.len() * 8 + 64);
        for byte in 0..8 {
            let plane: Vec<u8> = page.iter().map(|value| (value.to_bits() >> (8 * byte)) as u8).collect();
            put_plane(&mut out, &plane);
        }
        FloatPage {
            section: sections.add_raw(&out),
            min: page.iter().copied().fold(f64::INFINITY, f64::min),
            max: page.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    });
    pages.collect()
}

/// Reads a page of `count` values.
pub(crate) fn decode(page: &[u8], count: usize) -> Result<Vec<f64>, WireError> {
    let mut wire = Wire::new(page);
    let mut bits = vec![0u64; count];
    for byte in 0..8 {
        let plane = read_plane(&mut wire, count)?;
        for (bits, value) in bits.iter_mut().zip(plane.iter()) {
            *bits |= u64::from(*value) << (8 * byte);
        }
    }
    Ok(bits.into_iter().map(f64::from_bits).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decimals_become_integers(values in prop::collection::vec(-1_000_000i64..1_000_000, 1..100), places in 0u8..6) {
            let values: Vec<f64> = values.iter().map(|value| unscale(*value, places)).collect();
            let (exponent, ints) = scaled(&values).expect("decimals");
            prop_assert!(exponent <= places);
            let back: Vec<f64> = ints.iter().map(|int| unscale(*int, exponent)).collect();
            prop_assert_eq!(back, values);
        }

        #[test]
        fn every_bit_comes_back(bits in prop::collection::vec(any::<u64>(), 1..100)) {
            let values: Vec<f64> = bits.iter().map(|bits| f64::from_bits(*bits)).collect();
            if let Some((exponent, ints)) = scaled(&values) {
                let back: Vec<u64> = ints.iter().map(|int| unscale(*int, exponent).to_bits()).collect();
                prop_assert_eq!(&back, &bits);
            }
            let mut sections = SectionWriter::default();
            let pages = write(&values, &mut sections);
            let back = decode(&sections.file[pages[0].section.offset as usize..], values.len()).expect("just written");
            prop_assert_eq!(back.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), bits);
        }
    }

    #[test]
    fn odd_values_are_kept_as_bits() {
        for value in [f64::NAN, f64::INFINITY, -0.0, 1.0 / 3.0, 1e300] {
            assert!(scaled(&[1.5, value]).is_none(), "{value}");
        }
        assert_eq!(scaled(&[12.5, 3.0, 0.125]), Some((3, vec![12_500, 3000, 125])));
    }
}
