//! Values that are named by `&name` and written again as `*name`.
//!
//! A small file can name values that name values, and so mean more than any memory holds; what may be copied is
//! bounded.

use std::collections::HashMap;

use crate::tree::{Kind, Node};

/// Most values that aliases may stand for, all together.
const COPIES_MAX: usize = 100_000;
/// Most bytes of text that aliases may stand for, all together.
const COPIED_BYTES_MAX: usize = 16 << 20;

/// The named values of a file.
#[derive(Default)]
pub struct Anchors {
    known: HashMap<usize, Node>,
    copies: usize,
    copied_bytes: usize,
}

impl Anchors {
    /// Notes a value under the number of its name; 0 is none.
    pub fn keep(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.known.insert(anchor, node.clone());
        }
    }

    /// What stands where the value is named again.
    ///
    /// Errors: what is wrong with that.
    pub fn copy(&mut self, anchor: usize) -> Result<Kind, &'static str> {
        let node = self.known.get(&anchor).ok_or("this names a value that is not there, or the one around it")?;
        let (nodes, bytes) = size(node);
        self.copies = self.copies.saturating_add(nodes);
        self.copied_bytes = self.copied_bytes.saturating_add(bytes);
        if self.copies > COPIES_MAX || self.copied_bytes > COPIED_BYTES_MAX {
            return Err("the aliases (`*name`) up to here stand for too much; write the value out");
        }
        Ok(node.kind.clone())
    }
}

/// Nodes, and bytes of their texts.
fn size(node: &Node) -> (usize, usize) {
    let add = |(nodes, bytes): (usize, usize), (more, also): (usize, usize)| (nodes + more, bytes + also);
    match &node.kind {
        Kind::Null => (1, 0),
        Kind::Scalar { text, .. } => (1, text.len()),
        Kind::List(items) => items.iter().map(size).fold((1, 0), add),
        Kind::Map(entries) => entries.iter().map(|(key, _, node)| add(size(node), (0, key.len()))).fold((1, 0), add),
    }
}

#[cfg(test)]
mod tests {
    use crate::tree::{Kind, parse_verbatim};

    #[test]
    fn named_values_stand_where_they_are_named_again() {
        let file = "a: &x {p: 1, q: [2]}\nb: *x\nc: {<<: *x, p: 3}\nd: &y text\ne: *y\n";
        let (root, faults) = parse_verbatim(file).expect("YAML");
        assert!(faults.is_empty(), "{faults:?}");
        let text = |path: &str| match &root.at(path).kind {
            Kind::Scalar { text, .. } => text.clone(),
            kind => kind.name().to_owned(),
        };
        assert_eq!([text("b.p"), text("b.q[0]"), text("c.p"), text("c.q[0]"), text("e")], ["1", "2", "3", "2", "text"]);
    }

    #[test]
    fn a_file_cannot_mean_more_than_memory_holds() {
        let mut file = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = format!("*a{}", n - 1);
            file.push_str(&format!("a{n}: &a{n} [{}]\n", vec![before; 10].join(", ")));
        }
        let faults = parse_verbatim(&file).expect_err("too much");
        assert!(faults.iter().any(|fault| fault.message.contains("too much")), "{faults:?}");
        assert!(parse_verbatim("a: &a [*a]").is_err());
        assert!(parse_verbatim("a: {<<: text}").is_ok_and(|(_, faults)| faults.len() == 1));
    }
}
