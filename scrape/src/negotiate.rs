//! What form we ask for, and which one an answer has.

use std::fmt::Write;

use crate::config::Protocol;
use watchfire_exposition::Format;
use watchfire_exposition::escaping::Escaping;

/// The header `Accept`, with Prometheus' weights: the earlier, the more welcome.
pub(crate) fn accept(protocols: &[Protocol], escaping: Escaping) -> String {
    let mut header = String::new();
    let mut weight = Protocol::NAMES.len() + 1;
    for protocol in protocols.iter().take(Protocol::NAMES.len()) {
        // Writing to a string cannot fail.
        let _ = match protocol.has_escaping() {
            true => write!(header, "{};escaping={};q=0.{weight},", protocol.media_type(), escaping.as_str()),
            false => write!(header, "{};q=0.{weight},", protocol.media_type()),
        };
        weight -= 1;
    }
    let _ = write!(header, "*/*;q=0.{weight}");
    header
}

/// Why it is not known how to read an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContentTypeError {
    #[error("the answer has no Content-Type; set `fallback_scrape_protocol` for this job")]
    Blank,
    #[error("the answer's Content-Type `{0}` is unknown; set `fallback_scrape_protocol` for this job")]
    Unknown(String),
    #[error("the answer is protobuf, but not delimited messages of io.prometheus.client.MetricFamily")]
    Protobuf,
}

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As a text of this grammar.
    Text(Format),
    /// As delimited messages.
    Protobuf,
}

/// The form of a body, by its content type.
pub(crate) fn form_of(content_type: Option<&str>, fallback: Option<Protocol>) -> Result<Form, ContentTypeError> {
    let content_type = content_type.unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/openmetrics-text" => return Ok(Form::Text(Format::OpenMetrics)),
        "text/plain" => return Ok(Form::Text(Format::Classic)),
        "application/vnd.google.protobuf" if is_delimited(content_type) => return Ok(Form::Protobuf),
        "application/vnd.google.protobuf" => return Err(ContentTypeError::Protobuf),
        _ => {}
    }
    match fallback {
        Some(protocol) => Ok(protocol.form()),
        None if content_type.is_empty() => Err(ContentTypeError::Blank),
        None => Err(ContentTypeError::Unknown(content_type.chars().take(80).collect())),
    }
}

/// Whether the parameters name what we ask for, or nothing else.
fn is_delimited(content_type: &str) -> bool {
    content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "proto" => value == "io.prometheus.client.MetricFamily",
            "encoding" => value == "delimited",
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_weighed_as_prometheus_does() {
        let expected = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                        application/openmetrics-text;version=0.0.1;q=0.5,\
                        text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(accept(&Protocol::DEFAULT, Escaping::AllowUtf8), expected);
        let dots = "text/plain;version=1.0.0;escaping=dots;q=0.6,*/*;q=0.5";
        assert_eq!(accept(&[Protocol::PrometheusText1], Escaping::Dots), dots);
        assert_eq!(accept(&[Protocol::PrometheusText0], Escaping::Dots), "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
    }

    #[test]
    fn the_content_type_decides() {
        let classic = Some(Protocol::PrometheusText0);
        for (content_type, fallback, expected) in [
            (Some("text/plain; version=0.0.4; charset=utf-8"), None, Ok(Form::Text(Format::Classic))),
            (Some("Application/OpenMetrics-Text; version=1.0.0"), classic, Ok(Form::Text(Format::OpenMetrics))),
            (None, None, Err(ContentTypeError::Blank)),
            (None, classic, Ok(Form::Text(Format::Classic))),
            (Some("text/html"), None, Err(ContentTypeError::Unknown("text/html".into()))),
            (Some("text/html"), classic, Ok(Form::Text(Format::Classic))),
            (Some("application/vnd.google.protobuf;proto=x"), classic, Err(ContentTypeError::Protobuf)),
            (Some(Protocol::PrometheusProto.media_type()), classic, Ok(Form::Protobuf)),
        ] {
            assert_eq!(form_of(content_type, fallback), expected, "{content_type:?}");
        }
    }
}
