//! Which alerts are pending or firing now, and what is recorded?
//!
//! Rule files are read with positions, all mistakes at once; rules are evaluated on their schedule through
//! [`watchfire_query_lang::MetricsRead`]; a pure state machine decides; a journal remembers; alerts are handed
//! over to whoever tells people.
//!
//! Invariants:
//! - time is an argument: the same rules, data and times give the same alerts;
//! - who fires has held for the rule's duration;
//! - a change of an alert is in the journal before it is handed over, and what fires or is resolved and not
//!   acknowledged is handed over again and again;
//! - a rule that fails leaves its alerts as they are, and no other rule.

mod duplicates;
mod json_file;
mod rule_fields;
mod rule_set;
mod yaml_file;
mod yaml_rule;

pub mod rule;
pub mod state;
pub mod template;

mod alert_set;
mod engine_sink;
mod identity;
mod journal;
mod newest;
mod recorded;
mod rule_engine;
mod samples;
mod schedule;
mod snapshot;
mod table;
mod unwritten;

mod json_tree;

pub use duplicates::Duplicate;
pub use engine_sink::EngineSink;
pub use journal::{JournalError, JournalReport};
pub use rule::{AlertRule, Comparison, Condition, NoData, Operator, RecordingRule, Rule};
pub use rule_engine::{Round, RuleEngine, RuleEngineConfig};
pub use rule_set::{OWN_GROUP, RuleFileError, RuleGroup, RuleSet};
pub use samples::{SampleSink, SeriesSample, SinkError};
pub use snapshot::{AlertSnapshot, GroupSnapshot, Health, RuleSnapshot, RuleState, RuleStats};
pub use table::GroupDefaults;
pub use template::External;
pub use unwritten::Unwritten;
