//! Mistakes in a query, with their place.

/// A text that is no query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at line {line}, column {column}")]
pub struct QueryError {
    /// What is wrong: lower case, one line.
    pub message: String,
    /// Where, in bytes from the start of the text.
    pub offset: usize,
    /// Where, from 1.
    pub line: usize,
    /// Where in the line, in characters from 1.
    pub column: usize,
    /// How to mend it.
    pub hint: Option<String>,
}

impl QueryError {
    /// A mistake at a byte offset of `text`.
    pub(super) fn at(text: &str, offset: usize, message: impl Into<String>, hint: Option<String>) -> QueryError {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        QueryError {
            message: message.into(),
            offset,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            hint,
        }
    }
}
