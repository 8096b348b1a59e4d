//! Single records to `/data/fast`: throughput at 64 connections, mean latency at 5,000 a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Options;
use watchfire_test_support::lines::{self, Random};
use watchfire_test_support::{Client, Server};

const CONNECTIONS: usize = 64;
const THREADS: usize = 2;

/// Requests to send again and again, each with a line of its own.
pub fn requests(path: &str, count: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random::new(seed);
    let request = |_| {
        let mut line = String::new();
        let at = lines::push_line(&mut random, &mut line);
        line.replace_range(at..at + lines::TIME_WIDTH, &lines::now());
        Client::request("POST", path, &["Content-Type: application/json"], line.as_bytes())
    };
    (0..count).map(request).collect()
}

/// Both loads.
pub fn run(options: &Options) {
    let server = crate::start("");
    let duration = options.duration.min(Duration::from_secs(20));
    let (sent, cpu_before, begun) = (AtomicU64::new(0), server.cpu(), Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (sent, server) = (&sent, &server);
            scope.spawn(move || {
                let requests = requests("/data/fast", 1000, thread as u64 + 1);
                let mut clients: Vec<Client> = (0..CONNECTIONS / THREADS).map(|_| server.client()).collect();
                for (client, request) in clients.iter_mut().zip(&requests) {
                    client.send(request).expect("the server reads");
                }
                let mut next = 0;
                while begun.elapsed() < duration {
                    for client in &mut clients {
                        let answer = client.receive().expect("the server answers");
                        assert_eq!(answer.status, 202, "{}", answer.text());
                        client.send(&requests[next]).expect("the server reads");
                        next = (next + 1) % requests.len();
                    }
                    sent.fetch_add(clients.len() as u64, Ordering::Relaxed);
                }
                for client in &mut clients {
                    client.receive().expect("the server answers");
                }
            });
        }
    });
    let (count, wall) = (sent.into_inner() as f64, begun.elapsed().as_secs_f64());
    server.wait_drained();
    let cpu = (server.cpu() - cpu_before).as_secs_f64();
    println!("{CONNECTIONS} connections: {:.0}/s, server CPU {:.1} s per million", count / wall, cpu / count * 1e6);
    paced(&server, duration);
}

/// 5,000 a second over 16 connections, each answer awaited.
fn paced(server: &Server, duration: Duration) {
    const RATE: f64 = 5000.0;
    const PACED_CONNECTIONS: usize = 16;
    let begun = Instant::now();
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PACED_CONNECTIONS)
            .map(|connection| {
                scope.spawn(move || {
                    let requests = requests("/data/fast", 500, 100 + connection as u64);
                    let mut client = server.client();
                    let mut times = Vec::new();
                    for number in 0.. {
                        let due = (number * PACED_CONNECTIONS + connection) as f64 / RATE;
                        let ahead = due - begun.elapsed().as_secs_f64();
                        if ahead > 0.0 {
                            std::thread::sleep(Duration::from_secs_f64(ahead));
                        }
                        if begun.elapsed() > duration {
                            break;
                        }
                        let sent = Instant::now();
                        client.call(&requests[number % requests.len()]);
                        times.push(sent.elapsed().as_secs_f64() * 1e3);
                    }
                    times
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a sender ends")).collect::<Vec<f64>>()
    });
    let mut times = times;
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    println!(
        "paced: {rate:.0}/s, mean {mean:.2} ms, p50 {:.2} ms, p99 {:.2} ms",
        crate::percentile(&mut times, 0.5),
        crate::percentile(&mut times, 0.99)
    );
}
