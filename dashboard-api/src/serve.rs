//! Accepting connections, with bounds on how many and on how slow they may be.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::Response;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use crate::guard::Guard;
use crate::refused::Refusing;
use crate::tls::Tls;

/// Most connections at a time, over all listeners; further ones wait to be accepted.
pub const CONNECTIONS_MAX: usize = 20_000;
/// A head that is not there after this time ends the connection, and so does an idle one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Largest head of a request, bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// After an error of `accept` (too many open files, say) the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
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
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = greet(stream, peer, service.clone(), stop.clone());
                tasks.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
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

/// Shakes hands, where TLS is spoken, and serves what comes.
async fn greet(stream: TcpStream, peer: SocketAddr, service: Service, mut stop: watch::Receiver<bool>) {
    // Without it, small answers wait for the peer's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let Some(tls) = service.tls.clone() else {
        return serve_connection(stream, peer, false, service, stop).await;
    };
    let greeted = tokio::select! {
        greeted = tls.accept(stream) => greeted,
        () = stopped(&mut stop) => None,
    };
    if let Some(stream) = greeted {
        serve_connection(stream, peer, true, service, stop).await;
    }
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    secured: bool,
    Service { router, guard, .. }: Service,
    mut stop: watch::Receiver<bool>,
) {
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        if secured {
            request.extensions_mut().insert(Secured);
        }
        let router = router.clone();
        async move {
            let answered: Result<Response, Infallible> = router.oneshot(request.map(axum::body::Body::new)).await;
            answered
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(HEAD_BYTES_MAX)
        // A client that hangs up ends what it asked for. (One that only stops sending is taken for such a one.)
        .half_close(false)
        .serve_connection(TokioIo::new(Refusing::new(stream, guard)), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "connection ended");
    }
}
