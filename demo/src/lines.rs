//! How each service logs a request, in its own format.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use watchfire_model::Timestamp as Millis;

use crate::request::{Action, Failure, Request};

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Web,
    Api,
    Auth,
    Db,
    Worker,
    Billing,
}

impl Service {
    pub const ALL: [Service; 6] =
        [Service::Web, Service::Api, Service::Auth, Service::Db, Service::Worker, Service::Billing];

    /// Where its lines are sent: text in a known format, text whose format is found out, or JSON.
    pub const fn endpoint(self) -> &'static str {
        match self {
            Service::Web => "/ingest/raw?service=web",
            Service::Auth => "/ingest/raw?service=auth",
            Service::Db => "/ingest/raw?service=db&format=regex:postgres",
            Service::Billing => "/ingest/raw?format=syslog_rfc5424",
            Service::Api | Service::Worker => "/ingest",
        }
    }
}

/// Lines of all services that wait to be sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines([String; 6]);

impl Lines {
    /// What a service has written.
    pub fn of(&self, service: Service) -> &str {
        &self.0[service as usize]
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(String::len).sum()
    }

    /// Forgets them, and keeps their room.
    pub fn clear(&mut self) {
        self.0.iter_mut().for_each(String::clear);
    }

    /// Adds all that the services write of a request.
    pub fn add(&mut self, request: &Request) {
        self.web(request);
        self.api(request);
        if matches!(request.action, Action::Login | Action::Checkout) {
            self.auth(request);
        }
        self.db(request);
        if request.action == Action::Checkout && request.failure != Some(Failure::DatabaseRefused) {
            self.billing(request);
            self.worker(request);
        }
    }

    /// Appends a line. Writing to a string cannot fail.
    fn put(&mut self, service: Service, line: std::fmt::Arguments<'_>) {
        let out = &mut self.0[service as usize];
        let _ = out.write_fmt(line);
        out.push('\n');
    }

    /// nginx: the combined form, and behind it the time it took and the request's id.
    fn web(&mut self, request: &Request) {
        let [a, b, c, d] = request.client;
        let time = time(request.ended_ms, "%d/%b/%Y:%H:%M:%S %z");
        self.put(
            Service::Web,
            format_args!(
                "{a}.{b}.{c}.{d} - - [{time}] \"{} {} HTTP/1.1\" {} {} \"https://shop.example/\" \"Mozilla/5.0\" {:.3} \
                 request_id={:016x}",
                request.action.method(),
                request.path(),
                request.status(),
                request.bytes,
                request.web_ms / 1e3,
                request.correlation_id,
            ),
        );
    }

    /// JSON with its context nested.
    fn api(&mut self, request: &Request) {
        let (level, message) = match request.failure {
            Some(Failure::DatabaseRefused) => ("error", "connection refused to db:5432".to_owned()),
            Some(Failure::NotFound) => ("warn", format!("product {} is not there", request.product)),
            Some(Failure::CardDeclined) => ("warn", format!("payment of user {} declined", request.user)),
            Some(Failure::WrongPassword) => ("warn", "login refused".to_owned()),
            None if request.api_ms > 1000.0 => ("warn", format!("slow answer to user {}", request.user)),
            None => ("info", format!("{} answered for user {}", request.action.route(), request.user)),
        };
        self.put(
            Service::Api,
            format_args!(
                "{{\"timestamp\":\"{}\",\"level\":\"{level}\",\"service\":\"api\",\"host\":\"api-{}\",\
                 \"message\":\"{message}\",\"correlation_id\":\"{:016x}\",\"user_id\":\"u{}\",\"route\":\"{}\",\
                 \"duration_ms\":{:.2},\"context\":{{\"method\":\"{}\",\"status\":{}}}}}",
                Millis::from_millis(request.ended_ms).to_rfc3339(),
                request.node,
                request.correlation_id,
                request.user,
                request.action.route(),
                request.api_ms,
                request.action.method(),
                request.status(),
            ),
        );
    }

    /// logfmt.
    fn auth(&mut self, request: &Request) {
        let (level, message) = match request.failure {
            Some(Failure::WrongPassword) => ("warn", "wrong password"),
            _ => ("info", "session checked"),
        };
        self.put(
            Service::Auth,
            format_args!(
                "time={} level={level} msg=\"{message}\" host=auth-{} user_id=u{} correlation_id={:016x} \
                 duration_ms={:.2} route=/session",
                Millis::from_millis(request.ended_ms).to_rfc3339(),
                request.node,
                request.user,
                request.correlation_id,
                request.auth_ms,
            ),
        );
    }

    /// PostgreSQL's own log, with a prefix of `%m [%p] %u@%d`; read by the pattern of the demo's configuration.
    fn db(&mut self, request: &Request) {
        let time = time(request.ended_ms, "%Y-%m-%d %H:%M:%S");
        let millis = request.ended_ms.rem_euclid(1000);
        let process = 2000 + request.node;
        let head = format_args!("{time}.{millis:03} UTC [{process}] shop@shop").to_string();
        if request.failure == Some(Failure::DatabaseRefused) {
            self.put(
                Service::Db,
                format_args!(
                    "{head} FATAL:  remaining connection slots are reserved /*{:016x}*/",
                    request.correlation_id
                ),
            );
            return;
        }
        self.put(
            Service::Db,
            format_args!(
                "{head} LOG:  duration: {:.3} ms  statement: {} /*{:016x}*/",
                request.database_ms,
                request.action.statement(),
                request.correlation_id,
            ),
        );
    }

    /// RFC 5424 with structured data.
    fn billing(&mut self, request: &Request) {
        let declined = request.failure == Some(Failure::CardDeclined);
        let (severity, words) = if declined { (4, "declined by the bank") } else { (6, "settled") };
        self.put(
            Service::Billing,
            format_args!(
                "<{}>1 {} billing-{} billing 411 PAY [payment@32473 correlation_id=\"{:016x}\" amount=\"{}.{:02}\" \
                 currency=\"EUR\"] payment of user {} {words}",
                16 * 8 + severity,
                Millis::from_millis(request.ended_ms).to_rfc3339(),
                request.node,
                request.correlation_id,
                request.amount / 100,
                request.amount % 100,
                request.user,
            ),
        );
    }

    /// JSON with Elastic's names; a failed job brings its stack trace.
    fn worker(&mut self, request: &Request) {
        let head = format!(
            "{{\"@timestamp\":\"{}\",\"service.name\":\"worker\",\"host.name\":\"worker-{}\",\"trace_id\":\"{:016x}\",\
             \"job\":\"receipt\",\"duration_ms\":{:.2}",
            Millis::from_millis(request.ended_ms).to_rfc3339(),
            request.node,
            request.correlation_id,
            request.auth_ms * 20.0,
        );
        if request.failure == Some(Failure::CardDeclined) {
            self.put(
                Service::Worker,
                format_args!(
                    "{head},\"log.level\":\"ERROR\",\"message\":\"receipt of user {} not sent\",\"error_details\":\
                     {{\"type\":\"PaymentMissing\",\"stack\":\"PaymentMissing: no payment for order\\n    at \
                     receipt (jobs/receipt.js:41:13)\\n    at run (queue/run.js:88:5)\"}}}}",
                    request.user
                ),
            );
            return;
        }
        self.put(
            Service::Worker,
            format_args!("{head},\"log.level\":\"INFO\",\"message\":\"receipt sent to user {}\"}}", request.user),
        );
    }
}

/// A time in UTC as `strftime` writes it.
fn time(millis: i64, format: &str) -> String {
    let time = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;
    use crate::incident::Phase;

    #[test]
    fn the_seed_and_the_time_decide_every_line_and_each_carries_its_id() {
        let draw = |seed| {
            let mut random = Rng::with_seed(seed);
            let mut lines = Lines::default();
            let mut ids = Vec::new();
            for at in 0..500 {
                let phase = if at % 2 == 0 { Phase::Calm } else { Phase::RefusedConnections };
                let request = Request::draw(&mut random, 1_790_000_000_000 + at, phase);
                lines.add(&request);
                ids.push(format!("{:016x}", request.correlation_id));
            }
            (lines, ids)
        };
        let (lines, ids) = draw(7);
        let (again, _) = draw(7);
        for service in Service::ALL {
            assert_eq!(lines.of(service), again.of(service), "{service:?}");
            assert!(lines.of(service).lines().count() > 10, "{service:?} has little to say");
            for line in lines.of(service).lines() {
                assert!(ids.iter().any(|id| line.contains(id.as_str())), "{service:?}: {line}");
            }
        }
    }
}
