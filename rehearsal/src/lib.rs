//! What would these rules do?
//!
//! [`mod@unit`] runs tests of rules in promtool's file format. The rules, their evaluation and their states are those of a
//! running server ([`watchfire_rules::RuleEngine`]), over an engine of their own; only the times are made up.
//! [`backtest`] lets them look at the past of a server.
//!
//! Invariants:
//! - the same test file, rule files and options give the same outcome;
//! - what is rehearsed tells nobody, and leaves nothing behind.

pub mod backtest;
pub mod unit;

mod stage;
