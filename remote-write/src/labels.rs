//! The labels of a series as its receiver gets them: with ours added, relabelled, sorted, and written once.

use std::sync::Arc;

use watchfire_exposition::labels::Labels;
use watchfire_model::LabelSet;
use watchfire_protobuf::{Field, Message, Writer};
use watchfire_scrape::relabel::{RelabelRule, relabel};

/// Field of a label in a series of remote-write 1.0.
const LABEL: u32 = 1;

/// Labels as they lie in a series of remote-write 1.0. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentLabels(Arc<[u8]>);

impl SentLabels {
    /// Those of a series; `None` if the rules leave it out, or leave nothing of it.
    pub(crate) fn new<'l>(
        pairs: impl IntoIterator<Item = (&'l str, &'l str)>,
        external: &'l LabelSet,
        rules: &[RelabelRule],
    ) -> Option<SentLabels> {
        let mut labels = Labels::from_pairs(pairs);
        for (name, value) in external.iter() {
            // A label that the series has itself stays.
            labels.push(name.into(), value.into());
        }
        if !relabel(rules, &mut labels) {
            return None;
        }
        labels.drop_empty();
        let mut sorted: Vec<(&str, &str)> = labels.iter().collect();
        sorted.sort_unstable();
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        for (name, value) in &sorted {
            writer.message(LABEL, |label| {
                label.bytes(1, name.as_bytes());
                label.bytes(2, value.as_bytes());
            });
        }
        (!sorted.is_empty()).then(|| SentLabels(bytes.into()))
    }

    /// As fields of a series of remote-write 1.0.
    pub(crate) fn as_fields(&self) -> &[u8] {
        &self.0
    }

    /// Calls back with each name and value.
    pub(crate) fn each(&self, mut each: impl FnMut(&[u8], &[u8])) {
        let mut labels = Message::new(&self.0);
        while let Ok(Some((_, Field::Bytes(label)))) = labels.next() {
            let (mut label, mut name, mut value) = (Message::new(label), &[][..], &[][..]);
            while let Ok(Some((number, Field::Bytes(text)))) = label.next() {
                if number == 1 { name = text } else { value = text }
            }
            each(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use watchfire_scrape::relabel::{Action, Anchored};

    use super::*;

    fn told(labels: &SentLabels) -> String {
        let mut text = String::new();
        labels.each(|name, value| {
            text.push_str(&format!("{}={} ", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
        });
        text
    }

    #[test]
    fn ours_are_added_before_the_rules_and_the_series_own_win() {
        let external = LabelSet::from_pairs([("region", "eu"), ("job", "ours")]).expect("valid");
        let pairs = [("__name__", "up"), ("job", "node")];
        let sent = SentLabels::new(pairs, &external, &[]).expect("sent");
        assert_eq!(told(&sent), "__name__=up job=node region=eu ");
        let rule = |action, label: &str, regex: &str| RelabelRule {
            source_labels: vec![label.to_owned()],
            regex: Some(Anchored::new(regex).expect("an expression")),
            action,
            ..RelabelRule::default()
        };
        assert_eq!(SentLabels::new(pairs, &external, &[rule(Action::Drop, "region", "eu")]), None);
        let drop_all = RelabelRule { source_labels: Vec::new(), ..rule(Action::LabelDrop, "", ".*") };
        assert_eq!(SentLabels::new(pairs, &external, &[drop_all]), None);
    }
}
