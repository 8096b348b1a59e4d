//! The engine's figures on this machine: `cargo run --release -p watchfire-engine --example engine_figures [SERIES [PART]]`.
//!
//! Codec, append by label set and by handle, memory per series, select, regular expressions, apply, distributions,
//! snapshot, recovery, churn, days in memory. Times are CPU time of the whole process, so the work of helpers counts.

mod codec;
mod counts;
mod days;
mod kit;
mod series;

fn main() {
    let series = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let only = std::env::args().nth(2).unwrap_or_default();
    let parts: [(&str, &dyn Fn()); 7] = [
        ("churn", &series::churn_figures),
        ("codec", &codec::codec_figures),
        ("append", &|| series::append_figures(series)),
        ("recovery", &series::recovery_figures),
        ("record", &counts::record_figures),
        ("derived", &counts::derived_figures),
        ("ages", &days::ages_figures),
    ];
    parts.iter().filter(|(name, _)| name.contains(&*only)).for_each(|(_, part)| part());
}
