//! Pages of integers: the smallest (or the smallest step) taken off, the rest in byte planes.
//!
//! ```text
//! page = kind u8 (0 plain, 1 steps) | [first: signed, if steps] | base: signed | width u8 | plane × width
//! ```
//! Plane `k` holds byte `k` of every value. All arithmetic wraps, so that every `i64` comes back.

use super::PAGE_VALUES;
use super::section::{Section, SectionWriter, put_plane, read_plane};
use super::wire::{Wire, WireError, put_signed};

const PLAIN: u8 = 0;
const STEPS: u8 = 1;
/// Steps are even if at most one in so many differs from the one before.
const EVEN: usize = 16;

/// Where a page lies, and what it spans.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct IntPage {
    pub section: Section,
    pub min: i64,
    pub max: i64,
}

impl IntPage {
    pub fn put(&self, out: &mut Vec<u8>) {
        self.section.put(out);
        put_signed(out, self.min);
        put_signed(out, self.max.wrapping_sub(self.min));
    }

    pub fn read(wire: &mut Wire<'_>) -> Result<IntPage, WireError> {
        let (section, min) = (Section::read(wire)?, wire.signed()?);
        Ok(IntPage { section, min, max: min.wrapping_add(wire.signed()?) })
    }
}

/// Writes values as pages.
pub(crate) fn write(values: &[i64], sections: &mut SectionWriter) -> Vec<IntPage> {
    let pages = values.chunks(PAGE_VALUES).map(|page| {
        let min = page.iter().copied().min().unwrap_or(0);
        let max = page.iter().copied().max().unwrap_or(0);
        IntPage { section: sections.add_raw(&encode(page, min, max)), min, max }
    });
    pages.collect()
}

fn encode(page: &[i64], min: i64, max: i64) -> Vec<u8> {
    let range = max.wrapping_sub(min) as u64;
    let steps = || page.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let step_min = steps().min().unwrap_or(0);
    let step_range = steps().map(|step| step.wrapping_sub(step_min) as u64).max().unwrap_or(0);
    let mut out = Vec::with_capacity(page.len() + 32);
    // Steps cost nothing where they are equal, and are half as long where they are short. Where most are like the one
    // before (numbers of several bodies that came at once), compression makes nothing of the others, too.
    let changes = || steps().zip(steps().skip(1)).filter(|(one, next)| one != next).count();
    if bits(step_range) + 1 < bits(range) || (bits(range) > 8 && changes() * EVEN < page.len()) {
        out.push(STEPS);
        put_signed(&mut out, page.first().copied().unwrap_or(0));
        put_signed(&mut out, step_min);
        let offsets: Vec<u64> = std::iter::once(0).chain(steps().map(|s| s.wrapping_sub(step_min) as u64)).collect();
        put_planes(&mut out, &offsets, step_range);
    } else {
        out.push(PLAIN);
        put_signed(&mut out, min);
        let offsets: Vec<u64> = page.iter().map(|value| value.wrapping_sub(min) as u64).collect();
        put_planes(&mut out, &offsets, range);
    }
    out
}

fn bits(range: u64) -> u32 {
    64 - range.leading_zeros()
}

fn put_planes(out: &mut Vec<u8>, offsets: &[u64], range: u64) {
    let width = bits(range).div_ceil(8);
    out.push(width as u8);
    for byte in 0..width {
        let plane: Vec<u8> = offsets.iter().map(|offset| (offset >> (8 * byte)) as u8).collect();
        put_plane(out, &plane);
    }
}

/// Reads a page of `count` values.
pub(crate) fn decode(page: &[u8], count: usize) -> Result<Vec<i64>, WireError> {
    let mut wire = Wire::new(page);
    let kind = wire.u8()?;
    let first = if kind == STEPS { wire.signed()? } else { 0 };
    let base = wire.signed()?;
    let width = wire.u8()?;
    if kind > STEPS || width > 8 {
        return wire.fail("an unknown kind of page");
    }
    let mut offsets = vec![0u64; count];
    for byte in 0..width {
        let plane = read_plane(&mut wire, count)?;
        for (offset, value) in offsets.iter_mut().zip(plane.iter()) {
            *offset |= u64::from(*value) << (8 * byte);
        }
    }
    if kind == PLAIN {
        return Ok(offsets.into_iter().map(|offset| (offset as i64).wrapping_add(base)).collect());
    }
    let mut value = first;
    let steps = offsets.into_iter().enumerate().map(|(index, offset)| {
        if index > 0 {
            value = value.wrapping_add(base).wrapping_add(offset as i64);
        }
        value
    });
    Ok(steps.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Vec<i64>> {
        prop_oneof![
            prop::collection::vec(any::<i64>(), 1..300),
            prop::collection::vec(-50i64..50, 1..300),
            (any::<i64>(), prop::collection::vec(0i64..1000, 1..300)).prop_map(|(first, steps)| {
                steps
                    .iter()
                    .scan(first, |at, step| {
                        *at = at.wrapping_add(*step);
                        Some(*at)
                    })
                    .collect()
            }),
        ]
    }

    proptest! {
        #[test]
        fn pages_read_back(values in values()) {
            let (min, max) = (*values.iter().min().expect("some"), *values.iter().max().expect("some"));
            let page = encode(&values, min, max);
            prop_assert_eq!(decode(&page, values.len()), Ok(values));
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0usize..40) {
            let _ = decode(&bytes, count);
        }
    }

    #[test]
    fn runs_that_follow_each_other_anyhow_cost_little() {
        let values: Vec<i64> = (0..8192).map(|n| (n / 500 * 7919 % 23) * 500 + n % 500).collect();
        let page = encode(&values, 0, 12_000);
        assert!(page.len() < 400, "{}", page.len());
        assert_eq!(decode(&page, values.len()), Ok(values));
    }

    #[test]
    fn equal_steps_cost_next_to_nothing() {
        let values: Vec<i64> = (0..8192).map(|n| 1_700_000_000_000 + n).collect();
        assert!(encode(&values, values[0], values[8191]).len() < 20);
    }
}
