//! What queries that are asked together have in common, so that it is computed once.
//!
//! Rules of a group often read the same series through the same function and compare with limits of their own. Parts of
//! their trees that are spelt the same get a number when the rules are loaded; at a time at which all of them are
//! asked, the first to need such a part computes it, and the others take a copy.
//!
//! Invariant: parts with one number mean the same, and what is kept of them is of one time.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::ast::Expr;
use crate::eval::Columns;
use crate::query::Query;

/// Longest part that is looked at, bytes: the spelling of each part of a query is made once.
const PART_BYTES_MAX: usize = 1000;

/// The parts that some queries have in common.
///
/// Parts are known by where they lie in memory: whoever holds this holds the queries too, and does not move them.
#[derive(Debug, Default)]
pub struct SharedParts {
    numbers: HashMap<usize, usize>,
    count: usize,
}

impl SharedParts {
    /// Looks for what these queries have in common. They must lie where they are for as long as this is used.
    pub fn of<'q>(queries: impl IntoIterator<Item = &'q Query>) -> SharedParts {
        let mut spelt: HashMap<String, Vec<usize>> = HashMap::new();
        for query in queries {
            query.root().for_each_part(&mut |part| {
                let span = part.span();
                if is_worth_keeping(part) && span.end.saturating_sub(span.start) <= PART_BYTES_MAX {
                    spelt.entry(part.to_string()).or_default().push(address(part));
                }
            });
        }
        let mut parts = SharedParts::default();
        for places in spelt.into_values().filter(|places| places.len() > 1) {
            parts.numbers.extend(places.into_iter().map(|place| (place, parts.count)));
            parts.count += 1;
        }
        parts
    }

    /// For one time at which the queries are asked.
    pub fn at_one_time(&self) -> SharedColumns<'_> {
        SharedColumns { parts: self, known: Mutex::new(vec![None; self.count]) }
    }
}

/// What is known of the common parts at one time.
pub struct SharedColumns<'p> {
    parts: &'p SharedParts,
    /// By the numbers of the parts.
    known: Mutex<Vec<Option<Columns>>>,
}

impl SharedColumns<'_> {
    /// Forgets all of it: the data have changed.
    pub fn forget(&self) {
        self.known.lock().fill(None);
    }

    /// The number of a part that several queries have.
    pub(crate) fn number(&self, part: &Expr) -> Option<usize> {
        self.parts.numbers.get(&address(part)).copied()
    }

    /// A copy of what a part gave, if it was computed.
    pub(crate) fn get(&self, number: usize) -> Option<Columns> {
        self.known.lock().get(number)?.clone()
    }

    /// Keeps what a part gave.
    pub(crate) fn keep(&self, number: usize, columns: &Columns) {
        if let Some(place) = self.known.lock().get_mut(number) {
            *place = Some(columns.clone());
        }
    }
}

fn address(part: &Expr) -> usize {
    std::ptr::from_ref(part).addr()
}

/// Whether computing it costs more than copying what it gave.
fn is_worth_keeping(part: &Expr) -> bool {
    match part {
        Expr::Vector(_) | Expr::Aggregate(_) => true,
        Expr::ShortAggregate(_) | Expr::ShortRate(_) | Expr::ShortQuantile(_) => true,
        Expr::Call(node) => node.args.iter().any(|argument| matches!(argument, Expr::Matrix(_) | Expr::Subquery(_))),
        Expr::Number(_) | Expr::String(_) | Expr::Matrix(_) | Expr::Subquery(_) => false,
        Expr::Unary(_) | Expr::Binary(_) | Expr::Paren(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spelt_the_same_is_shared() {
        let texts = ["rate(a[5m]) > 1", "rate( a[300s] ) > 2", "rate(b[5m]) > 1", "sum(c) + a", "a"];
        let queries: Vec<Query> = texts.iter().map(|text| Query::parse(text).expect("a query")).collect();
        let parts = SharedParts::of(&queries);
        // `rate(a[5m])` of two, and `a` of two.
        assert_eq!((parts.count, parts.numbers.len()), (2, 4));
        let columns = parts.at_one_time();
        let numbers: Vec<usize> = queries
            .iter()
            .flat_map(|query| {
                let mut found = Vec::new();
                query.root().for_each_part(&mut |part| found.extend(columns.number(part)));
                found
            })
            .collect();
        assert_eq!(numbers.len(), 4);
        assert_eq!((numbers[0], numbers[2]), (numbers[1], numbers[3]));
    }
}
