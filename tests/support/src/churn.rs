//! Series that age out: each gets one pushed sample that is nearly as old as the retention.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::{Client, Server};

/// What a server has to be told so that a million of these series fit beside its own.
pub const CONFIG: &str = "metrics: {port: 0, retention_days: 1, max_series: 1500000, memory_limit: 4GiB}\n";
/// The retention of [`CONFIG`], milliseconds.
const RETENTION_MS: u128 = 86_400_000;
/// Series of one body.
const PER_BODY: u64 = 4000;
/// Memory that has not become less for so long stays: threads for blocking work end after ten seconds without any,
/// and what they kept for the next allocation goes with them.
const SETTLE: Duration = Duration::from_secs(15);
/// Longest wait for the series to go.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Pushes `count` series of ten labels that age out `lifetime` after they were sent; answers how many were accepted.
pub fn push(server: &Server, count: u64, lifetime: Duration) -> u64 {
    let mut client = server.client();
    let mut accepted = 0;
    for first in (0..count).step_by(PER_BODY as usize) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        let at = now + lifetime.as_millis() - RETENTION_MS;
        let mut body = String::with_capacity(400 * PER_BODY as usize);
        for number in first..(first + PER_BODY).min(count) {
            body.push_str(&line(number, at));
        }
        let answer = client.post("/api/v1/metrics", "application/x-ndjson", &body);
        assert_eq!(answer.status, 202, "{}", answer.text());
        accepted += answer.json()["accepted"].as_u64().expect("a number");
    }
    accepted
}

fn line(number: u64, at: u128) -> String {
    format!(
        "{{\"name\":\"churned\",\"value\":{},\"timestamp\":{at},\"type\":\"gauge\",\"labels\":{{\"instance\":\"10.0.{}.{}:9100\",\
         \"job\":\"job-{}\",\"pod\":\"checkout-7c9f8b6d5-{number:08x}\",\"namespace\":\"team-{}\",\"cluster\":\"eu-west-1\",\
         \"method\":\"GET\",\"status\":\"{}\",\"zone\":\"zone-{}\",\"version\":\"1.{}.0\"}}}}\n",
        number % 1000,
        number / 250 % 250,
        number % 250,
        number % 20,
        number % 40,
        200 + number % 4,
        number % 3,
        number % 10,
    )
}

/// How many of these series the server has now.
pub fn living(client: &mut Client) -> u64 {
    client.get("/api/metrics?prefix=churned")[0]["series"].as_u64().unwrap_or(0)
}

/// What a server takes that has served such pushes and does nothing now.
pub fn settled_mib(server: &Server) -> f64 {
    push(server, 3 * PER_BODY, Duration::from_secs(2));
    wait_gone(server);
    let (mut least, mut since) = (f64::MAX, Instant::now());
    while since.elapsed() < SETTLE {
        let now = server.memory_mib("VmRSS");
        if now < least {
            (least, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    least
}

/// Waits until all of these series are gone.
pub fn wait_gone(server: &Server) {
    let begun = Instant::now();
    while living(&mut server.client()) > 0 {
        assert!(begun.elapsed() < WAIT_MAX, "the series stay: {}", server.log());
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Watches the memory of a server, which nobody asks anything meanwhile, until it is at most so much; answers what it
/// is then, or after a long wait.
pub fn wait_memory(server: &Server, mib: f64) -> f64 {
    let begun = Instant::now();
    loop {
        let rss = server.memory_mib("VmRSS");
        if rss <= mib || begun.elapsed() > 4 * SETTLE {
            return rss;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
