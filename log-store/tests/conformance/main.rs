//! What every log store must answer alike, and the language as its document tells it.

mod json;
mod search_doc;
