//! `watchfire check routes`: who is told of which alerts, as alerting itself decides it.

use std::collections::BTreeSet;
use std::path::Path;

use watchfire_alerting::route::Routing;
use watchfire_rules::{AlertRule, Rule};

use crate::load::{self, Setup};
use crate::receivers;

/// Labels of an alert, as they were given.
pub type Labels = [(String, String)];

/// Who is told, and what is unwise about it.
pub struct Routes {
    /// Lines to show.
    pub shown: Vec<String>,
    /// Lines of what is no fault.
    pub lint: Vec<String>,
    /// Names of the receivers that are told.
    pub told: BTreeSet<String>,
}

/// Reads the configuration, the files that it names included, and says who is told of the alerts that have these labels; of
/// all alerts without any.
///
/// Errors: all that a start would refuse.
pub fn check(file: &Path, labels: &Labels) -> Result<Routes, Vec<String>> {
    let setup = load::setup(Some(file), None).map_err(|faults| faults.0)?;
    let settings = receivers::settings(&setup.config, None);
    let routing = Routing::flat(&settings);
    let mut routes = Routes { shown: Vec::new(), lint: Vec::new(), told: BTreeSet::new() };
    for (file, rule) in alert_rules(&setup).filter(|(_, rule)| may_have(rule, labels)) {
        let told = told_of(&routing, &rule.receivers);
        routes.shown.push(format!("  {} ({file}): {}", rule.name, shown(&told)));
        routes.told.extend(names(&told));
    }
    if routes.shown.is_empty() {
        let told = told_of(&routing, &[]);
        let which =
            if labels.is_empty() { "there is no alerting rule" } else { "no rule gives an alert with these labels" };
        routes.shown.push(format!("  {which}; of one that names no receiver: {}", shown(&told)));
        routes.told.extend(names(&told));
    }
    let display = file.display();
    if labels.is_empty() {
        if settings.receivers.is_empty() && alert_rules(&setup).next().is_some() {
            routes.lint.push(format!("{display}: nobody is told of any alert; name somebody in `alerting.receivers`"));
        }
        for receiver in settings.receivers.iter().filter(|receiver| !routes.told.contains(&receiver.name)) {
            let name = &receiver.name;
            routes.lint.push(format!(
                "{display}: receiver `{name}` is told of no alert; name it in a rule or in `default_receivers`, or remove it"
            ));
        }
    }
    Ok(routes)
}

fn alert_rules(setup: &Setup) -> impl Iterator<Item = (&str, &AlertRule)> {
    let groups = setup.rules.groups().iter();
    groups.flat_map(|group| group.rules.iter().map(move |rule| (group.file.as_str(), rule))).filter_map(
        |(file, rule)| match rule {
            Rule::Alert(rule) => Some((file, &**rule)),
            Rule::Record(_) => None,
        },
    )
}

/// Whether an alert of the rule may have all of these labels: none contradicts what the rule itself says.
fn may_have(rule: &AlertRule, labels: &Labels) -> bool {
    labels.iter().all(|(name, value)| match rule.labels.iter().find(|(own, _)| own == name) {
        _ if name == watchfire_rules::rule::ALERT_NAME => *value == rule.name,
        Some((_, template)) => template.source() == value || template.source().contains("{{"),
        None => true,
    })
}

/// Receivers and the ways in which they are told.
fn told_of(routing: &Routing, named: &[String]) -> BTreeSet<(String, &'static str)> {
    let targets = routing.places_for(named).into_iter().filter_map(|place| routing.targets().get(place));
    targets.map(|route| (route.target.receiver.to_string(), route.target.kind.as_str())).collect()
}

fn names(told: &BTreeSet<(String, &'static str)>) -> impl Iterator<Item = String> {
    told.iter().map(|(name, _)| name.clone())
}

fn shown(told: &BTreeSet<(String, &'static str)>) -> String {
    if told.is_empty() {
        return "nobody".to_owned();
    }
    told.iter().map(|(name, kind)| format!("{name} ({kind})")).collect::<Vec<_>>().join(", ")
}
