//! Samples of a series, held against a sorted map.

use std::collections::BTreeMap;

use proptest::prelude::*;
use watchfire_model::histogram::HistogramParts;
use watchfire_model::sample::STALE_NAN_BITS;

use super::tail::MERGED;
use super::*;

fn sample(at: i64, value: f64) -> Sample {
    Sample { timestamp: Timestamp::from_millis(at), value }
}

/// Steps of a series' times: of any length, or nearly all of one, as of a scrape.
fn steps() -> impl Strategy<Value = Vec<(i64, i64)>> {
    let odd = prop_oneof![9 => 1i64..30, 1 => -400i64..400].boxed();
    let even = prop_oneof![300 => Just(10i64), 1 => odd.clone()].boxed();
    prop_oneof![Just(odd), Just(even)].prop_flat_map(|step| prop::collection::vec((step, 0i64..3), 1..1500))
}

fn check(samples: &Samples, model: &BTreeMap<i64, u64>, codec: &mut Codec, range: (i64, i64)) {
    let mut got = Vec::new();
    samples.read(range.0, range.1, codec, &mut got);
    let wanted: Vec<(i64, u64)> =
        model.iter().filter(|(at, _)| **at > range.0 && **at <= range.1).map(|(at, bits)| (*at, *bits)).collect();
    let got: Vec<(i64, u64)> = got.iter().map(|s| (s.timestamp.millis(), s.value.to_bits())).collect();
    assert_eq!(got, wanted);
    let mut columns = Columns::default();
    samples.read_columns(range.0, range.1, &mut columns);
    let bits = columns.values().iter().map(|value| value.to_bits());
    assert_eq!(columns.times().iter().copied().zip(bits).collect::<Vec<_>>(), wanted);
    assert!(wanted.is_empty() || samples.overlaps(range.0, range.1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn behave_like_a_sorted_map(
        steps in steps(),
        window in prop_oneof![Just(0i64), Just(300), Just(i64::MAX)],
        range in (-500i64..40_000, -500i64..40_000),
        horizon in 0i64..40_000,
    ) {
        let mut codec = Codec::default();
        let (mut samples, mut model) = (Samples::default(), BTreeMap::<i64, u64>::new());
        let bounds = TimeBounds { out_of_order_ms: window, ..TimeBounds::ALL };
        let mut time = 10_000;
        for (step, value) in steps {
            time += step;
            let newest = model.last_key_value().map(|(at, _)| *at);
            let sample = sample(time, value as f64);
            let wanted = match (model.get(&time), newest) {
                (Some(bits), _) if *bits == sample.value.to_bits() => Ok(Pushed::Known),
                (Some(_), _) => Err(Rejection::DuplicateTimestamp),
                (None, Some(newest)) if time < newest.saturating_sub(window) => Err(Rejection::OutOfOrder),
                (None, _) => Ok(Pushed::Accepted),
            };
            // A sample between chunks may meet a neighbour's run that does not hold its twin, never the reverse.
            prop_assert_eq!(samples.push(sample, &bounds, &mut codec), wanted);
            if wanted == Ok(Pushed::Accepted) { model.insert(time, sample.value.to_bits()); }
        }
        prop_assert_eq!(samples.count(), model.len() as u64);
        prop_assert_eq!(samples.newest(), model.last_key_value().map(|(at, _)| *at));
        prop_assert_eq!(samples.oldest(), model.first_key_value().map(|(at, _)| *at));
        check(&samples, &model, &mut codec, (i64::MIN, i64::MAX));
        check(&samples, &model, &mut codec, range);
        for length in [1, 40, 150, 400, 2000] {
            // What is recent may lie in the last block, or not be packed at all.
            let newest = samples.newest().unwrap_or(0);
            check(&samples, &model, &mut codec, (newest - length, newest));
            check(&samples, &model, &mut codec, (newest - length, newest - length / 2));
        }

        let mut bytes = Vec::new();
        samples.write(&mut bytes);
        let mut again = Samples::read_from(&mut Cursor::new(&bytes), &mut codec).expect("whole");
        check(&again, &model, &mut codec, range);
        again.compact(&mut codec);
        check(&again, &model, &mut codec, range);

        let gone = samples.prune(horizon);
        let mut left = Vec::new();
        samples.read(i64::MIN, i64::MAX, &mut codec, &mut left);
        prop_assert_eq!(left.len() as u64 + gone, model.len() as u64);
        check(&samples, &model, &mut codec, (horizon.max(range.0), i64::MAX));

        // It goes on from what is left, in memory and from a snapshot.
        model.retain(|at, _| left.first().is_some_and(|first| *at >= first.timestamp.millis()));
        prop_assert_eq!(samples.oldest(), model.first_key_value().map(|(at, _)| *at));
        for at in 1..40 {
            let sample = sample(1_000_000 + 10 * at, 0.5);
            prop_assert_eq!(samples.push(sample, &TimeBounds::ALL, &mut codec), Ok(Pushed::Accepted));
            model.insert(sample.timestamp.millis(), sample.value.to_bits());
        }
        check(&samples, &model, &mut codec, (i64::MIN, i64::MAX));
        bytes.clear();
        samples.write(&mut bytes);
        let again = Samples::read_from(&mut Cursor::new(&bytes), &mut codec).expect("whole");
        check(&again, &model, &mut codec, (i64::MIN, i64::MAX));
        prop_assert_eq!((again.oldest(), again.newest()), (samples.oldest(), samples.newest()));
    }

    #[test]
    fn runs_come_in_as_their_samples_do(
        runs in prop::collection::vec(prop::collection::vec((1i64..30, 0i64..3), 1..700), 1..6),
    ) {
        let mut codec = Codec::default();
        let (mut at_once, mut one_by_one, mut model) = (Samples::default(), Samples::default(), BTreeMap::new());
        let mut time = 0;
        for steps in runs {
            let next = |(step, value): (i64, i64)| {
                time += step;
                sample(time, if value == 2 { f64::from_bits(0xfff0_4849_0000_0001) } else { value as f64 })
            };
            let run: Vec<Sample> = steps.into_iter().map(next).collect();
            prop_assert!(at_once.extend(&run, &mut codec));
            prop_assert!(!at_once.extend(&run, &mut codec), "it is there already");
            for sample in run {
                prop_assert_eq!(one_by_one.push(sample, &TimeBounds::ALL, &mut codec), Ok(Pushed::Accepted));
                model.insert(sample.timestamp.millis(), plain(sample).value.to_bits());
            }
        }
        check(&at_once, &model, &mut codec, (i64::MIN, i64::MAX));
        prop_assert_eq!(at_once.count(), one_by_one.count());
        prop_assert_eq!(at_once.newest(), one_by_one.newest());
        let mut bytes = Vec::new();
        at_once.write(&mut bytes);
        prop_assert!(Samples::read_from(&mut Cursor::new(&bytes), &mut codec).is_ok());
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Samples::read_from(&mut Cursor::new(&bytes), &mut Codec::default());
    }
}

#[test]
fn floats_and_histograms_share_their_times() {
    let mut codec = Codec::default();
    let mut samples = Samples::default();
    let bounds = TimeBounds { out_of_order_ms: 100, ..TimeBounds::ALL };
    let histogram = |count: f64| {
        let parts = HistogramParts { count, positive: vec![(1, count)], ..HistogramParts::default() };
        Histogram::new(parts).expect("valid")
    };
    let mut float = |samples: &mut Samples, at: i64| samples.push(sample(at, 1.0), &bounds, &mut codec);
    assert_eq!(float(&mut samples, 1000), Ok(Pushed::Accepted));
    let mut codec = Codec::default();
    let mut native =
        |samples: &mut Samples, at: i64, count: f64| samples.push_native(at, &histogram(count), &bounds, &mut codec);
    assert_eq!(native(&mut samples, 1000, 1.0), Err(Rejection::DuplicateTimestamp));
    assert_eq!(native(&mut samples, 1200, 1.0), Ok(Pushed::Accepted));
    assert_eq!(native(&mut samples, 1200, 1.0), Ok(Pushed::Known));
    assert_eq!(native(&mut samples, 1200, 2.0), Err(Rejection::DuplicateTimestamp));
    assert_eq!(native(&mut samples, 1050, 1.0), Err(Rejection::OutOfOrder));
    assert_eq!(native(&mut samples, 1150, 1.0), Ok(Pushed::Accepted));
    assert_eq!(float(&mut samples, 1200), Err(Rejection::DuplicateTimestamp));
    assert_eq!(float(&mut samples, 1050), Err(Rejection::OutOfOrder));
    assert_eq!(float(&mut samples, 1000), Ok(Pushed::Known), "what is there is known, however old");
    assert_eq!(float(&mut samples, 1300), Ok(Pushed::Accepted));
    assert_eq!((samples.count(), samples.oldest(), samples.newest()), (4, Some(1000), Some(1300)));
    let mut bytes = Vec::new();
    samples.write(&mut bytes);
    let mut codec = Codec::default();
    let mut again = Samples::read_from(&mut Cursor::new(&bytes), &mut codec).expect("whole");
    let mut natives = Vec::new();
    again.read_natives(i64::MIN, i64::MAX, &mut natives);
    assert_eq!(natives.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1150, 1200]);
    assert_eq!(again.prune(1250), 2, "raw samples go together");
    assert_eq!((again.count(), again.oldest()), (2, Some(1000)));
}

#[test]
fn what_is_no_number_keeps_its_bits_but_for_those_that_are_taken() {
    let (mut samples, mut codec) = (Samples::default(), Codec::default());
    let mut push = |at: i64, bits: u64| samples.push(sample(at, f64::from_bits(bits)), &TimeBounds::ALL, &mut codec);
    assert_eq!(push(1, 0x7ff8_dead_beef_0001), Ok(Pushed::Accepted));
    assert_eq!(push(1, 0x7ff8_dead_beef_0001), Ok(Pushed::Known));
    assert_eq!(push(1, 0x7ff8_0000_0000_0000), Err(Rejection::DuplicateTimestamp));
    assert_eq!(push(2, 0xfff0_4849_0000_0001), Ok(Pushed::Accepted));
    assert_eq!(push(2, 0xfff0_4849_0000_0001), Ok(Pushed::Known));
    assert_eq!(push(3, 0x7ff0_4849_0000_0001), Ok(Pushed::Accepted));
    assert_eq!(push(4, 0x7ff0_0000_0000_0001), Ok(Pushed::Accepted));
    assert_eq!(push(4, 0x7ff8_0000_0000_0001), Err(Rejection::DuplicateTimestamp));
    assert_eq!(push(5, STALE_NAN_BITS), Ok(Pushed::Accepted));
    samples.pack(&mut codec);
    let mut read = Vec::new();
    samples.read(i64::MIN, i64::MAX, &mut codec, &mut read);
    let bits: Vec<u64> = read.iter().map(|sample| sample.value.to_bits()).collect();
    let taken = [0xfff8_4849_0000_0001, 0x7ff8_4849_0000_0001];
    assert_eq!(bits, [0x7ff8_dead_beef_0001, taken[0], taken[1], 0x7ff0_0000_0000_0001, STALE_NAN_BITS]);
}

#[test]
fn a_block_in_a_snapshot_says_all_by_itself() {
    let (mut samples, mut codec) = (Samples::default(), Codec::default());
    let time = |at: i64| if at < 30 { 10 * at } else { 10 * at + at % 3 };
    let all: Vec<Sample> = (0..60).map(|at| sample(time(at), at as f64)).collect();
    all.iter().for_each(|sample| assert!(samples.push(*sample, &TimeBounds::ALL, &mut codec).is_ok()));
    samples.compact(&mut codec);
    let mut wanted = Vec::new();
    for block in all.chunks(30) {
        let bytes = codec.encode(block).to_vec();
        wanted.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        wanted.extend_from_slice(&block[0].timestamp.millis().to_le_bytes());
        wanted.extend_from_slice(&block[29].timestamp.millis().to_le_bytes());
        wanted.extend_from_slice(&bytes);
    }
    let mut bytes = Vec::new();
    samples.write(&mut bytes);
    let mut cursor = Cursor::new(&bytes);
    assert_eq!((cursor.u8(), cursor.varint()), (Ok(HAS_PACKED), Ok(0)));
    assert_eq!(cursor.bytes(), Ok(&*wanted));
    assert_eq!(cursor.rest(), [0], "no raw ones");
}

#[test]
fn small_blocks_become_large_ones() {
    let (mut samples, mut codec) = (Samples::default(), Codec::default());
    for i in 0..10_000 {
        assert_eq!(samples.push(sample(i * 10_000, i as f64), &TimeBounds::ALL, &mut codec), Ok(Pushed::Accepted));
        let blocks = samples.packed.iter().flat_map(|packed| packed.tail.blocks());
        let counts: Vec<usize> = blocks.map(|block| block.head.count).collect();
        let full = counts.split_last().map_or(&[][..], |(_, full)| full);
        let (large, small) = full.split_at(full.partition_point(|count| *count == MERGED));
        assert!(small.iter().all(|count| *count == BLOCK_MAX) && small.len() <= MERGED / BLOCK_MAX, "{counts:?}");
        assert!(counts.iter().sum::<usize>() <= MERGED + BLOCK_MAX || !large.is_empty(), "{counts:?}");
    }
    assert!(samples.memory_bytes() < 12_000, "{} bytes", samples.memory_bytes());
}
