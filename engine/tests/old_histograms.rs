//! Histograms as an earlier program wrote them.
//!
//! `data/snapshot-2.snap` is a snapshot of format version 2 with a distribution, `latency_ms`, of three values a second
//! for 800 seconds, swept every ten. The program of that version made it of the values of `value` below.

use std::path::Path;

use watchfire_engine::{Engine, EngineConfig, TimeRange};
use watchfire_model::{Matcher, Timestamp};

const START: i64 = 1_700_000_000;
const SECONDS: i64 = 800;
const PER_SECOND: i64 = 3;

/// From a tenth to some thousands, the same in every run.
fn value(second: i64, number: i64) -> f64 {
    let mixed = ((second * PER_SECOND + number) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (10f64.powf(mixed as f64 / f64::from(1 << 24) * 4.5 - 1.0) * 1000.0).round() / 1000.0
}

fn seconds(at: i64) -> Timestamp {
    Timestamp::from_millis(at * 1000)
}

#[test]
fn histograms_of_version_2_are_read_and_go_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/snapshot-2.snap");
    std::fs::copy(sample, dir.path().join("snapshot-00000000000000000801.snap")).expect("copies");
    for round in 0..2 {
        let (engine, report) = Engine::open(EngineConfig::new(dir.path()), seconds(START + SECONDS)).expect("opens");
        assert_eq!(report.damages, []);
        let range = TimeRange { start: seconds(START - 1), end: seconds(START + SECONDS) };
        let views = engine.select(&[Matcher::equal("__name__", "latency_ms")], range).expect("selects");
        let [view] = &*views else { panic!("{views:?}") };
        // Seconds are kept for eleven minutes; before that, a window begins and ends between tens.
        for (first, last) in [(0, SECONDS - 1), (300, 599), (611, 743), (790, 799), (790, 790), (61, 120)] {
            let window = view.histogram(seconds(START + first - 1), seconds(START + last)).expect("observations");
            let mut values: Vec<f64> =
                (first..=last).flat_map(|second| (0..PER_SECOND).map(move |number| value(second, number))).collect();
            values.sort_by(f64::total_cmp);
            assert_eq!(window.count() as usize, values.len(), "round {round}, {first} to {last}");
            assert_eq!((window.min(), window.max()), (values.first().copied(), values.last().copied()));
            for q in [0.01, 0.5, 0.9, 0.99] {
                let wanted = values[((q * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1];
                let got = window.quantile(q).expect("observations");
                assert!((got - wanted).abs() <= 0.01 * wanted, "{q} of {first} to {last}: {got} for {wanted}");
            }
        }
        // The second round reads what this program wrote.
        engine.checkpoint().expect("checkpoints");
    }
}
