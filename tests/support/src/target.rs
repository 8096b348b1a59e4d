//! A server that is scraped: its answers are the test's to say, byte by byte.

use std::io::{Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Answers a request, of which it is given the head. An error, and the connection is closed.
type Answering = Arc<dyn Fn(&str, &mut dyn Write) -> Result<()> + Send + Sync>;

/// A server on a port of its own, for as long as the process runs.
pub struct TargetServer {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answering: Mutex<Answering>,
    heads: Mutex<Vec<String>>,
}

impl TargetServer {
    /// Answers every request in this way.
    pub fn start(answering: impl Fn(&str, &mut dyn Write) -> Result<()> + Send + Sync + 'static) -> TargetServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let shared = Shared { answering: Mutex::new(Arc::new(answering)), heads: Mutex::default() };
        let server = TargetServer { address, shared: Arc::new(shared) };
        let shared = server.shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        server
    }

    /// Shows this text, in Prometheus' format.
    pub fn showing(text: &str) -> TargetServer {
        TargetServer::start(page(text))
    }

    /// From now on answers in this way.
    pub fn answer(&self, answering: impl Fn(&str, &mut dyn Write) -> Result<()> + Send + Sync + 'static) {
        *self.shared.answering.lock().expect("no test panics here") = Arc::new(answering);
    }

    /// From now on shows this text.
    pub fn show(&self, text: &str) {
        self.answer(page(text));
    }

    /// The heads of all requests so far, each with the body behind it, if there is one.
    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().expect("no test panics here").clone()
    }
}

/// A page of metrics as an answer.
pub fn page(text: &str) -> impl Fn(&str, &mut dyn Write) -> Result<()> + Send + Sync + use<> {
    let answer = answer("200 OK", &["Content-Type: text/plain; version=0.0.4"], text.as_bytes());
    move |_: &str, out: &mut dyn Write| out.write_all(&answer)
}

/// The bytes of an answer.
pub fn answer(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        head.push_str(&format!("{header}\r\n"));
    }
    [format!("{head}\r\n").as_bytes(), body].concat()
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while let Ok(1) = stream.read(&mut byte) {
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let mut text = String::from_utf8_lossy(&head).into_owned();
        let length = text.lines().filter_map(|line| line.split_once(": "));
        let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let mut body = vec![0; length.next().and_then(|(_, length)| length.parse().ok()).unwrap_or(0)];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        text.push_str(&String::from_utf8_lossy(&body));
        shared.heads.lock().expect("no test panics here").push(text.clone());
        let answering = shared.answering.lock().expect("no test panics here").clone();
        if answering(&text, &mut stream).is_err() {
            return;
        }
        head.clear();
    }
}
