//! The same rules and the same evaluation, without a memory on disk: for tests of rules, and for what rules would have
//! done in the past.

use std::sync::Arc;

use watchfire_model::Timestamp;
use watchfire_query_lang::{Limits, MetricsRead};

use super::round::{Store, Work};
use super::{Evaluator, Round, RuleEngine};
use crate::journal::Journal;
use crate::rule_set::RuleSet;
use crate::samples::SampleSink;
use crate::table::{GroupDefaults, Table};

impl RuleEngine {
    /// Rules that nobody waits for: nothing is remembered beyond this process, and alerts have a sample at each
    /// evaluation.
    pub fn rehearse(rules: &RuleSet, defaults: GroupDefaults, limits: Limits, start: Timestamp) -> RuleEngine {
        let table = Table::new(rules, defaults);
        let mut evaluator = Evaluator::new(limits, table.schedule(start), Journal::nowhere(), start);
        evaluator.sample_every_ms = 0;
        evaluator.is_rehearsal = true;
        RuleEngine::over(table, evaluator)
    }

    /// Evaluates all groups in their order at this time, whatever their intervals are; what they give is written into
    /// `sink` when it returns, or `Round::unwritten` has it still.
    pub fn evaluate_all(&self, at: Timestamp, metrics: &dyn MetricsRead, sink: &dyn SampleSink) -> Round {
        let mut evaluator = self.evaluator.lock();
        let table = Arc::clone(&self.table.read());
        let mut work = Work::new(at, Vec::new());
        for group in &table.groups {
            work.evaluate_in_order(group, group.slots.iter(), &mut evaluator, at, &Store { metrics, sink });
        }
        work.round
    }
}
