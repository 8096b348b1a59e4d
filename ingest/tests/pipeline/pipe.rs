//! Queue, store, engine, the consumers between them, and the endpoints, in one folder.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use tokio::sync::watch;
use tower::ServiceExt;
use watchfire_engine::{Engine, EngineConfig, TimeRange};
use watchfire_ingest::consume::{LiveSpans, MetricsConsumer, Progress, StoreConsumer};
use watchfire_ingest::extract::Extractor;
use watchfire_ingest::formats::Parsers;
use watchfire_ingest::{IngestMetrics, Intake, Limits, http as endpoints};
use watchfire_log_store::{EmbeddedStore, LogStore, SearchRequest, StoreConfig, query};
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::{Matcher, Timestamp};
use watchfire_queue::{EmbeddedQueue, Queue, QueueConfig};

/// Longest wait for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Pipe {
    pub intake: Arc<Intake>,
    pub stopping: watch::Sender<bool>,
    queue: Arc<dyn Queue>,
    pub store: Arc<EmbeddedStore>,
    pub engine: Arc<Engine>,
    router: axum::Router,
    progress: Vec<Arc<Progress>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pipe {
    pub fn open(folder: &Path) -> Pipe {
        let now = Timestamp::now();
        let queue = EmbeddedQueue::open(QueueConfig::new(folder.join("queue")), now.millis());
        let queue: Arc<dyn Queue> = Arc::new(queue.expect("the queue opens").0);
        let store = EmbeddedStore::open(StoreConfig::new(folder.join("logs")), now).expect("the store opens");
        let store = Arc::new(store);
        let (engine, _) = Engine::open(EngineConfig::new(folder.join("metrics")), now).expect("the engine opens");
        let engine = Arc::new(engine);
        let metrics = IngestMetrics::new(&prometheus::Registry::new()).expect("names are free");
        let limits = Limits { line_bytes: 4096, ..Limits::default() };
        let visible = store.subscribe_visible();
        let intake =
            Intake::new(Arc::clone(&queue), Parsers::default(), limits, None, metrics.clone(), visible, store.clone());
        let intake = Arc::new(intake);
        let to_store = StoreConsumer::new(Arc::clone(&queue), Arc::clone(&store), Box::new(|_| {}), &metrics);
        let extractor = Extractor::new(&[], 600_000, now).expect("no rules, no mistakes");
        let spans = LiveSpans::open(&folder.join("extraction"), queue.stats().epoch, 0).expect("the folder is ours");
        let to_engine = MetricsConsumer::new(Arc::clone(&queue), Arc::clone(&engine), extractor, spans, metrics);
        Pipe {
            router: endpoints::router(Arc::clone(&intake)),
            intake,
            stopping: watch::Sender::new(false),
            progress: vec![to_store.progress(), to_engine.progress()],
            threads: vec![std::thread::spawn(|| to_store.run()), std::thread::spawn(|| to_engine.run())],
            queue,
            store,
            engine,
        }
    }

    pub async fn post(&self, path: &str, body: &str) -> (u16, String) {
        let request = Request::post(path).body(Body::from(body.to_owned())).expect("a sound request");
        let response = self.router.clone().oneshot(request).await.expect("routers do not fail");
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.expect("a body in memory").to_bytes();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Serves the endpoints on loopback; gives the address.
    pub async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// Waits until both consumers have taken in so many records of the queue.
    pub async fn counted(&self, records: usize) {
        let started = Instant::now();
        let behind = || self.progress.iter().any(|progress| progress.next_offset() < records as u64);
        while behind() {
            assert!(started.elapsed() < PATIENCE, "{records} records are not there: {:?}", self.offsets());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn offsets(&self) -> Vec<u64> {
        self.progress.iter().map(|progress| progress.next_offset()).collect()
    }

    /// How many records a search finds.
    pub async fn found(&self, text: &str) -> usize {
        let now = Timestamp::now();
        let query = query::parse(text, now).unwrap_or_else(|error| panic!("{text}: {error}"));
        let range = watchfire_log_store::TimeRange::ALL;
        let request = SearchRequest::new(query, range);
        let answer = self.store.search(request).await.expect("the store answers");
        answer.total as usize
    }

    /// The running total of a metric of a service.
    pub fn total(&self, metric: &str, service: &str) -> f64 {
        let all = TimeRange { start: Timestamp::from_millis(0), end: Timestamp::from_millis(i64::MAX) };
        let matchers = [Matcher::equal(METRIC_NAME, metric), Matcher::equal("service", service)];
        let series = self.engine.select(&matchers, all).expect("the engine answers");
        let end = Timestamp::now().plus_millis(2000);
        series.iter().filter_map(|view| view.total_at(end)).sum()
    }

    /// Drains in the order of the flow.
    pub async fn close(mut self) {
        self.intake.drain();
        self.stopping.send_replace(true);
        let queue = Arc::clone(&self.queue);
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            queue.close();
            threads.into_iter().for_each(|thread| thread.join().expect("a consumer does not panic"));
        });
        joined.await.expect("joining does not panic");
        self.engine.close().expect("the engine closes");
        self.store.close();
    }
}
