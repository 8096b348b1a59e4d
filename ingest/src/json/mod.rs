//! JSON in: the tape that holds a parsed record, and the scanner that fills it from JSON.

mod form;
pub mod resync;
pub mod scan;
pub mod tape;

pub use form::Form;
pub use scan::{JsonError, JsonErrorKind};
pub use tape::{Node, NodeIndex, Span, Tape};
