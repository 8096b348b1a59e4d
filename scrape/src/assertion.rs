//! Signed assertions that are given for tokens (RFC 7523, 3.1), as Prometheus makes them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use watchfire_model::Timestamp;

use crate::client::read;
use crate::config::{Assertion, OAuth2Config};

/// What an assertion is called in a request for a token.
pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long one is good for, seconds.
const LASTS_S: i64 = 600;

/// An assertion of now. Errors: what is wrong with the key, for people. Blocks: the key may stand in a file.
pub(crate) fn signed(of: &Assertion, config: &OAuth2Config, now: Timestamp) -> Result<String, String> {
    let (name, scheme) = match of.hash {
        256 => ("RS256", SignatureScheme::RSA_PKCS1_SHA256),
        384 => ("RS384", SignatureScheme::RSA_PKCS1_SHA384),
        _ => ("RS512", SignatureScheme::RSA_PKCS1_SHA512),
    };
    let key = PrivateKeyDer::from_pem_slice(read(&of.key)?.as_bytes());
    let key = key.map_err(|_| "`client_certificate_key` is no private key in PEM form")?;
    let key = ring::sign::any_supported_type(&key).map_err(|_| "`client_certificate_key` is of an unknown kind")?;
    let signer = key.choose_scheme(&[scheme]).ok_or("`client_certificate_key` is no RSA key")?;
    let mut head = json!({"alg": name, "typ": "JWT"});
    if !of.key_id.is_empty() {
        head["kid"] = json!(of.key_id);
    }
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encoded(&head), encoded(&Value::Object(claims(of, config, now)?)));
    let signature = signer.sign(text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn claims(of: &Assertion, config: &OAuth2Config, now: Timestamp) -> Result<Map<String, Value>, String> {
    let second = now.millis().div_euclid(1000);
    let mut claims = Map::new();
    let mut claim = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    claim("iss", json!(of.issuer.as_ref().unwrap_or(&config.client_id)));
    claim("sub", json!(config.client_id));
    claim("jti", json!(unique_id()?));
    claim("aud", json!(of.audience.as_ref().unwrap_or(&config.token_url)));
    claim("iat", json!(second));
    claim("exp", json!(second + LASTS_S));
    if !config.scopes.is_empty() {
        claim("scope", json!(config.scopes.join(" ")));
    }
    claims.extend(of.claims.iter().cloned());
    Ok(claims)
}

/// A random UUID, by which the server knows an assertion that is given twice.
fn unique_id() -> Result<String, String> {
    let mut bytes = [0; 16];
    let random = ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| "the system has no random numbers")?;
    let id = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let digits = format!("{id:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default());
    Ok(parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::config::{HttpConfig, Text};

    const KEY: &str = include_str!("assertion_test.pem");
    /// Bytes of a public RSA key of 2048 bits before the numbers.
    const HEAD_BYTES: usize = 24;

    fn config(key: &str) -> (Assertion, OAuth2Config) {
        let assertion = Assertion {
            key: Text::Inline(key.into()),
            key_id: "first".to_owned(),
            hash: 256,
            issuer: None,
            audience: Some("those".to_owned()),
            claims: vec![("sub".to_owned(), json!("somebody")), ("n".to_owned(), json!([1, true]))],
        };
        let config = OAuth2Config {
            client_id: "me".to_owned(),
            client_secret: Text::Inline("".into()),
            token_url: "http://there/token".to_owned(),
            scopes: vec!["a".to_owned(), "b".to_owned()],
            endpoint_params: Vec::new(),
            assertion: None,
            http: HttpConfig::default(),
        };
        (assertion, config)
    }

    #[test]
    fn an_assertion_says_who_and_is_signed() {
        let (assertion, config) = config(KEY);
        let made = signed(&assertion, &config, Timestamp::from_millis(1_700_000_000_999)).expect("is signed");
        let (text, signature) = made.rsplit_once('.').expect("a signature");
        let parts: Vec<Value> =
            text.split('.').map(|part| decoded(part, |bytes| serde_json::from_slice(bytes).expect("JSON"))).collect();
        assert_eq!(parts[0], json!({"alg": "RS256", "typ": "JWT", "kid": "first"}));
        let mut claims = parts[1].clone();
        let id = claims["jti"].take();
        assert!(id.as_str().is_some_and(|id| id.len() == 36 && id.as_bytes()[14] == b'4'), "{id}");
        let wanted = json!({"iss": "me", "sub": "somebody", "jti": null, "aud": "those", "iat": 1_700_000_000, "exp": 1_700_000_600, "scope": "a b", "n": [1, true]});
        assert_eq!(claims, wanted);
        let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).expect("a key");
        let key = ring::sign::any_supported_type(&key).expect("a key");
        let public = key.public_key().expect("its other half");
        let algorithms = ring::default_provider().signature_verification_algorithms.all;
        let is_signed = |text: &str| {
            decoded(signature, |signature| {
                algorithms
                    .iter()
                    .any(|one| one.verify_signature(&public[HEAD_BYTES..], text.as_bytes(), signature).is_ok())
            })
        };
        assert!(is_signed(text) && !is_signed("another text"));
    }

    fn decoded<T>(text: &str, read: impl FnOnce(&[u8]) -> T) -> T {
        read(&URL_SAFE_NO_PAD.decode(text).expect("base64"))
    }

    #[test]
    fn keys_that_are_none_are_told() {
        for (key, told) in [("", "no private key in PEM form"), (&KEY.replace("RSA ", "EC "), "unknown kind")] {
            let (assertion, config) = config(key);
            let error = signed(&assertion, &config, Timestamp::from_millis(0)).expect_err(told);
            assert!(error.contains(told), "{error}");
        }
    }
}
