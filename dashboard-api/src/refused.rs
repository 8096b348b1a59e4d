//! What hyper refuses by itself (no HTTP, a head that is too large or whose rest did not come) in our words: with a request
//! id and as JSON.
//!
//! Such a request reaches no service: hyper writes a bare head, `HTTP/1.1 431 …` with `content-length: 0`, and ends
//! the connection. The stream under it exchanges that head for an answer. It is told from our own answers by having
//! no request id, which every one of them has; and no body of ours holds a bare line end, so that none looks like it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::ApiError;
use crate::guard::Guard;
use crate::linger::Unread;

/// A bare head is shorter than this.
const HEAD_BYTES_MAX: usize = 300;

/// A stream to a client, below hyper.
pub struct Refusing<S> {
    stream: S,
    guard: Arc<Guard>,
    unread: Unread,
    /// What stands in place of a bare head, and how much of it has been written.
    answer: Vec<u8>,
    written: usize,
}

impl<S> Refusing<S> {
    /// A stream whose refusals get their request ids from the guard, and are noted as requests that were not read.
    pub fn new(stream: S, guard: Arc<Guard>, unread: Unread) -> Refusing<S> {
        Refusing { stream, guard, unread, answer: Vec::new(), written: 0 }
    }
}

/// Where a bare head begins that ends what is being written, and its status.
fn bare_head(bytes: &[u8]) -> Option<(usize, StatusCode)> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(HEAD_BYTES_MAX);
    let start = from + bytes.get(from..)?.windows(7).rposition(|window| window == b"HTTP/1.")?;
    let head = std::str::from_utf8(bytes.get(start..)?).ok()?;
    let status = StatusCode::from_bytes(head.get(9..12)?.as_bytes()).ok()?;
    let has = |name: &str| head.lines().skip(1).any(|line| line.to_ascii_lowercase().starts_with(name));
    let is_bare = status.is_client_error() && has("content-length: 0") && !has("x-request-id:");
    is_bare.then_some((start, status))
}

/// The answer to a request that could not be read.
fn refusal(status: StatusCode) -> ApiError {
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            let message = "the head of the request is longer than 64 KiB, its parameters aside, or has over 100 lines, or \
                           its parameters are longer than 1 MiB";
            ApiError::new(status, "head_too_large", message).hint("send long parameters by POST, in the body")
        }
        _ => ApiError::new(status, "malformed_request", "this is no HTTP/1.1, or a line of its head cannot be read"),
    }
}

/// The answer to a request whose head broke off.
fn late() -> ApiError {
    let message = "the head of the request was not there in time";
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
}

/// The head that hyper made, with our status, headers and body.
fn told(head: &str, error: &ApiError, request_id: &str) -> Vec<u8> {
    let body = error.json();
    let mut text = format!("HTTP/1.1 {}\r\n", error.status);
    for line in head.trim_end().lines().skip(1).filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"))
    {
        text.push_str(&format!("{line}\r\n"));
    }
    let length = body.len();
    text.push_str(&format!(
        "content-type: application/json\r\nx-request-id: {request_id}\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    text.into_bytes()
}

impl<S: AsyncWrite + Unpin> Refusing<S> {
    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.answer.get(self.written..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Refusing<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Refusing<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_answer(context))?;
        match bare_head(bytes) {
            None => Pin::new(&mut self.stream).poll_write(context, bytes),
            Some((0, status)) => {
                let request_id = self.guard.request_id();
                let head = String::from_utf8_lossy(bytes);
                tracing::debug!(status = status.as_u16(), "a request could not be read");
                let error = if self.unread.is_late() { late() } else { refusal(status) };
                self.answer = told(&head, &error, request_id.to_str().unwrap_or_default());
                self.written = 0;
                self.unread.note();
                // What is left is written when hyper flushes.
                if let Poll::Ready(Err(error)) = self.poll_answer(context) {
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(bytes.len()))
            }
            // The answer before goes first; hyper comes again with the rest.
            Some((start, _)) => Pin::new(&mut self.stream).poll_write(context, &bytes[..start]),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_answer(context))?;
        let mut filled = slices.iter().filter(|slice| !slice.is_empty());
        match (filled.next(), filled.next()) {
            (Some(only), None) => self.poll_write(context, only),
            // The head of a refusal is written last: with something before it, the rest comes by itself.
            (Some(first), Some(_)) if slices.last().is_some_and(|last| bare_head(last).is_some()) => {
                Pin::new(&mut self.stream).poll_write(context, first)
            }
            _ => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_heads_are_told() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        assert_eq!(bare_head(bare.as_bytes()).map(|(start, status)| (start, status.as_u16())), Some((0, 431)));
        let behind = format!("{{\"a\":1}}{bare}");
        assert_eq!(bare_head(behind.as_bytes()).map(|(start, _)| start), Some(7));
        for other in [
            "HTTP/1.1 400 Bad Request\r\nx-request-id: 1\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\n",
            "content-length: 0\r\n\r\n",
            "\r\n\r\n",
            "",
        ] {
            assert_eq!(bare_head(other.as_bytes()), None, "{other}");
        }
        let text =
            String::from_utf8(told(bare, &refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE), "7-1")).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\ndate: x\r\n"), "{head}");
        assert!(
            head.contains("\r\nx-request-id: 7-1\r\n") && head.ends_with(&format!("content-length: {}", body.len()))
        );
        assert!(body.starts_with("{\"error\":\"head_too_large\""), "{body}");
    }
}
