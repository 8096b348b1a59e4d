//! The names at the top of a record: most records have those of an earlier one, in the same order.

use watchfire_model::short::same_bytes;

use super::tape::NodeIndex;

/// The names of a record's own members, no two of them equal, and where they stand on the tape.
#[derive(Debug, Default)]
pub struct Form {
    names: String,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    node: NodeIndex,
    /// Where in the names it ends.
    end: usize,
}

impl Form {
    /// How many names.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Adds the next name.
    pub(super) fn push(&mut self, node: NodeIndex, name: &str) {
        self.names.push_str(name);
        self.keys.push(Key { node, end: self.names.len() });
    }

    /// Whether the name of this number is this one, at this place.
    #[inline]
    pub(super) fn has(&self, number: usize, node: NodeIndex, name: &str) -> bool {
        let Some(key) = self.keys.get(number) else { return false };
        let start = number.checked_sub(1).and_then(|before| self.keys.get(before)).map_or(0, |before| before.end);
        key.node == node
            && self.names.as_bytes().get(start..key.end).is_some_and(|have| same_bytes(have, name.as_bytes()))
    }

    /// Memory that it holds, bytes.
    pub(super) fn held_bytes(&self) -> usize {
        self.names.capacity() + self.keys.capacity() * size_of::<Key>()
    }

    /// Where the names stand.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.keys.iter().map(|key| key.node)
    }
}
