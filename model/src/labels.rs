//! Label sets: the identity of a series and of an alert.

use std::sync::Arc;

/// Label name under which a metric's name stands in its label set.
pub const METRIC_NAME: &str = "__name__";

/// Why a list of labels is no label set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The same name twice.
    #[error("label `{name}` stands twice; give each name once")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// An empty name.
    #[error("a label has an empty name (its value is `{value}`)")]
    EmptyName {
        /// Its value.
        value: String,
    },
}

/// Labels sorted by name, names unique, values not empty (an empty value means "no such label").
///
/// Cheap to clone. Equality, order and hash go by content.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct LabelSet(Arc<[(Arc<str>, Arc<str>)]>);

impl LabelSet {
    /// The set without labels.
    pub fn empty() -> LabelSet {
        LabelSet::default()
    }

    /// Sorts the pairs and drops those with an empty value.
    ///
    /// Errors: a name twice, an empty name.
    pub fn from_pairs<N, V, I>(pairs: I) -> Result<LabelSet, LabelError>
    where
        N: Into<Arc<str>>,
        V: Into<Arc<str>>,
        I: IntoIterator<Item = (N, V)>,
    {
        let mut labels: Vec<(Arc<str>, Arc<str>)> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        labels.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for pair in labels.windows(2) {
            if pair[0].0 == pair[1].0 {
                return Err(LabelError::Duplicate { name: pair[0].0.to_string() });
            }
        }
        if let Some((name, value)) = labels.first()
            && name.is_empty()
        {
            return Err(LabelError::EmptyName { value: value.to_string() });
        }
        labels.retain(|(_, value)| !value.is_empty());
        Ok(LabelSet(labels.into()))
    }

    /// The value of a label, `None` if the set has none of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.binary_search_by(|(have, _)| (**have).cmp(name)).ok().map(|at| &*self.0[at].1)
    }

    /// The metric name, `""` if there is none.
    pub fn metric_name(&self) -> &str {
        match self.0.first() {
            // Few names are written with capitals, which come before.
            Some((name, value)) if &**name == METRIC_NAME => value,
            _ => self.get(METRIC_NAME).unwrap_or(""),
        }
    }

    /// Name and value, in the order of names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The shared texts, for who keeps them.
    pub fn shared(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.0
    }

    /// How many labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This set with one label set to a value (an empty value removes it).
    pub fn with(&self, name: &str, value: &str) -> LabelSet {
        let mut labels: Vec<_> = self.0.iter().filter(|(have, _)| &**have != name).cloned().collect();
        if !value.is_empty() {
            let at = labels.partition_point(|(have, _)| &**have < name);
            labels.insert(at, (name.into(), value.into()));
        }
        LabelSet(labels.into())
    }

    /// Only the labels whose name satisfies the condition.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) -> LabelSet {
        // What goes is mostly the first, the metric's name: what stays is then copied in one piece.
        let first = self.0.iter().take_while(|(name, _)| !keep(name)).count();
        let rest = &self.0[first..];
        let next = rest.iter().skip(1).take_while(|(name, _)| keep(name)).count();
        if next + 1 >= rest.len() {
            return LabelSet(rest.into());
        }
        let others = rest[next + 2..].iter().filter(|(name, _)| keep(name));
        LabelSet(rest[..=next].iter().chain(others).cloned().collect())
    }

    /// FNV-1a 64 over `name 0xff value 0xff` in the order of names, as Prometheus computes it.
    pub fn fingerprint(&self) -> u64 {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let mut hash = OFFSET;
        let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        for (name, value) in self.iter() {
            name.bytes().for_each(&mut add);
            add(0xff);
            value.bytes().for_each(&mut add);
            add(0xff);
        }
        hash
    }
}

/// `name{a="b", c="d"}`, as PromQL writes a series.
impl std::fmt::Display for LabelSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.metric_name())?;
        let mut rest = self.iter().filter(|(name, _)| *name != METRIC_NAME).peekable();
        if rest.peek().is_none() {
            return if self.metric_name().is_empty() { f.write_str("{}") } else { Ok(()) };
        }
        f.write_str("{")?;
        for (at, (name, value)) in rest.enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl std::fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> LabelSet {
        LabelSet::from_pairs(pairs.iter().copied()).expect("test labels are valid")
    }

    #[test]
    fn sorts_and_drops_empty_values() {
        let labels = set(&[("b", "2"), ("a", "1"), ("c", "")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!(labels.get("c"), None);
        assert_eq!(labels, labels.with("c", ""));
        assert_eq!(labels.with("aa", "x").to_string(), r#"{a="1", aa="x", b="2"}"#);
    }

    #[test]
    fn what_is_kept_stays_in_order() {
        let labels = set(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
        for chosen in 0..16_u32 {
            let names: Vec<&str> = ["a", "b", "c", "d"]
                .into_iter()
                .enumerate()
                .filter(|(at, _)| chosen >> at & 1 == 1)
                .map(|(_, name)| name)
                .collect();
            let kept = labels.retain(|name| names.contains(&name));
            assert_eq!(kept.iter().map(|(name, _)| name).collect::<Vec<_>>(), names);
        }
    }

    #[test]
    fn refuses_duplicates_and_empty_names() {
        let twice = LabelSet::from_pairs([("a", "1"), ("a", "2")]);
        assert_eq!(twice, Err(LabelError::Duplicate { name: "a".into() }));
        assert!(LabelSet::from_pairs([("", "1")]).is_err());
    }

    #[test]
    fn fingerprint_is_fnv1a_with_separators() {
        assert_eq!(LabelSet::empty().fingerprint(), 0xcbf2_9ce4_8422_2325);
        // FNV-1a 64 of the bytes 61 ff 62 ff, computed independently.
        let by_hand = [0x61u64, 0xff, 0x62, 0xff]
            .iter()
            .fold(14_695_981_039_346_656_037u64, |h, b| (h ^ b).wrapping_mul(1_099_511_628_211));
        assert_eq!(set(&[("a", "b")]).fingerprint(), by_hand);
    }
}
