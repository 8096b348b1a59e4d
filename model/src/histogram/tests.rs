use proptest::prelude::*;

use super::*;

fn exponential(schema: i32, zero: (f64, f64), positive: &[(i32, f64)], negative: &[(i32, f64)]) -> Histogram {
    let count = zero.1 + positive.iter().chain(negative).map(|(_, count)| count).sum::<f64>();
    let (positive, negative) = (positive.to_vec(), negative.to_vec());
    let (zero_threshold, zero_count) = zero;
    let parts = HistogramParts { schema, zero_threshold, zero_count, count, positive, negative, ..Default::default() };
    Histogram::new(parts).expect("valid")
}

fn custom(bounds: &[f64], positive: &[(i32, f64)]) -> Histogram {
    let count = positive.iter().map(|(_, count)| count).sum::<f64>();
    let parts = HistogramParts {
        schema: CUSTOM_SCHEMA.into(),
        count,
        positive: positive.to_vec(),
        bounds: bounds.into(),
        ..Default::default()
    };
    Histogram::new(parts).expect("valid")
}

#[test]
fn schemas_and_zero_buckets_are_reconciled() {
    let mut wide = exponential(0, (1.0, 2.0), &[(1, 1.0), (3, 4.0)], &[]);
    // In schema 1 the buckets -1 to 0 lie below 1, and 1 and 2 become bucket 1.
    let narrow = exponential(1, (0.25, 1.0), &[(-1, 1.0), (0, 1.0), (1, 1.0), (2, 1.0), (6, 7.0)], &[(2, 3.0)]);
    let added = wide.add(&narrow).expect("both are exponential");
    assert_eq!(added, Added::default());
    assert_eq!((wide.schema(), wide.zero_count(), wide.count()), (0, 5.0, 22.0));
    assert_eq!(wide.positive(), &[(1, 3.0), (3, 11.0)]);
    assert_eq!(wide.negative(), &[(1, 3.0)]);
    // A threshold inside a bucket takes all of it.
    let mut inside = exponential(0, (3.0, 0.0), &[(3, 1.0)], &[]);
    inside.add(&exponential(0, (1.0, 0.0), &[(1, 1.0), (2, 2.0)], &[])).expect("both are exponential");
    assert_eq!((inside.zero_threshold(), inside.zero_count()), (4.0, 3.0));
    assert_eq!(inside.positive(), &[(3, 1.0)]);
}

#[test]
fn custom_bounds_keep_what_both_have() {
    let mut left = custom(&[1.0, 2.0, 4.0], &[(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]);
    let right = custom(&[1.0, 3.0, 4.0], &[(0, 10.0), (1, 20.0), (3, 30.0)]);
    assert!(left.add(&right).expect("both are custom").bounds_reconciled);
    assert_eq!(**left.bounds(), [1.0, 4.0]);
    assert_eq!(left.positive(), &[(0, 11.0), (1, 25.0), (2, 34.0)]);
    assert_eq!(left.add(&exponential(0, (0.0, 0.0), &[], &[])), Err(Incompatible));
}

#[test]
fn resets_are_seen() {
    let before = exponential(2, (0.5, 1.0), &[(0, 2.0), (1, 2.0), (4, 0.0)], &[(1, 1.0)]);
    let is_reset = |now: &Histogram| now.is_reset_after(&before);
    assert!(!is_reset(&before));
    assert!(!is_reset(&exponential(2, (0.5, 1.0), &[(0, 2.0), (1, 3.0)], &[(1, 1.0)])));
    assert!(is_reset(&exponential(2, (0.5, 1.0), &[(0, 1.0), (1, 3.0)], &[(1, 1.0)])));
    assert!(is_reset(&exponential(2, (0.5, 5.0), &[(0, 2.0), (1, 2.0)], &[])));
    assert!(is_reset(&exponential(2, (0.5, 0.0), &[(0, 2.0), (1, 3.0)], &[(1, 1.0)])));
    assert!(is_reset(&exponential(3, (0.5, 1.0), &[(0, 9.0)], &[(1, 1.0)])));
    assert!(is_reset(&exponential(2, (0.25, 1.0), &[(0, 2.0), (1, 2.0)], &[(1, 1.0)])));
    // Wider buckets hold the same.
    assert!(!is_reset(&exponential(1, (0.5, 1.0), &[(0, 2.0), (1, 2.0)], &[(1, 1.0)])));
    let mut said = exponential(2, (0.5, 0.0), &[], &[]);
    said.set_hint(ResetHint::NotReset);
    assert!(!is_reset(&said));
    let bounds = custom(&[1.0, 2.0, 3.0], &[(0, 1.0), (1, 1.0)]);
    assert!(!custom(&[2.0, 3.0], &[(0, 2.0)]).is_reset_after(&bounds));
    assert!(custom(&[1.0, 3.0], &[(1, 3.0)]).is_reset_after(&bounds));
}

#[test]
fn what_is_no_histogram_is_told() {
    let parts =
        || HistogramParts { count: 3.0, positive: vec![(0, 1.0), (1, 2.0)], is_integer: true, ..Default::default() };
    assert!(Histogram::new(parts()).is_ok());
    let bad: &[(HistogramParts, &str)] = &[
        (HistogramParts { schema: -5, ..parts() }, "the schema is -5"),
        (HistogramParts { schema: 99, ..parts() }, "the schema is 99"),
        (HistogramParts { count: 4.0, ..parts() }, "3 observations found in buckets, but the count is 4"),
        (HistogramParts { count: -1.0, ..parts() }, "it is negative"),
        (HistogramParts { negative: vec![(0, -1.0)], ..parts() }, "negative side: bucket number 1"),
        (HistogramParts { bounds: [1.0].into(), ..parts() }, "has custom bounds"),
        (HistogramParts { zero_threshold: f64::NAN, ..parts() }, "the zero threshold is NaN"),
        (HistogramParts { schema: -53, bounds: [1.0, 1.0].into(), ..parts() }, "previous bound is 1"),
        (HistogramParts { schema: -53, bounds: [f64::NAN].into(), ..parts() }, "a bound is NaN"),
        (HistogramParts { schema: -53, ..parts() }, "0 bounds do not cover 2 buckets"),
        (
            HistogramParts { schema: -53, bounds: [1.0].into(), zero_count: 1.0, ..parts() },
            "there must be no zero count",
        ),
    ];
    for (parts, wanted) in bad {
        let error = Histogram::new(parts.clone()).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{error}, not {wanted}");
    }
    // What was no number is in no bucket.
    assert!(Histogram::new(HistogramParts { count: 4.0, sum: f64::NAN, ..parts() }).is_ok());
    let spans = |spans: &[(i32, u32)], counts: &[f64]| buckets_of_spans("positive", spans, counts);
    assert_eq!(spans(&[(-2, 1), (0, 0), (1, 2)], &[1.0, 2.0, 3.0]), Ok(vec![(-2, 1.0), (0, 2.0), (1, 3.0)]));
    assert!(spans(&[(0, 2)], &[1.0]).is_err());
    assert!(spans(&[(0, 1), (-1, 1)], &[1.0, 1.0]).is_err());
    assert!(spans(&[(i32::MAX, 1)], &[1.0]).is_err());
    // Narrower than what is kept.
    let parts = HistogramParts { schema: 10, count: 2.0, positive: vec![(1, 1.0), (4, 1.0)], ..Default::default() };
    let narrow = Histogram::new(parts).expect("valid");
    assert_eq!((narrow.schema(), narrow.positive()), (8, &vec![(1, 2.0)]));
}

#[test]
fn trimming_keeps_one_side() {
    let mut low = custom(&[1.0, 2.0, 4.0], &[(0, 4.0), (1, 4.0), (2, 4.0), (3, 4.0)]);
    let mut high = low.clone();
    low.trim(3.0, Kept::Below);
    assert_eq!(low.positive(), &[(0, 4.0), (1, 4.0), (2, 2.0)]);
    assert_eq!((low.count(), low.sum()), (10.0, 4.0 * 0.5 + 4.0 * 1.5 + 2.0 * 2.5));
    high.trim(3.0, Kept::Above);
    assert_eq!((high.positive(), high.count()), (&vec![(2, 2.0), (3, 4.0)], 6.0));
}

#[test]
fn empty_buckets_are_told_apart_from_none() {
    let listed = |positive: &[(i32, f64)]| exponential(0, (0.0, 0.0), positive, &[]);
    let (with, without) = (listed(&[(0, 0.0), (1, 2.0), (3, 0.0)]), listed(&[(1, 2.0)]));
    assert!(!with.equals(&without) && with.holds_the_same(&without) && without.holds_the_same(&with));
    assert!(!with.holds_the_same(&listed(&[(1, 3.0)])) && !with.holds_the_same(&listed(&[(2, 2.0)])));
    assert!(!with.is_reset_after(&without) && !without.is_reset_after(&with));
    let mut sum = without.clone();
    sum.add(&listed(&[(2, 0.0), (9, 0.0)])).expect("both are exponential");
    assert_eq!(sum.positive(), &[(1, 2.0), (2, 0.0), (9, 0.0)]);
    sum.compact();
    assert!(sum.equals(&without));
    let mut few = listed(&[(0, 0.0), (1, 2.0), (4, 1.0), (5, 0.0), (6, 1.0), (10, 1.0), (11, 0.0)]);
    few.compact_but_between(2);
    assert_eq!(few.positive(), &[(1, 2.0), (2, 0.0), (3, 0.0), (4, 1.0), (5, 0.0), (6, 1.0), (10, 1.0)]);
}

/// Of schemas and thresholds that have bounds in common.
fn histograms() -> impl Strategy<Value = Histogram> {
    let buckets = || prop::collection::btree_map(-20i32..40, (0u32..50).prop_map(f64::from), 0..20);
    (-2i32..5, prop_oneof![Just(0.0), Just(2f64.powi(-16)), Just(1.0), Just(16.0)], 0u32..9, buckets(), buckets())
        .prop_map(|(schema, threshold, zero, positive, negative)| {
            let outside = |buckets: std::collections::BTreeMap<i32, f64>| -> Vec<(i32, f64)> {
                let schema = i8::try_from(schema).expect("small");
                buckets.into_iter().filter(|(index, _)| bounds::exponential(index - 1, schema) >= threshold).collect()
            };
            exponential(schema, (threshold, f64::from(zero)), &outside(positive), &outside(negative))
        })
}

proptest! {
    #[test]
    fn nothing_is_lost_by_adding(all in prop::collection::vec(histograms(), 1..6)) {
        let inside = |h: &Histogram| {
            h.zero_count() + h.positive().iter().chain(h.negative()).map(|(_, count)| count).sum::<f64>()
        };
        let (mut plain, mut sum) = (all[0].clone(), HistogramSum::of(&all[0]));
        for other in &all[1..] {
            plain.add(other).expect("all are exponential");
            sum.add(other).expect("all are exponential");
        }
        let wanted: f64 = all.iter().map(Histogram::count).sum();
        prop_assert_eq!(plain.count(), wanted);
        prop_assert_eq!(inside(&plain), wanted);
        prop_assert!(plain.positive().windows(2).all(|pair| pair[0].0 < pair[1].0));
        let (mut total, mut plain_compact) = (sum.total(), plain.clone());
        total.compact();
        plain_compact.compact();
        prop_assert!(total.equals(&plain_compact), "{:?} {:?}", total, plain);
        // It continues each of its parts, and a part does not continue it.
        prop_assert!(!plain.is_reset_after(&all[0]));
        prop_assert!(wanted == all[0].count() || all[0].is_reset_after(&plain));
        let mut back = plain.clone();
        for other in &all[1..] {
            back.subtract(other).expect("all are exponential");
        }
        prop_assert_eq!(back.count(), all[0].count());
        prop_assert_eq!(inside(&back), all[0].count());
    }

    #[test]
    fn buckets_ascend_and_hold_all(histogram in histograms()) {
        let buckets: Vec<Bucket> = histogram.buckets().collect();
        prop_assert!(buckets.windows(2).all(|pair| pair[0].upper <= pair[1].lower));
        prop_assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<f64>(), histogram.count());
        let mut back: Vec<Bucket> = histogram.buckets().rev().collect();
        back.reverse();
        prop_assert_eq!(back, buckets);
    }
}
