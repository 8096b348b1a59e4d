//! A JSON object per line.

use super::ParseError;
use crate::draft::Draft;
use crate::json::{Node, scan};

/// Parses a line that is one JSON object.
pub fn parse(line: &str, draft: &mut Draft) -> Result<(), ParseError> {
    draft.clear();
    match scan::parse(line, &mut draft.tape) {
        Ok(()) if matches!(draft.tape.node(0), Node::Object { .. }) => Ok(()),
        Ok(()) => Err(ParseError { format: "json".into(), what: "expected a JSON object".into(), at: 0 }),
        Err(error) => Err(ParseError { format: "json".into(), what: error.kind.to_string().into(), at: error.at }),
    }
}
