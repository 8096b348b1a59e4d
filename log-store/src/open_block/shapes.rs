//! Shapes: which columns a record has, in which order. Few in practice, so a row stores a number only.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Stands in a shape for "the next entry of the row's rest".
pub(crate) const REST: u16 = u16::MAX;

/// Nodes of the tree before further shapes are kept as plain lists.
const NODES_MAX: usize = 16_384;
/// Marks the number of a list.
const LIST: u32 = 1 << 31;
const NO_NODE: u32 = u32::MAX;

/// The shapes of one chunk: a tree whose paths from the root are shapes, and lists once the tree is full.
#[derive(Debug)]
pub(crate) struct Shapes {
    nodes: Vec<Node>,
    children: HashMap<(u32, u16), u32, FixedState>,
    list_columns: Vec<u16>,
    /// Where in `list_columns` each list ends.
    list_ends: Vec<u32>,
}

#[derive(Debug)]
struct Node {
    column: u16,
    parent: u32,
    /// The child that came last; most records are like the one before.
    guess: u32,
}

/// A shape on its way from the root.
pub(crate) struct Walk {
    at: u32,
    list: Option<Vec<u16>>,
}

/// What may follow.
#[derive(Clone, Copy)]
pub(crate) struct Guess {
    child: u32,
    pub column: u16,
}

impl Shapes {
    pub fn new() -> Shapes {
        Shapes {
            nodes: vec![Node { column: REST, parent: NO_NODE, guess: NO_NODE }],
            children: HashMap::default(),
            list_columns: Vec::new(),
            list_ends: Vec::new(),
        }
    }

    pub fn start(&self) -> Walk {
        Walk { at: 0, list: None }
    }

    /// The column that followed here last time.
    #[inline]
    pub fn guess(&self, walk: &Walk) -> Option<Guess> {
        let child = self.nodes.get(walk.at as usize)?.guess;
        self.nodes.get(child as usize).map(|node| Guess { child, column: node.column })
    }

    /// Goes to the column that [`Shapes::guess`] gave.
    #[inline]
    pub fn follow(&self, walk: &mut Walk, guess: Guess) {
        match &mut walk.list {
            None => walk.at = guess.child,
            Some(list) => list.push(guess.column),
        }
    }

    /// Goes on to `column`.
    pub fn step(&mut self, walk: &mut Walk, column: u16) {
        if let Some(list) = &mut walk.list {
            list.push(column);
            return;
        }
        if let Some(child) = self.children.get(&(walk.at, column)) {
            self.nodes[walk.at as usize].guess = *child;
            walk.at = *child;
            return;
        }
        if self.nodes.len() >= NODES_MAX {
            let mut list = self.columns_of(walk.at);
            list.push(column);
            *walk = Walk { at: NO_NODE, list: Some(list) };
            return;
        }
        let child = self.nodes.len() as u32;
        self.nodes.push(Node { column, parent: walk.at, guess: NO_NODE });
        self.children.insert((walk.at, column), child);
        self.nodes[walk.at as usize].guess = child;
        walk.at = child;
    }

    /// The number of the finished shape.
    pub fn finish(&mut self, walk: Walk) -> u32 {
        match walk.list {
            None => walk.at,
            Some(list) => {
                self.list_columns.extend_from_slice(&list);
                self.list_ends.push(self.list_columns.len() as u32);
                LIST | (self.list_ends.len() - 1) as u32
            }
        }
    }

    /// The columns of a shape, in order.
    pub fn columns_of(&self, shape: u32) -> Vec<u16> {
        if shape & LIST != 0 && shape != NO_NODE {
            let list = (shape & !LIST) as usize;
            let end = self.list_ends.get(list).copied().unwrap_or(0) as usize;
            let start = list.checked_sub(1).and_then(|before| self.list_ends.get(before)).copied().unwrap_or(0);
            return self.list_columns.get(start as usize..end).unwrap_or_default().to_vec();
        }
        let mut columns = Vec::new();
        let mut at = shape;
        while at != 0 {
            let Some(node) = self.nodes.get(at as usize) else { break };
            columns.push(node.column);
            at = node.parent;
        }
        columns.reverse();
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn add(shapes: &mut Shapes, columns: &[u16]) -> u32 {
        let mut walk = shapes.start();
        for column in columns {
            match shapes.guess(&walk) {
                Some(guess) if guess.column == *column => shapes.follow(&mut walk, guess),
                _ => shapes.step(&mut walk, *column),
            }
        }
        shapes.finish(walk)
    }

    proptest! {
        #[test]
        fn shapes_read_back(lists in prop::collection::vec(prop::collection::vec(0u16..6, 0..8), 0..60)) {
            let mut shapes = Shapes::new();
            let numbers: Vec<u32> = lists.iter().map(|list| add(&mut shapes, list)).collect();
            for (list, number) in lists.iter().zip(numbers) {
                prop_assert_eq!(&shapes.columns_of(number), list);
            }
        }
    }

    #[test]
    fn a_full_tree_goes_on_with_lists() {
        let mut shapes = Shapes::new();
        let lists: Vec<Vec<u16>> =
            (0..3000u32).map(|n| (0..9).map(|k| (n.wrapping_mul(2_654_435_761) >> k) as u16 & 511).collect()).collect();
        let numbers: Vec<u32> = lists.iter().map(|list| add(&mut shapes, list)).collect();
        assert!(numbers.iter().any(|number| number & LIST != 0));
        for (list, number) in lists.iter().zip(numbers) {
            assert_eq!(&shapes.columns_of(number), list);
        }
    }
}
