//! Records as lines of JSON, as many as there are: a walk through the store page by page, in bounded memory.
//!
//! Nothing is counted on the way, so that a page costs what it holds. The walk stops when the client leaves: the
//! body is dropped, and with it the search under way. Should a later page fail, the connection is cut, so that an
//! answer that ended early cannot be taken for a whole one. If records may be missing, as blocks are damaged or lost, a
//! last line says so; it is no record, as it has no message.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use http::header;
use watchfire_log_store::{Cursor, Hit, SearchError, SearchRequest, SearchResponse};

use crate::error::ApiError;
use crate::logs::document;
use crate::state::Api;

/// Records of a page, while they are of ordinary size.
const PAGE_RECORDS: usize = 4000;
/// Memory of a page; a page that needs more is tried again with fewer records.
const PAGE_BYTES: usize = 16 << 20;

/// Where a walk stands.
struct Walk {
    api: Arc<Api>,
    request: SearchRequest,
    /// Records still wanted; `None` for all that there are.
    left: Option<usize>,
    page_records: usize,
    is_done: bool,
    gaps: Gaps,
}

/// What is missing in the pages that were sent.
#[derive(Clone, Copy, Default)]
struct Gaps {
    /// Whether anything may be.
    any: bool,
    /// Most blocks that were left out of one page. A block may be left out of several, so that they cannot be added up.
    damaged_blocks: u64,
}

impl Gaps {
    fn note(&mut self, found: &SearchResponse) {
        self.any |= !found.total_exact;
        self.damaged_blocks = self.damaged_blocks.max(found.cost.damaged_blocks);
    }

    /// The line that tells of them, if there are any.
    fn line(self) -> Option<Bytes> {
        let Gaps { any, damaged_blocks } = self;
        let damaged = if damaged_blocks > 0 { format!(",\"damaged_blocks\":{damaged_blocks}") } else { String::new() };
        any.then(|| format!("{{\"total_exact\":false{damaged}}}\n").into())
    }
}

/// Answers with all records of a search, or with the first `limit`. The first page is awaited: its error is told.
pub async fn lines(api: Arc<Api>, request: SearchRequest, limit: Option<usize>) -> Result<Response, ApiError> {
    let mut walk =
        Walk { api, request, left: limit, page_records: PAGE_RECORDS, is_done: false, gaps: Gaps::default() };
    let first = walk.next().await?.unwrap_or_default();
    let rest = try_unfold(walk, |mut walk| async move {
        let page = walk.next().await.map_err(|error| {
            tracing::warn!(error = error.message, "a stream of records ends early");
            io::Error::other(error.message)
        })?;
        Ok(page.map(|page| (page, walk)))
    });
    let first = futures_util::stream::once(async { Ok::<Bytes, io::Error>(first) });
    let body = Body::from_stream(futures_util::StreamExt::chain(first, rest));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// Answers with the records of one search, which has no cursors.
pub async fn page(api: &Api, request: SearchRequest) -> Result<Response, ApiError> {
    let found = api.store.search(request).await?;
    let mut gaps = Gaps::default();
    gaps.note(&found);
    let lines = tokio::task::spawn_blocking(move || lines_of(&found.hits)).await.map_err(ApiError::internal)?;
    let lines = [lines, gaps.line().unwrap_or_default()].concat();
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

impl Walk {
    /// The lines of the next page, and behind the last one that of what is missing; `None` behind that.
    async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.is_done || self.left == Some(0) {
            return Ok(std::mem::take(&mut self.gaps).line());
        }
        let found = self.page().await?;
        self.gaps.note(&found);
        self.page_records = self.page_records.saturating_mul(2).min(PAGE_RECORDS);
        self.left = self.left.map(|left| left.saturating_sub(found.hits.len()));
        match found.next_cursor.as_deref().map(Cursor::decode) {
            Some(Ok(cursor)) => (self.request.cursor, self.request.offset) = (Some(cursor), 0),
            Some(Err(error)) => return Err(ApiError::internal(error)),
            None => self.is_done = true,
        }
        let lines = tokio::task::spawn_blocking(move || lines_of(&found.hits)).await.map_err(ApiError::internal)?;
        Ok(Some(lines))
    }

    /// The next page: of fewer records where they are large; a single one of any size is shown.
    async fn page(&mut self) -> Result<SearchResponse, SearchError> {
        loop {
            let limit = self.left.map_or(self.page_records, |left| left.min(self.page_records));
            let memory_limit_bytes = if limit > 1 { PAGE_BYTES } else { usize::MAX };
            let request =
                SearchRequest { limit, memory_limit_bytes, with_totals: false, buckets: 0, ..self.request.clone() };
            match self.api.store.search(request).await {
                Err(SearchError::Memory { .. }) if limit > 1 => self.page_records = (limit / 8).max(1),
                found => return found,
            }
        }
    }
}

/// A record a line.
fn lines_of(hits: &[Hit]) -> Bytes {
    let mut body = Vec::new();
    for hit in hits {
        // Writing to a vector cannot fail, and a record has text keys only.
        let _ = serde_json::to_writer(&mut body, &document(hit));
        body.push(b'\n');
    }
    body.into()
}
