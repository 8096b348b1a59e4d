//! A real HTTP server that takes webhooks and tells what came, and when.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A webhook that came.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// When its last byte was read.
    pub at: Instant,
    /// Head of the request.
    pub head: String,
    /// Body.
    pub body: Value,
}

/// A server on a port of its own, for as long as the process runs.
pub struct WebhookReceiver {
    /// Where it listens.
    pub address: SocketAddr,
    deliveries: Receiver<Delivery>,
}

impl WebhookReceiver {
    /// Answers each request with `200`.
    pub fn start() -> WebhookReceiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let (told, deliveries) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let told = told.clone();
                std::thread::spawn(move || take(stream, &told));
            }
        });
        WebhookReceiver { address, deliveries }
    }

    /// The section `alerting` of a configuration: the rules of this file (or glob), evaluated ten times a second, told
    /// to this receiver. Further receivers may follow, as items of the list.
    pub fn alerting(&self, rules: &Path) -> String {
        format!(
            "alerting:\n  rules_path: \"{}\"\n  check_interval: 100ms\n  receivers:\n    - {{name: hook, webhook: {{url: \"http://{}/\"}}}}\n",
            rules.display(),
            self.address
        )
    }

    /// The next delivery, if one comes in time.
    pub fn next(&self, within: Duration) -> Option<Delivery> {
        self.deliveries.recv_timeout(within).ok()
    }

    /// The next delivery that satisfies a condition; others are passed over. Panics when none comes in a minute.
    pub fn wait_for(&self, what: &str, mut wanted: impl FnMut(&Delivery) -> bool) -> Delivery {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            let delivery = self.next(rest).unwrap_or_else(|| panic!("no webhook in a minute: {what}"));
            if wanted(&delivery) {
                return delivery;
            }
        }
    }
}

fn take(mut stream: TcpStream, told: &Sender<Delivery>) {
    let (mut buffer, mut piece) = (Vec::new(), [0; 65536]);
    loop {
        let Ok(count @ 1..) = stream.read(&mut piece) else { return };
        buffer.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&buffer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() < length.unwrap_or(0) {
            continue;
        }
        let body = serde_json::from_str(body).unwrap_or_default();
        if told.send(Delivery { at: Instant::now(), head: head.to_owned(), body }).is_err() {
            return;
        }
        buffer.clear();
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}
