//! Ten thousand alerting rules over ten thousand series, once a second: CPU of a round, and rounds that were missed.
//!
//! A rule reads the ten series of a service over five minutes; ten rules read the same ones and compare with limits of
//! their own, as severities and teams do. First none of them fires, then they have 17,000 alerts.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use watchfire_test_support::remote_write::{http_request, labels, put_series};

use crate::peer::{PROGRAMS, Peer, vmalert};

const SERVICES: usize = 1000;
const SERIES_PER_SERVICE: usize = 10;
const RULES_PER_SERVICE: usize = 10;
const GROUPS: usize = 20;
/// How far the samples reach back and ahead of now, and their distance, milliseconds.
const BACK_MS: i64 = 330_000;
const AHEAD_MS: i64 = 240_000;
const STEP_MS: i64 = 15_000;
/// Rounds before it is measured, and how long it is measured.
const ROUNDS_BEFORE: f64 = 3.0;
const MEASURED: Duration = Duration::from_secs(20);
/// Longest wait for the first rounds.
const ROUNDS_MAX: Duration = Duration::from_secs(100);

/// The names by which a program counts its rounds, those that were missed, and how often a round makes the former grow.
struct Counters {
    rounds: &'static str,
    missed: &'static str,
}

const OURS: Counters = Counters {
    rounds: "watchfire_rule_group_iterations_total",
    missed: "watchfire_rule_group_iterations_missed_total",
};
const PROMETHEUS: Counters = Counters {
    rounds: "prometheus_rule_group_iterations_total",
    missed: "prometheus_rule_group_iterations_missed_total",
};
const VMALERT: Counters = Counters { rounds: "vmalert_iteration_total", missed: "vmalert_iteration_missed_total" };

/// Lets all of them evaluate the same rules over the same series.
pub fn run() {
    println!("{:>18} {:>8} {:>14} {:>8} {:>8} {:>8}", "", "", "CPU s a round", "rounds", "missed", "alerts");
    for is_firing in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("groups.yml");
        std::fs::write(&file, groups(is_firing)).expect("the folder can be written");
        for program in PROGRAMS {
            let is_store_only = program.name == "victoria-metrics";
            let rules = if is_store_only { String::new() } else { format!("rule_files: [\"{}\"]\n", file.display()) };
            let Some(peer) = program.start_with(&format!("global: {{evaluation_interval: 1s}}\n{rules}")) else {
                continue;
            };
            send(&peer);
            match program.name {
                "watchfire" => measure(&[&peer], &OURS, is_firing),
                "prometheus" => measure(&[&peer], &PROMETHEUS, is_firing),
                _ => measure_vmalert(&peer, &file, is_firing),
            }
        }
    }
}

/// The work of both counts: the one asks, the other answers.
fn measure_vmalert(store: &Peer, rules: &Path, is_firing: bool) {
    if let Some(vmalert) = vmalert(store.address, rules) {
        measure(&[&vmalert, store], &VMALERT, is_firing);
    }
}

/// The first of the programs counts the rounds; the last knows the alerts.
fn measure(peers: &[&Peer], counters: &Counters, is_firing: bool) {
    let (Some(first), Some(last)) = (peers.first(), peers.last()) else { return };
    let rounds = || first.own_metric(counters.rounds) / GROUPS as f64;
    let begun = Instant::now();
    let before = rounds();
    while rounds() - before < ROUNDS_BEFORE && begun.elapsed() < ROUNDS_MAX {
        std::thread::sleep(Duration::from_millis(200));
    }
    let cpu = || peers.iter().map(|peer| peer.cpu()).sum::<Duration>().as_secs_f64();
    let (cpu_before, rounds_before, missed_before) = (cpu(), rounds(), first.own_metric(counters.missed));
    std::thread::sleep(MEASURED);
    let (cpu, rounds) = (cpu() - cpu_before, rounds() - rounds_before);
    let missed = (first.own_metric(counters.missed) - missed_before) / GROUPS as f64;
    let alerts = last.value("count(ALERTS{alertstate=\"firing\"})");
    let state = if is_firing { "firing" } else { "quiet" };
    println!(
        "{:>18} {state:>8} {:>14.3} {rounds:>8.1} {missed:>8.1} {alerts:>8}",
        first.program.name,
        cpu / rounds.max(f64::MIN_POSITIVE)
    );
}

fn groups(is_firing: bool) -> String {
    let mut text = "groups:\n".to_owned();
    let rules = SERVICES * RULES_PER_SERVICE;
    for rule in 0..rules {
        if rule % (rules / GROUPS) == 0 {
            // A text takes whatever is written.
            let _ = write!(text, "- name: group-{}\n  interval: 1s\n  rules:\n", rule / (rules / GROUPS));
        }
        let (service, number) = (rule / RULES_PER_SERVICE, rule % RULES_PER_SERVICE);
        // The series of a service grow by 1 to 10 a second: above 8 are two of them, above 9 is one.
        let limit = match (is_firing, number) {
            (false, _) => 1000.5 + number as f64,
            (true, ..7) => 8.5,
            (true, _) => 9.5,
        };
        let _ = write!(
            text,
            "  - alert: Busy{number}\n    expr: 'rate(bench_requests_total{{service=\"service-{service}\"}}[5m]) > {limit}'\n    \
             labels: {{severity: page}}\n    annotations: {{summary: '{{{{ $labels.instance }}}} has {{{{ $value }}}} a second'}}\n"
        );
    }
    text
}

/// Sends counters that grow evenly, in the order of time.
fn send(peer: &Peer) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let series: Vec<(Vec<u8>, i64)> = (0..SERVICES * SERIES_PER_SERVICE)
        .map(|number| {
            let (service, instance) = (number / SERIES_PER_SERVICE, number % SERIES_PER_SERVICE);
            let pairs = [
                ("__name__", "bench_requests_total".to_owned()),
                ("instance", format!("10.0.{}.{}:9100", service % 250, instance)),
                ("job", "bench".to_owned()),
                ("service", format!("service-{service}")),
            ];
            (labels(pairs.iter().map(|(name, value)| (*name, value.as_str()))), instance as i64 + 1)
        })
        .collect();
    let mut client = peer.client();
    for step in 0..=(BACK_MS + AHEAD_MS) / STEP_MS {
        let at = now - BACK_MS + step * STEP_MS;
        let mut request = Vec::new();
        for (labels, per_second) in &series {
            put_series(labels, &[(at, (step * STEP_MS / 1000 * per_second) as f64)], &mut request);
        }
        let answer = client.call(&http_request(&request));
        assert!(matches!(answer.status, 200 | 204), "{}: {}", answer.status, answer.text());
    }
}
