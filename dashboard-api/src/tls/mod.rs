//! TLS on our own listeners: certificate and key by file, changed while running, as a whole or not at all.
//!
//! TLS 1.2 and 1.3 only. With a file of authorities for clients, whoever has no certificate of theirs does not get past
//! the handshake; keys and scopes are asked for all the same.

pub mod validity;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use watchfire_model::Timestamp;
use watchfire_model::text::count;

use crate::rate::Buckets;
use validity::Validity;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From so long before the end on, it is warned of.
const WARN_BEFORE_MS: i64 = 14 * 86_400_000;
/// First byte of a TLS record that begins a handshake.
const HANDSHAKE_RECORD: u8 = 0x16;
/// Failed handshakes that are logged at once, and how often further ones are.
const LOGGED_BURST: u32 = 20;
const LOGGED_EVERY: Duration = Duration::from_secs(1);

/// Which of the files is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `cert_file`
    Certificate,
    /// `key_file`
    Key,
    /// `client_ca_file`
    ClientAuthorities,
}

/// Why files cannot be used. Says nothing of what stands in the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TlsError {
    /// Where.
    pub part: Part,
    /// What, and how to mend it.
    pub message: String,
}

/// Certificate, key and authorities that belong together and were read.
#[derive(Clone)]
pub struct Material {
    config: Arc<ServerConfig>,
    /// Of our own certificate.
    pub validity: Validity,
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Material").field("validity", &self.validity).finish_non_exhaustive()
    }
}

impl Material {
    /// Reads PEM files. Errors: no certificate or key in them, a key of another certificate, broken authorities.
    pub fn read(certificate: &[u8], key: &[u8], client_authorities: Option<&[u8]>) -> Result<Material, TlsError> {
        let wrong = |part, message: String| TlsError { part, message };
        let chain = certificates(certificate).map_err(|message| wrong(Part::Certificate, message))?;
        let validity = chain.first().and_then(|first| validity::validity(first)).ok_or_else(|| {
            wrong(Part::Certificate, "the first certificate in it is no X.509 certificate".to_owned())
        })?;
        // The error may quote what was read, which must not get into a log.
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            wrong(
                Part::Key,
                "there is no private key in it; PEM is wanted (`-----BEGIN PRIVATE KEY-----`), unencrypted".into(),
            )
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = match client_authorities {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(pem) => verifier(pem, &provider).map_err(|message| wrong(Part::ClientAuthorities, message))?,
        };
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| wrong(Part::Certificate, error.to_string()))?;
        let config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key);
        let mut config = config.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                wrong(Part::Key, "this is not the key of the certificate in `cert_file`".to_owned())
            }
            error => wrong(Part::Key, format!("certificate and key cannot be used: {error}")),
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Material { config: Arc::new(config), validity })
    }

    /// What to say of the certificate at a time, if anything: that it counts no more, not yet, or not much longer.
    pub fn concern(&self, now: Timestamp) -> Option<String> {
        let Validity { begins, ends } = self.validity;
        if now > ends {
            Some(format!(
                "our TLS certificate has expired at {}; clients refuse it until it is renewed",
                ends.to_rfc3339()
            ))
        } else if now < begins {
            Some(format!(
                "our TLS certificate counts only from {} on; clients refuse it until then",
                begins.to_rfc3339()
            ))
        } else if ends.since(now) < WARN_BEFORE_MS {
            let days = count(ends.since(now) / 86_400_000, "day");
            Some(format!("our TLS certificate expires in {days}, at {}; renew it", ends.to_rfc3339()))
        } else {
            None
        }
    }

    /// Whether clients take the certificate at this time.
    pub fn counts(&self, now: Timestamp) -> bool {
        self.validity.begins <= now && now <= self.validity.ends
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|_| "a certificate in it is broken; PEM is wanted".to_owned())?;
    if read.is_empty() {
        return Err("there is no certificate in it; PEM is wanted (`-----BEGIN CERTIFICATE-----`)".to_owned());
    }
    Ok(read)
}

fn verifier(
    pem: &[u8],
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| format!("a certificate in it is no authority: {error}"))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = verifier.build().map_err(|error| error.to_string())?;
    Ok(verifier)
}

/// TLS in force: what new connections are greeted with.
#[derive(Debug)]
pub struct Tls {
    material: ArcSwap<Material>,
    logged: Buckets<()>,
    /// Handshakes that failed.
    pub failed_total: AtomicU64,
}

impl Tls {
    /// Greets with this.
    pub fn new(material: Material) -> Tls {
        let logged = Buckets::new(LOGGED_BURST, LOGGED_EVERY);
        Tls { material: ArcSwap::from_pointee(material), logged, failed_total: AtomicU64::new(0) }
    }

    /// What is in force.
    pub fn material(&self) -> Arc<Material> {
        self.material.load_full()
    }

    /// Whether other material may take the place of what is in force.
    ///
    /// Errors: it counts not now, while what is in force does.
    pub fn check(&self, next: &Material, now: Timestamp) -> Result<(), String> {
        match next.counts(now) || !self.material.load().counts(now) {
            true => Ok(()),
            false => Err(next.concern(now).unwrap_or_default()),
        }
    }

    /// Greets new connections with other material.
    pub fn replace(&self, next: Material) {
        self.material.store(Arc::new(next));
    }

    /// Greets a client. `None`: it did not come to a connection; why has been told to both sides.
    pub async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.material.load().config.clone());
        let peer = stream.peer_addr().ok();
        let handshake = async {
            let mut first = [0u8; 1];
            if stream.peek(&mut first).await.is_ok_and(|read| read == 1) && first != [HANDSHAKE_RECORD] {
                refuse_plain(&stream).await;
                return Err("it does not speak TLS".to_owned());
            }
            acceptor.accept(stream).await.map_err(|error| explain(&error))
        };
        let reason = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(reason)) => reason,
            Err(_) => format!("the handshake was not done after {} s", HANDSHAKE_TIMEOUT.as_secs()),
        };
        self.failed_total.fetch_add(1, Ordering::Relaxed);
        // Whoever scans ports must not fill our log.
        if self.logged.take((), Instant::now()).is_ok() {
            let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
            tracing::warn!(peer, reason, "a TLS connection failed");
        }
        None
    }
}

/// Tells who speaks plain HTTP what is spoken here.
async fn refuse_plain(stream: &TcpStream) {
    const BODY: &str = "{\"error\":\"tls_needed\",\"message\":\"this port speaks TLS\",\"hint\":\"ask by https://\"}";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    // What was sent is read away first, or the answer would be lost with a reset. None of this has to succeed.
    let mut asked = [0u8; 16 << 10];
    let _ = stream.try_read(&mut asked);
    if stream.writable().await.is_ok() {
        let _ = stream.try_write(answer.as_bytes());
    }
}

/// What a failed handshake means, in words of this side.
fn explain(error: &std::io::Error) -> String {
    use rustls::{AlertDescription, CertificateError, Error};
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    match cause {
        Some(Error::NoCertificatesPresented) => {
            "the client sent no certificate, and `tls.client_ca_file` asks for one".into()
        }
        Some(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            "the client's certificate has expired".into()
        }
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "the client's certificate is of no authority in `tls.client_ca_file`".into()
        }
        Some(Error::InvalidCertificate(CertificateError::Other(reason))) => {
            format!("the client's certificate is not taken: {}", certificate_fault(&reason.to_string()))
        }
        Some(Error::InvalidCertificate(reason)) => format!("the client's certificate is not taken: {reason}"),
        Some(Error::AlertReceived(AlertDescription::UnknownCA)) => {
            "the client does not trust the authority of our certificate".into()
        }
        Some(Error::AlertReceived(AlertDescription::CertificateExpired)) => {
            "the client says that our certificate has expired".into()
        }
        Some(Error::AlertReceived(alert)) => format!("the client broke off: {alert:?}"),
        Some(Error::PeerIncompatible(reason)) => {
            format!("the client speaks no TLS 1.2 or 1.3 of ours: {}", incompatibility(reason))
        }
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}

/// What rustls passes on of its checks of certificates without words of its own: the bare name of the fault.
fn certificate_fault(name: &str) -> String {
    match name {
        "CaUsedAsEndEntity" => "it is an authority's own; a client needs one that the authority signed".to_owned(),
        "UnsupportedCertVersion" => "it is of an old version of X.509; version 3 is needed".to_owned(),
        "UnsupportedCriticalExtension" => "it has a critical extension that is not known here".to_owned(),
        other => words(other),
    }
}

/// In which of its demands a client and we do not meet.
fn incompatibility(reason: &rustls::PeerIncompatible) -> String {
    use rustls::PeerIncompatible as Reason;
    match reason {
        Reason::SupportedVersionsExtensionRequired | Reason::Tls12NotOffered | Reason::Tls12NotOfferedOrEnabled => {
            "it offers older versions only".to_owned()
        }
        Reason::NoCipherSuitesInCommon => "it offers none of our ciphers".to_owned(),
        Reason::NoKxGroupsInCommon => "it offers none of our key exchanges".to_owned(),
        Reason::NoSignatureSchemesInCommon => "it takes none of the signatures of our certificate".to_owned(),
        // The library may know more reasons one day.
        other => words(&format!("{other:?}")),
    }
}

/// `CertNotValid` as `cert not valid`.
fn words(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        if c.is_ascii_uppercase() && out.ends_with(|last: char| last.is_ascii_lowercase() || last.is_ascii_digit()) {
            out.push(' ');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Error as IoError;
    use std::sync::Arc;

    use rustls::{CertificateError, Error, OtherError, PeerIncompatible};

    use super::*;

    /// A fault that has a name and no words, as those of the certificates' checks.
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Named(&'static str);

    #[test]
    fn faults_are_told_in_words() {
        let certificate = |name| Error::from(CertificateError::Other(OtherError(Arc::new(Named(name)))));
        for (error, told) in [
            (
                certificate("CaUsedAsEndEntity"),
                "the client's certificate is not taken: it is an authority's own; a client needs one that the authority signed",
            ),
            (
                certificate("UnsupportedCertVersion"),
                "the client's certificate is not taken: it is of an old version of X.509; version 3 is needed",
            ),
            (
                certificate("PathLenConstraintViolated"),
                "the client's certificate is not taken: path len constraint violated",
            ),
            (
                PeerIncompatible::NoCipherSuitesInCommon.into(),
                "the client speaks no TLS 1.2 or 1.3 of ours: it offers none of our ciphers",
            ),
            (
                PeerIncompatible::SupportedVersionsExtensionRequired.into(),
                "the client speaks no TLS 1.2 or 1.3 of ours: it offers older versions only",
            ),
        ] {
            assert_eq!(explain(&IoError::other(error)), told);
        }
    }
}
