//! Characters that may not stand in an address, and that clients send all the same: `curl '…?query=up{job="x"}'`.
//!
//! Servers in Go read them, and so do people who type a query into a command. Hyper refuses them, so the stream under it
//! writes them as they should stand (`%22`). Only request lines are touched: where heads and bodies end is followed as far
//! as `Content-Length` says it; behind anything else (chunks, an upgrade) all passes as it comes. A query string that is
//! too long for an address is taken out of its line ([`crate::long_query`]).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use crate::long_query::{BYTES_MAX, OfConnection, PLAIN_BYTES_MAX};

/// Longest line of a head that is looked at; hyper refuses heads that are longer than that.
const LINE_BYTES_MAX: usize = 64 << 10;

/// What the next byte of a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Something of the line came.
    RequestLine(bool),
    /// In a request line, behind the `?`.
    Query,
    /// Lines of a head whose body is so long; not followed further if `None`.
    Head(Option<u64>),
    Body(u64),
    /// Not known any more.
    Anywhere,
}

/// A stream from a client, below hyper.
pub(crate) struct Lenient<S> {
    stream: S,
    place: Place,
    /// The begin of a line of a head whose end did not come yet; of a query string it was not passed on.
    line: Vec<u8>,
    /// For the query string that is being read, if it is a long one.
    room: Option<OwnedSemaphorePermit>,
    long_queries: OfConnection,
    /// What was read and did not fit.
    pending: Vec<u8>,
}

/// Whether a byte may stand in a request line.
fn is_plain(byte: u8) -> bool {
    byte < 0x80 && !matches!(byte, b'"' | b'<' | b'>')
}

impl<S> Lenient<S> {
    /// A stream at the begin of its first request.
    pub(crate) fn new(stream: S, long_queries: OfConnection) -> Lenient<S> {
        let (line, room, pending) = (Vec::new(), None, Vec::new());
        Lenient { stream, place: Place::RequestLine(false), line, room, long_queries, pending }
    }

    /// Follows what comes; gives what shall stand in its place, if that is something else.
    fn follow(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut instead: Option<Vec<u8>> = None;
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let end = |ends: fn(u8) -> bool| rest.iter().position(|byte| ends(*byte));
            let length = match self.place {
                Place::Query => {
                    let end = end(|byte| matches!(byte, b' ' | b'\n'));
                    let piece = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                    let is_whole = end.is_some() && self.line.is_empty();
                    if is_whole && piece.len() <= PLAIN_BYTES_MAX && piece.iter().copied().all(is_plain) {
                        instead.iter_mut().for_each(|out| out.extend_from_slice(piece));
                        self.place = Place::RequestLine(true);
                    } else {
                        let out = instead.get_or_insert_with(|| bytes.get(..at).unwrap_or_default().to_vec());
                        self.hold(piece, end.is_some(), out);
                    }
                    at += piece.len();
                    continue;
                }
                Place::Anywhere => rest.len(),
                Place::Body(left) => usize::try_from(left).unwrap_or(usize::MAX).min(rest.len()),
                Place::RequestLine(_) => end(|byte| matches!(byte, b'?' | b'\n')).map_or(rest.len(), |end| end + 1),
                Place::Head(_) => end(|byte| byte == b'\n').map_or(rest.len(), |end| end + 1),
            };
            let piece = rest.get(..length).unwrap_or(rest);
            if matches!(self.place, Place::RequestLine(_)) && !piece.iter().copied().all(is_plain) {
                let out = instead.get_or_insert_with(|| bytes.get(..at).unwrap_or_default().to_vec());
                escape(piece, out);
            } else if let Some(out) = &mut instead {
                out.extend_from_slice(piece);
            }
            self.advance(piece);
            at += length;
        }
        instead
    }

    /// Takes a piece of a query string that cannot pass as it came. With its end, what stands in its place is passed on.
    fn hold(&mut self, piece: &[u8], is_its_end: bool, out: &mut Vec<u8>) {
        self.line.extend_from_slice(piece);
        if self.line.len() > PLAIN_BYTES_MAX && self.room.is_none() {
            self.room = self.long_queries.room();
        }
        let has_room = self.line.len() <= PLAIN_BYTES_MAX || self.room.is_some();
        if !has_room || self.line.len() > BYTES_MAX {
            // Hyper refuses what is as long as that.
            out.append(&mut std::mem::take(&mut self.line));
            (self.room, self.place) = (None, Place::Anywhere);
        } else if is_its_end {
            let query = std::mem::take(&mut self.line);
            let mut escaped = Vec::new();
            if self.room.is_none() {
                escape(&query, &mut escaped);
            }
            // Escapes make it longer.
            let is_too_long = escaped.len() > PLAIN_BYTES_MAX;
            match self.room.take().or_else(|| is_too_long.then(|| self.long_queries.room()).flatten()) {
                None => out.append(&mut escaped),
                Some(room) => out.extend_from_slice(self.long_queries.keep(query, room).as_bytes()),
            }
            self.place = Place::RequestLine(true);
        }
    }

    /// Goes over a piece of one place.
    fn advance(&mut self, piece: &[u8]) {
        self.place = match self.place {
            Place::Anywhere => Place::Anywhere,
            Place::Query => Place::Query,
            Place::Body(left) => match left.saturating_sub(piece.len() as u64) {
                0 => Place::RequestLine(false),
                left => Place::Body(left),
            },
            Place::RequestLine(begun) => match (begun || !piece.trim_ascii().is_empty(), piece.ends_with(b"\n")) {
                (true, true) => Place::Head(Some(0)),
                (true, false) if piece.ends_with(b"?") => Place::Query,
                // Blank lines may stand before a request.
                (begun, _) => Place::RequestLine(begun),
            },
            Place::Head(length) => {
                self.line.extend_from_slice(piece);
                if self.line.len() > LINE_BYTES_MAX {
                    self.line = Vec::new();
                    return self.place = Place::Anywhere;
                }
                if !piece.ends_with(b"\n") {
                    return;
                }
                let place = behind(self.line.trim_ascii(), length);
                self.line.clear();
                place
            }
        };
    }
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        match is_plain(*byte) {
            true => out.push(*byte),
            false => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
}

/// What follows a line of a head whose body is so long as far as is known.
fn behind(line: &[u8], length: Option<u64>) -> Place {
    if line.is_empty() {
        return match length {
            None => Place::Anywhere,
            Some(0) => Place::RequestLine(false),
            Some(length) => Place::Body(length),
        };
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Place::Head(None) };
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    if name.eq_ignore_ascii_case(b"content-length") {
        let said = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
        Place::Head(said.filter(|_| length.is_some()))
    } else if name.eq_ignore_ascii_case(b"transfer-encoding") || name.eq_ignore_ascii_case(b"upgrade") {
        Place::Head(None)
    } else {
        Place::Head(length)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.pending.is_empty() {
            let before = into.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
            let read = into.filled().get(before..).unwrap_or_default();
            let Some(instead) = self.follow(read) else { return Poll::Ready(Ok(())) };
            into.set_filled(before);
            // Of what is held back there may be nothing to be passed on: that would be the end of the connection.
            self.pending = instead;
        }
        let fits = self.pending.len().min(into.remaining());
        into.put_slice(self.pending.get(..fits).unwrap_or_default());
        self.pending.drain(..fits);
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::long_query::{LongQueries, LongQuery};

    /// What hyper reads of a connection that comes in pieces of these lengths.
    fn read(sent: &[u8], lengths: &[usize]) -> Vec<u8> {
        let long_queries = Arc::new(LongQueries::new().expect("random numbers"));
        let mut lenient = Lenient::new((), OfConnection::new(long_queries));
        let (mut out, mut at, mut lengths) = (Vec::new(), 0, lengths.iter().cycle());
        while at < sent.len() {
            let end = (at + lengths.next().copied().unwrap_or(1).max(1)).min(sent.len());
            let piece = &sent[at..end];
            out.extend(lenient.follow(piece).unwrap_or_else(|| piece.to_vec()));
            at = end;
        }
        if lenient.place == Place::Query {
            // The end of the connection ends what was held back.
            out.append(&mut lenient.line);
        }
        out
    }

    /// A request line with a query string of so many bytes, in pieces of some length: what hyper reads, and the query string
    /// beside it.
    fn with_query(shared: &Arc<LongQueries>, query: &str, piece: usize) -> (String, Option<LongQuery>) {
        let of_connection = OfConnection::new(shared.clone());
        let mut lenient = Lenient::new((), of_connection.clone());
        let sent = format!("GET /a?{query} HTTP/1.1\r\n\r\n");
        let read: Vec<u8> = sent
            .as_bytes()
            .chunks(piece)
            .flat_map(|piece| lenient.follow(piece).unwrap_or_else(|| piece.to_vec()))
            .collect();
        let read = String::from_utf8(read).expect("text");
        let address = read.split(' ').nth(1).expect("an address");
        let taken = address.parse().ok().and_then(|address| of_connection.take(&address));
        (read, taken)
    }

    #[test]
    fn long_query_strings_stand_beside_their_requests() {
        let shared = Arc::new(LongQueries::new().expect("random numbers"));
        for piece in [1 << 12, 1 << 20, 4 << 20] {
            for (query, is_long) in [
                ("a=1".to_owned(), false),
                (format!("a={}", "b".repeat(PLAIN_BYTES_MAX - 2)), false),
                (format!("a={}", "b".repeat(PLAIN_BYTES_MAX - 1)), true),
                (format!("a={}", "\"".repeat(PLAIN_BYTES_MAX / 2)), true),
                (format!("a={}", "b".repeat(BYTES_MAX - 2)), true),
            ] {
                let (read, taken) = with_query(&shared, &query, piece);
                assert_eq!(taken.as_ref().map(|taken| &taken.text[..]), is_long.then_some(query.as_bytes()));
                assert!(read.ends_with(" HTTP/1.1\r\n\r\n") && (read.len() < 100 || !is_long));
                assert!(is_long || read.contains(&query));
            }
            // Longer ones are hyper's to refuse.
            let query = "b".repeat(BYTES_MAX + 1);
            let (read, taken) = with_query(&shared, &query, piece);
            assert!(taken.is_none() && read.contains(&query));
        }
        // And so are those for which others leave no room.
        let long = "b".repeat(PLAIN_BYTES_MAX + 1);
        let held: Vec<_> = std::iter::from_fn(|| with_query(&shared, &long, 1 << 20).1).collect();
        assert!(held.len() > 10 && with_query(&shared, &long, 1 << 20).0.contains(&long));
        drop(held);
        assert!(with_query(&shared, &long, 1 << 20).1.is_some());
    }

    const REQUESTS: &str = "GET /a?query=up{job=\"é<1>\"} HTTP/1.1\r\nHost: \"x\"\r\n\r\n\
        POST /\" HTTP/1.1\r\ncontent-LENGTH: 13\r\n\r\nGET /\" \"body\"GET /\" HTTP/1.1\r\n\r\n\
        \r\nPOST /\" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\"\r\n0\r\n\r\nGET /\" HTTP/1.1\r\n\r\n";
    const READ: &str = "GET /a?query=up{job=%22%C3%A9%3C1%3E%22} HTTP/1.1\r\nHost: \"x\"\r\n\r\n\
        POST /%22 HTTP/1.1\r\ncontent-LENGTH: 13\r\n\r\nGET /\" \"body\"GET /%22 HTTP/1.1\r\n\r\n\
        \r\nPOST /%22 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\"\r\n0\r\n\r\nGET /\" HTTP/1.1\r\n\r\n";

    proptest! {
        #[test]
        fn only_request_lines_are_touched_however_they_come(lengths in prop::collection::vec(1usize..80, 1..20)) {
            let read = read(REQUESTS.as_bytes(), &lengths);
            prop_assert_eq!(String::from_utf8_lossy(&read), READ);
        }

        #[test]
        fn any_bytes_pass(sent: Vec<u8>, lengths in prop::collection::vec(1usize..20, 1..5)) {
            prop_assert!(read(&sent, &lengths).len() >= sent.len());
        }
    }
}
