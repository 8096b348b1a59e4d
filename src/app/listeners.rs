//! Addresses: bound before anything else, so that a taken port is told before data is touched.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use watchfire_cli::origin::given_by;
use watchfire_dashboard_api::auth::Access;
use watchfire_dashboard_api::cors::Cors;
use watchfire_dashboard_api::guard::{Guard, guard as pass};
use watchfire_dashboard_api::long_query::{self, LongQueries};
use watchfire_dashboard_api::rate::Buckets;
use watchfire_dashboard_api::roles::{self, Role, Roles};
use watchfire_dashboard_api::serve::{Service, serve};
use watchfire_dashboard_api::tls::Tls;

use super::open_files;
use super::own_metrics;
use super::parts::Parts;
use super::reload::Reloader;
use crate::config::{Auth, Config};
use crate::load::{self, SyslogSocket};

/// What stands between the network and the routes; changes while running.
#[derive(Clone)]
pub struct Doors {
    /// Who may come in.
    pub access: Arc<Access>,
    /// What TLS clients are greeted with, if TLS is spoken.
    pub tls: Option<Arc<Tls>>,
}

/// Bound listeners that nobody serves yet.
pub struct Bound {
    listeners: Vec<TcpListener>,
    metrics: Option<TcpListener>,
    syslog: Vec<SyslogSocket>,
}

/// Listeners being served.
pub struct Servers {
    tasks: JoinSet<()>,
    /// Where everything is served.
    pub addresses: Vec<SocketAddr>,
    /// The second listener.
    pub metrics: Option<SocketAddr>,
}

impl Bound {
    /// Binds every configured address. The metrics port may be taken if nobody asked for it: then we go on without.
    pub async fn bind(config: &Config, roles: Roles) -> Result<Bound, String> {
        let mut listeners = Vec::new();
        for address in &config.listen {
            let taken = |error| {
                let place = given_by("--listen", "WATCHFIRE_LISTEN");
                format!("{address} cannot be listened on: {error}; stop what is there, or choose another with {place}")
            };
            listeners.push(TcpListener::bind(address).await.map_err(taken)?);
        }
        let mut syslog = Vec::new();
        for source in config.syslog.iter().filter(|_| roles.has(Role::Ingestion)) {
            syslog.push(load::bind_syslog(*source).await?);
        }
        Ok(Bound { listeners, metrics: bind_metrics(config).await?, syslog })
    }

    /// The sockets that take syslog; they are served by who stores records.
    pub fn take_syslog(&mut self) -> Vec<SyslogSocket> {
        std::mem::take(&mut self.syslog)
    }

    /// Serves all of them with all routes.
    pub fn serve(
        self,
        config: &Config,
        doors: &Doors,
        parts: &Arc<Parts>,
        reloader: &Arc<Reloader>,
        started: Instant,
        stopping: &watch::Receiver<bool>,
    ) -> Result<Servers, String> {
        let guard = Arc::new(guard(config, &doors.access, started));
        own_metrics::register_guard(&parts.registry, &guard).map_err(|error| error.to_string())?;
        if let Some(tls) = &doors.tls {
            own_metrics::register_tls(&parts.registry, tls).map_err(|error| error.to_string())?;
        }
        let router = router(config, guard.clone(), doors.access.clone(), parts, reloader, started);
        let long_queries = Arc::new(LongQueries::new().map_err(|error| error.to_string())?);
        let service = Service { router, guard, tls: doors.tls.clone(), long_queries };
        let connections = Arc::new(Semaphore::new(open_files::connections(open_files::raise())));
        let address = |listener: &TcpListener| listener.local_addr().map_err(|error| error.to_string());
        let addresses = self.listeners.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        let metrics = self.metrics.as_ref().map(address).transpose()?;
        let mut tasks = JoinSet::new();
        for listener in self.listeners.into_iter().chain(self.metrics) {
            tasks.spawn(serve(listener, service.clone(), connections.clone(), stopping.clone()));
        }
        Ok(Servers { tasks, addresses, metrics })
    }
}

impl Servers {
    /// Waits until all have let go of their connections.
    pub async fn finished(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn bind_metrics(config: &Config) -> Result<Option<TcpListener>, String> {
    let Some(first) = config.listen.first().filter(|_| config.metrics.port != 0) else { return Ok(None) };
    let address = SocketAddr::new(first.ip(), config.metrics.port);
    if config.listen.contains(&address) {
        return Ok(None);
    }
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if config.metrics.port_given => Err(format!(
            "{address} cannot be listened on: {error}; stop what is there, or set another `metrics.port` (0 for none)"
        )),
        Err(error) => {
            tracing::warn!(%address, %error, "no second listener for metrics: the port is taken; the first one serves all");
            Ok(None)
        }
    }
}

/// Who may pass, and under which names.
fn guard(config: &Config, access: &Arc<Access>, started: Instant) -> Guard {
    Guard {
        access: access.clone(),
        check_host: config.auth == Auth::Absent,
        allowed_hosts: config.allowed_hosts.clone(),
        cors: Cors::new(config.cors.clone()),
        process: std::process::id() ^ started.elapsed().subsec_nanos(),
        requests: Default::default(),
        rate: (config.limits.requests_per_second > 0).then(|| Buckets::per_second(config.limits.requests_per_second)),
        limited_known_total: Default::default(),
        limited_addresses_total: Default::default(),
    }
}

/// All routes, under one guard.
fn router(
    config: &Config,
    guard: Arc<Guard>,
    access: Arc<Access>,
    parts: &Arc<Parts>,
    reloader: &Arc<Reloader>,
    started: Instant,
) -> Router {
    let api = Arc::new(parts.api(config, reloader, started));
    let ways_in = watchfire_ingest::http::router(parts.intake.clone()).merge(watchfire_ingest::http::samples_router(
        parts.intake.clone(),
        parts.engine.clone(),
        config.metrics.late_after_ms,
    ));
    Router::new()
        .merge(ways_in.route_layer(axum::middleware::from_fn(long_query::refuse)))
        .merge(watchfire_dashboard_api::router(api))
        .merge(watchfire_dashboard_api::session::router(access))
        .method_not_allowed_fallback(watchfire_dashboard_api::wrong_method)
        .fallback(watchfire_dashboard_api::unknown)
        .layer(axum::middleware::from_fn_with_state(Arc::new(parts.here()), roles::check))
        .layer(axum::middleware::from_fn_with_state(guard, pass))
}
