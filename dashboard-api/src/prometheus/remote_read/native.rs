//! Prometheus' chunk of float histograms.
//!
//! ```text
//! chunk   = count u16 big-endian | reset u8 (0 unknown, 0x80 reset, 0xc0 gauge) | bits
//! bits    = zero threshold | schema | spans of the positive side | of the negative | [count, bounds]    (custom ones)
//!         | time, counts (64 each)
//!         | (change of the step, counts against those before)*
//! counts  = all | around zero | sum | each positive bucket | each negative
//! spans   = many | (length, offset)*
//! threshold = 0 | exponent + 243 of a power of two | 255 and 64 bits
//! bound   = 0 | 64 bits
//! numbers = 0 | 10 (3 bits) | 110 (6) | 1110 (9) | 11110 (12) | 111110 (18) | 1111110 (25) | 11111110 (56) | 11111111 (64)
//! ```
//! All histograms of a chunk have the same buckets; each continues the one before it.
//! Source: `tsdb/chunkenc/float_histogram.go`, `histogram_meta.go` and `varbit.go` of Prometheus.

use watchfire_exposition::spans::{Span, spans};
use watchfire_model::{Histogram, ResetHint, Timestamp};

use super::bits::{Bits, Window, fits, put_value};
use super::xor::CHUNK_SAMPLES;

/// How many bits tell a number, behind as many ones as there are smaller sizes and a zero.
const SIZES: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];
/// Exponents of thresholds that are told in one byte: `2^(e-1)` as `e + 243`.
const EXPONENTS: std::ops::RangeInclusive<i64> = -242..=11;

fn put_sized(bits: &mut Bits, number: u64, is_of: impl Fn(u32) -> bool) {
    if number == 0 {
        return bits.put(0, 1);
    }
    for (ones, size) in (1u32..).zip(SIZES) {
        if is_of(size) {
            // So many ones and a zero.
            bits.put((1 << (ones + 1)) - 2, ones + 1);
            return bits.put(number, size);
        }
    }
    bits.put(0xff, 8);
    bits.put(number, 64);
}

fn put_signed(bits: &mut Bits, number: i64) {
    put_sized(bits, number.cast_unsigned(), |size| fits(number, size));
}

fn put_unsigned(bits: &mut Bits, number: u64) {
    put_sized(bits, number, |size| number >> size == 0);
}

fn put_threshold(bits: &mut Bits, threshold: f64) {
    let (raw, mantissa_bits) = (threshold.to_bits(), 52);
    let exponent = (raw >> mantissa_bits) as i64 - 1022;
    match raw << (64 - mantissa_bits) {
        _ if threshold == 0.0 => bits.put(0, 8),
        0 if EXPONENTS.contains(&exponent) => bits.put((exponent + 243).cast_unsigned(), 8),
        _ => {
            bits.put(255, 8);
            bits.put(raw, 64);
        }
    }
}

fn put_spans(bits: &mut Bits, spans: &[Span]) {
    put_unsigned(bits, spans.len() as u64);
    for span in spans {
        put_unsigned(bits, span.length);
        put_signed(bits, span.offset);
    }
}

/// The counts of a histogram in places that hold all of its buckets.
fn counts<'h>(places: &'h [i32], buckets: &'h [(i32, f64)]) -> impl Iterator<Item = f64> + 'h {
    let mut rest = buckets.iter().peekable();
    places.iter().map(move |place| rest.next_if(|(have, _)| have == place).map_or(0.0, |(_, count)| *count))
}

/// The places that any of these histograms has on a side.
fn places<'h>(sides: impl Iterator<Item = &'h Vec<(i32, f64)>>) -> Vec<i32> {
    let mut all: Vec<i32> = sides.flatten().map(|(place, _)| *place).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// How many of the first of these histograms make one chunk: those with the same kind of buckets, of which each continues
/// the one before.
pub(super) fn chunk_length(all: &[(Timestamp, Histogram)]) -> usize {
    let Some((_, first)) = all.first() else { return 0 };
    let goes_on = |histogram: &Histogram| {
        let hint = if first.hint() == ResetHint::Gauge { ResetHint::Gauge } else { ResetHint::NotReset };
        histogram.hint() == hint
            && histogram.schema() == first.schema()
            && histogram.zero_threshold() == first.zero_threshold()
            && histogram.bounds() == first.bounds()
    };
    1 + all.iter().skip(1).take(CHUNK_SAMPLES - 1).take_while(|(_, histogram)| goes_on(histogram)).count()
}

/// Packs histograms that make one chunk.
pub(super) fn encode(chunk: &[(Timestamp, Histogram)]) -> Vec<u8> {
    let Some((_, first)) = chunk.first() else { return Vec::new() };
    let count = u16::try_from(chunk.len()).unwrap_or(u16::MAX).to_be_bytes();
    let reset = match first.hint() {
        ResetHint::Gauge => 0xc0,
        ResetHint::Reset => 0x80,
        // What came before the chunk is not told with it.
        ResetHint::Unknown | ResetHint::NotReset => 0,
    };
    let mut bits = Bits::behind(&[count[0], count[1], reset], chunk.len() * 16);
    let positive = places(chunk.iter().map(|(_, histogram)| histogram.positive()));
    let negative = places(chunk.iter().map(|(_, histogram)| histogram.negative()));
    put_threshold(&mut bits, first.zero_threshold());
    put_signed(&mut bits, first.schema().into());
    put_spans(&mut bits, &spans(positive.iter().copied()));
    put_spans(&mut bits, &spans(negative.iter().copied()));
    if first.is_custom() {
        put_unsigned(&mut bits, first.bounds().len() as u64);
        for bound in first.bounds().iter() {
            bits.put(0, 1);
            bits.put(bound.to_bits(), 64);
        }
    }
    let mut before: Vec<(u64, Window)> = Vec::new();
    let (mut time, mut step) = (0i64, 0i64);
    for (at, histogram) in chunk {
        let sides = counts(&positive, histogram.positive()).chain(counts(&negative, histogram.negative()));
        let now = [histogram.count(), histogram.zero_count(), histogram.sum()].into_iter().chain(sides);
        if before.is_empty() {
            put_signed(&mut bits, at.millis());
            before = now.map(|value| (value.to_bits(), None)).collect();
            before.iter().for_each(|(value, _)| bits.put(*value, 64));
        } else {
            let next_step = at.millis().wrapping_sub(time);
            put_signed(&mut bits, next_step.wrapping_sub(step));
            step = next_step;
            for ((have, window), value) in before.iter_mut().zip(now) {
                put_value(&mut bits, *have ^ value.to_bits(), window);
                *have = value.to_bits();
            }
        }
        time = at.millis();
    }
    bits.into_bytes()
}
