//! How the servers of a job are spoken with: credentials, TLS, proxy, redirects.

use std::path::PathBuf;

use watchfire_scrape::client::{inline_tls_faults, is_header_name, is_header_value};
use watchfire_scrape::config::{Assertion, HttpAuth, HttpConfig, OAuth2Config, Proxy, Text, TlsConfig};
use watchfire_yaml::section::Section;
use watchfire_yaml::tree::{Kind, Node, Place};

use super::read::web_address;

/// Reads what concerns HTTP in a job, or in a source of targets.
pub fn read(section: &mut Section<'_>) -> HttpConfig {
    let config = HttpConfig {
        auth: read_auth(section),
        tls: read_tls(section),
        follow_redirects: section.boolean_or("follow_redirects", true),
        proxy: read_proxy(section),
        proxy_headers: read_proxy_headers(section),
        headers: read_headers(section),
    };
    // We speak HTTP/1.1, which is what a server takes that is not asked for the other.
    section.boolean("enable_http2");
    for (key, what) in [("sigv4", "signatures of AWS"), ("azuread", "Azure AD")] {
        section.not_yet(key, what);
    }
    config
}

/// Headers that are ours to write, as Prometheus has it: they change the connection, or are set otherwise.
const RESERVED_HEADERS: [&str; 13] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
];
/// Those that `http_headers` may not set beside them.
const RESERVED_OF_SCRAPES: [&str; 5] = [
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// Whether a header is ours to write.
pub(super) fn is_ours(name: &str) -> bool {
    RESERVED_HEADERS.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// `http_headers`: by name, `values` and `secrets` in place and `files` that hold one each. They are not shown.
fn read_headers(section: &mut Section<'_>) -> Vec<(String, Text)> {
    const KEY: &str = "http_headers";
    section.is_secret(KEY);
    let (Some(node), path) = (section.node(KEY), section.name(KEY)) else { return Vec::new() };
    let mut headers = Vec::new();
    for (name, place, header) in entries(section, node, &path) {
        let is_reserved =
            is_ours(name) || RESERVED_OF_SCRAPES.iter().any(|reserved| reserved.eq_ignore_ascii_case(name));
        if !is_header_name(name) || is_reserved {
            section.fault(*place, format!("`{path}`: a header `{name}` cannot be set here; remove it"));
            continue;
        }
        let path = format!("{path}.{name}");
        for (key, place, texts) in entries(section, header, &path) {
            let make: fn(&str) -> Text = match key.as_str() {
                "values" | "secrets" => |text| Text::Inline(text.into()),
                "files" => |file| Text::File(PathBuf::from(file)),
                _ => {
                    section.fault(*place, format!("unknown key `{path}.{key}`; known are values, secrets, files"));
                    continue;
                }
            };
            let is_good = |text: &str| key == "files" || is_header_value(text);
            headers_of(section, &format!("{path}.{key}"), texts, is_good, |text| {
                headers.push((name.clone(), make(text)));
            });
        }
    }
    headers
}

/// `proxy_connect_header`: by name, the values. They are not shown.
fn read_proxy_headers(section: &mut Section<'_>) -> Vec<(String, Text)> {
    const KEY: &str = "proxy_connect_header";
    section.is_secret(KEY);
    let (Some(node), path) = (section.node(KEY), section.name(KEY)) else { return Vec::new() };
    let mut headers = Vec::new();
    for (name, place, values) in entries(section, node, &path) {
        if !is_header_name(name) {
            section.fault(*place, format!("`{path}`: `{name}` is no name of a header"));
        }
        headers_of(section, &format!("{path}.{name}"), values, is_header_value, |text| {
            headers.push((name.clone(), Text::Inline(text.into())));
        });
    }
    if !headers.is_empty() && section.node("proxy_url").is_none() && !section.has("proxy_from_environment") {
        section.fault(
            node.place,
            format!("`{path}` says nothing without a proxy; add `proxy_url` or `proxy_from_environment`, or remove it"),
        );
    }
    headers
}

/// Each text of a list of values of a header.
fn headers_of(
    section: &mut Section<'_>,
    path: &str,
    values: &Node,
    is_good: impl Fn(&str) -> bool,
    mut take: impl FnMut(&str),
) {
    let Kind::List(items) = &values.kind else {
        section.fault(values.place, format!("`{path}` must be a list of texts; write [value]"));
        return;
    };
    for item in items {
        match &item.kind {
            Kind::Scalar { text, .. } if is_good(text) => take(text),
            _ => section.fault(item.place, format!("`{path}` has something that no header can hold")),
        }
    }
}

/// The keys of a section whose names the user chooses.
fn entries<'n>(section: &mut Section<'_>, node: &'n Node, path: &str) -> &'n [(String, Place, Node)] {
    match &node.kind {
        Kind::Map(entries) => entries,
        Kind::Null => &[],
        kind @ (Kind::Scalar { .. } | Kind::List(_)) => {
            section.fault(node.place, format!("`{path}` must be a section with keys, this is {}", kind.name()));
            &[]
        }
    }
}

/// A text in place or in a file; both is a fault. It is not shown.
fn text_or_file(section: &mut Section<'_>, key: &'static str, file_key: &'static str) -> Option<Text> {
    section.is_secret(key);
    let inline = section.text(key).map(|text| Text::Inline(text.into()));
    let file = section.path(file_key).map(|path: PathBuf| Text::File(path));
    section.exclude(key, file_key);
    inline.or(file)
}

fn read_auth(section: &mut Section<'_>) -> HttpAuth {
    let mut found = Vec::new();
    if let Some(node) = section.node("basic_auth") {
        let path = section.name("basic_auth");
        let mut basic = Section::new(&path, Some(node), section.faults());
        let username = text_or_file(&mut basic, "username", "username_file").unwrap_or(Text::Inline("".into()));
        let password = text_or_file(&mut basic, "password", "password_file").unwrap_or(Text::Inline("".into()));
        basic.finish();
        found.push((node.place, HttpAuth::Basic { username, password }));
    }
    if let Some(node) = section.node("authorization") {
        let path = section.name("authorization");
        let mut other = Section::new(&path, Some(node), section.faults());
        let scheme = other.text_or("type", "Bearer").trim().to_owned();
        if scheme.eq_ignore_ascii_case("basic") {
            other.fault(node.place, format!("`{path}.type` may not be Basic; write `basic_auth` instead"));
        }
        let credentials = text_or_file(&mut other, "credentials", "credentials_file");
        if credentials.is_none() {
            other.fault(node.place, format!("`{path}` needs `credentials` or `credentials_file`"));
        }
        other.finish();
        found.extend(credentials.map(|credentials| (node.place, HttpAuth::Other { scheme, credentials })));
    }
    let bearer = text_or_file(section, "bearer_token", "bearer_token_file");
    let bearer_at = section.node("bearer_token").or(section.node("bearer_token_file")).map(|node| node.place);
    if let (Some(credentials), Some(place)) = (bearer, bearer_at) {
        found.push((place, HttpAuth::Other { scheme: "Bearer".to_owned(), credentials }));
    }
    if let Some(node) = section.node("oauth2") {
        found.extend(read_oauth2(node, section).map(|oauth2| (node.place, HttpAuth::OAuth2(Box::new(oauth2)))));
    }
    for (place, _) in found.iter().skip(1) {
        section
            .fault(*place, "`basic_auth`, `authorization`, `oauth2` and `bearer_token` exclude each other; keep one");
    }
    found.into_iter().next().map_or(HttpAuth::None, |(_, auth)| auth)
}

/// Tokens for client credentials. The server that gives them has certificates and a proxy of its own.
fn read_oauth2(node: &Node, section: &mut Section<'_>) -> Option<OAuth2Config> {
    let path = section.name("oauth2");
    let mut oauth2 = Section::new(&path, Some(node), section.faults());
    let client_id = oauth2.required_text("client_id").map(str::to_owned);
    let secret = text_or_file(&mut oauth2, "client_secret", "client_secret_file");
    oauth2.required_text("token_url");
    let token_url = oauth2.parsed("token_url", "an address (write https://login.example.org/token)", web_address);
    let scopes = oauth2.texts("scopes").into_iter().map(|(text, _)| text.to_owned()).collect();
    oauth2.is_secret("endpoint_params");
    let (params, params_path) = oauth2.section("endpoint_params");
    let params = Section::new(&params_path, params, oauth2.faults()).free_texts();
    let endpoint_params = params.into_iter().map(|(name, value, _)| (name.to_owned(), value.to_owned())).collect();
    let assertion = read_assertion(&mut oauth2);
    let http = HttpConfig {
        tls: read_tls(&mut oauth2),
        proxy: read_proxy(&mut oauth2),
        proxy_headers: read_proxy_headers(&mut oauth2),
        ..HttpConfig::default()
    };
    oauth2.finish();
    let client_secret = secret.unwrap_or(Text::Inline("".into()));
    Some(OAuth2Config {
        client_id: client_id?,
        client_secret,
        token_url: token_url?,
        scopes,
        endpoint_params,
        assertion,
        http,
    })
}

/// What is signed for a token, where `grant_type` says that it is. Without that the other keys say nothing, as with Prometheus.
fn read_assertion(oauth2: &mut Section<'_>) -> Option<Assertion> {
    let expected = "client_credentials or urn:ietf:params:oauth:grant-type:jwt-bearer";
    let is_signed = oauth2.parsed("grant_type", expected, |text| match text {
        "" | "client_credentials" => Some(false),
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => Some(true),
        _ => None,
    });
    let key = text_or_file(oauth2, "client_certificate_key", "client_certificate_key_file");
    let key_id = oauth2.text("client_certificate_key_id").unwrap_or_default().to_owned();
    let hash = oauth2.parsed("signature_algorithm", "RS256, RS384 or RS512", |text| match text {
        "RS256" => Some(256),
        "RS384" => Some(384),
        "RS512" => Some(512),
        _ => None,
    });
    let said = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let (issuer, audience) = (said(oauth2.text("iss")), said(oauth2.text("audience")));
    oauth2.is_secret("claims");
    let path = oauth2.name("claims");
    let claims = oauth2.node("claims").map_or(&[][..], |node| entries(oauth2, node, &path));
    let claims = claims.iter().map(|(name, _, node)| (name.clone(), as_json(node))).collect();
    if is_signed != Some(true) {
        return None;
    }
    let Some(key) = key else {
        let place = oauth2.node("grant_type").map(|node| node.place).unwrap_or_default();
        oauth2.fault(
            place,
            "`grant_type` says that assertions are signed, and no key is there; add `client_certificate_key_file`",
        );
        return None;
    };
    Some(Assertion { key, key_id, hash: hash.unwrap_or(256), issuer, audience, claims })
}

/// A value of any shape. What reads as a number or as `true` or `false` is one.
fn as_json(node: &Node) -> serde_json::Value {
    match &node.kind {
        Kind::Null => serde_json::Value::Null,
        Kind::Scalar { text, .. } => match serde_json::from_str(text) {
            Ok(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => value,
            Ok(_) | Err(_) => text.as_str().into(),
        },
        Kind::List(items) => items.iter().map(as_json).collect(),
        Kind::Map(entries) => entries.iter().map(|(name, _, node)| (name.clone(), as_json(node))).collect(),
    }
}

fn read_tls(section: &mut Section<'_>) -> TlsConfig {
    let Some(node) = section.node("tls_config") else { return TlsConfig::default() };
    let path = section.name("tls_config");
    let mut tls = Section::new(&path, Some(node), section.faults());
    let mut config = TlsConfig {
        ca: text_or_file(&mut tls, "ca", "ca_file"),
        cert: text_or_file(&mut tls, "cert", "cert_file"),
        key: text_or_file(&mut tls, "key", "key_file"),
        server_name: tls.text("server_name").filter(|name| !name.is_empty()).map(str::to_owned),
        insecure_skip_verify: tls.boolean_or("insecure_skip_verify", false),
        only_tls_1_3: false,
    };
    if config.cert.is_some() != config.key.is_some() {
        tls.fault(node.place, format!("`{path}`: a certificate needs its key, and a key its certificate; give both"));
    }
    let newest = tls.parsed("min_version", "TLS12 or TLS13 (older ones are not spoken)", |text| match text {
        "TLS12" => Some(false),
        "TLS13" => Some(true),
        _ => None,
    });
    config.only_tls_1_3 = newest.unwrap_or(false);
    tls.parsed("max_version", "TLS13 (the newest is always allowed)", |text| (text == "TLS13").then_some(()));
    for (key, fault) in inline_tls_faults(&config) {
        let place = tls.node(key).map_or(node.place, |node| node.place);
        tls.fault(place, format!("`{}`: {fault}", tls.name(key)));
    }
    tls.finish();
    config
}

fn read_proxy(section: &mut Section<'_>) -> Proxy {
    let expected = "the address of a proxy (write http://proxy.example.org:3128)";
    let url = section.parsed_secret("proxy_url", expected, web_address);
    let no_proxy = section.text("no_proxy").unwrap_or_default().to_owned();
    let from_environment = section.boolean_or("proxy_from_environment", false);
    if let (None, Some(node)) = (section.node("proxy_url"), section.node("no_proxy"))
        && !no_proxy.is_empty()
    {
        let message = if from_environment {
            "`no_proxy` and `proxy_from_environment` exclude each other; keep one"
        } else {
            "`no_proxy` says nothing without a proxy; add `proxy_url`, or remove it"
        };
        section.fault(node.place, message);
    }
    match (url, from_environment) {
        (Some(_), true) => {
            let place = section.node("proxy_url").map(|node| node.place).unwrap_or_default();
            section.fault(place, "`proxy_url` and `proxy_from_environment` exclude each other; keep one");
            Proxy::None
        }
        (Some(url), false) => Proxy::Url { url, no_proxy },
        (None, true) => Proxy::Environment,
        (None, false) => Proxy::None,
    }
}
