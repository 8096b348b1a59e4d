//! Which targets an alert goes to.
//!
//! There is no route tree yet: an alert goes to the receivers it names, else to the default ones. A tree takes this
//! file's place: it too is asked alert by alert, and answers with targets and what groups them.

use crate::config::ReceiverSettings;
use crate::notification::{IntegrationKind, Target};
use std::collections::HashMap;

/// A target and what deciding needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTarget {
    /// Where messages go.
    pub target: Target,
    /// Whether it wants to hear of resolved alerts.
    pub send_resolved: bool,
}

/// The receivers, by name, and which of them hear of alerts that name none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    targets: Vec<RouteTarget>,
    by_name: HashMap<String, Vec<usize>>,
    default: Vec<usize>,
}

impl Routing {
    /// Routing without a tree. No default receivers means all but those inside this process; names that no receiver has are passed over (the
    /// configuration's check refuses them).
    pub fn flat(settings: &ReceiverSettings) -> Routing {
        let mut routing = Routing::default();
        for (place, (target, integration)) in settings.targets().into_iter().enumerate() {
            routing.by_name.entry(target.receiver.to_string()).or_default().push(place);
            routing.targets.push(RouteTarget { target, send_resolved: integration.send_resolved() });
        }
        routing.default = if settings.default_receivers.is_empty() {
            let is_outside = |place: &usize| routing.targets[*place].target.kind != IntegrationKind::Inner;
            (0..routing.targets.len()).filter(is_outside).collect()
        } else {
            routing.places(&settings.default_receivers)
        };
        routing
    }

    /// All targets.
    pub fn targets(&self) -> &[RouteTarget] {
        &self.targets
    }

    /// The places in [`Routing::targets`] of who hears of an alert that names these receivers. If none of the names
    /// is known, the default ones: a page is rather misdirected than lost.
    pub fn places_for(&self, named: &[String]) -> Vec<usize> {
        let places = self.places(named);
        if places.is_empty() { self.default.clone() } else { places }
    }

    /// The names of the receivers that hear of an alert that names these.
    pub fn receivers_for(&self, named: &[String]) -> Vec<String> {
        let targets = self.places_for(named).into_iter().filter_map(|place| self.targets.get(place));
        let mut names: Vec<String> = targets.map(|route| route.target.receiver.to_string()).collect();
        names.dedup();
        names
    }

    fn places(&self, names: &[String]) -> Vec<usize> {
        let mut places: Vec<usize> =
            names.iter().filter_map(|name| self.by_name.get(name)).flatten().copied().collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}
