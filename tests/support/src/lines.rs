//! Log lines as services write them: 200 message templates, six services, unique trace ids, about 300 bytes.

use std::fmt::Write;

/// A small, fast generator of numbers (xorshift64*); the same seed gives the same lines.
pub struct Random(u64);

impl Random {
    /// From a seed, which must not be 0.
    pub fn new(seed: u64) -> Random {
        Random(seed.max(1))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.number() >> 11) % bound
    }
}

const SERVICES: [&str; 6] = ["api", "web", "auth", "db", "worker", "billing"];
const VERBS: [&str; 10] =
    ["accepted", "finished", "started", "retried", "cached", "rejected", "queued", "loaded", "sent", "closed"];
const THINGS: [&str; 20] = [
    "request",
    "connection",
    "session",
    "order",
    "payment",
    "message",
    "upload",
    "query",
    "batch",
    "job",
    "token",
    "invoice",
    "cart",
    "profile",
    "report",
    "lease",
    "lock",
    "index",
    "snapshot",
    "stream",
];

/// Width of an RFC 3339 time with milliseconds.
pub const TIME_WIDTH: usize = 24;

/// A body of lines, and where in it each line's time stands.
pub struct Body {
    /// The lines, NDJSON.
    pub bytes: Vec<u8>,
    /// Offsets of the times.
    pub times: Vec<usize>,
}

impl Body {
    /// About `size` bytes of lines.
    pub fn new(random: &mut Random, size: usize) -> Body {
        let mut text = String::with_capacity(size + 512);
        let mut times = Vec::new();
        while text.len() < size {
            times.push(push_line(random, &mut text));
            text.push('\n');
        }
        Body { bytes: text.into_bytes(), times }
    }

    /// Writes the current time into every line.
    pub fn stamp(&mut self, rfc3339: &str) {
        for at in &self.times {
            self.bytes[*at..*at + TIME_WIDTH].copy_from_slice(rfc3339.as_bytes());
        }
    }
}

/// Appends one line (without its end), answers where its time stands.
pub fn push_line(random: &mut Random, text: &mut String) -> usize {
    let template = random.below(200);
    let (verb, thing) = (VERBS[(template % 10) as usize], THINGS[(template / 10) as usize]);
    let service = SERVICES[random.below(6) as usize];
    let level = match random.below(100) {
        0..=2 => "error",
        3..=9 => "warn",
        10..=24 => "debug",
        _ => "info",
    };
    let (number, user, host) = (random.below(100_000), random.below(50_000), random.below(40));
    let duration = random.below(200) as f64 * random.below(50) as f64 / 10.0 + 0.3;
    let status = [200, 200, 200, 200, 201, 204, 301, 404, 500, 503][random.below(10) as usize];
    let trace = (random.number(), random.number());
    text.push_str("{\"timestamp\":\"");
    let at = text.len();
    text.push_str("2026-01-01T00:00:00.000Z");
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\",\"level\":\"{level}\",\"service\":\"{service}\",\"host\":\"node-{host:02}\",\
         \"message\":\"{thing} {number} {verb} for user {user} in {duration:.1} ms\",\
         \"trace_id\":\"{:016x}{:016x}\",\"user_id\":\"u{user}\",\"duration_ms\":{duration:.1},\
         \"status\":{status},\"route\":\"/api/{thing}s/{verb}\",\"bytes\":{}}}",
        trace.0,
        trace.1,
        random.below(60_000),
    );
    at
}

/// The time now, as [`Body::stamp`] wants it.
pub fn now() -> String {
    watchfire_model::Timestamp::now().to_rfc3339()
}
