//! The server's own log lines as records of its own store, service `watchfire`.
//!
//! A layer of `tracing` puts them into a bounded buffer; a task brings them into the queue. Lines that do not fit are
//! dropped and counted. The request log ([`REQUEST_LOG_TARGET`]) leaves out requests that store records: a record
//! about storing a record would make the next one.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level as TracingLevel, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use watchfire_model::text::cut;
use watchfire_model::{Level, LogRecord, Timestamp, Value, uuid};

use crate::formats::Format;
use crate::gather::{Gathered, GatheredBatch};
use crate::http::stores_records;
use crate::intake::Intake;

/// Target of the events that tell of a request; they have a field `path`.
pub const REQUEST_LOG_TARGET: &str = "watchfire::request";
/// Service of our own records.
pub const SERVICE: &str = "watchfire";

/// Lines that wait at most.
const BUFFER: usize = 4096;
/// Lines that go to the queue together at most.
const BATCH: usize = 512;
/// Longest message or field that is kept, bytes.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Where our own lines go until the queue takes them.
pub struct OwnLog {
    lines: mpsc::Receiver<LogRecord>,
    dropped: Arc<AtomicU64>,
}

/// The layer that catches our own lines.
pub struct OwnLogLayer {
    lines: mpsc::Sender<LogRecord>,
    dropped: Arc<AtomicU64>,
}

/// A layer, and what it fills. Lines are kept from the first moment; [`OwnLog::run`] stores them.
pub fn own_log() -> (OwnLogLayer, OwnLog) {
    let (sender, receiver) = mpsc::channel(BUFFER);
    let dropped = Arc::new(AtomicU64::new(0));
    (OwnLogLayer { lines: sender, dropped: Arc::clone(&dropped) }, OwnLog { lines: receiver, dropped })
}

impl<S: Subscriber> Layer<S> for OwnLogLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut seen = Seen::default();
        event.record(&mut seen);
        if metadata.target() == REQUEST_LOG_TARGET && seen.path.as_deref().is_some_and(stores_records) {
            return;
        }
        let mut fields = seen.fields;
        fields.retain(|(name, _)| name != "target");
        fields.push(("target".to_owned(), Value::Text(metadata.target().to_owned())));
        let record = LogRecord {
            timestamp: Timestamp::now(),
            level: level_of(*metadata.level()),
            message: seen.message,
            service: SERVICE.to_owned(),
            fields,
            ..LogRecord::default()
        };
        if self.lines.try_send(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn level_of(level: TracingLevel) -> Level {
    match level {
        TracingLevel::TRACE => Level::Trace,
        TracingLevel::DEBUG => Level::Debug,
        TracingLevel::INFO => Level::Info,
        TracingLevel::WARN => Level::Warn,
        TracingLevel::ERROR => Level::Error,
    }
}

impl OwnLog {
    /// Stores our own lines until the layer is gone or the queue is closed.
    pub async fn run(mut self, intake: Arc<Intake>) {
        let counters = intake.metrics.source("self");
        let mut lines = Vec::with_capacity(BATCH);
        while self.lines.recv_many(&mut lines, BATCH).await > 0 {
            let now = Timestamp::now();
            let mut part = GatheredBatch::default();
            for mut record in lines.drain(..) {
                record.accepted_at = now;
                record.id = uuid::as_str(&intake.ids.make(now)).to_owned();
                record.received_bytes = u32::try_from(record.message.len()).unwrap_or(u32::MAX);
                part.push(Format::Json, |out| record.encode(out));
            }
            let parsers = intake.parsers.load_full();
            let mut gathered = Gathered { batches: vec![part], ..Gathered::default() };
            // A refusal must not be logged here: that line would be refused next.
            let refused = intake.submit(&mut gathered, &counters, &parsers).await.is_err();
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            intake.metrics.own_dropped.inc_by(dropped + if refused { u64::from(gathered.rejected) } else { 0 });
        }
    }
}

/// The fields of an event.
#[derive(Default)]
struct Seen {
    message: String,
    path: Option<String>,
    fields: Vec<(String, Value)>,
}

impl Seen {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text)) => self.message = text,
            (name, value) => {
                if let ("path", Value::Text(path)) = (name, &value) {
                    self.path = Some(path.clone());
                }
                // A field that is given twice keeps its last value.
                self.fields.retain(|(have, _)| have != name);
                self.fields.push((name.to_owned(), value));
            }
        }
    }
}

impl Visit for Seen {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::Float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, i64::try_from(value).map_or(Value::Float(value as f64), Value::Int));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::Text(cut(value, TEXT_BYTES_MAX).to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "{value:?}");
        text.truncate(cut(&text, TEXT_BYTES_MAX).len());
        self.put(field, Value::Text(text));
    }
}
