//! What every log store must answer alike, and the language as its document tells it.
//!
//! `suite` is data (`records.ndjson`, `cases.ndjson`) and checks for any store; each store has a file that runs it.

mod embedded;
mod figures;
mod generate;
mod json;
mod moving;
mod naive;
mod properties;
mod search_doc;
mod suite;
mod templated;
mod unique_keys;
