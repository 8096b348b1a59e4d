//! An HTTP server that does as it is told and remembers what it was sent.

use crate::tls_file;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What the server does with a request, after it has read all of it.
#[derive(Clone, Debug)]
pub enum Answer {
    /// This status, these further headers, a short body.
    Status(u16, Vec<(&'static str, String)>),
    /// Nothing, and keeps the connection.
    Hang,
    /// Closes without a word.
    Close,
    /// Closes in the middle of the headers.
    CloseHalfWay,
    /// Says 500 and sends a body without end.
    Endless,
}

impl Answer {
    pub fn ok() -> Answer {
        Answer::Status(200, Vec::new())
    }

    pub fn redirect(status: u16, to: &str) -> Answer {
        Answer::Status(status, vec![("Location", to.to_owned())])
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// By name in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn id(&self) -> &str {
        self.header("idempotency-key")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    otherwise: Mutex<Answer>,
    requests: watch::Sender<Vec<Request>>,
}

pub struct HttpSink {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for HttpSink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HttpSink {
    /// Answers 200 unless told otherwise.
    pub async fn start() -> HttpSink {
        HttpSink::start_at("127.0.0.1:0".parse().expect("an address"), None).await
    }

    pub async fn start_tls() -> HttpSink {
        let certificates = CertificateDer::pem_file_iter(tls_file("server.pem")).expect("readable");
        let certificates = certificates.collect::<Result<_, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(tls_file("server.key")).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("they belong together")));
        HttpSink::start_at("127.0.0.1:0".parse().expect("an address"), Some(acceptor)).await
    }

    pub async fn start_at(address: SocketAddr, tls: Option<TlsAcceptor>) -> HttpSink {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            answers: Mutex::default(),
            otherwise: Mutex::new(Answer::ok()),
            requests: watch::Sender::new(Vec::new()),
        });
        let for_task = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            // Dropping the set ends the connections together with the server.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&for_task), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, &shared).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &shared).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        HttpSink { address, shared, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The next answers; afterwards what [`HttpSink::otherwise`] said.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.answers.lock().expect("unpoisoned").extend(answers);
    }

    pub fn otherwise(&self, answer: Answer) {
        *self.shared.otherwise.lock().expect("unpoisoned") = answer;
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.borrow().clone()
    }

    /// Waits until so many requests have come.
    pub async fn wait_for(&self, count: usize) -> Vec<Request> {
        let mut requests = self.shared.requests.subscribe();
        let what = format!("{count} requests");
        crate::within(&what, requests.wait_for(|all| all.len() >= count)).await.expect("the server runs").clone()
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
        let mut lines = head.lines();
        let mut first = lines.next()?.split(' ');
        let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        bytes.drain(..head_end + 4);
        while bytes.len() < length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        let body = bytes.drain(..length).collect();
        let answer = shared.answers.lock().expect("unpoisoned").pop_front();
        let answer = answer.unwrap_or_else(|| shared.otherwise.lock().expect("unpoisoned").clone());
        shared.requests.send_modify(|all| all.push(Request { method, path, headers, body }));
        match answer {
            Answer::Status(status, headers) => {
                let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let text = format!("HTTP/1.1 {status} Told\r\n{more}Content-Length: 4\r\n\r\ntold");
                stream.write_all(text.as_bytes()).await.ok()?;
            }
            Answer::Hang => std::future::pending().await,
            Answer::Close => return None,
            Answer::CloseHalfWay => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Le").await.ok()?;
                stream.flush().await.ok()?;
                return None;
            }
            Answer::Endless => {
                stream.write_all(b"HTTP/1.1 500 Told\r\nContent-Length: 99999999999\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(&[b'x'; 8192]).await.ok()?;
                }
            }
        }
    }
}
