//! The codec against the samples themselves, bit by bit.

use proptest::prelude::*;
use watchfire_model::sample::STALE_NAN_BITS;
use watchfire_model::{Sample, Timestamp};

use super::*;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-1_000_000i64..1_000_000, 0u32..5).prop_map(|(n, e)| n as f64 / 10f64.powi(e as i32)),
        4 => (0i64..1000).prop_map(|n| (n * 4096) as f64),
        2 => any::<f64>(),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => prop::sample::select(vec![
            -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::from_bits(STALE_NAN_BITS), f64::MAX, f64::MIN_POSITIVE, 5e-324,
            9_007_199_254_740_993.0, 2_251_799_813_685_248.0, -2_251_799_813_685_249.0, 0.1, 1e-15, 123_456_789.123_456_78
        ]),
    ]
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let step = prop_oneof![Just(10_000i64), 1i64..20_000, Just(1)];
    let values = prop_oneof![
        prop::collection::vec(value(), 1..600),
        prop::collection::vec((-1_000i64..100_000).prop_map(|n| n as f64 / 100.0), 1..600),
        prop::collection::vec(any::<f64>(), 1..300),
    ];
    (any::<i32>(), values, prop::collection::vec((step, 0i64..3), 600)).prop_map(|(start, values, steps)| {
        let mut time = i64::from(start) * 1000;
        values
            .into_iter()
            .zip(steps)
            .map(|(value, (step, jitter))| {
                time += step + jitter;
                Sample { timestamp: Timestamp::from_millis(time), value }
            })
            .collect()
    })
}

fn bits(samples: &[Sample]) -> Vec<(i64, u64)> {
    samples.iter().map(|sample| (sample.timestamp.millis(), sample.value.to_bits())).collect()
}

proptest! {
    #[test]
    fn chunks_read_back_bit_by_bit(samples in samples(), cut in any::<(prop::sample::Index, prop::sample::Index)>()) {
        let mut codec = Codec::default();
        let chunk = codec.seal(&samples).expect("not empty");
        let again = Chunk::read(chunk.bytes(), &mut codec).expect("whole");
        prop_assert_eq!((again.first(), again.last(), again.count()), (chunk.first(), chunk.last(), samples.len()));
        let mut back = Vec::new();
        codec.decode_range(chunk.bytes(), i64::MIN, i64::MAX, &mut back).expect("whole");
        prop_assert_eq!(bits(&back), bits(&samples));
        let (a, b) = (samples[cut.0.index(samples.len())].timestamp.millis(), samples[cut.1.index(samples.len())].timestamp.millis());
        back.clear();
        codec.decode_range(chunk.bytes(), a, b, &mut back).expect("whole");
        let wanted: Vec<Sample> = samples.iter().filter(|s| s.timestamp.millis() > a && s.timestamp.millis() <= b).copied().collect();
        prop_assert_eq!(bits(&back), bits(&wanted));
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300), codec in 0u8..5) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() { *first = codec; }
        let _ = Chunk::read(&bytes, &mut Codec::default());
    }

    #[test]
    fn a_flipped_bit_is_answered(samples in samples(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut codec = Codec::default();
        let mut bytes = codec.encode(&samples).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _ = Chunk::read(&bytes, &mut codec);
    }
}

fn bytes_per_sample(values: impl Iterator<Item = f64>) -> f64 {
    let samples: Vec<Sample> = values
        .enumerate()
        .map(|(i, value)| Sample { timestamp: Timestamp::from_millis(1_700_000_000_000 + 10_000 * i as i64), value })
        .collect();
    Codec::default().encode(&samples).len() as f64 / samples.len() as f64
}

#[test]
fn usual_series_are_small() {
    let noise = |i: u64| (i.wrapping_mul(6_364_136_223_846_793_005) >> 33) % 200;
    let cases: [(&str, f64, f64); 5] = [
        ("constant", bytes_per_sample((0..480).map(|_| 42.5)), 0.1),
        ("counter", bytes_per_sample((0..480u64).map(|i| (1_000_000 + 100 * i + noise(i)) as f64)), 1.3),
        ("two decimals", bytes_per_sample((0..480u64).map(|i| (4200 + noise(i)) as f64 / 100.0)), 1.3),
        ("multiples of 4096", bytes_per_sample((0..480u64).map(|i| ((100 + noise(i)) * 4096) as f64)), 1.3),
        (
            "one stale marker",
            bytes_per_sample((0..480u64).map(|i| if i == 99 { f64::from_bits(STALE_NAN_BITS) } else { i as f64 })),
            0.2,
        ),
    ];
    for (name, bytes, limit) in cases {
        assert!(bytes <= limit, "{name}: {bytes:.3} bytes per sample, wanted {limit}");
    }
}
