//! At 1,000 lines a second: from the answer to a search that finds the line, to a WebSocket that shows it, to a
//! webhook that a rule of duration 0 sends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::single::requests;
use crate::{Options, percentile};
use watchfire_test_support::{Server, WebhookReceiver};

/// A background of 1,000 lines a second, and probes beside it.
pub fn run(options: &Options) {
    let hook = WebhookReceiver::start();
    let rules = tempfile::tempdir().expect("a folder");
    let probes = (options.duration.as_secs() / 2).clamp(5, 30);
    let rule = |number: u64| {
        serde_json::json!({"name": format!("Probe{number}"), "query": format!("sum log_events_total over 1m service=probe{number}"),
            "operator": ">", "threshold": 0, "duration": "0s"})
    };
    let rule_file = rules.path().join("rules.json");
    let all = serde_json::Value::Array((0..probes).map(rule).collect());
    std::fs::write(&rule_file, all.to_string()).expect("the folder can be written");
    let server = crate::start(&format!(
        "alerting:\n  rules_path: {}\n  check_interval: 100ms\n  receivers:\n    - {{name: hook, webhook: {{url: \"http://{}/\"}}}}\n",
        rule_file.display(),
        hook.address
    ));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| background(&server, &done));
        std::thread::sleep(Duration::from_secs(1));
        let (mut found, mut shown, mut paged) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..probes {
            shown.push(websocket_probe(&server, number));
            found.push(search_probe(&server, number));
            paged.push(webhook_probe(&server, number, &hook));
        }
        done.store(true, Ordering::Relaxed);
        for (what, times) in [("searchable", &mut found), ("WebSocket", &mut shown), ("webhook", &mut paged)] {
            println!(
                "answer → {what}: p50 {:.1} ms, p99 {:.1} ms ({} probes)",
                percentile(times, 0.5),
                percentile(times, 0.99),
                times.len()
            );
        }
    });
}

fn background(server: &Server, done: &AtomicBool) {
    let requests = requests("/data/fast", 1000, 3);
    let mut client = server.client();
    let begun = Instant::now();
    for number in 0.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let ahead = number as f64 / 1000.0 - begun.elapsed().as_secs_f64();
        if ahead > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(ahead));
        }
        client.call(&requests[number % requests.len()]);
    }
}

fn post(server: &Server, service: &str) -> Instant {
    let body = format!("{{\"message\":\"probe\",\"service\":\"{service}\",\"level\":\"error\"}}");
    let status = server.client().post("/ingest", "application/json", body).status;
    assert_eq!(status, 202);
    Instant::now()
}

fn millis_since(answered: Instant) -> f64 {
    answered.elapsed().as_secs_f64() * 1e3
}

fn search_probe(server: &Server, number: u64) -> f64 {
    let service = format!("found{number}");
    let mut client = server.client();
    let answered = post(server, &service);
    while client.get(&format!("/api/v1/logs/search?service={service}&limit=1"))["total"] == 0 {}
    millis_since(answered)
}

fn websocket_probe(server: &Server, number: u64) -> f64 {
    let service = format!("shown{number}");
    let mut stream = TcpStream::connect(server.address).expect("the server listens");
    let request = format!(
        "GET /ws/logs?service={service} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut piece = [0; 4096];
    let count = stream.read(&mut piece).expect("the server answers");
    assert!(piece[..count].starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&piece[..count]));
    let answered = post(server, &service);
    loop {
        let count = stream.read(&mut piece).expect("a frame");
        assert!(count > 0, "the server closed the WebSocket");
        if String::from_utf8_lossy(&piece[..count]).contains(&service) {
            break;
        }
    }
    millis_since(answered)
}

fn webhook_probe(server: &Server, number: u64, hook: &WebhookReceiver) -> f64 {
    let name = format!("Probe{number}");
    let answered = post(server, &format!("probe{number}"));
    let delivery = hook.wait_for(&name, |delivery| delivery.body["commonLabels"]["alertname"] == name.as_str());
    delivery.at.saturating_duration_since(answered).as_secs_f64() * 1e3
}
