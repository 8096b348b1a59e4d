//! Why a client and a server did not come together, in words for whoever runs the client.

use rustls::{AlertDescription, CertificateError, Error, OtherError};

/// What an error of TLS means to a client: about the server's certificate, or about ours, which the server has refused.
pub fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(fault) => certificate(fault),
        Error::AlertReceived(alert) => refusal(*alert),
        Error::InvalidMessage(_) => "what answers there does not speak TLS; perhaps http:// is meant".to_owned(),
        Error::PeerIncompatible(_) => "the server speaks no TLS 1.2 or 1.3 of ours".to_owned(),
        Error::NoCertificatesPresented => "the server shows no certificate".to_owned(),
        other => format!("TLS failed: {other}"),
    }
}

/// What is wrong with the server's certificate.
fn certificate(fault: &CertificateError) -> String {
    let untrusted = |why: &str| format!("the server's certificate is not trusted: {why}");
    match fault {
        CertificateError::UnknownIssuer => untrusted("no authority that is trusted has signed it"),
        CertificateError::Other(other) if is_authority(other) => {
            untrusted("it is an authority's own, or signs itself, and was not named as one to trust")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            let names: Vec<&str> = presented.iter().map(|name| bare_name(name)).collect();
            let names = if names.is_empty() { "for no name".to_owned() } else { format!("for {}", names.join(", ")) };
            format!("the server's certificate is for another name: {names}, not for {expected}")
        }
        CertificateError::NotValidForName => "the server's certificate is for another name".to_owned(),
        CertificateError::Revoked => untrusted("its authority has revoked it"),
        CertificateError::BadSignature => untrusted("its signature is wrong"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            untrusted("it is not one for servers")
        }
        CertificateError::UnhandledCriticalExtension => untrusted("it has a critical extension that is not known here"),
        CertificateError::BadEncoding => untrusted("it is damaged"),
        // Of those that are left, none says more to a reader than its name.
        other => untrusted(&spaced(&format!("{other:?}"))),
    }
}

/// Whether a certificate was refused because it is one of an authority.
pub(crate) fn is_authority(other: &OtherError) -> bool {
    other.0.downcast_ref::<webpki::Error>() == Some(&webpki::Error::CaUsedAsEndEntity)
}

/// A name without what kind of one it is: `DnsName("a")`, `IpAddress(127.0.0.1)`.
fn bare_name(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

/// What the server says of us when it breaks off.
fn refusal(alert: AlertDescription) -> String {
    let ours = |why: &str| format!("the server refused our certificate: {why}");
    match alert {
        AlertDescription::UnknownCA => ours("it does not trust who has signed it"),
        AlertDescription::CertificateExpired => ours("it has expired"),
        AlertDescription::CertificateRevoked => ours("it was revoked"),
        AlertDescription::UnsupportedCertificate => ours("it is of a kind that the server does not take"),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError
        | AlertDescription::AccessDenied => ours("the server's log says why"),
        AlertDescription::CertificateRequired => "the server wants a certificate that says who asks".to_owned(),
        AlertDescription::ProtocolVersion => "the server speaks no TLS 1.2 or 1.3".to_owned(),
        AlertDescription::UnrecognisedName => "the server has no certificate for this name".to_owned(),
        other => format!("the server broke off the handshake: {}", spaced(&format!("{other:?}"))),
    }
}

/// A name in the manner of types as words: `HandshakeFailure` is `handshake failure`.
fn spaced(name: &str) -> String {
    let mut words = String::new();
    for (at, c) in name.split(['(', ' ', '{']).next().unwrap_or_default().chars().enumerate() {
        if at > 0 && c.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::InvalidMessage;
    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn errors_are_told_in_words() {
        let authority = CertificateError::Other(OtherError(Arc::new(webpki::Error::CaUsedAsEndEntity)));
        let name = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("localhost").unwrap(),
            presented: presented.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (error, told) in [
            (Error::InvalidCertificate(authority), "is not trusted: it is an authority's own, or signs itself"),
            (CertificateError::UnknownIssuer.into(), "is not trusted: no authority that is trusted has signed it"),
            (CertificateError::Expired.into(), "the server's certificate has expired"),
            (CertificateError::UnknownRevocationStatus.into(), "is not trusted: unknown revocation status"),
            (
                name(&["DnsName(\"a.example\")", "IpAddress(127.0.0.1)"]).into(),
                "is for another name: for a.example, 127.0.0.1, not for localhost",
            ),
            (name(&[]).into(), "is for another name: for no name, not for localhost"),
            (Error::AlertReceived(AlertDescription::UnknownCA), "refused our certificate: it does not trust"),
            (
                Error::AlertReceived(AlertDescription::CertificateUnknown),
                "refused our certificate: the server's log says why",
            ),
            (Error::AlertReceived(AlertDescription::CertificateRequired), "wants a certificate"),
            (Error::AlertReceived(AlertDescription::HandshakeFailure), "broke off the handshake: handshake failure"),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), "does not speak TLS"),
        ] {
            let have = explain(&error);
            assert!(have.contains(told), "{have} instead of {told}");
        }
    }
}
