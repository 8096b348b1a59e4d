//! Histograms of a series against a sorted map of them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use watchfire_model::histogram::HistogramParts;

use super::*;

fn histogram(schema: i32, counts: &[u32], gauge: bool, part: f64) -> Histogram {
    let custom = schema == -53;
    // Of the empty ones every third is a bucket.
    let positive: Vec<(i32, f64)> = (0..)
        .zip(counts)
        .filter(|(place, count)| **count > 0 || place % 3 == 0)
        .map(|(place, count)| (place, if *count > 0 { f64::from(*count) + part } else { 0.0 }))
        .collect();
    let parts = HistogramParts {
        schema,
        hint: if gauge { ResetHint::Gauge } else { ResetHint::Unknown },
        count: positive.iter().map(|(_, count)| count).sum(),
        sum: f64::from(counts.iter().sum::<u32>()) * 1.5,
        zero_threshold: if custom { 0.0 } else { 0.001 },
        positive,
        bounds: if custom { [1.0, 2.0, 5.0, 9.0, 11.0].into() } else { [].into() },
        ..HistogramParts::default()
    };
    Histogram::new(parts).expect("valid")
}

fn any_histogram() -> impl Strategy<Value = Histogram> {
    let counts = prop::collection::vec(prop_oneof![2 => Just(0u32), 3 => 0u32..100], 0..6);
    (
        prop::sample::select(vec![-53, 0, 0, 0, 3]),
        counts,
        prop::bool::weighted(0.1),
        prop::sample::select(vec![0.0, 0.0, 0.25]),
    )
        .prop_map(|(schema, counts, gauge, part)| histogram(schema, &counts, gauge, part))
}

fn check(natives: &Natives, model: &BTreeMap<i64, Histogram>, start: i64, end: i64) {
    let mut got = Vec::new();
    natives.read(start, end, &mut got);
    let wanted: Vec<_> = model.iter().filter(|(at, _)| **at > start && **at <= end).collect();
    assert_eq!(got.len(), wanted.len());
    for ((at, histogram), (wanted_at, wanted)) in got.iter().zip(wanted) {
        assert_eq!(at, wanted_at);
        assert!(histogram.holds_the_same(wanted), "{histogram:?} for {wanted:?}");
        let places = |of: &Histogram| of.positive().iter().map(|(place, _)| *place).collect::<Vec<_>>();
        let (has, was) = (places(histogram), places(wanted));
        assert!(was.iter().all(|place| has.contains(place)), "{has:?} for {was:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn behave_like_a_sorted_map(
        steps in prop::collection::vec((prop_oneof![9 => 1i64..30, 1 => -200i64..200], any_histogram()), 1..400),
        range in (-500i64..8000, -500i64..8000),
        horizon in 0i64..8000,
    ) {
        let (mut natives, mut model) = (Natives::default(), BTreeMap::<i64, Histogram>::new());
        let mut at = 1000;
        for (step, histogram) in steps {
            at += step;
            let wanted = match model.get(&at) {
                Some(have) if have.holds_the_same(&histogram) => Ok(Pushed::Known),
                Some(_) => Err(Rejection::DuplicateTimestamp),
                None => Ok(Pushed::Accepted),
            };
            prop_assert_eq!(natives.push(at, &histogram, true), wanted);
            if wanted == Ok(Pushed::Accepted) { model.insert(at, histogram); }
            if step % 7 == 0 { natives.compact(); }
        }
        prop_assert_eq!(natives.count(), model.len() as u64);
        prop_assert_eq!(natives.newest(), model.last_key_value().map(|(at, _)| *at));
        prop_assert_eq!(natives.oldest(), model.first_key_value().map(|(at, _)| *at));
        check(&natives, &model, i64::MIN, i64::MAX);
        check(&natives, &model, range.0, range.1);
        let mut bytes = Vec::new();
        natives.write(&mut bytes);
        let again = Natives::read_from(&mut Cursor::new(&bytes)).expect("whole");
        check(&again, &model, range.0, range.1);
        natives.remove(range.0, range.1);
        model.retain(|at, _| *at <= range.0 || *at > range.1);
        check(&natives, &model, i64::MIN, i64::MAX);
        let gone = natives.prune(horizon);
        prop_assert_eq!(natives.count() + gone, model.len() as u64);
        check(&natives, &model, horizon.max(range.0), i64::MAX);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Natives::read_from(&mut Cursor::new(&bytes));
        let _ = read_one(&bytes);
    }

    #[test]
    fn one_reads_back(histogram in any_histogram(), at in any::<i64>()) {
        let mut bytes = Vec::new();
        put_one(at, &histogram, &mut bytes);
        let (back_at, back) = read_one(&bytes).expect("whole");
        prop_assert_eq!(back_at, at);
        prop_assert!(back.equals(&histogram) && back.hint() == histogram.hint());
    }
}

/// The places of the positive buckets of each histogram, empty ones in brackets.
fn places(natives: &Natives) -> Vec<String> {
    let mut all = Vec::new();
    natives.read(i64::MIN, i64::MAX, &mut all);
    let bucket = |(place, count): &(i32, f64)| if *count == 0.0 { format!("({place})") } else { place.to_string() };
    all.iter().map(|(_, h)| h.positive().iter().map(bucket).collect::<Vec<_>>().join(" ")).collect()
}

/// A histogram of these buckets.
fn of_buckets(hint: ResetHint, positive: &[(i32, f64)]) -> Histogram {
    let (count, positive) = (positive.iter().map(|(_, count)| count).sum(), positive.to_vec());
    Histogram::new(HistogramParts { schema: 3, hint, count, positive, ..HistogramParts::default() }).expect("valid")
}

/// What is said of a reset, and buckets; `None` is a float between two histograms.
type Sent<'s> = Option<(ResetHint, &'s [(i32, f64)])>;

/// Pushes histograms a second apart.
fn pushed(all: &[Sent<'_>]) -> Natives {
    let mut natives = Natives::default();
    for (step, one) in (0..).zip(all) {
        let Some((hint, buckets)) = one else { continue };
        let follows = step > 0 && all.get(step - 1).is_some_and(Option::is_some);
        natives.push(step as i64 * 1000, &of_buckets(*hint, buckets), follows).expect("in order");
    }
    natives
}

#[test]
fn empty_buckets_are_those_of_a_chunk_of_prometheus() {
    use ResetHint::{Gauge, Reset, Unknown};
    let (one, two): (&[_], &[_]) = (&[(1, 1.0)], &[(1, 1.0), (4, 2.0)]);
    for (all, wanted) in [
        // They are kept as they come.
        (&[Some((Unknown, &[(0, 0.0), (2, 1.0), (3, 0.0)][..]))][..], &["(0) 2 (3)"][..]),
        // All that continue each other have the buckets of all.
        (
            &[Some((Unknown, one)), Some((Unknown, two)), Some((Unknown, &[(0, 0.0), (1, 1.0), (4, 2.0)]))],
            &["(0) 1 (4)", "(0) 1 4", "(0) 1 4"],
        ),
        (&[Some((Unknown, &[(1, 1.0), (2, 0.0)])), Some((Unknown, two))], &["1 (2) (4)", "1 (2) 4"]),
        // What begins anew has its own only: with counts that fell, a bucket that is gone, floats between, as it says.
        (&[Some((Unknown, two)), Some((Unknown, one)), Some((Unknown, two))], &["1 4", "1 (4)", "1 4"]),
        (&[Some((Unknown, two)), Some((Unknown, &[(1, 9.0)]))], &["1 4", "1"]),
        (&[Some((Unknown, &[(1, 1.0), (2, 0.0)])), None, Some((Unknown, two))], &["1 (2)", "1 4"]),
        (&[Some((Unknown, &[(1, 1.0), (2, 0.0)])), Some((Reset, two))], &["1 (2)", "1 4"]),
        // The same buckets go on in one piece, which is taken apart where more come.
        (
            &[
                Some((Unknown, two)),
                Some((Unknown, &[(1, 0.5), (4, 1.0)])),
                Some((Unknown, &[(1, 0.5), (4, 1.0), (5, 1.0)])),
            ],
            &["1 4", "1 4 (5)", "1 4 5"],
        ),
        // Gauges fall and go on.
        (
            &[Some((Gauge, two)), Some((Gauge, one)), Some((Gauge, &[(7, 1.0)])), Some((Unknown, two))],
            &["1 4 (7)", "1 (4) (7)", "(1) (4) 7", "1 4"],
        ),
        (&[Some((Gauge, two)), None, Some((Gauge, one)), Some((Gauge, &[(7, 1.0)]))], &["1 4", "1 (7)", "(1) 7"]),
    ] {
        assert_eq!(places(&pushed(all)), wanted, "{all:?}");
    }
}

#[test]
fn a_chunk_ends_with_its_hours() {
    let mut natives = Natives::default();
    for (at, buckets) in
        [(CHUNK_MS - 2, &[(1, 1.0), (2, 0.0)][..]), (CHUNK_MS - 1, &[(1, 1.0)]), (CHUNK_MS, &[(1, 1.0)])]
    {
        natives.push(at, &of_buckets(ResetHint::Unknown, buckets), true).expect("in order");
    }
    assert_eq!(places(&natives), ["1 (2)", "1 (2)", "1"]);
}

#[test]
fn a_run_of_before_has_no_empty_buckets_and_is_not_gone_on_with() {
    // Schema 3, places 1, 2 and 5; two points, of which the first has nothing in 2, and the second nothing in 5.
    let mut run = vec![3u8];
    run.extend_from_slice(&0f64.to_bits().to_le_bytes());
    crate::bytes::put_varint(&mut run, 0);
    run.extend_from_slice(&[3, 2, 2, 6, 0]);
    for (step, hint, changes) in [(2u8, 0u8, &[0u8, 7, 1, 3, 1, 5][..]), (20, 3, &[3, 5, 0, 4])] {
        run.extend_from_slice(&[step, hint]);
        crate::bytes::put_value(&mut run, 1.5);
        run.extend_from_slice(changes);
    }
    let mut snapshot = vec![1];
    crate::bytes::put_bytes(&mut snapshot, &run);
    let mut natives = Natives::read_from(&mut Cursor::new(&snapshot)).expect("whole");
    assert_eq!(places(&natives), ["1 5", "1 2"]);
    natives.push(30, &of_buckets(ResetHint::Gauge, &[(1, 1.0), (2, 0.0)]), true).expect("in order");
    assert_eq!(places(&natives), ["1 5", "1 2", "1 (2)"]);
    let mut bytes = Vec::new();
    natives.write(&mut bytes);
    let again = Natives::read_from(&mut Cursor::new(&bytes)).expect("whole");
    assert_eq!(places(&again), places(&natives));
}

#[test]
fn what_continues_is_noted_as_it_comes() {
    let mut natives = Natives::default();
    let mut push = |at: i64, counts: &[u32], follows: bool| {
        natives.push(at, &histogram(0, counts, false, 0.0), follows).expect("in order");
        let mut out = Vec::new();
        natives.read(at - 1, at, &mut out);
        out[0].1.hint()
    };
    assert_eq!(push(1, &[1, 2], true), ResetHint::Unknown);
    assert_eq!(push(2, &[1, 3], true), ResetHint::NotReset);
    assert_eq!(push(3, &[2, 2, 1], true), ResetHint::Unknown);
    assert_eq!(push(4, &[2, 2, 1], true), ResetHint::NotReset);
    // Floats came between.
    assert_eq!(push(5, &[2, 2, 1], false), ResetHint::Unknown);
}

#[test]
fn a_steady_counter_takes_few_bytes() {
    let mut natives = Natives::default();
    let mut counts = vec![1000u32; 40];
    for step in 0..1000i64 {
        for hit in [3, 17, 18, 19, 30] {
            counts[hit] += 2;
        }
        natives.push(step * 15_000, &histogram(3, &counts, false, 0.0), true).expect("in order");
    }
    natives.compact();
    let bytes = natives.memory_bytes() / 1000;
    assert!(bytes < 40, "{bytes} bytes for each histogram");
}
