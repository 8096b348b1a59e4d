//! Whom a client of TLS trusts, and who it is, from PEM: the settings that an HTTP client is built with.
//!
//! A certificate that was named as one to trust is trusted from the server that shows it, too. Those that people make for
//! one server (`openssl req -x509`) say that they are authorities; the check of authorities alone refuses them as
//! certificates of a server, where OpenSSL, Go and curl take them.

mod explain;

use std::sync::Arc;

pub use explain::explain;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Why there can be no client with such settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM of whom to trust is broken.
    #[error("a certificate in it is broken; PEM is wanted")]
    BrokenAuthorities,
    /// … or holds no certificate.
    #[error("there is no certificate in it")]
    NoAuthorities,
    /// The PEM of who the client is holds no certificate or no key.
    #[error("private key or certificate not found")]
    NoIdentity,
    /// They cannot be used.
    #[error(transparent)]
    Unusable(#[from] rustls::Error),
}

/// Certificates to trust; by default none.
#[derive(Clone, Debug, Default)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// From PEM, one or more.
    ///
    /// Errors: it is broken, or there is none.
    pub fn from_pem(pem: &[u8]) -> Result<Authorities, TlsError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates = certificates.map_err(|_| TlsError::BrokenAuthorities)?;
        if certificates.is_empty() { Err(TlsError::NoAuthorities) } else { Ok(Authorities(certificates)) }
    }
}

/// Who the client is: its certificates and their key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// From PEM that holds both, in any order.
    ///
    /// Errors: one of them is missing or broken.
    pub fn from_pem(pem: &[u8]) -> Result<Identity, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(TlsError::NoIdentity)?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::NoIdentity)?;
        Ok(Identity { chain, key })
    }

    /// Errors: the key is none that can be used, or is not that of the certificate.
    pub fn check(self) -> Result<(), TlsError> {
        let provider = rustls::crypto::ring::default_provider();
        Ok(CertifiedKey::from_der(self.chain, self.key, &provider).map(|_| ())?)
    }
}

/// Settings of a client that trusts these authorities.
#[derive(Debug)]
pub struct ClientTls {
    /// Whom to trust.
    pub authorities: Authorities,
    /// Whether the system's authorities are trusted as well.
    pub beside_system: bool,
    /// Who the client is, if servers ask.
    pub identity: Option<Identity>,
    /// Whether nothing older than TLS 1.3 is spoken.
    pub only_tls_1_3: bool,
}

impl ClientTls {
    /// The settings as TLS takes them; for HTTP/1.1. Blocks if it reads the system's authorities.
    ///
    /// Errors: an authority cannot be used, or the key is not that of the certificate.
    pub fn build(self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = if self.only_tls_1_3 { &[&TLS13][..] } else { &[&TLS13, &TLS12] };
        let verifier = Arc::new(Named::new(self.authorities, self.beside_system, &provider)?);
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match self.identity {
            Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Checks certificates of servers as the platform or the authorities have it, and takes those that were named.
#[derive(Debug)]
struct Named {
    named: Vec<CertificateDer<'static>>,
    inner: Arc<dyn ServerCertVerifier>,
}

impl Named {
    fn new(authorities: Authorities, beside_system: bool, provider: &Arc<CryptoProvider>) -> Result<Named, TlsError> {
        let named = authorities.0;
        let inner: Arc<dyn ServerCertVerifier> = if beside_system {
            let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(named.clone(), provider.clone());
            Arc::new(verifier?)
        } else {
            let mut roots = RootCertStore::empty();
            for certificate in &named {
                roots.add(certificate.clone())?;
            }
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
            verifier.map_err(|error| rustls::Error::General(error.to_string()))?
        };
        Ok(Named { named, inner })
    }
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // That is found after it was checked that the certificate counts at this time, and before its names are.
            Err(error) if is_authority_of_itself(&error) && self.named.iter().any(|named| named == end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether a server's certificate was refused only because it is one of an authority.
fn is_authority_of_itself(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(other)) if explain::is_authority(other))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use rustls::{ClientConnection, ServerConfig, ServerConnection};

    use super::*;

    /// A certificate that is signed by itself.
    struct Own {
        pem: String,
        key: KeyPair,
    }

    fn own(change: impl FnOnce(&mut CertificateParams)) -> Own {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["node.example".to_owned()]).unwrap();
        change(&mut params);
        Own { pem: params.self_signed(&key).unwrap().pem(), key }
    }

    fn as_authority(params: &mut CertificateParams) {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }

    /// A handshake with a server that shows a certificate.
    fn greet(trusted: &Own, server: &Own, name: &str) -> Result<(), rustls::Error> {
        let authorities = Authorities::from_pem(trusted.pem.as_bytes()).unwrap();
        let client = ClientTls { authorities, beside_system: false, identity: None, only_tls_1_3: false };
        let chain = CertificateDer::pem_slice_iter(server.pem.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(server.key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(client.build().unwrap()), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        while client.is_handshaking() {
            let mut sent = Vec::new();
            client.write_tls(&mut sent).unwrap();
            server.read_tls(&mut sent.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut answered = Vec::new();
            server.write_tls(&mut answered).unwrap();
            client.read_tls(&mut answered.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }

    #[test]
    fn a_certificate_that_was_named_is_trusted_from_its_server() {
        let (authority, plain) = (own(as_authority), own(|_| ()));
        let past = own(|params| {
            as_authority(params);
            params.not_after = date_time_ymd(2020, 1, 1);
        });
        assert_eq!(greet(&authority, &authority, "node.example"), Ok(()));
        assert_eq!(greet(&plain, &plain, "node.example"), Ok(()));
        for (trusted, server, name, wanted) in [
            (&authority, &authority, "other.example", "NotValidForName"),
            (&past, &past, "node.example", "Expired"),
            (&authority, &own(as_authority), "node.example", "InvalidCertificate"),
            (&authority, &plain, "node.example", "InvalidCertificate"),
        ] {
            let refused = format!("{:?}", greet(trusted, server, name).unwrap_err());
            assert!(refused.contains(wanted), "{refused} instead of {wanted}");
        }
    }

    #[test]
    fn what_is_no_pem_is_told() {
        let own = own(|_| ());
        let both = format!("{}{}", own.key.serialize_pem(), own.pem);
        assert!(Identity::from_pem(both.as_bytes()).unwrap().check().is_ok());
        let other = format!("{}{}", KeyPair::generate().unwrap().serialize_pem(), own.pem);
        let unusable = Identity::from_pem(other.as_bytes()).unwrap().check().unwrap_err();
        assert!(matches!(unusable, TlsError::Unusable(rustls::Error::InconsistentKeys(_))), "{unusable}");
        for pem in [own.pem.as_str(), &own.key.serialize_pem(), "", "x"] {
            assert!(matches!(Identity::from_pem(pem.as_bytes()), Err(TlsError::NoIdentity)), "{pem}");
        }
        assert!(matches!(Authorities::from_pem(b"x"), Err(TlsError::NoAuthorities)));
        let broken = own.pem.replace("MII", "!!!");
        assert!(matches!(Authorities::from_pem(broken.as_bytes()), Err(TlsError::BrokenAuthorities)));
    }
}
