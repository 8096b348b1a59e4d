//! Which series a query reads, and which parts it has.

use watchfire_model::Matcher;

use super::Expr;

impl Expr {
    /// Calls `visit` with the matchers of each selector, in the order of evaluation.
    pub fn for_each_selector<'e>(&'e self, visit: &mut dyn FnMut(&'e [Matcher])) {
        self.for_each_part(&mut |part| match part {
            Expr::Vector(node) => visit(&node.matchers),
            Expr::Matrix(node) => visit(&node.selector.matchers),
            Expr::ShortAggregate(node) => visit(&node.scope.selector.matchers),
            Expr::ShortRate(node) => visit(&node.scope.selector.matchers),
            Expr::ShortQuantile(node) => visit(&node.scope.selector.matchers),
            Expr::Number(_) | Expr::String(_) | Expr::Subquery(_) | Expr::Unary(_) => {}
            Expr::Binary(_) | Expr::Aggregate(_) | Expr::Call(_) | Expr::Paren(_) => {}
        });
    }

    /// Calls `visit` with each expression of the tree, the whole first.
    pub fn for_each_part<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr)) {
        visit(self);
        match self {
            Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => {}
            Expr::ShortAggregate(_) | Expr::ShortRate(_) | Expr::ShortQuantile(_) => {}
            Expr::Subquery(node) => node.expr.for_each_part(visit),
            Expr::Unary(node) => node.expr.for_each_part(visit),
            Expr::Paren(node) => node.expr.for_each_part(visit),
            Expr::Binary(node) => {
                node.left.for_each_part(visit);
                node.right.for_each_part(visit);
            }
            Expr::Aggregate(node) => {
                if let Some(parameter) = &node.parameter {
                    parameter.for_each_part(visit);
                }
                node.expr.for_each_part(visit);
            }
            Expr::Call(node) => node.args.iter().for_each(|argument| argument.for_each_part(visit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Query;

    #[test]
    fn every_selector_is_met() {
        let text = "topk(scalar(a), -(b{x=\"1\"} + rate(c[5m]))) or max_over_time(d[5m:1m]) > e offset 1m";
        let query = Query::parse(text).expect("a query");
        let mut names = Vec::new();
        query.root().for_each_selector(&mut |matchers| names.extend(matchers.iter().map(|one| one.to_string())));
        assert_eq!(names.len(), 6, "{names:?}");
    }
}
