//! A real Prometheus sends what it scrapes, by both versions of remote-write, also while we are killed.

use std::time::{Duration, Instant};

use watchfire_test_support::client::encode;
use watchfire_test_support::prometheus::Prometheus;
use watchfire_test_support::real::Program;
use watchfire_test_support::{Client, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(90);
/// Scrapes that have to be there before we are killed, and after.
const SCRAPES: f64 = 4.0;

/// The first value of a query at a time, unix seconds; 0 if there is none.
fn value(client: &mut Client, query: &str, time: f64) -> f64 {
    let answer = client.get(&format!("/api/v1/query?query={}&time={time:.3}", encode(query)));
    answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs_f64()
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_prometheus_sends_is_whole_over_a_kill() {
    let Some(program) = Program::of_prometheus("prometheus", "remote-write from a real sender") else { return };
    let mut servers = vec![(Server::start(BINARY, "metrics: {port: 0}\n"), "")];
    if program.is_newest {
        let second = "\n    protobuf_message: io.prometheus.write.v2.Request";
        servers.push((Server::start(BINARY, "metrics: {port: 0}\n"), second));
    }
    let to: String = servers
        .iter()
        .map(|(server, more)| format!("  - url: http://{}/api/v1/write{more}\n", server.address))
        .collect();
    let prometheus = Prometheus::start_with(&program, |own| {
        format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}\nscrape_configs:\n  - job_name: self\n    \
             static_configs: [{{targets: ['{own}']}}]\nremote_write:\n{to}"
        )
    });
    let scrapes = "count_over_time(up{job=\"self\"}[1h])";
    for (server, version) in &mut servers {
        wait(&format!("no scrapes arrive{version}: {}", server.log()), || {
            value(&mut server.client(), scrapes, now()) >= SCRAPES
        });
        // What was answered is on disk; what was not is sent again.
        server.restart();
        let until = now();
        wait("prometheus scrapes on", || value(&mut prometheus.client(), scrapes, now()) >= 2.0 * SCRAPES);
        let sum = "sum(sum_over_time(prometheus_tsdb_head_samples_appended_total{job=\"self\"}[1h]))";
        for query in [scrapes, sum, "count({job=\"self\"})"] {
            let wanted = value(&mut prometheus.client(), query, until);
            assert!(wanted > 0.0, "{query}");
            wait(&format!("{query} does not become {wanted}{version}: {}", server.log()), || {
                value(&mut server.client(), query, until) == wanted
            });
        }
        let federated = |client: &mut Client| {
            let path = format!("/federate?match[]={}", encode("prometheus_build_info{job=\"self\"}"));
            let text = client.try_get(&path).text();
            // All but the time, which is that of the newest scrape.
            text.rsplit_once(' ').map(|(line, _)| line.to_owned())
        };
        let ours = federated(&mut server.client());
        assert!(ours.as_ref().is_some_and(|text| text.contains("version=")), "{ours:?}");
        assert_eq!(ours, federated(&mut prometheus.client()));
    }
}
