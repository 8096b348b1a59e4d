//! From the labels that a sample shows to those of its series: the target's come in, rules change them, limits hold.

use watchfire_model::LabelSet;
use watchfire_model::labels::METRIC_NAME;

use crate::config::{ScrapeConfig, ScrapeLimits};
use crate::relabel::relabel;
use watchfire_exposition::escaping::is_plain;
use watchfire_exposition::labels::Labels;

/// What a label of a sample is renamed to when the target has one of that name.
const EXPORTED: &str = "exported_";

/// What the labels of a sample make the whole scrape fail with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LabelFault {
    #[error("a sample has no metric name after relabelling; its labels are {0}")]
    NoName(String),
    #[error("{0} has a name that `metric_name_validation_scheme: legacy` does not allow")]
    Name(String),
    #[error("{series} has {count} labels, more than `label_limit` {limit}")]
    Labels { series: String, count: usize, limit: u64 },
    #[error("{series} has a label whose name is longer than `label_name_length_limit` {limit}")]
    NameLength { series: String, limit: u64 },
    #[error("{series} has a label whose value is longer than `label_value_length_limit` {limit}")]
    ValueLength { series: String, limit: u64 },
}

/// Puts the labels of the target in and applies the job's rules. False: the sample is dropped.
///
/// Errors: what the result may not be.
pub(crate) fn finish<'b>(
    labels: &mut Labels<'b>,
    target: &'b LabelSet,
    config: &ScrapeConfig,
) -> Result<bool, LabelFault> {
    if config.honor_labels {
        add_missing(labels, target);
    } else {
        add_and_rename(labels, target);
    }
    labels.drop_empty();
    if !relabel(&config.metric_relabel, labels) {
        return Ok(false);
    }
    labels.drop_empty();
    if labels.is_empty() {
        return Ok(false);
    }
    if labels.get(METRIC_NAME).is_empty() {
        return Err(LabelFault::NoName(shown(labels)));
    }
    if config.names.only_plain && !has_plain_names(labels) {
        return Err(LabelFault::Name(shown(labels)));
    }
    check(labels, &config.limits)?;
    Ok(true)
}

/// Whether all names are of letters, digits, `_` and, that of the metric, `:`.
fn has_plain_names(labels: &Labels<'_>) -> bool {
    is_plain(labels.get(METRIC_NAME), true) && labels.iter().all(|(name, _)| is_plain(name, false))
}

/// `honor_labels`: what the sample shows stays, even if that is an empty value, which then means no label.
fn add_missing<'b>(labels: &mut Labels<'b>, target: &'b LabelSet) {
    for (name, value) in target.iter() {
        labels.push(name.into(), value.into());
    }
}

/// The target's labels take their names, and those of the sample make way.
fn add_and_rename<'b>(labels: &mut Labels<'b>, target: &'b LabelSet) {
    let mut renamed: Vec<(&str, String)> = Vec::new();
    for (name, value) in target.iter() {
        let shown = labels.get(name);
        if !shown.is_empty() {
            renamed.push((name, shown.to_owned()));
        }
        labels.set(name.into(), value.into());
    }
    // The shorter ones first, as Prometheus has it: `exported_job` may be taken, too.
    renamed.sort_by_key(|(name, _)| name.len());
    for (name, value) in renamed {
        let mut free = format!("{EXPORTED}{name}");
        while !labels.get(&free).is_empty() {
            free.insert_str(0, EXPORTED);
        }
        labels.set(free.into(), value.into());
    }
}

fn check(labels: &Labels<'_>, limits: &ScrapeLimits) -> Result<(), LabelFault> {
    let exceeds = |length: usize, limit: u64| limit > 0 && length as u64 > limit;
    if exceeds(labels.len(), limits.labels) {
        return Err(LabelFault::Labels { series: shown(labels), count: labels.len(), limit: limits.labels });
    }
    if limits.label_name_bytes > 0 && labels.iter().any(|(name, _)| exceeds(name.len(), limits.label_name_bytes)) {
        return Err(LabelFault::NameLength { series: shown(labels), limit: limits.label_name_bytes });
    }
    if limits.label_value_bytes > 0 && labels.iter().any(|(_, value)| exceeds(value.len(), limits.label_value_bytes)) {
        return Err(LabelFault::ValueLength { series: shown(labels), limit: limits.label_value_bytes });
    }
    Ok(())
}

/// A series in a message, shortened.
fn shown(labels: &Labels<'_>) -> String {
    let set = LabelSet::from_pairs(labels.iter()).unwrap_or_default().to_string();
    if set.chars().count() <= 120 { set } else { set.chars().take(120).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(shown: &[(&str, &str)], config: &ScrapeConfig) -> Result<Option<String>, LabelFault> {
        let target = LabelSet::from_pairs([("job", "j"), ("instance", "i")]).expect("labels");
        let mut labels = Labels::from_pairs(shown.iter().copied());
        let kept = finish(&mut labels, &target, config)?;
        Ok(kept.then(|| LabelSet::from_pairs(labels.iter()).expect("labels").to_string()))
    }

    #[test]
    fn the_target_wins_unless_its_labels_are_honoured() {
        let mut config = ScrapeConfig::new("j");
        let shown = [("__name__", "m"), ("job", "mine"), ("exported_job", "taken"), ("instance", "")];
        let expected = r#"m{exported_exported_job="mine", exported_job="taken", instance="i", job="j"}"#;
        assert_eq!(finished(&shown, &config), Ok(Some(expected.to_owned())));
        config.honor_labels = true;
        assert_eq!(finished(&shown, &config), Ok(Some(r#"m{exported_job="taken", job="mine"}"#.to_owned())));
    }

    #[test]
    fn limits_count_the_name_too() {
        let mut config = ScrapeConfig::new("j");
        config.limits =
            ScrapeLimits { labels: 3, label_name_bytes: 8, label_value_bytes: 4, ..ScrapeLimits::default() };
        assert!(finished(&[("__name__", "m")], &config).is_ok_and(|kept| kept.is_some()));
        assert!(matches!(
            finished(&[("__name__", "m"), ("a", "b")], &config),
            Err(LabelFault::Labels { count: 4, .. })
        ));
        assert!(matches!(finished(&[("__name__", "mmmmm")], &config), Err(LabelFault::ValueLength { .. })));
        config.limits.label_name_bytes = 7;
        assert!(matches!(finished(&[("__name__", "m")], &config), Err(LabelFault::NameLength { .. })));
    }
}
