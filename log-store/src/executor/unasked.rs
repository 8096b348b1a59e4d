//! Facets of fields that nobody asked for: many at once, so each column name is looked up among them, and the rest of a
//! block is gone through once for all.

use std::borrow::Cow;

use hashbrown::HashMap;
use watchfire_model::record::{Column, PATH_SEPARATOR, Root, ValueRef};

use super::block::{BlockView, Failure};
use super::budget::Budget;
use super::facets::{FEW, Of};
use super::leaf::Leaf;
use super::texts::Texts;
use crate::query::{Field, Relation, Test};
use crate::values::Bits;

/// The fields, and by root which of them have to do with a path.
#[derive(Debug, Default)]
pub(super) struct Unasked {
    pub fields: Vec<Field>,
    by_root: [Paths; Root::ALL.len()],
}

/// Numbers of fields by the paths that they have to do with, names joined by dots.
#[derive(Debug, Default)]
struct Paths {
    /// The field of this path.
    at: HashMap<Box<str>, usize>,
    /// Fields that go on inside the lists at this path.
    inside: HashMap<Box<str>, Vec<usize>>,
}

/// Where a block keeps a field, and what its rest has of it.
#[derive(Debug, Default)]
struct Kept {
    /// Columns that tell whether a record has it.
    own: Vec<usize>,
    /// Those of them that are the field itself.
    same: Vec<usize>,
    /// Those of them that may have it in lists.
    above: Vec<usize>,
    is_many: bool,
    /// Rows that have it in the rest, ascending.
    rest_rows: Vec<u32>,
    rest_texts: Texts,
}

impl Paths {
    /// Calls `visit` with the fields that may have to do with a column.
    fn related(&self, path: &str, mut visit: impl FnMut(usize)) {
        let path = dotted(path);
        self.inside.get(&*path).into_iter().flatten().for_each(|at| visit(*at));
        let objects = path.match_indices('.').map(|(end, _)| &path[..end]);
        // The field of no name is the whole object.
        let whole = (!path.is_empty() && !path.starts_with('.')).then_some("");
        whole.into_iter().chain(objects).chain([&*path]).filter_map(|path| self.at.get(path)).for_each(|at| visit(*at));
    }
}

fn dotted(path: &str) -> Cow<'_, str> {
    if path.contains(PATH_SEPARATOR) { path.replace(PATH_SEPARATOR, ".").into() } else { path.into() }
}

impl Unasked {
    /// Of different fields.
    pub fn new(fields: Vec<Field>) -> Unasked {
        let mut unasked = Unasked { fields, ..Unasked::default() };
        for (at, field) in unasked.fields.iter().enumerate() {
            let Field::Leaf(root, path) = field else { continue };
            let paths = &mut unasked.by_root[*root as usize];
            let path = path.as_str();
            paths.at.insert(path.into(), at);
            for (end, _) in path.match_indices('.') {
                paths.inside.entry(path[..end].into()).or_default().push(at);
            }
        }
        unasked
    }

    /// Calls `visit` with the number of each field that a column may tell of.
    fn related(&self, column: Column<'_>, visit: impl FnMut(usize)) {
        if let Column::Leaf(root, path) = column {
            self.by_root[root as usize].related(path, visit);
        }
    }

    fn exists(&self, at: usize) -> Leaf<'_> {
        Leaf::Field(&self.fields[at], &Test::Exists)
    }

    /// What the rows of a set have of each field, by its number; fields that a block has nothing of are left out.
    pub fn find(&self, view: &dyn BlockView, rows: &Bits, budget: &Budget) -> Result<Vec<(usize, Of)>, Failure> {
        let mut kept = self.own(view);
        kept.iter_mut().for_each(|kept| kept.is_many = !view.has_few(&kept.same, FEW));
        self.read_rest(view, rows, &mut kept)?;
        let mut all = Vec::new();
        for (at, kept) in kept.into_iter().enumerate() {
            budget.check()?;
            if !kept.own.is_empty() || !kept.rest_rows.is_empty() {
                all.push((at, self.found(view, rows, at, kept)?));
            }
        }
        Ok(all)
    }

    /// The block's own columns of each field.
    fn own(&self, view: &dyn BlockView) -> Vec<Kept> {
        let mut kept: Vec<Kept> = self.fields.iter().map(|_| Kept::default()).collect();
        for (number, column) in view.own() {
            self.related(column, |at| {
                if self.exists(at).on(column).is_some() {
                    kept[at].own.push(number);
                }
                match self.fields[at].relation(column) {
                    Relation::Same => kept[at].same.push(number),
                    Relation::Above(_) => kept[at].above.push(number),
                    Relation::Below | Relation::Apart => {}
                }
            });
        }
        kept
    }

    fn read_rest(&self, view: &dyn BlockView, rows: &Bits, kept: &mut [Kept]) -> Result<(), Failure> {
        let is_related = |column: Column<'_>| {
            let mut is_any = false;
            self.related(column, |_| is_any = true);
            is_any
        };
        if !view.rest_has(&is_related) {
            return Ok(());
        }
        view.each_rest(rows, &mut |row, column, value: ValueRef<'_>| {
            self.related(column, |at| {
                let kept = &mut kept[at];
                let row = row as u32;
                if kept.rest_rows.last() != Some(&row) && self.exists(at).matches(column, value) {
                    kept.rest_rows.push(row);
                }
                if !kept.is_many {
                    self.fields[at].each_in(column, value, &mut |value| kept.rest_texts.add(row, value));
                }
            });
        })
    }

    fn found(&self, view: &dyn BlockView, rows: &Bits, at: usize, kept: Kept) -> Result<Of, Failure> {
        let mut having = view.leaf_in(&kept.own, &self.exists(at), rows)?;
        having.and(rows);
        kept.rest_rows.iter().for_each(|row| having.set(*row as usize));
        let mut found = Of { records: having.count() as u64, is_many: kept.is_many, ..Of::default() };
        if found.is_many || found.records == 0 {
            return Ok(found);
        }
        let mut add = |text: &str, times| found.counts.add(text, times);
        match kept.same[..] {
            [own] if kept.above.is_empty() && kept.rest_texts.len() == 0 => view.values_in(own, rows, &mut add)?,
            _ => {
                // A row may have a text in several of them, and counts once.
                let mut texts = kept.rest_texts;
                for own in [&kept.same, &kept.above] {
                    view.texts_in(&self.fields[at], own, rows, &mut texts)?;
                }
                texts.finish().count(&mut add);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Path;
    use proptest::prelude::*;

    /// Paths of few names, some of them empty, joined by dots or by what stands between the names of objects.
    fn path() -> impl Strategy<Value = String> {
        "[ab]?([.\u{1f}][ab]?){0,3}"
    }

    proptest! {
        #[test]
        fn no_field_that_a_column_tells_of_is_missed(
            fields in prop::collection::hash_set(path(), 1..12),
            columns in prop::collection::vec(path(), 1..12),
        ) {
            let fields: std::collections::HashSet<String> = fields.iter().map(|path| dotted(path).into_owned()).collect();
            let leaf = |path: &String| Field::Leaf(Root::Fields, Path::new(path));
            let unasked = Unasked::new(fields.iter().map(leaf).collect());
            for path in &columns {
                let column = Column::Leaf(Root::Fields, path);
                let told = |at: &usize| unasked.exists(*at).on(column).is_some();
                let mut related = Vec::new();
                unasked.related(column, |at| related.push(at));
                related.retain(told);
                related.sort_unstable();
                let expected: Vec<usize> = (0..fields.len()).filter(told).collect();
                prop_assert_eq!(related, expected, "{:?} in {:?}", path, &unasked.fields);
            }
        }
    }
}
