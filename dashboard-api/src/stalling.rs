//! Whoever takes nothing of an answer for a long time is let go: what is left of the answer takes memory until then.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// So long nothing may be taken.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(60);

/// A connection whose peer has to take what is written.
pub(crate) struct Stalling<S> {
    stream: S,
    /// Since nothing was taken; most connections never wait.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Stalling<S> {
    /// Of a connection.
    pub(crate) fn new(stream: S) -> Stalling<S> {
        Stalling { stream, stalled: None }
    }

    /// What came of writing, or an error once that has waited for too long.
    fn bounded<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL_MAX)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalling<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bounded(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.bounded(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.bounded(context, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.bounded(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_gets_all_and_who_does_not_read_is_let_go() {
        let (ours, mut theirs) = duplex(10);
        let mut ours = Stalling::new(ours);
        let reading = tokio::spawn(async move {
            let mut taken = Vec::new();
            while taken.len() < 30 {
                sleep(STALL_MAX * 9 / 10).await;
                let mut piece = [0; 10];
                let count = theirs.read(&mut piece).await.expect("it is written");
                taken.extend_from_slice(&piece[..count]);
            }
            (taken, theirs)
        });
        ours.write_all(&[7; 40]).await.expect("it is read, slowly");
        let (taken, _theirs) = reading.await.expect("no panic");
        assert_eq!(taken, [7; 30]);
        let begun = Instant::now();
        let error = ours.write_all(&[7; 40]).await.expect_err("nobody reads");
        assert_eq!((error.kind(), begun.elapsed().as_secs()), (io::ErrorKind::TimedOut, STALL_MAX.as_secs()));
    }
}
