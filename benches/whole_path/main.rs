//! The whole path under load: a real server process, real sockets, its CPU time beside the wall time.
//!
//! `cargo bench --bench whole_path -- [SCENARIO…] [--seconds N]`; without a scenario, all of them. The load
//! generator runs on the same machine, so that its own share of the cores is part of every figure.

mod scenarios;

use std::time::Duration;

use watchfire_test_support::Server;

type Scenario = fn(&Options);

const SCENARIOS: [(&str, Scenario); 8] = [
    ("start", scenarios::start::run),
    ("burst", scenarios::burst::run),
    ("sustained", scenarios::sustained::run),
    ("single", scenarios::single::run),
    ("data", scenarios::data::run),
    ("latency", scenarios::latency::run),
    ("churn", scenarios::churn::run),
    ("day", scenarios::day::run),
];

/// What was asked for.
pub struct Options {
    /// How long a scenario loads the server.
    pub duration: Duration,
}

fn main() {
    let mut names = Vec::new();
    let mut options = Options { duration: Duration::from_secs(60) };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--seconds" => {
                let seconds = arguments.next().and_then(|text| text.parse().ok());
                options.duration = Duration::from_secs(seconds.expect("--seconds takes a number"));
            }
            name => names.push(name.to_owned()),
        }
    }
    for (name, run) in SCENARIOS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("== {name}");
            run(&options);
        }
    }
}

/// Starts the release binary with a piece of configuration.
pub fn start(config: &str) -> Server {
    Server::start(env!("CARGO_BIN_EXE_watchfire"), config)
}

/// The value at a share of all values (sorted here), in the unit given; 0 without values.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
}
