//! Whoever is answered before their body was read gets to read the answer.
//!
//! A socket that is closed while bytes wait in it is reset, and the reset takes the answer with it if it comes before the
//! client has read that: "413, the body is too long" would be a broken pipe. So the end of such a connection is told
//! first, and what still comes is read and dropped for a while, bounded in time and in length.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// So long is read on.
const TIME_MAX: Duration = Duration::from_secs(5);
/// So much is read and dropped, bytes.
const BYTES_MAX: usize = 64 << 20;
/// Read at a time, bytes.
const PIECE_BYTES: usize = 8 << 10;

/// Whether a connection has a request that was not read to its end.
#[derive(Clone, Debug, Default)]
pub struct Unread(Arc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    unread: AtomicBool,
    late: AtomicBool,
}

impl Unread {
    /// Notes one.
    pub fn note(&self) {
        self.0.unread.store(true, Ordering::Relaxed);
    }

    /// Notes that the rest of its head did not come in time.
    pub fn note_late(&self) {
        self.0.late.store(true, Ordering::Relaxed);
    }

    /// Whether that was noted; the connection has no request after such a one.
    pub fn is_late(&self) -> bool {
        self.0.late.load(Ordering::Relaxed)
    }

    /// What was noted before needs no answer any more.
    pub fn forget(&self) {
        self.0.unread.store(false, Ordering::Relaxed);
    }

    fn is_noted(&self) -> bool {
        self.0.unread.load(Ordering::Relaxed)
    }
}

/// The body of a request; notes when it is let go of before its end.
pub struct Watched {
    body: Incoming,
    ended: bool,
    unread: Unread,
}

impl Watched {
    /// A body of a connection.
    pub fn new(body: Incoming, unread: Unread) -> Watched {
        Watched { body, ended: false, unread }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.ended |= !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            self.unread.note();
        }
    }
}

/// A stream to a client that reads on after its end was told, if something is unread.
pub struct Lingering<S> {
    stream: S,
    unread: Unread,
    /// Once the end was told and is lingered over: until when, and how much may still come.
    rest: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Lingering<S> {
    /// A stream of a connection.
    pub fn new(stream: S, unread: Unread) -> Lingering<S> {
        Lingering { stream, unread, rest: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
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
        let Lingering { stream, unread, rest } = &mut *self;
        let (until, left) = match rest {
            Some(rest) => rest,
            None => {
                ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
                if !unread.is_noted() {
                    return Poll::Ready(Ok(()));
                }
                rest.insert((Box::pin(tokio::time::sleep(TIME_MAX)), BYTES_MAX))
            }
        };
        let mut piece = [0u8; PIECE_BYTES];
        while *left > 0 && until.as_mut().poll(context).is_pending() {
            let mut into = ReadBuf::new(&mut piece);
            // An error is an end as well: nobody is left to read the answer.
            match ready!(Pin::new(&mut *stream).poll_read(context, &mut into)) {
                Ok(()) if !into.filled().is_empty() => *left = left.saturating_sub(into.filled().len()),
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
