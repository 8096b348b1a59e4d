//! Accepting connections, with bounds on how many and on how slow they may be.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1::UpgradeableConnection;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

use crate::guard::Guard;
use crate::linger::{Lingering, Unread, Watched};
use crate::long_query::{LongQueries, OfConnection};
use crate::plain_path;
use crate::refused::Refusing;
use crate::request_line::Lenient;
use crate::stalling::Stalling;
use crate::tls::Tls;

/// Most connections at a time, over all listeners; further ones wait to be accepted.
pub const CONNECTIONS_MAX: usize = 20_000;
/// A head that is not there after this time ends the connection, and so does an idle one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Largest head of a request, bytes; its query string may be longer.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// After an error of `accept` (too many open files, say) the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Such an error is told once in this time.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// How long requests under way may take to finish once we stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What is served on every listener.
#[derive(Clone)]
pub struct Service {
    /// All routes, under the guard.
    pub router: Router,
    /// Also names what reaches no route.
    pub guard: Arc<Guard>,
    /// TLS, if it is spoken.
    pub tls: Option<Arc<Tls>>,
    /// Query strings that are too long for an address.
    pub long_queries: Arc<LongQueries>,
}

/// Marks requests that came over TLS, among the extensions of a request.
#[derive(Clone, Copy, Debug)]
pub struct Secured;

/// The address that a request came from; unspecified where none is known, as in a test without a network.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// Of the extensions that [`serve`] gives a request.
    pub fn of(extensions: &http::Extensions) -> Peer {
        let known = extensions.get::<ConnectInfo<SocketAddr>>();
        Peer(known.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip()))
    }
}

impl<S: Sync> axum::extract::FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Peer, Infallible> {
        Ok(Peer::of(&parts.extensions))
    }
}

/// Serves one listener until `stop` turns true, then lets requests under way finish.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    connections: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let mut tasks = tokio::task::JoinSet::new();
    let mut told: Option<Instant> = None;
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let client = Client { stream, peer, service: service.clone(), stop: stop.clone(), permit };
                match service.tls.clone() {
                    None => tasks.spawn(client.serve_plain()),
                    Some(tls) => tasks.spawn(client.serve_secured(tls)),
                };
            }
            Err(error) => {
                if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                    tracing::warn!(%error, "connections cannot be accepted; they wait");
                    told = Some(Instant::now());
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        // Finished connections must not pile up in the set.
        while tasks.try_join_next().is_some() {}
    }
    drop(listener);
    let drained = tokio::time::timeout(DRAIN_TIMEOUT, async { while tasks.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(connections = tasks.len(), "connections did not end in time and are cut");
    }
}

/// Waits until we are to stop. (The value itself may not be held across an await.)
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and then we stop as well.
    let _ = stop.wait_for(|stop| *stop).await.map(|_| ());
}

/// A connection that was accepted. There may be thousands that say nothing, so their tasks hold as little as they can:
/// what serves is on the heap once, and what only a handshake or a request needs is there while that lasts.
struct Client {
    stream: TcpStream,
    peer: SocketAddr,
    service: Service,
    stop: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
}

impl Client {
    fn serve_plain(self) -> impl Future<Output = ()> + Send {
        set_nodelay(&self.stream);
        let unread = Unread::default();
        let connection = connection(self.stream, self.peer, false, self.service, &unread);
        drive(connection, unread, self.peer, self.stop, self.permit)
    }

    /// Shakes hands and serves what comes.
    async fn serve_secured(mut self, tls: Arc<Tls>) {
        set_nodelay(&self.stream);
        let handshake = Box::pin(async move { tls.accept(self.stream).await });
        let greeted = tokio::select! {
            greeted = handshake => greeted,
            () = stopped(&mut self.stop) => None,
        };
        if let Some(stream) = greeted {
            let unread = Unread::default();
            let connection = connection(stream, self.peer, true, self.service, &unread);
            drive(connection, unread, self.peer, self.stop, self.permit).await;
        }
    }
}

/// Without it, small answers wait for the peer's delayed acknowledgement.
fn set_nodelay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
}

/// A connection as hyper serves it.
trait Connection: Future<Output = hyper::Result<()>> + Send {
    /// Ends after the request under way.
    fn end_soon(self: Pin<&mut Self>);
}

impl<I, S> Connection for UpgradeableConnection<I, S>
where
    UpgradeableConnection<I, S>: Future<Output = hyper::Result<()>> + Send,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = axum::body::Body, Error = Infallible>,
{
    fn end_soon(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    secured: bool,
    Service { router, guard, long_queries, .. }: Service,
    unread: &Unread,
) -> Pin<Box<dyn Connection>> {
    let stream = Lingering::new(Stalling::new(stream), unread.clone());
    let long_queries = OfConnection::new(long_queries);
    let stream = Refusing::new(stream, guard, unread.clone());
    let stream = Lenient::new(stream, long_queries.clone(), unread.clone());
    let unread = unread.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        match long_queries.take(request.uri()) {
            None => {}
            Some(Ok(query)) => drop(request.extensions_mut().insert(query)),
            Some(Err(no_room)) => drop(request.extensions_mut().insert(no_room)),
        }
        if let Some(address) = plain_path::written(request.uri()) {
            *request.uri_mut() = address;
        }
        if secured {
            request.extensions_mut().insert(Secured);
        }
        let request = request.map(|body| axum::body::Body::new(Watched::new(body, unread.clone())));
        // Hyper keeps room for this future from the start of the connection on.
        Box::pin(router.clone().oneshot(request))
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(HEAD_BYTES_MAX)
        // A client that hangs up ends what it asked for. (One that only stops sending is taken for such a one.)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    Box::pin(connection)
}

/// Serves a connection to its end.
async fn drive(
    mut connection: Pin<Box<dyn Connection>>,
    unread: Unread,
    peer: SocketAddr,
    mut stop: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            // Hyper may have read the rest of an earlier body itself; nobody waits for that then.
            unread.forget();
            connection.as_mut().end_soon();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "connection ended");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_send_the_rest_of_a_head_is_told_so() {
        let head = "GET /health?b=\"c HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
        for end in 0..=head.len() {
            for before in ["", "GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"] {
                let (ours, mut theirs) = duplex(1 << 16);
                let service = Service {
                    router: Router::new().route("/health", routing::get(|| async { "served" })),
                    guard: Arc::new(Guard::open()),
                    tls: None,
                    long_queries: Arc::new(LongQueries::new().expect("random numbers")),
                };
                let unread = Unread::default();
                let connection = connection(ours, SocketAddr::from(([127, 0, 0, 1], 1)), false, service, &unread);
                let serving = tokio::spawn(connection);
                let sent = format!("{before}{}", &head[..end]);
                theirs.write_all(sent.as_bytes()).await.expect("it is read");
                let mut answers = String::new();
                theirs.read_to_string(&mut answers).await.expect("all of it");
                // How it ended is told by the answers.
                let _ = serving.await.expect("no panic");
                let served = usize::from(!before.is_empty()) + usize::from(end == head.len());
                let is_half = end > 0 && end < head.len();
                assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), served, "{sent:?}: {answers}");
                assert_eq!(
                    answers.matches("HTTP/1.1 408 Request Timeout").count(),
                    usize::from(is_half),
                    "{sent:?}: {answers}"
                );
                assert_eq!(answers.matches("HTTP/1.1 ").count(), served + usize::from(is_half), "{sent:?}: {answers}");
                assert_eq!(answers.contains("x-request-id: 00000001-"), is_half, "{sent:?}: {answers}");
            }
        }
    }
}
