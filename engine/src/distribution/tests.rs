//! Distributions against the list of all observations.

use proptest::prelude::*;
use watchfire_model::Timestamp;

use super::*;

/// (bucket second, value, late)
type Seen = (u32, f64, bool);

fn exact_quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (q * values.len() as f64).ceil().max(1.0) as usize;
    values[rank.min(values.len()) - 1]
}

fn within(got: f64, wanted: f64) -> bool {
    (got - wanted).abs() <= wanted.abs() * 0.01 + 1e-6
}

fn check(distribution: &Distribution, seen: &[Seen], start: i64, end: i64) {
    let window = distribution.window(
        Timestamp::from_millis(start * 1000),
        Timestamp::from_millis(end * 1000),
        Layers::All,
        &mut Loads::default(),
    );
    let mut values: Vec<f64> =
        seen.iter().filter(|(at, ..)| i64::from(*at) > start && i64::from(*at) <= end).map(|(_, v, _)| *v).collect();
    let recent = seen.iter().any(|(at, ..)| i64::from(*at) > end - 86_400 && i64::from(*at) <= end);
    let Some(window) = window else {
        assert!(values.is_empty() && !recent, "({start}, {end}] has {} values", values.len());
        return;
    };
    assert_eq!(window.count(), values.len() as u64, "({start}, {end}]");
    if values.is_empty() {
        assert_eq!((window.min(), window.quantile(0.5)), (None, None));
        return;
    }
    assert!((window.sum() - values.iter().sum::<f64>()).abs() <= 1e-9 * values.iter().map(|v| v.abs()).sum::<f64>());
    for q in [0.0, 0.01, 0.5, 0.9, 0.99, 1.0] {
        let wanted = exact_quantile(&mut values, q);
        let got = window.quantile(q).expect("there are values");
        assert!(within(got, wanted), "q {q}: {got} for {wanted}");
    }
    assert_eq!((window.min(), window.max()), (values.first().copied(), values.last().copied()));
    let ends: Vec<(f64, u64)> = window.buckets().collect();
    assert!(ends.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(ends.iter().map(|(_, count)| count).sum::<u64>(), window.count());
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (1u32..2_000_000).prop_map(|n| f64::from(n) / 1000.0),
        2 => (-4.0f64..12.0).prop_map(|e| 10f64.powf(e)),
        1 => prop::sample::select(vec![0.0, 0.00005, 1e12, 1.0, 255.0, 256.0, 257.0]),
    ]
}

proptest! {
#![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn windows_merge_what_was_observed(
        steps in prop::collection::vec((prop_oneof![8 => 0i64..2, 3 => 0i64..40, 1 => -120i64..0], value(), prop::bool::weighted(0.1)), 1..400),
        windows in prop::collection::vec((0i64..4000, 0i64..4000), 1..15),
        age_at in prop::option::of(0usize..400),
    ) {
        let mut distribution = Distribution::default();
        let mut seen: Vec<Seen> = Vec::new();
        let mut second = 1_000_000i64;
        let first = second - 200;
        for (at, (step, value, late)) in steps.iter().enumerate() {
            second += step;
            distribution.add(second as u32, *value, Dated::of(*late));
            seen.push((second as u32, *value, *late));
            // Within the time that seconds are kept, so that no edge rounds.
            if age_at == Some(at) { distribution.age(second.min(1_000_400) * 1000); }
        }
        for (a, b) in &windows { check(&distribution, &seen, first + a.min(b), first + a.max(b)); }
        let live = seen.iter().filter(|(.., late)| !late);
        prop_assert_eq!(distribution.totals().0, live.count() as u64);

        let mut bytes = Vec::new();
        distribution.write(&mut bytes);
        let mut again = Distribution::read_from(&mut Cursor::new(&bytes)).expect("whole");
        for (a, b) in &windows { check(&again, &seen, first + a.min(b), first + a.max(b)); }
        again.add(second as u32, 7.0, Dated::Live);
        seen.push((second as u32, 7.0, false));
        for (a, b) in &windows { check(&again, &seen, first + a.min(b), first + a.max(b)); }
    }

    /// What comes late may be gathered by the minute at once; windows of whole minutes are exact all the same, and each
    /// observation is there once, whenever the layer is looked at, aged, or written and read.
    #[test]
    fn windows_of_whole_minutes_are_exact_for_the_past(
        steps in prop::collection::vec((prop_oneof![6 => 0i64..30, 2 => 0i64..900, 2 => -7200i64..0], value(), 0u32..40), 1..300),
        windows in prop::collection::vec((0u32..240, 0u32..240), 1..10),
        again_at in 0usize..300,
    ) {
        let mut distribution = Distribution::default();
        let base = 1_000_000u32 / 3600 * 3600;
        let (mut second, mut now, mut seen) = (i64::from(base), base + 9000, Vec::<Seen>::new());
        for (at, (step, value, waited)) in steps.into_iter().enumerate() {
            now += waited;
            distribution.see_time(i64::from(now) * 1000);
            second = (second + step).clamp(i64::from(base) + 1, i64::from(now));
            distribution.add(second as u32, value, Dated::Late);
            seen.push((second as u32, value, true));
            if waited > 30 { distribution.age(i64::from(now) * 1000); }
            if at == again_at {
                let mut bytes = Vec::new();
                distribution.write(&mut bytes);
                distribution = Distribution::read_from(&mut Cursor::new(&bytes)).expect("whole");
            }
        }
        let newest = seen.iter().map(|(at, ..)| *at).max();
        prop_assert_eq!(distribution.newest(), newest);
        for (a, b) in windows { check(&distribution, &seen, i64::from(base + a.min(b) * 60), i64::from(base + a.max(b) * 60)); }
    }

    /// When fine levels are gone, a window is the exact one with its edges rounded down to the interval.
    #[test]
    fn edges_round_with_age(
        values in prop::collection::vec((0u32..7200, value()), 1..300),
        late in prop::collection::vec((0u32..7200, value()), 0..20),
        windows in prop::collection::vec((0u32..7300, 0u32..7300), 1..15),
        days in 0u32..3,
    ) {
        let mut distribution = Distribution::default();
        let base = 1_000_000 / 3600 * 3600;
        let mut values = values;
        values.sort_by_key(|(at, _)| *at);
        for (at, value) in &values { distribution.add(base + at + 1, *value, Dated::Live); }
        let now = base + 7200 + 700 + days * 86_400;
        distribution.age(i64::from(now) * 1000);
        for (at, value) in &late { distribution.add(base + at + 1, *value, Dated::Live); }
        let mut seen: Vec<Seen> = values.iter().chain(&late).map(|(at, value)| (base + at + 1, *value, false)).collect();
        seen.sort_by_key(|(at, ..)| *at);
        let width = if days == 0 { 10 } else { 60 };
        for (a, b) in windows {
            let (a, b) = (base + a.min(b), base + a.max(b));
            let window = distribution.window(Timestamp::from_millis(i64::from(a) * 1000), Timestamp::from_millis(i64::from(b) * 1000), Layers::All, &mut Loads::default());
            let (a, b) = (a / width * width, b / width * width);
            let wanted = seen.iter().filter(|(at, ..)| *at > a && *at <= b).count() as u64;
            prop_assert_eq!(window.map_or(0, |window| window.count()), wanted);
        }
        let total = distribution.totals();
        distribution.prune(i64::from(now) * 1000 + 3_600_000);
        prop_assert!(distribution.is_empty());
        prop_assert_eq!(distribution.totals(), total);
    }

    /// What is dated so far back that its seconds and tens are over goes to minutes at once, in whatever order it comes.
    #[test]
    fn the_past_goes_where_it_is_kept(
        values in prop::collection::vec((0u32..20_000, value()), 1..800),
        ascending in any::<bool>(),
        age_after in 1usize..300,
        windows in prop::collection::vec((0u32..340, 0u32..340), 1..15),
    ) {
        let mut distribution = Distribution::default();
        let base = 1_000_000 / 3600 * 3600;
        let now = i64::from(base + 20_000) * 1000;
        let mut values = values;
        if ascending {
            values.sort_by_key(|(at, _)| *at);
        }
        let mut seen: Vec<Seen> = Vec::new();
        for (number, (at, value)) in values.iter().enumerate() {
            if number % age_after == 0 {
                distribution.age(now);
            }
            distribution.add(base + at + 1, *value, Dated::Late);
            seen.push((base + at + 1, *value, true));
        }
        for _ in 0..2 {
            for (a, b) in &windows {
                let minute = |number: &u32| i64::from(base + number * 60);
                check(&distribution, &seen, minute(a.min(b)), minute(a.max(b)));
            }
            distribution.age(now);
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Distribution::read_from(&mut Cursor::new(&bytes));
    }
}

#[test]
fn values_beyond_the_range_are_clamped_and_counted() {
    let mut distribution = Distribution::default();
    let clamped = [-5.0, 1e15, f64::INFINITY, 3.0].map(|value| distribution.add(1000, value, Dated::Live));
    assert_eq!(clamped, [true, true, true, false]);
    let window = distribution
        .window(Timestamp::from_millis(0), Timestamp::from_millis(1_000_000), Layers::All, &mut Loads::default())
        .expect("values");
    assert_eq!((window.count(), window.min(), window.max()), (4, Some(-5.0), Some(f64::INFINITY)));
}

#[test]
fn a_busy_second_goes_into_a_histogram() {
    let mut distribution = Distribution::default();
    let mut seen = Vec::new();
    for i in 0..20_000u32 {
        let value = f64::from(i % 977) + 0.5;
        distribution.add(5_000, value, Dated::Live);
        seen.push((5_000, value, false));
    }
    check(&distribution, &seen, 4_999, 5_000);
    assert!(distribution.memory_bytes() < 64_000, "{}", distribution.memory_bytes());
}

#[test]
fn a_past_day_is_never_in_seconds() {
    let mut distribution = Distribution::default();
    let start = 1_700_000_000 / 3600 * 3600;
    distribution.age(i64::from(start + 90_000) * 1000);
    for second in (0..80_000).step_by(10) {
        distribution.add(start + second + 1, 1.0, Dated::Late);
    }
    let minutes_and_hours = 80_000 / 60 + 80_000 / 3600;
    assert!(distribution.count() < minutes_and_hours + 150, "{} pieces", distribution.count());
}

#[test]
fn windows_of_several_series_merge() {
    let mut all = DistributionWindow::empty();
    let mut values = Vec::new();
    for series in 0..3 {
        let mut distribution = Distribution::default();
        for i in 1..100 {
            let value = f64::from(i) * 10f64.powi(series);
            distribution.add(1000 + i as u32, value, Dated::Live);
            values.push(value);
        }
        all.merge(
            &distribution
                .window(
                    Timestamp::from_millis(0),
                    Timestamp::from_millis(2_000_000),
                    Layers::All,
                    &mut Loads::default(),
                )
                .expect("values"),
        );
    }
    assert_eq!(all.count(), 297);
    for q in [0.1, 0.5, 0.95, 0.99] {
        let wanted = exact_quantile(&mut values, q);
        assert!(within(all.quantile(q).expect("values"), wanted));
    }
}

#[test]
fn the_running_total_only_grows() {
    let start = 1_700_000_000u32 / 3600 * 3600;
    let at = |second: u32| Timestamp::from_millis(i64::from(second) * 1000);
    let mut distribution = Distribution::default();
    let step = 97;
    for number in 1..=3000u32 {
        let second = start + number * step;
        distribution.add(second, f64::from(number), Dated::Live);
        distribution.age(i64::from(second) * 1000);
    }
    distribution.add(start + 10, 5.0, Dated::Late);
    let end = start + 3000 * step;
    let total = |distribution: &Distribution, second| {
        distribution.running(at(second), &mut Loads::default()).map_or(0, |w| w.count())
    };
    assert_eq!(total(&distribution, end), 3000);
    assert_eq!(total(&distribution, end - step), 2999);
    assert_eq!(distribution.running(at(start), &mut Loads::default()).map(|window| window.count()), None);
    let before = distribution.running(at(end), &mut Loads::default()).map(|window| window.sum());

    distribution.prune(i64::from(end - 86_400) * 1000);
    distribution.prune(i64::from(end - 7200) * 1000);
    assert_eq!(total(&distribution, end), 3000);
    assert_eq!(distribution.running(at(end), &mut Loads::default()).map(|window| window.sum()), before);
    assert!(total(&distribution, end - 86_400) > 2000, "what was pruned is still counted");

    let mut bytes = Vec::new();
    distribution.write(&mut bytes);
    assert_eq!(Distribution::check(&mut Cursor::new(&bytes)), Ok(()));
    let again = Distribution::read_from(&mut Cursor::new(&bytes)).expect("whole");
    assert_eq!(total(&again, end), 3000);
}

#[test]
fn intervals_are_told_as_they_are_kept() {
    let start = 1_700_000_000u32 / 3600 * 3600;
    let mut distribution = Distribution::default();
    for second in (start + 1..=start + 7200).step_by(3) {
        distribution.add(second, 1.0, Dated::Live);
        distribution.age(i64::from(second) * 1000);
    }
    let times = |from: u32, to: u32| {
        let mut times = Vec::new();
        let at = |second: u32| Timestamp::from_millis(i64::from(second) * 1000);
        distribution.times(at(from), at(to), &mut Loads::default(), &mut times);
        times.iter().map(|time| time.millis() / 1000 - i64::from(start)).collect::<Vec<_>>()
    };
    assert_eq!(times(start + 7180, start + 7200), [7183, 7186, 7189, 7192, 7195, 7198]);
    assert_eq!(times(start + 100, start + 150), [110, 120, 130, 140, 150]);
    let all = times(start, start + 7200);
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
    let sum: u64 = std::iter::once(0)
        .chain(all.iter().copied())
        .zip(&all)
        .map(|(from, to)| {
            let at = |second: i64| Timestamp::from_millis((second + i64::from(start)) * 1000);
            distribution
                .window(at(from), at(*to), Layers::All, &mut Loads::default())
                .map_or(0, |window| window.count())
        })
        .sum();
    assert_eq!(sum, 2400);
}
