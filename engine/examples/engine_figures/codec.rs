//! Sealed chunks: bytes a sample, and samples a second in and out.

use watchfire_engine::Codec;
use watchfire_model::{Sample, Timestamp};

use crate::kit::{NOW, Random, timed};

fn series_values(kind: &str, count: usize, random: &mut Random) -> Vec<f64> {
    let (mut level, mut total) = (40.0, 1_000_000.0);
    (0..count)
        .map(|_| match kind {
            "cpu, 2 decimals" => {
                level = (level + random.normal() * 1.5).clamp(0.0, 100.0);
                (level * 100.0f64).round() / 100.0
            }
            "integer counter" => {
                total += (100.0 + random.normal() * 30.0).max(0.0).round();
                total
            }
            "constant" => 42.0,
            "lognormal, 3 decimals" => ((3.0 + random.normal()).exp() * 1000.0).round() / 1000.0,
            _ => (3.0 + random.normal()).exp(),
        })
        .collect()
}

pub fn codec_figures() {
    println!("## codec (bytes/sample, M samples/s encode, decode)");
    let mut random = Random(7);
    let mut codec = Codec::default();
    let kinds = [
        ("cpu, 2 decimals", 0.4),
        ("integer counter", 0.4),
        ("constant", 0.1),
        ("lognormal, 3 decimals", 0.05),
        ("lognormal, full mantissa", 0.05),
    ];
    for length in [32usize, 120, 240, 480, 960] {
        let (mut mix, mut parts) = (0.0, Vec::new());
        for (kind, share) in kinds {
            let values = series_values(kind, 96_000, &mut random);
            let samples: Vec<Sample> = values
                .iter()
                .enumerate()
                .map(|(i, v)| Sample { timestamp: Timestamp::from_millis(NOW + 10_000 * i as i64), value: *v })
                .collect();
            let chunks: Vec<Vec<u8>> = samples.chunks(length).map(|run| codec.encode(run).to_vec()).collect();
            let bytes = chunks.iter().map(Vec::len).sum::<usize>() as f64 / samples.len() as f64;
            let encode = timed(5, || {
                for _ in 0..10 {
                    samples.chunks(length).for_each(|run| {
                        std::hint::black_box(codec.encode(run));
                    });
                }
            });
            let decode = timed(5, || {
                for _ in 0..10 {
                    chunks.iter().for_each(|bytes| {
                        std::hint::black_box(codec.decode(bytes).is_ok());
                    });
                }
            });
            mix += bytes * share;
            let rate = |seconds: f64| samples.len() as f64 * 10.0 / seconds / 1e6;
            parts.push(format!("{kind}: {bytes:.2} B {:.0}/{:.0}", rate(encode), rate(decode)));
        }
        println!("chunks of {length}: mix {mix:.2} B; {}", parts.join("; "));
    }
}
