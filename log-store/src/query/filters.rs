//! Filters of an API become parts of a query. Their values are data: nothing in them is read as query text.

use std::ops::Range;

use super::ast::{Expr, Node, Query, Span, Test};
use super::field::Field;

/// A filter's value that its field cannot have (a level that is none, say).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no {field}")]
pub struct FilterError {
    /// The field's name.
    pub field: String,
    /// The value, cut to 60 characters.
    pub value: String,
}

impl Query {
    /// Every record.
    pub fn all() -> Query {
        Query { root: built(Expr::All) }
    }

    /// Records with these sequence numbers.
    pub fn numbered(seqs: Range<u64>) -> Query {
        let bound = |seq: u64| i64::try_from(seq).unwrap_or(i64::MAX);
        let test = Test::Integers { low: bound(seqs.start), high: bound(seqs.end) - 1 };
        Query { root: built(Expr::Field(Field::Seq, test)) }
    }

    /// The lowest and the highest sequence number that a match can have, as far as that is said beside all else.
    pub(crate) fn seq_bounds(&self) -> (i64, i64) {
        let nodes = match &self.root.expr {
            Expr::And(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(&self.root),
        };
        nodes.iter().fold((i64::MIN, i64::MAX), |(lowest, highest), node| match &node.expr {
            Expr::Field(Field::Seq, Test::Integers { low, high }) => (lowest.max(*low), highest.min(*high)),
            _ => (lowest, highest),
        })
    }

    /// Records that match both.
    pub fn and(self, other: Query) -> Query {
        let root = match (self.root.expr, other.root.expr) {
            (Expr::All, expr) | (expr, Expr::All) => built(expr),
            (Expr::And(mut nodes), Expr::And(more)) => {
                nodes.extend(more);
                built(Expr::And(nodes))
            }
            (Expr::And(mut nodes), expr) => {
                nodes.push(built(expr));
                built(Expr::And(nodes))
            }
            (expr, Expr::And(mut nodes)) => {
                nodes.insert(0, built(expr));
                built(Expr::And(nodes))
            }
            (first, second) => built(Expr::And(vec![built(first), built(second)])),
        };
        Query { root }
    }

    /// Records whose `field` has one of these values, as `field:value` would mean them; every record if there is
    /// no value.
    pub fn any_of<'a>(field: &Field, values: impl IntoIterator<Item = &'a str>) -> Result<Query, FilterError> {
        let mut nodes = Vec::new();
        for value in values {
            let test = field
                .text_test(value, false)
                .ok_or_else(|| FilterError { field: field.to_string(), value: value.chars().take(60).collect() })?;
            nodes.push(built(Expr::Field(field.clone(), test)));
        }
        let root = match (nodes.len(), nodes.pop()) {
            (1, Some(node)) => node,
            (_, Some(last)) => {
                nodes.push(last);
                built(Expr::Or(nodes))
            }
            (_, None) => built(Expr::All),
        };
        Ok(Query { root })
    }

    /// This query, narrowed to records whose `field` has one of the values of a comma list. Blanks around values
    /// and empty values do not count; an empty list narrows nothing.
    pub fn with_list(self, field: &Field, list: &str) -> Result<Query, FilterError> {
        let values = list.split(',').map(str::trim).filter(|value| !value.is_empty());
        Ok(self.and(Query::any_of(field, values)?))
    }
}

fn built(expr: Expr) -> Node {
    Node { span: Span::default(), expr }
}
