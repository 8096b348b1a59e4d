//! What was logged around a record.

use std::time::Duration;

use watchfire_model::record::Core;
use watchfire_model::{LogRecord, Timestamp};

use crate::cursor::Cursor;
use crate::query::{Expr, Field, Folded, Node, Query, Span, Test};
use crate::search::{Hit, Order, SearchError, SearchRequest, TimeRange};
use crate::store::LogStore;

/// A question for the records around one.
#[derive(Clone, Debug)]
pub struct ContextRequest {
    /// The id of the record in the middle.
    pub id: String,
    /// Records before it at most.
    pub before: usize,
    /// Records after it at most.
    pub after: usize,
    /// Those of every service and host, not only of its own.
    pub all: bool,
    /// What must be true of the others as well.
    pub query: Query,
    /// Time after which each half of the work is given up.
    pub time_limit: Duration,
}

/// A record and its neighbours in the order of (event time, seq).
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// Oldest first.
    pub before: Vec<Hit>,
    /// The one asked for.
    pub record: Hit,
    /// Oldest first.
    pub after: Vec<Hit>,
}

/// The record of an id and its neighbours; `None` if there is no such record.
pub async fn around<S: LogStore + ?Sized>(store: &S, request: ContextRequest) -> Result<Option<Context>, SearchError> {
    let Some(record) = store.get_by_id(request.id.clone()).await? else { return Ok(None) };
    let scope = if request.all { Query::all() } else { same_source(&record.record) };
    let query = scope.and(request.query.clone());
    let mut before = neighbours(store, &request, &query, &record, Order::NewestFirst, request.before).await?;
    before.reverse();
    let after = neighbours(store, &request, &query, &record, Order::OldestFirst, request.after).await?;
    Ok(Some(Context { before, record, after }))
}

async fn neighbours<S: LogStore + ?Sized>(
    store: &S,
    request: &ContextRequest,
    query: &Query,
    record: &Hit,
    order: Order,
    limit: usize,
) -> Result<Vec<Hit>, SearchError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let mut search = SearchRequest {
        limit,
        order,
        with_totals: false,
        time_limit: request.time_limit,
        ..SearchRequest::new(query.clone(), TimeRange::ALL)
    };
    search.cursor = Some(Cursor {
        timestamp: record.record.timestamp,
        seq: record.seq,
        upper: u64::MAX,
        newest_first: search.order == Order::NewestFirst,
        search: search.fingerprint(),
        now: Timestamp::default(),
    });
    Ok(store.search(search).await?.hits)
}

/// Records of the same service and host; without a host, those without one.
fn same_source(record: &LogRecord) -> Query {
    let built = |expr| Query { root: Node { span: Span::default(), expr } };
    let host = Field::Core(Core::Host);
    let service = built(Expr::Field(Field::Core(Core::Service), Test::Whole(Folded::new(&record.service))));
    service.and(match &record.host {
        Some(name) => built(Expr::Field(host, Test::Whole(Folded::new(name)))),
        None => built(Expr::Not(Box::new(built(Expr::Field(host, Test::Exists)).root))),
    })
}
