//! A plain HTTP/1.1 client on a kept-open connection: the least that a load generator can cost.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// One connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Client {
    /// Connects.
    pub fn new(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP option");
        Client { stream, buffer: vec![0; 1 << 20], filled: 0 }
    }

    /// The bytes of a POST.
    pub fn post(path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        request
    }

    /// Sends a request without waiting for its answer.
    pub fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).expect("the server reads");
    }

    /// Waits for an answer: status and body.
    pub fn receive(&mut self) -> (u16, Vec<u8>) {
        loop {
            if let Some((status, start, end)) = self.answer() {
                let body = self.buffer[start..end].to_vec();
                self.buffer.copy_within(end..self.filled, 0);
                self.filled -= end;
                return (status, body);
            }
            if self.filled == self.buffer.len() {
                self.buffer.resize(2 * self.filled, 0);
            }
            let count = self.stream.read(&mut self.buffer[self.filled..]).expect("the server answers");
            assert!(count > 0, "the server closed the connection");
            self.filled += count;
        }
    }

    /// Status, start and end of the body, once all of it is here.
    fn answer(&self) -> Option<(u16, usize, usize)> {
        let have = &self.buffer[..self.filled];
        let head = have.windows(4).position(|window| window == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&have[..head]).expect("headers are ASCII");
        let status = text.get(9..12).and_then(|digits| digits.parse().ok()).expect("a status");
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if let Some(length) = length {
            let end = head + 4 + length;
            return (end <= self.filled).then_some((status, head + 4, end));
        }
        // Chunked: the body is handed on as it came; it ends with the empty chunk.
        have[head + 4..].ends_with(b"0\r\n\r\n").then_some((status, head + 4, self.filled))
    }

    /// Sends and waits.
    pub fn call(&mut self, request: &[u8]) -> (u16, Vec<u8>) {
        self.send(request);
        self.receive()
    }

    /// GET, and the answer read as JSON.
    pub fn get(&mut self, path: &str) -> serde_json::Value {
        let (status, body) = self.call(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes());
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}
