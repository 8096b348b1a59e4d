//! Which rows of a block match a query.

use super::block::{BlockView, Failure, Integer};
use super::budget::Budget;
use super::leaf::Leaf;
use crate::query::{Expr, Field, Node, Test};
use crate::values::Bits;

/// The rows among `candidates` for which `node` is true.
pub(crate) fn eval(node: &Node, block: &dyn BlockView, candidates: &Bits, budget: &Budget) -> Result<Bits, Failure> {
    budget.check()?;
    if candidates.is_empty() {
        return Ok(Bits::none(candidates.len()));
    }
    match &node.expr {
        Expr::All => Ok(candidates.clone()),
        Expr::And(nodes) => {
            let mut rows = candidates.clone();
            for node in cheapest_first(nodes, block) {
                rows = eval(node, block, &rows, budget)?;
                if rows.is_empty() {
                    break;
                }
            }
            Ok(rows)
        }
        Expr::Or(nodes) => {
            let mut rows = Bits::none(candidates.len());
            let mut rest = candidates.clone();
            for node in cheapest_first(nodes, block) {
                let found = eval(node, block, &rest, budget)?;
                rest.and_not(&found);
                rows.or(&found);
                if rest.is_empty() {
                    break;
                }
            }
            Ok(rows)
        }
        Expr::Not(inner) => {
            let mut rows = candidates.clone();
            rows.and_not(&eval(inner, block, candidates, budget)?);
            Ok(rows)
        }
        Expr::Text(phrase) => leaf(&Leaf::Text(phrase), block, candidates),
        Expr::TextRegex(pattern) => leaf(&Leaf::TextRegex(pattern), block, candidates),
        Expr::Field(field, test) => field_test(field, test, block, candidates),
    }
}

fn leaf(leaf: &Leaf<'_>, block: &dyn BlockView, candidates: &Bits) -> Result<Bits, Failure> {
    let mut rows = block.leaf(leaf, candidates)?;
    rows.and(candidates);
    Ok(rows)
}

fn field_test(field: &Field, test: &Test, block: &dyn BlockView, candidates: &Bits) -> Result<Bits, Failure> {
    let mut rows = match (field, test) {
        (Field::Level, Test::Levels(levels)) => block.levels(*levels)?,
        (Field::Timestamp, Test::Integers { low, high }) => block.integers(Integer::Timestamp, *low, *high)?,
        (Field::AcceptedAt, Test::Integers { low, high }) => block.integers(Integer::AcceptedAt, *low, *high)?,
        (Field::Seq, Test::Integers { low, high }) => block.integers(Integer::Seq, *low, *high)?,
        // No other test stands with these (see `Test`).
        (Field::Level | Field::Timestamp | Field::AcceptedAt | Field::Seq, _) => Bits::none(block.rows()),
        (Field::Core(_) | Field::Leaf(..), test) => block.leaf(&Leaf::Field(field, test), candidates)?,
    };
    rows.and(candidates);
    Ok(rows)
}

/// The parts of a conjunction or disjunction, the cheaper ones first.
fn cheapest_first<'n>(nodes: &'n [Node], block: &dyn BlockView) -> Vec<&'n Node> {
    let mut ordered: Vec<(u32, &Node)> = nodes.iter().map(|node| (cost(node, block), node)).collect();
    ordered.sort_by_key(|(cost, _)| *cost);
    ordered.into_iter().map(|(_, node)| node).collect()
}

fn cost(node: &Node, block: &dyn BlockView) -> u32 {
    match &node.expr {
        Expr::All => 0,
        Expr::And(nodes) | Expr::Or(nodes) => {
            nodes.iter().fold(0, |sum: u32, node| sum.saturating_add(cost(node, block)))
        }
        Expr::Not(inner) => cost(inner, block),
        Expr::Text(phrase) => block.leaf_cost(&Leaf::Text(phrase)),
        Expr::TextRegex(pattern) => block.leaf_cost(&Leaf::TextRegex(pattern)),
        Expr::Field(Field::Level | Field::Timestamp, _) => 1,
        Expr::Field(Field::AcceptedAt | Field::Seq, _) => 10,
        Expr::Field(field, test) => block.leaf_cost(&Leaf::Field(field, test)),
    }
}
