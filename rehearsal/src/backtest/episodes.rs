//! Alerts from their beginning to their end, put together from how they stand after each evaluation.

use std::collections::BTreeMap;

use watchfire_model::{AlertState, LabelSet, Timestamp};
use watchfire_rules::{AlertRule, AlertSnapshot, Condition, Operator};

/// One time that an alert was pending, and perhaps fired.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Name of the rule.
    pub rule: String,
    /// Group of the rule.
    pub group: String,
    /// The alert's labels, its name among them.
    pub labels: LabelSet,
    /// When its condition began to hold.
    pub pending_at: Timestamp,
    /// When it began to fire; `None` if it did not hold for so long.
    pub firing_at: Option<Timestamp>,
    /// When it ended; `None` if it has not.
    pub resolved_at: Option<Timestamp>,
    /// The value furthest beyond the threshold, or the largest where there is none.
    pub peak: f64,
    /// Evaluations after which it was pending or firing.
    pub evaluations: u64,
}

/// Those that go on, and those that have ended.
#[derive(Default)]
pub(super) struct Episodes {
    open: BTreeMap<(String, String, LabelSet), Episode>,
    ended: Vec<Episode>,
}

impl Episodes {
    /// Takes in how all alerts stand after an evaluation at `now`.
    pub fn see(&mut self, alerts: Vec<AlertSnapshot>, now: Timestamp) {
        let mut before = std::mem::take(&mut self.open);
        for AlertSnapshot { alert, rule, .. } in alerts {
            let key = (alert.group, alert.rule, alert.labels);
            let known = before.remove(&key);
            if alert.state == AlertState::Resolved {
                self.ended.extend(known.map(|known| Episode { resolved_at: alert.resolved_at, ..known }));
                continue;
            }
            // One that began anew between two looks has ended before.
            let (goes_on, ended): (Vec<_>, Vec<_>) =
                known.into_iter().partition(|known| known.pending_at == alert.active_at);
            self.ended.extend(ended.into_iter().map(|known| Episode { resolved_at: Some(now), ..known }));
            let mut episode = goes_on.into_iter().next().unwrap_or_else(|| Episode {
                group: key.0.clone(),
                rule: key.1.clone(),
                labels: key.2.clone(),
                pending_at: alert.active_at,
                firing_at: None,
                resolved_at: None,
                peak: alert.value,
                evaluations: 0,
            });
            episode.firing_at = alert.fired_at;
            if alert.evaluated_at == now {
                episode.evaluations += 1;
                episode.peak = further(&rule, episode.peak, alert.value);
            }
            self.open.insert(key, episode);
        }
        // The others were pending, and came to nothing.
        self.ended.extend(before.into_values().map(|known| Episode { resolved_at: Some(now), ..known }));
    }

    /// All of them, by when they began.
    pub fn finish(self) -> Vec<Episode> {
        let mut all = self.ended;
        all.extend(self.open.into_values());
        all.sort_by(|left, right| {
            let key = |episode: &Episode| (episode.pending_at, episode.rule.clone());
            key(left).cmp(&key(right)).then_with(|| left.labels.cmp(&right.labels))
        });
        all
    }
}

/// Which of two values is further beyond the threshold.
fn further(rule: &AlertRule, left: f64, right: f64) -> f64 {
    let is_below = matches!(
        rule.condition,
        Condition::Compared(comparison) if matches!(comparison.operator, Operator::Less | Operator::LessOrEqual)
    );
    if is_below { left.min(right) } else { left.max(right) }
}
