//! Syslog over UDP: a message per datagram.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::tcp::{gather, trim_end};
use crate::gather::Reason;
use crate::intake::Intake;
use crate::normalise::Marks;

/// Longest datagram, bytes.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Bytes gathered while the queue takes the last batch; further datagrams are dropped and counted.
const GATHERED_BYTES_MAX: usize = 8 << 20;
/// Bytes parsed in one go on an async thread.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// Digits of the length of a datagram.
const COUNT_DIGITS_MAX: usize = 5;

/// Room asked of the system for datagrams that wait to be received, bytes; it may give less.
const SOCKET_BYTES: usize = 8 << 20;

/// A socket with a large buffer for [`serve_udp`]. Errors: the address cannot be had.
pub fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
    if let Err(error) = socket.set_recv_buffer_size(SOCKET_BYTES) {
        tracing::debug!(%error, "the buffer of the syslog socket stays small");
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// Datagrams that wait to be parsed.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Where each ends, and who sent it.
    ends: Vec<(usize, SocketAddr)>,
    dropped: u64,
}

impl Waiting {
    /// Takes what the socket has, without waiting.
    fn receive(&mut self, socket: &UdpSocket, room: &mut [u8]) -> io::Result<()> {
        loop {
            match socket.try_recv_from(room) {
                Ok((length, peer)) => {
                    if self.bytes.len() + length > GATHERED_BYTES_MAX {
                        self.dropped += 1;
                        continue;
                    }
                    self.bytes.extend_from_slice(room.get(..length).unwrap_or_default());
                    self.ends.push((self.bytes.len(), peer));
                    if self.ends.len().is_multiple_of(256) {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Receives datagrams until `stop` says true; returns when all that were received are durable.
pub async fn serve_udp(socket: UdpSocket, intake: Arc<Intake>, mut stop: watch::Receiver<bool>) {
    let mut waiting = Waiting::default();
    let mut room = vec![0; DATAGRAM_BYTES_MAX];
    let mut stopped = false;
    let mut storing: Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> = None;
    loop {
        if storing.is_none() && !waiting.ends.is_empty() {
            storing = Some(Box::pin(store(std::mem::take(&mut waiting), Arc::clone(&intake))));
        }
        if stopped && storing.is_none() {
            return;
        }
        let done = async {
            match &mut storing {
                Some(storing) => storing.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            readable = socket.readable(), if !stopped => {
                if let Err(error) = readable.and_then(|()| waiting.receive(&socket, &mut room)) {
                    tracing::debug!(%error, "cannot receive syslog datagrams");
                }
                let dropped = std::mem::take(&mut waiting.dropped);
                if dropped > 0 {
                    intake.metrics.rejected(Reason::Dropped, dropped);
                }
            }
            () = done => storing = None,
            _ = stop.wait_for(|stop| *stop), if !stopped => {
                stopped = true;
                // What the kernel holds already is taken along.
                let _ = waiting.receive(&socket, &mut room);
            }
        }
    }
}

/// Parses datagrams and brings them into the queue.
async fn store(waiting: Waiting, intake: Arc<Intake>) {
    let counters = intake.metrics.source("syslog_udp");
    let parsers = intake.parsers.load_full();
    let mut at = 0;
    let mut from = 0;
    while let Some((_, peer)) = waiting.ends.get(at) {
        let host = peer.ip().to_canonical().to_string();
        let batch_from = from;
        // Datagrams of one sender in a row go together.
        let mut gathered = gather(&intake, &parsers, &host, |gatherer| {
            while let Some((end, sender)) = waiting.ends.get(at)
                && sender.ip() == peer.ip()
                && from - batch_from <= BATCH_BYTES_MAX
            {
                let message = trim_end(uncounted(waiting.bytes.get(from..*end).unwrap_or_default()));
                let limit = intake.limits.line_bytes;
                let marks = Marks { truncated: message.len() > limit, ..Marks::default() };
                if !message.is_empty() {
                    gatherer.text_line(message.get(..limit).unwrap_or(message), None, marks);
                }
                from = *end;
                at += 1;
            }
        });
        intake.submit_patiently(&mut gathered, &counters, &parsers).await;
    }
}

/// A message without the count of its bytes, which belongs before messages of a stream (RFC 6587) and which some senders
/// put into datagrams too. What does not count the very rest of the datagram is text.
fn uncounted(datagram: &[u8]) -> &[u8] {
    let digits = datagram.iter().take(COUNT_DIGITS_MAX).take_while(|byte| byte.is_ascii_digit()).count();
    let (count, rest) = datagram.split_at(digits);
    match rest {
        [b' ', message @ ..] if message.starts_with(b"<") => {
            let count = std::str::from_utf8(count).ok().and_then(|count| count.parse::<usize>().ok());
            if count == Some(message.len()) { message } else { datagram }
        }
        _ => datagram,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_the_very_rest_is_no_text() {
        assert_eq!(uncounted(b"13 <11>1 - h x y"), b"<11>1 - h x y");
        for text in [
            "12 <11>1 - h x y",
            "14 <11>1 - h x y",
            "13<11>1 - h x y",
            "13 - h <11> x y",
            "<11>x",
            "5",
            "",
            "3 ab<",
            " <11>",
            "999999999 <1>",
        ] {
            assert_eq!(uncounted(text.as_bytes()), text.as_bytes(), "{text}");
        }
    }
}
