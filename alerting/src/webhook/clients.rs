//! HTTP clients, made when the first URL needs them.

use crate::notifier::SendError;
use reqwest::{Client, Url};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::OnceCell;
use watchfire_model::text::with_causes;
use watchfire_tls_client::{Authorities, ClientTls};

/// What we call ourselves.
const USER_AGENT: &str = concat!("Watchfire/", env!("CARGO_PKG_VERSION"));

/// A client for `http://` and one for `https://`. Neither follows redirects.
pub(crate) struct Clients {
    ca_file: Option<PathBuf>,
    // Trusts nobody, and so needs no certificates of the system: for `http://`.
    plain: OnceCell<Client>,
    tls: OnceCell<Client>,
}

impl Clients {
    /// `ca_file` holds certificates to trust beside the system's.
    pub(crate) fn new(ca_file: Option<PathBuf>) -> Clients {
        Clients { ca_file, plain: OnceCell::new(), tls: OnceCell::new() }
    }

    /// The client for a URL.
    pub(crate) async fn of(&self, url: &Url) -> Result<&Client, SendError> {
        let tls = url.scheme() == "https";
        let cell = if tls { &self.tls } else { &self.plain };
        let build = || async {
            let ca_file = self.ca_file.clone();
            let built = tokio::task::spawn_blocking(move || build_client(tls, ca_file.as_deref())).await;
            built.unwrap_or_else(|error| Err(error.to_string()))
        };
        cell.get_or_try_init(build).await.map_err(SendError::passing)
    }
}

/// Blocks: reads the system's certificates.
fn build_client(tls: bool, ca_file: Option<&Path>) -> Result<Client, String> {
    // The client panics without one, even if it never speaks TLS.
    crate::install_crypto();
    let builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(USER_AGENT)
        .no_proxy()
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(2);
    let builder = match ca_file {
        _ if !tls => builder.tls_certs_only([]),
        None => builder,
        Some(path) => {
            let pem = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            let authorities = Authorities::from_pem(&pem).map_err(|error| format!("{}: {error}", path.display()))?;
            let tls = ClientTls { authorities, beside_system: true, identity: None, only_tls_1_3: false };
            builder.tls_backend_preconfigured(tls.build().map_err(|error| format!("{}: {error}", path.display()))?)
        }
    };
    builder.build().map_err(|error| format!("no HTTP client: {}", with_causes(&error.without_url())))
}
