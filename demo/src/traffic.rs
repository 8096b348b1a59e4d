//! Sends the lines: the hours before, then what happens now.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use reqwest::{Client, StatusCode};
use watchfire_model::Timestamp;

use crate::incident::{Phase, Script};
use crate::lines::{Lines, Service};
use crate::request::Request;

/// How far back the history goes.
pub const HISTORY_MS: i64 = 6 * 3_600_000;
/// Requests a second on average in the history.
const HISTORY_RATE: f64 = 4.0;
/// So long before its end the history begins to lead up to what comes while somebody watches: a leap would look like an incident.
const RUSH_MS: f64 = 3_600_000.0;
/// Bytes of lines that are sent together.
const BODY_BYTES: usize = 1 << 20;
/// How often what has happened is sent.
const TICK: Duration = Duration::from_millis(200);
/// First and longest wait before a refused body is sent again.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What the traffic is like.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The server.
    pub server: SocketAddr,
    /// The same seed gives the same requests.
    pub seed: u64,
    /// Requests a second on average; each is logged three to six times.
    pub rate: f64,
    /// What goes wrong while somebody watches.
    pub script: Script,
}

/// What the history has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Requests.
    pub requests: u64,
    /// Bytes of log lines.
    pub bytes: u64,
}

/// A shop and its customers.
pub struct Traffic {
    settings: Settings,
    client: Client,
    random: Rng,
    lines: Lines,
}

impl Traffic {
    /// Nothing has happened yet.
    pub fn new(settings: Settings) -> Traffic {
        Traffic { settings, client: Client::new(), random: Rng::with_seed(settings.seed), lines: Lines::default() }
    }

    /// Writes the hours until `until`. Records that lie so far back are dated by their event time: right in graphs,
    /// unseen by rules.
    pub async fn fill_history(&mut self, until: Timestamp) -> Filled {
        let begin = until.millis() - HISTORY_MS;
        let mut filled = Filled::default();
        let mut at = begin as f64;
        loop {
            // More customers come at noon than at night; the exponential makes gaps as strangers do.
            let hours = at / 3_600_000.0;
            let calm = HISTORY_RATE * (1.0 + 0.5 * (std::f64::consts::TAU * (hours - 9.0) / 24.0).sin());
            let to_go = (until.millis() as f64 - at) / RUSH_MS;
            let rate = calm + (self.settings.rate - calm) * (1.0 - to_go).max(0.0);
            at += -(1.0 - self.random.f64()).ln() * 1000.0 / rate;
            if at >= until.millis() as f64 {
                break;
            }
            let phase = Script::HISTORY.phase(at as i64 - begin);
            self.lines.add(&Request::draw(&mut self.random, at as i64, phase));
            filled.requests += 1;
            if self.lines.bytes() >= BODY_BYTES {
                filled.bytes += self.lines.bytes() as u64;
                self.send().await;
            }
        }
        filled.bytes += self.lines.bytes() as u64;
        self.send().await;
        filled
    }

    /// Goes on until it is dropped; tells each new phase.
    pub async fn run(mut self, mut tell: impl FnMut(Phase)) {
        let begin = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut before = Phase::Calm;
        let mut last = Timestamp::now();
        // Requests that are due, with the fraction of the next one.
        let mut due = 0.0;
        loop {
            tick.tick().await;
            let now = Timestamp::now();
            let phase = self.settings.script.phase(i64::try_from(begin.elapsed().as_millis()).unwrap_or(0));
            if phase != before {
                tell(phase);
                before = phase;
            }
            let passed = now.since(last).clamp(0, 5000);
            last = now;
            due += self.settings.rate * passed as f64 / 1000.0;
            while due >= 1.0 {
                due -= 1.0;
                let ended = now.millis() - self.random.i64(0..=passed);
                self.lines.add(&Request::draw(&mut self.random, ended, phase));
            }
            self.send().await;
        }
    }

    /// Sends what is there, each service for itself.
    async fn send(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        for service in Service::ALL {
            if !lines.of(service).is_empty() {
                self.post(service, lines.of(service)).await;
            }
        }
        self.lines = lines;
        self.lines.clear();
    }

    /// Sends a body until it is taken; one that the server will never take is told and left.
    async fn post(&self, service: Service, body: &str) {
        let url = format!("http://{}{}", self.settings.server, service.endpoint());
        let mut wait = RETRY.0;
        loop {
            let sent = self.client.post(&url).body(body.to_owned()).send().await;
            match sent.map(|answer| answer.status()) {
                Ok(status) if status.is_success() => return,
                Ok(StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) | Err(_) => {}
                Ok(status) => {
                    tracing::warn!(%status, ?service, "the demo's lines were refused");
                    return;
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY.1);
        }
    }
}
