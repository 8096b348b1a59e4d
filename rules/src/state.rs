//! The life of one alert: inactive, pending, firing, resolved. Pure: facts and time in, state out.
//!
//! Source: Prometheus' rules/alerting.go, whose behaviour this is, with two more inputs: a condition of
//! which nothing is known (`no_data: keep`), and states that come back from the journal.
//!
//! Invariant: who fires has held for the rule's duration, `active_at + duration <= fired_at`.

use watchfire_model::{AlertState, Timestamp};

/// Where an alert stands; inactive is `None` of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The condition holds, for less than the duration.
    Pending {
        /// When it began to hold.
        active_at: Timestamp,
    },
    /// It has held for the duration.
    Firing {
        /// When it began to hold.
        active_at: Timestamp,
        /// When it began to fire.
        fired_at: Timestamp,
        /// Since when the alert only fires on because of `keep_firing_for`.
        kept_since: Option<Timestamp>,
    },
    /// It fired, and the condition ended.
    Resolved {
        /// When it began to hold.
        active_at: Timestamp,
        /// When it began to fire.
        fired_at: Timestamp,
        /// When it ended.
        resolved_at: Timestamp,
    },
}

impl Life {
    /// The state in the words of the model.
    pub fn state(&self) -> AlertState {
        match self {
            Life::Pending { .. } => AlertState::Pending,
            Life::Firing { .. } => AlertState::Firing,
            Life::Resolved { .. } => AlertState::Resolved,
        }
    }

    /// When the condition began to hold.
    pub fn active_at(&self) -> Timestamp {
        match self {
            Life::Pending { active_at } | Life::Firing { active_at, .. } | Life::Resolved { active_at, .. } => {
                *active_at
            }
        }
    }

    /// When it began to fire.
    pub fn fired_at(&self) -> Option<Timestamp> {
        match self {
            Life::Pending { .. } => None,
            Life::Firing { fired_at, .. } | Life::Resolved { fired_at, .. } => Some(*fired_at),
        }
    }

    /// When it ended.
    pub fn resolved_at(&self) -> Option<Timestamp> {
        match self {
            Life::Pending { .. } | Life::Firing { .. } => None,
            Life::Resolved { resolved_at, .. } => Some(*resolved_at),
        }
    }

    /// The same life after a time of which nothing is known: what was waited for is waited for that much longer.
    pub fn shifted_by_outage(self, outage_ms: i64) -> Life {
        match self {
            Life::Pending { active_at } => Life::Pending { active_at: active_at.plus_millis(outage_ms) },
            Life::Firing { active_at, fired_at, kept_since } => {
                Life::Firing { active_at, fired_at, kept_since: kept_since.map(|since| since.plus_millis(outage_ms)) }
            }
            Life::Resolved { .. } => self,
        }
    }
}

/// What an evaluation says of one label set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It is true.
    Holds,
    /// It is not true.
    Fails,
    /// Nothing is known; everything stays as it is.
    Unknown,
}

/// The times of a rule, in milliseconds, not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long the condition must hold before it fires.
    pub duration_ms: i64,
    /// How long it fires on after the condition ended.
    pub keep_firing_for_ms: i64,
}

/// The state after an evaluation at `now`; `None` = inactive, nothing to remember.
pub fn next_state(previous: Option<Life>, condition: Condition, timing: Timing, now: Timestamp) -> Option<Life> {
    match (previous, condition) {
        (_, Condition::Unknown) => previous,
        (None | Some(Life::Resolved { .. }), Condition::Holds) => Some(held_since(now, timing, now)),
        (None | Some(Life::Pending { .. }), Condition::Fails) => None,
        (Some(Life::Resolved { .. }), Condition::Fails) => previous,
        (Some(Life::Pending { active_at }), Condition::Holds) => Some(held_since(active_at, timing, now)),
        (Some(Life::Firing { active_at, fired_at, .. }), Condition::Holds) => {
            Some(Life::Firing { active_at, fired_at, kept_since: None })
        }
        (Some(Life::Firing { active_at, fired_at, kept_since }), Condition::Fails) => {
            let since = kept_since.unwrap_or(now);
            Some(if now.since(since) < timing.keep_firing_for_ms {
                Life::Firing { active_at, fired_at, kept_since: Some(since) }
            } else {
                Life::Resolved { active_at, fired_at, resolved_at: now }
            })
        }
    }
}

/// Pending or firing, for a condition that holds since `active_at`.
fn held_since(active_at: Timestamp, timing: Timing, now: Timestamp) -> Life {
    if now.since(active_at) >= timing.duration_ms {
        Life::Firing { active_at, fired_at: now, kept_since: None }
    } else {
        Life::Pending { active_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walk(timing: Timing, steps: &[(i64, Condition)]) -> Vec<Option<AlertState>> {
        let mut life = None;
        steps
            .iter()
            .map(|(seconds, condition)| {
                life = next_state(life, *condition, timing, Timestamp::from_millis(seconds * 1000));
                life.as_ref().map(Life::state)
            })
            .collect()
    }

    use AlertState::{Firing, Pending, Resolved};
    use Condition::{Fails, Holds, Unknown};

    #[test]
    fn fires_after_the_duration_and_at_once_without_one() {
        let timing = Timing { duration_ms: 60_000, keep_firing_for_ms: 0 };
        let steps = [(0, Fails), (30, Holds), (60, Holds), (90, Holds), (120, Holds), (150, Fails), (180, Holds)];
        let expected = [None, Some(Pending), Some(Pending), Some(Firing), Some(Firing), Some(Resolved), Some(Pending)];
        assert_eq!(walk(timing, &steps), expected);
        let timing = Timing { duration_ms: 0, keep_firing_for_ms: 0 };
        assert_eq!(walk(timing, &[(0, Holds), (1, Fails)]), [Some(Firing), Some(Resolved)]);
    }

    #[test]
    fn a_pending_alert_that_misses_one_evaluation_is_forgotten() {
        let timing = Timing { duration_ms: 60_000, keep_firing_for_ms: 0 };
        let steps = [(0, Holds), (50, Fails), (60, Holds), (110, Holds), (120, Holds)];
        assert_eq!(walk(timing, &steps), [Some(Pending), None, Some(Pending), Some(Pending), Some(Firing)]);
    }

    #[test]
    fn keep_firing_counts_from_the_first_miss_and_a_return_resets_it() {
        let timing = Timing { duration_ms: 0, keep_firing_for_ms: 60_000 };
        let steps = [(0, Holds), (10, Fails), (69, Fails), (69, Holds), (80, Fails), (139, Fails), (140, Fails)];
        let expected = [Firing, Firing, Firing, Firing, Firing, Firing, Resolved].map(Some);
        assert_eq!(walk(timing, &steps), expected);
    }

    #[test]
    fn what_is_unknown_changes_nothing() {
        let timing = Timing { duration_ms: 60_000, keep_firing_for_ms: 0 };
        let steps =
            [(0, Unknown), (10, Holds), (80, Unknown), (90, Holds), (100, Unknown), (110, Fails), (120, Unknown)];
        let expected = [None, Some(Pending), Some(Pending), Some(Firing), Some(Firing), Some(Resolved), Some(Resolved)];
        assert_eq!(walk(timing, &steps), expected);
    }

    proptest! {
        /// The invariant, and what a reader of the timeline would say: who fires at an evaluation without a gap
        /// in its condition has held since `active_at`.
        #[test]
        fn firing_implies_held_for_the_duration(
            steps in proptest::collection::vec((0i64..90, 0u8..3), 1..60),
            duration_s in 0i64..200,
            keep_s in 0i64..200,
        ) {
            let timing = Timing { duration_ms: duration_s * 1000, keep_firing_for_ms: keep_s * 1000 };
            let (mut life, mut now, mut held_since) = (None, Timestamp::from_millis(0), None);
            for (gap_s, condition) in steps {
                now = now.plus_millis(gap_s * 1000);
                let condition = [Condition::Holds, Condition::Fails, Condition::Unknown][usize::from(condition)];
                let before: Option<Life> = life;
                life = next_state(before, condition, timing, now);
                match condition {
                    Condition::Holds => held_since = held_since.or(Some(now)),
                    Condition::Fails => held_since = None,
                    Condition::Unknown => prop_assert_eq!(life, before),
                }
                match life {
                    None => prop_assert!(condition != Condition::Holds),
                    Some(Life::Pending { active_at }) => {
                        prop_assert_eq!(Some(active_at), held_since);
                        prop_assert!(condition == Condition::Unknown || now.since(active_at) < timing.duration_ms);
                    }
                    Some(Life::Firing { active_at, fired_at, kept_since }) => {
                        prop_assert!(active_at.plus_millis(timing.duration_ms) <= fired_at && fired_at <= now);
                        if condition == Condition::Holds {
                            prop_assert_eq!(kept_since, None);
                        }
                        if condition == Condition::Fails {
                            prop_assert!(kept_since.is_some_and(|since| now.since(since) < timing.keep_firing_for_ms));
                        }
                    }
                    Some(Life::Resolved { fired_at, resolved_at, .. }) => {
                        prop_assert!(condition != Condition::Holds && fired_at <= resolved_at && resolved_at <= now);
                    }
                }
            }
        }
    }
}
