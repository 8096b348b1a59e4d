//! The HTTP client of a job: TLS, proxy, credentials, redirects.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, ClientBuilder, Identity, Method, NoProxy, RequestBuilder, Url};
use watchfire_model::text::with_causes;
use watchfire_tls_client::{Authorities, ClientTls, TlsError};

use crate::config::{HttpAuth, HttpConfig, Proxy, Text, TlsConfig};
use crate::oauth2::Tokens;

/// What we call ourselves.
const USER_AGENT: &str = concat!("Watchfire/", env!("CARGO_PKG_VERSION"));
/// Most redirects that are followed.
const REDIRECTS_MAX: usize = 10;
/// Connections wait so long for their next use; scrapes are minutes apart.
const POOL_IDLE: Duration = Duration::from_secs(300);
/// Connections to a server that wait for their next use at most; who scrapes has one, who sends one for each shard.
const IDLE_MAX: usize = 8;
/// Longest file with a secret or a certificate that is read, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Makes requests as an [`HttpConfig`] says. Clients are made when the first request needs them, and anew when a
/// file with a certificate has changed.
pub struct HttpClient {
    config: Arc<HttpConfig>,
    built: Mutex<Built>,
    tokens: Option<Tokens>,
}

#[derive(Default)]
struct Built {
    /// States of the files that they are made of.
    files: Vec<Option<SystemTime>>,
    /// By the host that is asked, if certificates have to bear another name than that, else one for all.
    clients: HashMap<Option<String>, Client>,
}

impl HttpClient {
    /// Makes nothing yet.
    pub fn new(config: HttpConfig) -> HttpClient {
        let tokens = match &config.auth {
            HttpAuth::OAuth2(oauth2) => Some(Tokens::new((**oauth2).clone())),
            HttpAuth::None | HttpAuth::Basic { .. } | HttpAuth::Other { .. } => None,
        };
        HttpClient { config: Arc::new(config), built: Mutex::default(), tokens }
    }

    /// A GET request, credentials with it. Errors: what cannot be read or used of the configuration, for people.
    pub(crate) async fn get(self: &Arc<HttpClient>, url: &Url) -> Result<RequestBuilder, String> {
        self.request(Method::GET, url).await
    }

    /// A request, credentials with it. Errors: what cannot be read or used of the configuration, for people.
    pub async fn request(self: &Arc<HttpClient>, method: Method, url: &Url) -> Result<RequestBuilder, String> {
        let (client, url) = (self.clone(), url.clone());
        // Files are read, and the system's certificates.
        let made = tokio::task::spawn_blocking(move || client.make(method, &url)).await;
        let request = made.unwrap_or_else(|error| Err(error.to_string()))?;
        match &self.tokens {
            Some(tokens) => Ok(request.header(AUTHORIZATION, tokens.header().await?)),
            None => Ok(request),
        }
    }

    /// A request without a token. Blocks.
    pub(crate) fn make(&self, method: Method, url: &Url) -> Result<RequestBuilder, String> {
        let name = self.config.tls.server_name.as_deref().filter(|_| url.scheme() == "https");
        let mut asked = url.clone();
        if let Some(name) = name {
            asked.set_host(Some(name)).map_err(|_| format!("`{name}` is no server name"))?;
        }
        let request = self.client(url, name)?.request(method, asked);
        let request = match (name, url.host_str()) {
            (Some(_), Some(host)) => {
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                request.header(HOST, format!("{host}{port}"))
            }
            _ => request,
        };
        let mut request = request;
        for (name, text) in &self.config.headers {
            request = request.header(name, header("http_headers", name, text)?);
        }
        Ok(match &self.config.auth {
            // A token is put in when there is one.
            HttpAuth::None | HttpAuth::OAuth2(_) => request,
            HttpAuth::Basic { username, password } => request.basic_auth(read(username)?, Some(read(password)?)),
            HttpAuth::Other { scheme, credentials } => {
                let value = HeaderValue::from_str(&format!("{scheme} {}", read(credentials)?));
                let mut value = value.map_err(|_| "the credentials hold a character that no header can".to_owned())?;
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
        })
    }

    fn client(&self, url: &Url, name: Option<&str>) -> Result<Client, String> {
        let tls = &self.config.tls;
        let files = tls.files().map(|path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok());
        let files: Vec<_> = files.collect();
        let host = name.and(url.host_str()).map(str::to_owned);
        let mut built = self.built.lock();
        if built.files != files {
            *built = Built { files, clients: HashMap::new() };
        }
        if let Some(client) = built.clients.get(&host) {
            return Ok(client.clone());
        }
        let client = match build(&self.config, host.as_deref(), false) {
            // For `http://` it does not matter that the system has no certificates.
            Err(_) if url.scheme() == "http" => build(&self.config, host.as_deref(), true)?,
            client => client?,
        };
        built.clients.insert(host, client.clone());
        Ok(client)
    }
}

/// The value of a header that a key of the configuration says. It is not shown.
fn header(key: &str, name: &str, text: &Text) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(&read(text)?);
    let mut value = value.map_err(|_| format!("`{key}`: the value of `{name}` is none for a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Makes a client. With `host`, each name is looked up as that one. Blocks.
fn build(config: &HttpConfig, host: Option<&str>, trusting_nobody: bool) -> Result<Client, String> {
    install_crypto();
    let redirects = match config.follow_redirects {
        true => reqwest::redirect::Policy::limited(REDIRECTS_MAX),
        false => reqwest::redirect::Policy::none(),
    };
    let mut builder = Client::builder()
        .redirect(redirects)
        .user_agent(USER_AGENT)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(IDLE_MAX)
        .tls_danger_accept_invalid_certs(config.tls.insecure_skip_verify);
    if config.tls.only_tls_1_3 {
        builder = builder.tls_version_min(reqwest::tls::Version::TLS_1_3);
    }
    let identity = match (&config.tls.cert, &config.tls.key) {
        (Some(cert), Some(key)) => Some(format!("{}\n{}\n", read(cert)?, read(key)?)),
        _ => None,
    };
    builder = match &config.tls.ca {
        _ if trusting_nobody => builder.tls_certs_only([]),
        Some(ca) if !config.tls.insecure_skip_verify => {
            builder.tls_backend_preconfigured(trusting(&read(ca)?, identity.as_deref(), config.tls.only_tls_1_3)?)
        }
        _ => match identity {
            None => builder,
            Some(pem) => builder.identity(Identity::from_pem(pem.as_bytes()).map_err(|_| BAD_IDENTITY)?),
        },
    };
    builder = with_proxy(builder, config)?;
    if let Some(host) = host {
        builder = builder.dns_resolver(Arc::new(AlwaysHost(host.trim_matches(['[', ']']).to_owned())));
    }
    builder.build().map_err(|error| format!("no HTTP client: {}", with_causes(&error.without_url())))
}

type MakeProxy = fn(&str) -> reqwest::Result<reqwest::Proxy>;
/// For `http://`, and for `https://`, which goes through a tunnel.
const PLAIN_AND_TUNNEL: [MakeProxy; 2] = [|url| reqwest::Proxy::http(url), |url| reqwest::Proxy::https(url)];

fn with_proxy(builder: ClientBuilder, config: &HttpConfig) -> Result<ClientBuilder, String> {
    let mut headers = HeaderMap::new();
    for (name, text) in &config.proxy_headers {
        let wrong = |_| format!("`proxy_connect_header`: `{name}` is no name of a header");
        headers.append(name.parse::<HeaderName>().map_err(wrong)?, header("proxy_connect_header", name, text)?);
    }
    match &config.proxy {
        Proxy::None => Ok(builder.no_proxy()),
        Proxy::Environment => through_environment(builder, &headers),
        Proxy::Url { url, no_proxy } => {
            let [plain, tunnel] = PLAIN_AND_TUNNEL.map(|make| {
                let proxy = make(url).map_err(|_| "`proxy_url` is no address of a proxy".to_owned())?;
                Ok::<_, String>(proxy.no_proxy(NoProxy::from_string(no_proxy)))
            });
            Ok(builder.proxy(plain?).proxy(tunnel?.headers(headers)))
        }
    }
}

/// What is reached straight whatever the environment says, as programs in Go have it: this machine itself.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1/128";

/// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in either case.
fn through_environment(builder: ClientBuilder, tunnel_headers: &HeaderMap) -> Result<ClientBuilder, String> {
    let value = |name: &str| {
        let names = [name.to_owned(), name.to_ascii_lowercase()];
        names.iter().find_map(|name| std::env::var(name).ok()).filter(|value| !value.is_empty())
    };
    let straight = format!("{LOOPBACK},{}", value("NO_PROXY").unwrap_or_default());
    let mut builder = builder.no_proxy();
    let [plain, tunnel] = PLAIN_AND_TUNNEL;
    let none = HeaderMap::new();
    for (name, make, headers) in [("HTTP_PROXY", plain, &none), ("HTTPS_PROXY", tunnel, tunnel_headers)] {
        if let Some(url) = value(name) {
            let proxy = make(&url).map_err(|_| format!("`{name}` of the environment is no address of a proxy"))?;
            builder = builder.proxy(proxy.no_proxy(NoProxy::from_string(&straight)).headers(headers.clone()));
        }
    }
    Ok(builder)
}

const BAD_IDENTITY: &str = "certificate and key of `tls_config` are none in PEM form, or do not belong together";

/// TLS that trusts these authorities alone.
fn trusting(ca: &str, identity: Option<&str>, only_tls_1_3: bool) -> Result<rustls::ClientConfig, String> {
    let authorities = Authorities::from_pem(ca.as_bytes())
        .map_err(|_| "the authorities of `tls_config` are no certificates in PEM form")?;
    let identity = identity.map(|pem| watchfire_tls_client::Identity::from_pem(pem.as_bytes()));
    let identity = identity.transpose().map_err(|_| BAD_IDENTITY)?;
    let built = ClientTls { authorities, beside_system: false, identity, only_tls_1_3 }.build();
    built.map_err(|error| match error {
        TlsError::Unusable(rustls::Error::InconsistentKeys(_)) => BAD_IDENTITY.to_owned(),
        error => format!("`tls_config` cannot be used: {error}"),
    })
}

/// What is wrong with the files of a `tls_config`, each fault with its file, for people. Blocks.
pub fn tls_faults(tls: &TlsConfig) -> Vec<(PathBuf, String)> {
    let mut faults = Vec::new();
    let [ca, cert, key] = [&tls.ca, &tls.cert, &tls.key].map(|text| match text.as_ref()? {
        Text::Inline(text) => Some((None, text.clone())),
        Text::File(path) => match read_file(path) {
            Ok(text) => Some((Some(path), text)),
            Err(reason) => {
                faults.push((path.clone(), format!("cannot be read: {reason}")));
                None
            }
        },
    });
    if let Some((Some(path), ca)) = ca
        && !are_authorities(&ca, tls)
    {
        faults.push((path.clone(), NO_AUTHORITIES.to_owned()));
    }
    if let (Some((cert_path, cert)), Some((key_path, key))) = (cert, key)
        && let Some(path) = key_path.or(cert_path)
        && !belong_together(&cert, &key)
    {
        faults.push((path.clone(), BAD_IDENTITY.to_owned()));
    }
    faults
}

/// What is wrong with what stands in a `tls_config` itself: the key it stands under, and the fault for people.
pub fn inline_tls_faults(tls: &TlsConfig) -> impl Iterator<Item = (&'static str, &'static str)> {
    let ca = match &tls.ca {
        Some(Text::Inline(ca)) if !are_authorities(ca, tls) => Some(("ca", NO_AUTHORITIES)),
        Some(_) | None => None,
    };
    let identity = match (&tls.cert, &tls.key) {
        (Some(Text::Inline(cert)), Some(Text::Inline(key))) if !belong_together(cert, key) => {
            Some(("key", BAD_IDENTITY))
        }
        (_, _) => None,
    };
    ca.into_iter().chain(identity)
}

const NO_AUTHORITIES: &str = "it holds no certificates in PEM form; write one or more of authorities to trust into it";

/// Whether these are certificates that can be trusted.
fn are_authorities(ca: &str, tls: &TlsConfig) -> bool {
    trusting(ca, None, tls.only_tls_1_3).is_ok()
}

/// Whether this is a certificate, and this its key.
fn belong_together(cert: &str, key: &str) -> bool {
    let identity = watchfire_tls_client::Identity::from_pem(format!("{cert}\n{key}\n").as_bytes());
    identity.and_then(watchfire_tls_client::Identity::check).is_ok()
}

/// The TLS of this process.
fn install_crypto() {
    // Whoever was first has installed the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Looks up one host, whatever the name: certificates are then checked against the name.
struct AlwaysHost(String);

impl Resolve for AlwaysHost {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Whether a header may have this name.
pub fn is_header_name(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok()
}

/// Whether a header may have this value.
pub fn is_header_value(value: &str) -> bool {
    HeaderValue::from_str(value).is_ok()
}

/// The text, as it is now. Blocks. Errors: why its file cannot be read, for people.
pub fn read(text: &Text) -> Result<Arc<str>, String> {
    match text {
        Text::Inline(text) => Ok(text.clone()),
        Text::File(path) => read_file(path).map_err(|reason| format!("cannot read {}: {reason}", path.display())),
    }
}

fn read_file(path: &Path) -> Result<Arc<str>, String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("it is too long".to_owned());
    }
    std::str::from_utf8(&bytes).map(|text| text.trim().into()).map_err(|_| "it is no UTF-8 text".to_owned())
}
