//! Watchfire beside Prometheus and VictoriaMetrics, at the same work in the same run.
//!
//! `cargo xtask peers [remote-write|wide|churn|queries|rules]` fetches them and runs this; without a name, all of it. A program that
//! is not there is said to be missing, and left out.

mod load;
mod peer;
mod queries;
mod remote_write;
mod rules;

type Scenario = fn();

const SCENARIOS: [(&str, Scenario); 5] = [
    ("remote-write", || remote_write::run(&remote_write::Shape { series: 10_000, samples: 360, lifetime: 360 })),
    ("wide", || remote_write::run(&remote_write::Shape { series: 100_000, samples: 120, lifetime: 120 })),
    ("churn", || remote_write::run(&remote_write::Shape { series: 20_000, samples: 120, lifetime: 12 })),
    ("queries", queries::run),
    ("rules", rules::run),
];

fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    for (name, run) in SCENARIOS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("== {name}");
            run();
        }
    }
}
