//! Labels in the making: those of a sample or of a target, before they are a label set.

use std::borrow::Cow;

/// Names and values in the order in which they came, names unique. A value may be empty, which in the end means
/// that there is no such label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels<'b> {
    pairs: Vec<(Cow<'b, str>, Cow<'b, str>)>,
}

impl<'b> Labels<'b> {
    /// Of pairs whose names differ.
    pub fn from_pairs<N: Into<Cow<'b, str>>, V: Into<Cow<'b, str>>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Labels<'b> {
        let mut labels = Labels::default();
        for (name, value) in pairs {
            labels.set(name.into(), value.into());
        }
        labels
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// Adds a label; false, and nothing is changed, if one of that name is there.
    pub fn push(&mut self, name: Cow<'b, str>, value: Cow<'b, str>) -> bool {
        let is_new = !self.has(&name);
        if is_new {
            self.pairs.push((name, value));
        }
        is_new
    }

    /// Whether a label of that name stands there, even an empty one.
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(have, _)| have == name)
    }

    /// The value of a label, `""` if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(have, _)| have == name).map_or("", |(_, value)| value)
    }

    /// Gives a label a value.
    pub fn set(&mut self, name: Cow<'b, str>, value: Cow<'b, str>) {
        match self.pairs.iter_mut().find(|(have, _)| *have == name) {
            Some((_, have)) => *have = value,
            None => self.pairs.push((name, value)),
        }
    }

    /// Takes a label away.
    pub fn remove(&mut self, name: &str) {
        self.pairs.retain(|(have, _)| have != name);
    }

    /// Keeps the labels whose name satisfies a condition.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.pairs.retain(|(name, _)| keep(name));
    }

    /// Takes away the labels that are empty.
    pub fn drop_empty(&mut self) {
        self.pairs.retain(|(_, value)| !value.is_empty());
    }

    /// Names and values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

/// Whether a label may be called so: since Prometheus 3 any text.
pub fn is_label_name(name: &str) -> bool {
    !name.is_empty()
}
