//! OTLP metrics: from the bytes of a request to samples, series and names as Prometheus' OTLP receiver makes them by
//! default.
//!
//! Sources: `opentelemetry/proto/metrics/v1/metrics.proto`, and `storage/remote/otlptranslator` of Prometheus.
//!
//! A message is read where it lies ([`read`]); JSON is written as such a message first ([`json`]), so that there is one
//! reading. Sums and histograms with delta temporality, which Prometheus refuses, are counted events here: increments.
//! What cannot be kept is told with the number of its data points while the rest is stored.
//!
//! Modules in reading order: `read`, `points`, `exemplars`, `labels`, `names`, `value`, `json`.

mod exemplars;
pub(crate) mod json;
mod labels;
mod names;
mod points;
mod read;
mod value;

use watchfire_protobuf::Malformed;

pub(crate) use read::read;

use crate::remote_write::ReadError;

/// Why something cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// It is no such message: nothing behind it can be trusted.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// A text that is none.
    #[error("a text is no UTF-8")]
    Text,
    /// An attribute like a set of Russian dolls.
    #[error("the value of an attribute is nested too deep")]
    Depth,
    /// There is no memory for it at the moment.
    #[error("too many bodies are being worked on")]
    NoMemory,
}

impl From<ReadError> for Fault {
    fn from(_: ReadError) -> Fault {
        // The gatherer refuses for nothing else.
        Fault::NoMemory
    }
}

#[cfg(test)]
mod tests;
