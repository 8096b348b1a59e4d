//! Syslog over TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use watchfire_model::Timestamp;

use super::framing::Framing;
use crate::gather::{Gathered, Gatherer, Origin, Reason};
use crate::intake::{Intake, Share};
use crate::metrics::SourceCounters;
use crate::normalise::Marks;

/// Most connections of a listener; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 16_384;
/// Read at once, bytes.
const READ_BYTES: usize = 64 << 10;
/// Wait after a failed accept (no more file descriptors, say).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Takes connections until `stop` says true; returns when all that was read until then is durable.
pub async fn serve_tcp(listener: TcpListener, intake: Arc<Intake>, mut stop: watch::Receiver<bool>) {
    let counters = intake.metrics.source("syslog_tcp");
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let (intake, counters, stop) = (Arc::clone(&intake), counters.clone(), stop.clone());
                connections.spawn(async move {
                    intake.metrics.syslog_connections.inc();
                    if let Err(error) = connection(stream, peer, &intake, &counters, stop).await {
                        tracing::debug!(%peer, %error, "syslog connection ended");
                    }
                    intake.metrics.syslog_connections.dec();
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept syslog connections");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    intake: &Arc<Intake>,
    counters: &SourceCounters,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let host = peer.ip().to_canonical().to_string();
    let mut framing = Framing::new(intake.limits.line_bytes);
    let mut buffer = BytesMut::new();
    let mut share = Share::new(Arc::clone(intake));
    let mut share_bytes = 0;
    while !*stop.borrow() {
        // An idle connection holds no buffer: it waits until there is something to read.
        tokio::select! {
            readable = stream.readable() => readable?,
            _ = stop.wait_for(|stop| *stop) => break,
        }
        buffer.reserve(READ_BYTES);
        let ended = match stream.try_read_buf(&mut buffer) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => true,
        };
        let parsers = intake.parsers.load_full();
        let mut used = 0;
        let mut gathered = gather(intake, &parsers, &host, |gatherer| {
            used = framing.take(&buffer, ended, |frame| {
                let marks = Marks { truncated: frame.truncated, ..Marks::default() };
                gatherer.text_line(trim_end(frame.message), None, marks);
            });
        });
        buffer.advance(used);
        intake.submit_patiently(&mut gathered, counters, &parsers).await;
        if ended {
            return Ok(());
        }
        if buffer.is_empty() {
            buffer = BytesMut::new();
            if share_bytes > 0 {
                share = Share::new(Arc::clone(intake));
                share_bytes = 0;
            }
        } else if buffer.len() > share_bytes {
            // Half messages of many connections together are bounded too.
            if !share.take(buffer.len() - share_bytes) {
                intake.metrics.rejected(Reason::Dropped, 1);
                return Err(io::Error::other("too many half messages are held"));
            }
            share_bytes = buffer.len();
        }
    }
    Ok(())
}

/// Messages as batches.
pub(super) fn gather(
    intake: &Intake,
    parsers: &crate::formats::Parsers,
    host: &str,
    work: impl FnOnce(&mut Gatherer<'_>),
) -> Gathered {
    let origin = Origin { host: Some(host), ..intake.origin(Timestamp::now()) };
    intake.with_worker(|worker| {
        let mut gatherer = Gatherer::new(parsers, &intake.ids, worker, origin);
        work(&mut gatherer);
        gatherer.finish()
    })
}

/// A message without what senders leave at its end.
pub(super) fn trim_end(message: &[u8]) -> &[u8] {
    let end = message.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |at| at + 1);
    message.get(..end).unwrap_or_default()
}
