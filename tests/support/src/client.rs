//! A plain HTTP/1.1 client on a kept-open connection: the least that a load generator can cost.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Head, as sent, without the empty line.
    pub head: String,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, wanted: &str) -> Option<&str> {
        header(&self.head, wanted)
    }
}

fn header<'h>(head: &'h str, wanted: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

impl Client {
    /// Connects. Panics if nobody listens: a test cannot go on then.
    pub fn new(address: SocketAddr) -> Client {
        Client::connect(address).expect("the server listens")
    }

    /// Connects.
    pub fn connect(address: SocketAddr) -> Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Client { stream, buffer: vec![0; 64 << 10], filled: 0 })
    }

    /// The socket itself.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// The bytes of a request; `headers` are whole lines without their ends.
    pub fn request(method: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if !body.is_empty() || method == "POST" {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        request
    }

    /// Sends a request without waiting for its answer.
    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request)
    }

    /// Waits for an answer.
    pub fn receive(&mut self) -> Result<Answer> {
        loop {
            if let Some((answer, end)) = self.answer()? {
                self.buffer.copy_within(end..self.filled, 0);
                self.filled -= end;
                return Ok(answer);
            }
            if self.filled == self.buffer.len() {
                self.buffer.resize(2 * self.filled, 0);
            }
            let count = match self.stream.read(&mut self.buffer[self.filled..]) {
                // A machine that was stopped for a moment breaks off who waits with a limit.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            if count == 0 {
                return Err(Error::new(ErrorKind::UnexpectedEof, "the server closed the connection"));
            }
            self.filled += count;
        }
    }

    /// The first whole answer in the buffer, and where it ends.
    fn answer(&self) -> Result<Option<(Answer, usize)>> {
        let have = &self.buffer[..self.filled];
        let Some(head_end) = have.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let head = String::from_utf8_lossy(&have[..head_end]).into_owned();
        let status = head.get(9..12).and_then(|digits| digits.parse().ok());
        let status = status.ok_or_else(|| Error::new(ErrorKind::InvalidData, head.clone()))?;
        let start = head_end + 4;
        let (body, end) = if header(&head, "transfer-encoding").is_some() {
            let Some(found) = unchunk(have, start) else { return Ok(None) };
            found
        } else {
            let length = header(&head, "content-length").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
            let Some(body) = have.get(start..start + length) else { return Ok(None) };
            (body.to_vec(), start + length)
        };
        Ok(Some((Answer { status, head, body }, end)))
    }

    /// Sends and waits. Panics if the connection breaks.
    pub fn call(&mut self, request: &[u8]) -> Answer {
        self.send(request).and_then(|()| self.receive()).expect("the server answers")
    }

    /// POST with a content type.
    pub fn post(&mut self, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> Answer {
        let header = format!("Content-Type: {content_type}");
        self.call(&Client::request("POST", path, &[&header], body.as_ref()))
    }

    /// GET, whatever the answer.
    pub fn try_get(&mut self, path: &str) -> Answer {
        self.call(&Client::request("GET", path, &[], b""))
    }

    /// GET, and the answer read as JSON. Panics if it is no success.
    pub fn get(&mut self, path: &str) -> Value {
        let answer = self.try_get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {}", answer.text()))
    }
}

/// A chunked body that is all there: its bytes, and where it ends.
fn unchunk(have: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    loop {
        let line = have[at..].windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&have[at..at + line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        at += line + 2;
        body.extend_from_slice(have.get(at..at + size)?);
        at += size;
        if have.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
        if size == 0 {
            return Some((body, at));
        }
    }
}

/// A text as it may stand in a query string.
pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
