//! Alert rules.
mod json_tree;
mod nearest;
mod rule;
mod rule_fields;
mod rule_set;
mod state;
mod template;
pub use rule::*;
pub use rule_set::*;
pub use state::*;
pub use template::*;
