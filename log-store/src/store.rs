//! The seam to log stores: embedded here, Elasticsearch, PostgreSQL and Valkey later.

use std::future::Future;
use std::pin::Pin;

use watchfire_model::Timestamp;

use crate::context::{self, Context, ContextRequest};
use crate::facets::{FacetsRequest, FacetsResponse};
use crate::query::Field;
use crate::search::{Hit, SearchError, SearchRequest, SearchResponse, TimeRange};
use crate::stats::{StatsRequest, StatsResponse};

/// A future on the heap, so that the trait is object safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A value of a column and how many records have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueCount {
    /// The value, as text.
    pub value: String,
    /// Records with it.
    pub count: u64,
}

/// A template of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateCount {
    /// The same for the same text, in every block and after a restart.
    pub id: u64,
    /// The fixed parts, with `<*>` for each variable.
    pub text: String,
    /// Records with it.
    pub count: u64,
}

/// The templates of a range.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TemplateCounts {
    /// Most frequent first.
    pub templates: Vec<TemplateCount>,
    /// Records whose message is of no template, or not sealed yet.
    pub rest: u64,
}

/// How a store is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreHealth {
    /// Nothing is wrong.
    pub ok: bool,
    /// What is wrong, in words; empty when nothing is.
    pub problems: Vec<String>,
    /// Records kept.
    pub records: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Event time of the oldest record.
    pub oldest: Option<Timestamp>,
    /// Event time of the newest record.
    pub newest: Option<Timestamp>,
}

/// A store of log records. Dropping a returned future cancels the work.
pub trait LogStore: Send + Sync {
    /// Finds records.
    fn search(&self, request: SearchRequest) -> BoxFuture<'_, Result<SearchResponse, SearchError>>;

    /// The values that a field really has in a range, most frequent first, at most `limit`.
    fn distinct(
        &self,
        field: Field,
        range: TimeRange,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ValueCount>, SearchError>>;

    /// Which fields matching records have, and the values that each has most often.
    fn facets(&self, request: FacetsRequest) -> BoxFuture<'_, Result<FacetsResponse, SearchError>>;

    /// Figures over matching records, by fields and time.
    fn stats(&self, request: StatsRequest) -> BoxFuture<'_, Result<StatsResponse, SearchError>>;

    /// A record and what was logged around it; `None` if there is no record of that id.
    fn context(&self, request: ContextRequest) -> BoxFuture<'_, Result<Option<Context>, SearchError>> {
        Box::pin(context::around(self, request))
    }

    /// The record with this sequence number.
    fn get(&self, seq: u64) -> BoxFuture<'_, Result<Option<Hit>, SearchError>>;

    /// The record with this id (the newest, should there be several).
    fn get_by_id(&self, id: String) -> BoxFuture<'_, Result<Option<Hit>, SearchError>>;

    /// How the store is doing.
    fn health(&self) -> BoxFuture<'_, StoreHealth>;
}
