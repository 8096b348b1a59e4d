//! The embedded columnar log store, and the seam to other stores.
//!
//! Answers: which log lines match?
//!
//! Invariants:
//! - a record is visible to searches when [`EmbeddedStore::append`] returns, and found exactly once at any moment;
//! - everything below [`EmbeddedStore::sealed_offset`] survives a crash, everything from it on is replayed from the
//!   queue;
//! - a record comes out exactly as it was put in.
//!
//! In reading order: [`query`] (the language), [`search`], [`facets`], [`stats`], [`context`] (what is asked and
//! answered), [`store`] (the seam), `values` (plain columns), `open_block`, `sealed` (the file format), `executor`, [`embedded`].

pub mod context;
pub mod cursor;
pub mod document;
pub mod embedded;
mod executor;
pub mod facets;
mod histogram;
mod open_block;
pub mod query;
mod sealed;
pub mod search;
pub mod stats;
pub mod store;
mod values;

pub use cursor::Cursor;
pub use embedded::{EmbeddedStore, StoreConfig};
pub use search::{Hit, Order, SearchError, SearchRequest, SearchResponse, TimeRange};
pub use store::LogStore;
