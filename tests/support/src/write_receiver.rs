//! A receiver of remote-write 1.0 that keeps every sample it takes, and answers as it is told.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use watchfire_protobuf::{Field, Message};

/// A sample: its labels as `name=value,…`, its time in milliseconds, its value.
pub type Received = (String, i64, f64);

/// A server on a port of its own, for as long as the process runs.
pub struct WriteReceiver {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    taken: Vec<Received>,
    requests: usize,
    /// Heads of answers to requests that are not taken, one each; an empty one closes the connection.
    refusals: VecDeque<String>,
    /// What is answered to all others, while it is away; `None`: it takes them.
    away: Option<String>,
    /// A request with a sample that is not newer than those of its series is refused as a whole.
    takes_newer_only: bool,
    /// Requests that are taken are not answered.
    is_silent: bool,
}

impl State {
    fn has(&self, (labels, at, _): &Received) -> bool {
        self.takes_newer_only && self.taken.iter().any(|(have, newest, _)| have == labels && newest >= at)
    }
}

impl WriteReceiver {
    /// Takes every request.
    pub fn start() -> WriteReceiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let receiver = WriteReceiver { address, state: Arc::default() };
        let state = receiver.state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = state.clone();
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        receiver
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics here")
    }

    /// Where samples are sent.
    pub fn url(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    /// The next requests are not taken, and are answered with these heads.
    pub fn refuse(&self, heads: &[&str]) {
        self.state().refusals.extend(heads.iter().map(|head| (*head).to_owned()));
    }

    /// From now on nothing is taken: all are answered with this head, or `None` as before.
    pub fn away(&self, head: Option<&str>) {
        self.state().away = head.map(str::to_owned);
    }

    /// From now on a request is refused as a whole for one sample that is not newer than those of its series, as Prometheus
    /// does with version 1.0.
    pub fn takes_newer_only(&self) {
        self.state().takes_newer_only = true;
    }

    /// From now on requests that are taken get no answer, or again one.
    pub fn silent(&self, is_silent: bool) {
        self.state().is_silent = is_silent;
    }

    /// All samples so far.
    pub fn taken(&self) -> Vec<Received> {
        self.state().taken.clone()
    }

    /// All requests so far, also those that were not taken.
    pub fn requests(&self) -> usize {
        self.state().requests
    }

    /// Waits until so many samples are there, for a minute and a half.
    pub fn wait_for(&self, samples: usize) -> Vec<Received> {
        let begun = Instant::now();
        loop {
            let taken = self.state().taken.len();
            if taken >= samples {
                return self.taken();
            }
            assert!(begun.elapsed() < Duration::from_secs(90), "{taken} of {samples} samples have come");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let (mut buffer, mut piece) = (Vec::new(), [0; 65536]);
    loop {
        while let Some((head, body)) = request_in(&buffer) {
            let (samples, length) = (decode(&buffer[head..head + body]), head + body);
            buffer.drain(..length);
            let answer = {
                let mut state = state.lock().expect("no test panics here");
                state.requests += 1;
                let is_refused = samples.iter().any(|sample| state.has(sample));
                let refusal = state.refusals.pop_front().or_else(|| state.away.clone());
                let refusal = refusal.or_else(|| is_refused.then(|| "400 Bad Request".to_owned()));
                if refusal.is_none() {
                    state.taken.extend(samples);
                }
                if refusal.is_none() && state.is_silent {
                    None
                } else {
                    Some(refusal.unwrap_or("204 No Content".to_owned()))
                }
            };
            let Some(answer) = answer else {
                // Whoever asks waits, and hears nothing until he ends.
                while let Ok(1..) = stream.read(&mut piece) {}
                return;
            };
            if answer.is_empty() || write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
        let Ok(count @ 1..) = stream.read(&mut piece) else { return };
        buffer.extend_from_slice(&piece[..count]);
    }
}

/// Lengths of head and body of the first request, if it is whole.
fn request_in(buffer: &[u8]) -> Option<(usize, usize)> {
    let head = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let body = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    (buffer.len() >= head + body).then_some((head, body))
}

fn decode(packed: &[u8]) -> Vec<Received> {
    let message = snap::raw::Decoder::new().decompress_vec(packed).expect("packed by snappy");
    let (mut fields, mut samples) = (Message::new(&message), Vec::new());
    while let Some((number, field)) = fields.next().expect("a message") {
        // Others are metadata.
        if number == 1 {
            decode_series(field.bytes().expect("a series"), &mut samples);
        }
    }
    samples
}

fn decode_series(series: &[u8], samples: &mut Vec<Received>) {
    let (mut fields, mut labels) = (Message::new(series), Vec::new());
    while let Some((number, field)) = fields.next().expect("a series") {
        let (mut parts, mut texts, mut sample) =
            (Message::new(field.bytes().expect("a message")), Vec::new(), (0, 0.0));
        while let Some((part, field)) = parts.next().expect("a message") {
            match field {
                Field::Bytes(text) => texts.push(String::from_utf8_lossy(text).into_owned()),
                Field::Fixed64(bits) => sample.1 = f64::from_bits(bits),
                Field::Varint(at) if part == 2 => sample.0 = at.cast_signed(),
                other => panic!("{other:?} in a series"),
            }
        }
        match number {
            1 => labels.push(texts.join("=")),
            _ => samples.push((labels.join(","), sample.0, sample.1)),
        }
    }
}
