//! The embedded store as a [`LogStore`].

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::Timestamp;
use watchfire_model::record::Core;
use watchfire_model::text::count;

use super::EmbeddedStore;
use super::lanes::Work;
use crate::executor::budget::Budget;
use crate::executor::{patterns, run};
use crate::facets::{FacetsRequest, FacetsResponse};
use crate::query::{Field, Folded, Test};
use crate::search::{Hit, SearchError, SearchRequest, SearchResponse, TimeRange};
use crate::stats::{StatsRequest, StatsResponse};
use crate::store::{BoxFuture, LogStore, StoreHealth, TemplateCounts, ValueCount};

/// Limits of what has none in its request.
const TIME_LIMIT: Duration = Duration::from_secs(30);
const MEMORY_LIMIT_BYTES: usize = 256 << 20;
/// Records with one id that are looked at to find the one that has it letter by letter.
const SAME_ID_MAX: usize = 100;

/// Cancels the work when nobody waits for it any more.
struct CancelOnDrop(Arc<Budget>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl EmbeddedStore {
    /// Runs `request` on threads for searches.
    fn in_lane<T: Send + 'static>(
        &self,
        work: Work,
        budget: Budget,
        request: impl FnOnce(&EmbeddedStore, &Budget) -> Result<T, SearchError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, SearchError>> {
        Box::pin(async move {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let budget = Arc::new(budget);
            let _guard = CancelOnDrop(Arc::clone(&budget));
            let store = self.clone();
            self.inner.lanes.spawn(work, move || {
                let found = request(&store, &budget);
                // Whoever has the answer may close the store and open its folder again.
                drop(store);
                // The receiver is gone when the search was cancelled.
                let _ = sender.send(found);
            });
            let unavailable = |_| SearchError::Unavailable { reason: "a search thread failed".to_owned() };
            receiver.await.map_err(unavailable)?
        })
    }
}

impl EmbeddedStore {
    /// The templates of the messages in a range, most frequent first, at most `limit`: from the counts of the blocks.
    pub fn templates(&self, range: TimeRange, limit: usize) -> BoxFuture<'_, Result<TemplateCounts, SearchError>> {
        self.in_lane(Work::Gather, Budget::new(TIME_LIMIT, MEMORY_LIMIT_BYTES), move |store, budget| {
            patterns::templates(&store.inner.shared.snapshot().parts(), range, limit, budget)
        })
    }
}

impl LogStore for EmbeddedStore {
    fn search(&self, request: SearchRequest) -> BoxFuture<'_, Result<SearchResponse, SearchError>> {
        let budget = Budget::new(request.time_limit, request.memory_limit_bytes);
        self.in_lane(Work::Search, budget, move |store, budget| store.search_within(&request, budget))
    }

    fn facets(&self, request: FacetsRequest) -> BoxFuture<'_, Result<FacetsResponse, SearchError>> {
        let budget = Budget::new(request.time_limit, request.memory_limit_bytes);
        self.in_lane(Work::Gather, budget, move |store, budget| store.facets_within(&request, budget))
    }

    fn stats(&self, request: StatsRequest) -> BoxFuture<'_, Result<StatsResponse, SearchError>> {
        let budget = Budget::new(request.time_limit, request.memory_limit_bytes);
        self.in_lane(Work::Gather, budget, move |store, budget| store.stats_within(&request, budget))
    }

    fn distinct(
        &self,
        field: Field,
        range: TimeRange,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ValueCount>, SearchError>> {
        self.in_lane(Work::Gather, Budget::new(TIME_LIMIT, MEMORY_LIMIT_BYTES), move |store, budget| {
            run::distinct(&store.inner.shared.snapshot().parts(), &field, range, limit, budget)
        })
    }

    fn get(&self, seq: u64) -> BoxFuture<'_, Result<Option<Hit>, SearchError>> {
        self.in_lane(Work::Search, Budget::new(TIME_LIMIT, MEMORY_LIMIT_BYTES), move |store, budget| {
            run::get(&store.inner.shared.snapshot().parts(), seq, budget)
        })
    }

    fn get_by_id(&self, id: String) -> BoxFuture<'_, Result<Option<Hit>, SearchError>> {
        self.in_lane(Work::Search, Budget::new(TIME_LIMIT, MEMORY_LIMIT_BYTES), move |store, budget| {
            let query = run::field_query(Field::Core(Core::Id), Test::Whole(Folded::new(&id)));
            let request = SearchRequest { limit: SAME_ID_MAX, ..SearchRequest::new(query, TimeRange::ALL) };
            let found = store.search_within(&request, budget)?;
            Ok(found.hits.into_iter().find(|hit| hit.record.id == id))
        })
    }

    fn health(&self) -> BoxFuture<'_, StoreHealth> {
        Box::pin(async move {
            let stats = self.stats();
            let mut problems = Vec::new();
            if let Some(error) = &stats.last_write_error {
                problems.push(format!("blocks cannot be written: {error}"));
            }
            if !stats.damaged_blocks.is_empty() {
                problems.push(count(stats.damaged_blocks.len() as u64, "damaged block"));
            }
            StoreHealth {
                ok: problems.is_empty(),
                problems,
                records: stats.records,
                disk_bytes: stats.disk_bytes,
                oldest: stats.oldest_ms.map(Timestamp::from_millis),
                newest: stats.newest_ms.map(Timestamp::from_millis),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::embedded::StoreConfig;

    #[test]
    fn who_has_an_answer_has_the_store_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = EmbeddedStore::open(StoreConfig::new(dir.path()), Timestamp::from_millis(0)).expect("opens");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for _ in 0..300 {
            assert!(runtime.block_on(store.get(7)).is_ok_and(|hit| hit.is_none()));
            assert_eq!(Arc::strong_count(&store.inner), 1);
        }
    }
}
