//! How many conditions one request may have. They cost time and memory when they are read and when series are chosen by
//! them, before anything looks at the clock.

use super::{MatchOp, Matcher, MatcherError};

/// Most conditions of a request.
const MATCHERS_MAX: usize = 10_000;
/// Most of them that are regular expressions.
const EXPRESSIONS_MAX: usize = 1_000;
/// Most of these that take up to megabytes each, see [`Matcher::is_large`].
const LARGE_MAX: usize = 8;

/// The conditions of a request so far.
#[derive(Debug, Default)]
pub struct MatcherBudget {
    matchers: usize,
    expressions: usize,
    large: usize,
}

impl MatcherBudget {
    /// Makes a matcher, as [`Matcher::new`].
    ///
    /// Errors: as there, and if it is one too many.
    pub fn matcher(&mut self, name: String, op: MatchOp, value: String) -> Result<Matcher, MatcherError> {
        if let Err(reason) = self.count(op) {
            return Err(MatcherError { pattern: value, reason });
        }
        let matcher = Matcher::new(name, op, value)?;
        self.count_large(&matcher)?;
        Ok(matcher)
    }

    /// Counts matchers that were made elsewhere.
    ///
    /// Errors: they are too many.
    pub fn add(&mut self, matchers: &[Matcher]) -> Result<(), MatcherError> {
        matchers.iter().try_for_each(|matcher| {
            self.count(matcher.op()).map_err(|reason| MatcherError { pattern: matcher.value().to_owned(), reason })?;
            self.count_large(matcher)
        })
    }

    fn count(&mut self, op: MatchOp) -> Result<(), String> {
        self.matchers += 1;
        self.expressions += usize::from(op.is_regex());
        if self.matchers > MATCHERS_MAX {
            return Err(format!("is one condition too many: a request has {MATCHERS_MAX} at most"));
        }
        if self.expressions > EXPRESSIONS_MAX {
            return Err(format!(
                "is one regular expression too many: a request has {EXPRESSIONS_MAX} at most; join them by `|`"
            ));
        }
        Ok(())
    }

    fn count_large(&mut self, matcher: &Matcher) -> Result<(), MatcherError> {
        self.large += usize::from(matcher.is_large());
        if self.large <= LARGE_MAX {
            return Ok(());
        }
        let reason = format!("is one large expression too many: a request has {LARGE_MAX} at most");
        Err(MatcherError { pattern: matcher.value().to_owned(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of these there may be.
    fn most(op: MatchOp, value: &str) -> usize {
        let mut budget = MatcherBudget::default();
        (0..).take_while(|_| budget.matcher("a".into(), op, value.into()).is_ok()).count()
    }

    #[test]
    fn the_more_they_cost_the_fewer_there_may_be() {
        assert_eq!(most(MatchOp::NotEqual, "x"), MATCHERS_MAX);
        assert_eq!(most(MatchOp::Regex, "a|b"), EXPRESSIONS_MAX);
        assert_eq!(most(MatchOp::NotRegex, r"\pL{40}"), LARGE_MAX);
    }

    #[test]
    fn selectors_of_one_request_count_together() {
        let selector = vec![Matcher::equal("a", "b"); MATCHERS_MAX / 2];
        let mut budget = MatcherBudget::default();
        assert_eq!((budget.add(&selector), budget.add(&selector)), (Ok(()), Ok(())));
        let error = budget.add(&selector).expect_err("too many");
        assert_eq!(error.to_string(), "`b` is one condition too many: a request has 10000 at most");
    }
}
