//! Characters that may not stand in an address, and that clients send all the same: `curl '…?query=up{job="x"}'`.
//!
//! Servers in Go read them, and so do people who type a query into a command. Hyper refuses them, so the stream under it
//! writes them as they should stand (`%22`). Only request lines are touched: where heads and bodies end is followed as far
//! as `Content-Length` says it; behind anything else (chunks, an upgrade) all passes as it comes. A query string that is
//! too long for an address is taken out of its line ([`crate::long_query`]).
//!
//! Where the rest of a head does not come in time, hyper gets one that it refuses, as it would end the connection without a
//! word. [`crate::refused`] says why.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::linger::Unread;
use crate::long_query::{Held, OfConnection, PLAIN_BYTES_MAX};

/// Longest line of a head that is looked at; hyper refuses heads that are longer than that.
const LINE_BYTES_MAX: usize = 64 << 10;

/// So long is waited for the rest of a head: less than hyper does, which knows nothing of heads that have begun.
const REST_MAX: Duration = Duration::from_secs(60);
/// Ends any head such that it is refused: this may stand nowhere in it.
const BROKEN: &[u8] = b"\0\r\n\r\n";

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
    /// The query string that is being read, if it is a long one.
    held: Option<Held>,
    /// Nothing more is read until there is a place for a query string, or will be none.
    awaited: Option<Box<Awaited>>,
    long_queries: OfConnection,
    /// What was read and did not fit.
    pending: Vec<u8>,
    /// Until when the rest of a head may come; most come at once.
    rest: Option<Pin<Box<Sleep>>>,
    unread: Unread,
}

/// A place that is waited for, and what was read behind the piece of the query string that needs it.
struct Awaited {
    place: Pin<Box<dyn Future<Output = Held> + Send>>,
    behind: Vec<u8>,
}

/// Whether a byte may stand in a request line.
fn is_plain(byte: u8) -> bool {
    byte < 0x80 && !matches!(byte, b'"' | b'<' | b'>')
}

impl<S> Lenient<S> {
    /// A stream at the begin of its first request.
    pub(crate) fn new(stream: S, long_queries: OfConnection, unread: Unread) -> Lenient<S> {
        let (line, held, awaited, pending, rest) = (Vec::new(), None, None, Vec::new(), None);
        let place = Place::RequestLine(false);
        Lenient { stream, place, line, held, awaited, long_queries, pending, rest, unread }
    }

    /// Whether a head has begun and not ended.
    fn is_in_head(&self) -> bool {
        matches!(self.place, Place::RequestLine(true) | Place::Query | Place::Head(_))
    }

    /// Waits for the rest of a head, in vain.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_in_head() {
            return Poll::Pending;
        }
        let rest = self.rest.get_or_insert_with(|| Box::pin(sleep(REST_MAX)));
        ready!(rest.as_mut().poll(context));
        self.unread.note_late();
        (self.place, self.held) = (Place::Anywhere, None);
        Poll::Ready(())
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
                    let is_whole = end.is_some() && self.line.is_empty() && self.held.is_none();
                    if is_whole && piece.len() <= PLAIN_BYTES_MAX && piece.iter().copied().all(is_plain) {
                        instead.iter_mut().for_each(|out| out.extend_from_slice(piece));
                        self.place = Place::RequestLine(true);
                    } else {
                        let out = instead.get_or_insert_with(|| bytes.get(..at).unwrap_or_default().to_vec());
                        let has_place = self.hold(piece, end.is_some(), out);
                        if !has_place {
                            let behind = rest.get(piece.len()..).unwrap_or_default().to_vec();
                            let place = Box::pin(self.long_queries.place_in_time());
                            self.awaited = Some(Box::new(Awaited { place, behind }));
                            return instead;
                        }
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
    /// False if it has to wait for a place.
    fn hold(&mut self, piece: &[u8], is_its_end: bool, out: &mut Vec<u8>) -> bool {
        if let Some(held) = self.held.take() {
            self.hold_long(held, piece, is_its_end, out);
            return true;
        }
        self.line.extend_from_slice(piece);
        let mut escaped = Vec::new();
        if is_its_end && self.line.len() <= PLAIN_BYTES_MAX {
            escape(&self.line, &mut escaped);
        }
        // Escapes make it longer.
        if self.line.len().max(escaped.len()) > PLAIN_BYTES_MAX {
            let Some(held) = self.long_queries.place() else { return false };
            let line = std::mem::take(&mut self.line);
            self.hold_long(held, &line, is_its_end, out);
        } else if is_its_end {
            self.line = Vec::new();
            self.place = Place::RequestLine(true);
            out.append(&mut escaped);
        }
        true
    }

    /// Takes a piece of a query string that is a long one.
    fn hold_long(&mut self, held: Held, piece: &[u8], is_its_end: bool, out: &mut Vec<u8>) {
        if let Some(mut text) = held.push(piece) {
            // Hyper refuses what is as long as that.
            out.append(&mut text);
            self.place = Place::Anywhere;
        } else if is_its_end {
            self.place = Place::RequestLine(true);
            out.extend_from_slice(self.long_queries.keep(held).as_bytes());
        } else {
            self.held = Some(held);
        }
    }

    /// Goes on with what was read when a place was missing.
    fn resume(&mut self, held: Held, behind: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let line = std::mem::take(&mut self.line);
        let is_its_end = behind.first().is_some_and(|byte| matches!(byte, b' ' | b'\n'));
        self.hold_long(held, &line, is_its_end, &mut out);
        match self.follow(behind) {
            Some(mut rest) => out.append(&mut rest),
            None => out.extend_from_slice(behind),
        }
        out
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
            if let Some(awaited) = &mut self.awaited {
                let held = ready!(awaited.place.as_mut().poll(context));
                let behind = self.awaited.take().map(|awaited| awaited.behind).unwrap_or_default();
                self.pending = self.resume(held, &behind);
                continue;
            }
            let before = into.filled().len();
            match Pin::new(&mut self.stream).poll_read(context, into) {
                Poll::Ready(read) => read?,
                Poll::Pending => {
                    ready!(self.poll_rest(context));
                    self.pending = BROKEN.to_vec();
                    continue;
                }
            }
            let read = into.filled().get(before..).unwrap_or_default();
            let instead = self.follow(read);
            if !self.is_in_head() {
                self.rest = None;
            }
            let Some(instead) = instead else { return Poll::Ready(Ok(())) };
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;
    use crate::long_query::{AT_ONCE_MAX, BYTES_MAX, HELD_MAX, LongQueries, LongQuery, NoRoom, WAIT_MAX};

    /// What hyper reads of a connection that comes in pieces of these lengths.
    fn read(sent: &[u8], lengths: &[usize]) -> Vec<u8> {
        let long_queries = Arc::new(LongQueries::new().expect("random numbers"));
        let mut lenient = Lenient::new((), OfConnection::new(long_queries), Unread::default());
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
        let mut lenient = Lenient::new((), of_connection.clone(), Unread::default());
        let sent = format!("GET /a?{query} HTTP/1.1\r\n\r\n");
        let read: Vec<u8> = sent
            .as_bytes()
            .chunks(piece)
            .flat_map(|piece| lenient.follow(piece).unwrap_or_else(|| piece.to_vec()))
            .collect();
        let read = String::from_utf8(read).expect("text");
        let address = read.split(' ').nth(1).expect("an address");
        let taken = address.parse().ok().and_then(|address| of_connection.take(&address));
        (read, taken.and_then(Result::ok))
    }

    #[tokio::test]
    async fn long_query_strings_stand_beside_their_requests() {
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
    }

    /// Reads a connection to the end of the head of its first request: what was taken out of its line.
    async fn first_of(
        stream: impl AsyncRead + AsyncWrite + Unpin,
        shared: Arc<LongQueries>,
    ) -> Result<LongQuery, NoRoom> {
        let of_connection = OfConnection::new(shared);
        let mut lenient = Lenient::new(stream, of_connection.clone(), Unread::default());
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") {
            assert!(lenient.read_buf(&mut read).await.expect("a stream") > 0, "the end of the connection");
        }
        let read = String::from_utf8(read).expect("text");
        let address = read.split(' ').nth(1).and_then(|address| address.parse().ok()).expect("an address");
        of_connection.take(&address).expect("a long one")
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_waits_and_who_is_slow_loses_it() {
        let shared = Arc::new(LongQueries::new().expect("random numbers"));
        let request = |end: &str| format!("GET /a?{} HTTP/1.1\r\n{end}", "b".repeat(PLAIN_BYTES_MAX + 1)).into_bytes();
        let connect = || {
            let (ours, theirs) = duplex(1 << 10);
            (tokio::spawn(first_of(ours, shared.clone())), theirs)
        };
        // One has sent its query string, the others a part.
        let mut held = Vec::new();
        while shared.free() > 0 {
            let (reading, mut theirs) = connect();
            let whole = request("");
            let sent = if held.is_empty() { whole.len() } else { whole.len() - 11 };
            theirs.write_all(&whole[..sent]).await.expect("it is read");
            while shared.free() + held.len() == AT_ONCE_MAX {
                tokio::task::yield_now().await;
            }
            held.push((reading, theirs));
        }
        // The next ones get the place of somebody who leaves, or of those who go on in time.
        let begun = Instant::now();
        let (reading, mut theirs) = connect();
        theirs.write_all(&request("\r\n")).await.expect("it is read");
        let (left, _) = held.pop().expect("some");
        left.abort();
        let served = reading.await.expect("no panic").expect("a place");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        // All that stand still lose theirs, and are answered all the same.
        let (waiting, mut theirs_waiting) = connect();
        let sending = tokio::spawn(async move { theirs_waiting.write_all(&request("\r\n")).await });
        let text = waiting.await.expect("no panic").expect("a place").text.len();
        assert_eq!((text, begun.elapsed()), (PLAIN_BYTES_MAX + 1, HELD_MAX));
        sending.await.expect("no panic").expect("it is read");
        for (index, (reading, mut theirs)) in held.into_iter().enumerate() {
            let rest: &[u8] = if index == 0 { b"\r\n" } else { b"b HTTP/1.1\r\n\r\n" };
            theirs.write_all(rest).await.expect("it is read");
            assert!(reading.await.expect("no panic").is_err(), "{index}");
        }
        drop(served);
        assert_eq!(shared.free(), AT_ONCE_MAX);
        // Where requests hold all places for as long, nobody waits for ever.
        let taken: Vec<_> = (0..AT_ONCE_MAX).map(|_| with_query(&shared, &"b".repeat(BYTES_MAX), 1 << 20).1).collect();
        let (reading, mut theirs) = connect();
        let sending = tokio::spawn(async move { theirs.write_all(&request("\r\n")).await });
        let begun = Instant::now();
        assert!(reading.await.expect("no panic").is_err());
        assert_eq!(begun.elapsed(), WAIT_MAX);
        sending.await.expect("no panic").expect("it is read");
        drop(taken);
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
