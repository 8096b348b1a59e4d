//! The name of a column.

use watchfire_model::record::{Column, Core, Root};
use watchfire_model::short::same_bytes;

/// Which column: a number for a core text or for the root, and the path below the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ColumnName {
    /// A [`Core`] number, or `0x10 +` a [`Root`] number.
    pub kind: u8,
    /// Empty for core texts.
    pub path: Box<str>,
}

const ROOT: u8 = 0x10;

impl ColumnName {
    /// The parts of a column's name, without a copy.
    pub fn parts(column: Column<'_>) -> (u8, &str) {
        match column {
            Column::Core(core) => (core as u8, ""),
            Column::Leaf(root, path) => (ROOT + root as u8, path),
        }
    }

    pub fn new(kind: u8, path: &str) -> ColumnName {
        ColumnName { kind, path: path.into() }
    }

    /// Whether these are the parts of this name.
    #[inline]
    pub fn is(&self, kind: u8, path: &str) -> bool {
        self.kind == kind && same_bytes(self.path.as_bytes(), path.as_bytes())
    }

    /// `None` if the number is of a kind that this version does not know.
    pub fn column(&self) -> Option<Column<'_>> {
        match self.kind.checked_sub(ROOT) {
            Some(root) => Root::ALL.get(usize::from(root)).map(|root| Column::Leaf(*root, &self.path)),
            None => Core::ALL.get(usize::from(self.kind).checked_sub(1)?).map(|core| Column::Core(*core)),
        }
    }
}

/// As queries name it; in brackets, by its number, what records do not name.
impl std::fmt::Display for ColumnName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.column() {
            Some(Column::Core(core)) => f.write_str(core.name()),
            Some(Column::Leaf(root, path)) => write!(f, "{}.{path}", root.name()),
            None => write!(f, "({:#x})", self.kind),
        }
    }
}
