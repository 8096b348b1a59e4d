//! Whatever fails, is full or is restarted: in the end each receiver knows what really fires, and no message that
//! arrived told it anything twice within a repeat interval.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use watchfire_alerting::decide::{Decision, Policy, decide, decide_by_time};
use watchfire_alerting::entry::Entry;
use watchfire_alerting::flow::SentState;
use watchfire_alerting::notification::{Ids, Notification};
use watchfire_alerting::route::Routing;
use watchfire_alerting::{AlertBatch, Integration, Receiver, ReceiverSettings, Secret, WebhookConfig};
use watchfire_model::{Alert, AlertState, LabelSet, Timestamp};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const SERVICES: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    /// So many seconds pass, then the rule is evaluated: which services burn, and whether the first target is full.
    Evaluate { seconds: i64, burning: [bool; SERVICES], is_full: bool },
    /// The oldest message to a target arrives or is given up.
    End { target: usize, arrives: bool },
    /// Time alone passes.
    Tick { seconds: i64 },
    /// The state is read back from the compacted log.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1i64..400, any::<[bool; SERVICES]>(), any::<bool>())
            .prop_map(|(seconds, burning, is_full)| Step::Evaluate { seconds, burning, is_full }),
        4 => (0usize..2, any::<bool>()).prop_map(|(target, arrives)| Step::End { target, arrives }),
        1 => (1i64..400).prop_map(|seconds| Step::Tick { seconds }),
        1 => Just(Step::Restart),
    ]
}

/// The rules side: what fires since when, and what is resolved and not acknowledged.
#[derive(Default)]
struct Rules {
    firing: BTreeMap<usize, Timestamp>,
    resolved: BTreeMap<usize, (Timestamp, Timestamp)>,
}

impl Rules {
    fn evaluate(&mut self, burning: [bool; SERVICES], now: Timestamp) -> AlertBatch {
        for (service, burns) in burning.into_iter().enumerate() {
            if burns {
                self.firing.entry(service).or_insert(now);
                self.resolved.remove(&service);
            } else if let Some(since) = self.firing.remove(&service) {
                self.resolved.insert(service, (since, now));
            }
        }
        let firing = self.firing.iter().map(|(service, since)| alert(*service, *since, None));
        let resolved = self.resolved.iter().map(|(service, (since, at))| alert(*service, *since, Some(*at)));
        AlertBatch { group: "rules".to_owned(), rule: "A".to_owned(), alerts: firing.chain(resolved).collect() }
    }
}

fn labels(service: usize) -> LabelSet {
    LabelSet::from_pairs([("alertname", "A".to_owned()), ("service", service.to_string())]).expect("valid")
}

fn alert(service: usize, since: Timestamp, resolved_at: Option<Timestamp>) -> Alert {
    Alert {
        rule: "A".to_owned(),
        group: "rules".to_owned(),
        labels: labels(service),
        annotations: Vec::new(),
        state: if resolved_at.is_some() { AlertState::Resolved } else { AlertState::Firing },
        value: 1.0,
        active_at: since,
        fired_at: Some(since),
        resolved_at,
        evaluated_at: since,
        receivers: Vec::new(),
    }
}

struct World {
    routing: Routing,
    policy: Policy,
    ids: Ids,
    state: SentState,
    rules: Rules,
    now: Timestamp,
    // By target: what it knows as firing, and since when.
    known: [BTreeMap<LabelSet, Timestamp>; 2],
    // By target: what arrived.
    arrived: [BTreeSet<(LabelSet, Timestamp, Option<Timestamp>)>; 2],
}

impl World {
    fn new() -> World {
        let receiver = |name: &str| Receiver {
            name: name.to_owned(),
            integrations: vec![Integration::Webhook(WebhookConfig::new(Secret::inline("http://127.0.0.1:1/")))],
        };
        let receivers = vec![receiver("a"), receiver("b")];
        World {
            routing: Routing::flat(&ReceiverSettings { receivers, ..ReceiverSettings::default() }),
            policy: Policy { repeat_interval_ms: 3_600_000 * 1000, ..Policy::default() },
            ids: Ids::new(START, 0),
            state: SentState::default(),
            rules: Rules::default(),
            now: START,
            known: Default::default(),
            arrived: Default::default(),
        }
    }

    fn record(&mut self, decision: Decision) {
        for entry in &decision.entries {
            self.state.apply(entry);
        }
        for alert in decision.acknowledged {
            self.rules.resolved.retain(|service, (_, at)| {
                labels(*service).fingerprint() != alert.fingerprint || *at != alert.resolved_at
            });
        }
    }

    fn evaluate(&mut self, burning: [bool; SERVICES], is_full: bool) {
        let batch = self.rules.evaluate(burning, self.now);
        let mut has_room = |target: &watchfire_alerting::Target, _: usize| !(is_full && &*target.receiver == "a");
        let decision = decide(&self.routing, &self.policy, &self.state, &mut self.ids, &batch, self.now, &mut has_room);
        self.record(decision);
    }

    fn tick(&mut self) {
        let decision = decide_by_time(&self.policy, &self.state, &mut self.ids, self.now, &mut |_, _| true);
        self.record(decision);
    }

    fn oldest_open(&self, target: usize) -> Option<Arc<Notification>> {
        let name = ["a", "b"][target];
        self.state.open().find(|open| &*open.flow.target.receiver == name).cloned()
    }

    fn end(&mut self, target: usize, arrives: bool) -> bool {
        let Some(message) = self.oldest_open(target) else { return false };
        let (id, at) = (Arc::clone(&message.id), self.now);
        if arrives {
            for alert in &message.alerts {
                let told = (alert.labels.clone(), alert.starts_at, alert.ends_at);
                assert!(self.arrived[target].insert(told), "told twice: {:?} of {message:?}", alert.labels);
                if alert.is_firing() {
                    self.known[target].insert(alert.labels.clone(), alert.starts_at);
                } else {
                    self.known[target].remove(&alert.labels);
                }
            }
        }
        self.state.apply(&if arrives { Entry::Delivered { id, at } } else { Entry::Failed { id, at } });
        true
    }

    fn restart(&mut self) {
        let mut state = SentState::default();
        for entry in self.state.snapshot() {
            state.apply(&Entry::decode(&entry.encode()).expect("reads back"));
        }
        assert_eq!(state, self.state);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn receivers_end_up_knowing_what_fires(steps in prop::collection::vec(step(), 1..60), burning in any::<[bool; SERVICES]>()) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Evaluate { seconds, burning, is_full } => {
                    world.now = world.now.plus_millis(seconds * 1000);
                    world.evaluate(burning, is_full);
                }
                Step::End { target, arrives } => {
                    world.end(target, arrives);
                }
                Step::Tick { seconds } => {
                    world.now = world.now.plus_millis(seconds * 1000);
                    world.tick();
                }
                Step::Restart => world.restart(),
            }
        }
        // Now everything works again.
        for _ in 0..3 {
            world.now = world.now.plus_millis(6 * 60_000);
            world.evaluate(burning, false);
            world.tick();
            for target in 0..2 {
                while world.end(target, true) {}
            }
        }
        let fires: BTreeMap<LabelSet, Timestamp> =
            world.rules.firing.iter().map(|(service, since)| (labels(*service), *since)).collect();
        prop_assert_eq!(&world.known[0], &fires);
        prop_assert_eq!(&world.known[1], &fires);
        prop_assert!(world.rules.resolved.is_empty(), "all is acknowledged");
        prop_assert_eq!(world.state.open().len(), 0);
    }
}
