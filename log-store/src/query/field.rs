//! Names of fields in a query, and which columns of a record they mean.

use watchfire_model::record::{Column, Core, Encoded, PATH_SEPARATOR, Root, ValueRef};

/// What a predicate looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `level`
    Level,
    /// `timestamp`
    Timestamp,
    /// `accepted_at`
    AcceptedAt,
    /// `seq`, the record's number.
    Seq,
    /// One of the record's own texts.
    Core(Core),
    /// What lies at a path below one of the record's objects.
    Leaf(Root, Path),
}

/// Names of nested objects joined by dots, as a query writes them; empty for the whole object (`insight:*`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path(Box<str>);

/// How a column (or a member of an object) lies to a [`Path`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation<'p> {
    /// It has nothing to do with the path.
    Apart,
    /// It is what the path names.
    Same,
    /// The path names an object that it is part of.
    Below,
    /// The path goes on, inside the objects of its array, with these names.
    Above(&'p str),
}

impl Field {
    /// The field of a name: a name of the record (in any case), or a path below one of its objects, else below
    /// `fields`. `None` if nothing follows the dot.
    pub fn parse(name: &str) -> Option<Field> {
        let own = [
            ("level", Field::Level),
            ("timestamp", Field::Timestamp),
            ("accepted_at", Field::AcceptedAt),
            ("seq", Field::Seq),
        ];
        if let Some((_, field)) = own.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)) {
            return Some(field);
        }
        if let Some(core) = Core::ALL.into_iter().find(|core| core.name().eq_ignore_ascii_case(name)) {
            return Some(Field::Core(core));
        }
        for root in Root::ALL {
            if root.name().eq_ignore_ascii_case(name) {
                return Some(Field::Leaf(root, Path::new("")));
            }
            let (head, rest) = name.split_once('.').unwrap_or((name, ""));
            if root.name().eq_ignore_ascii_case(head) {
                return (!rest.is_empty()).then(|| Field::Leaf(root, Path::new(rest)));
            }
        }
        (!name.is_empty()).then(|| Field::Leaf(Root::Fields, Path::new(name)))
    }

    /// Whether `field:value` means the tokens of the value in a row, rather than the whole value.
    pub fn by_tokens(&self) -> bool {
        match self {
            Field::Core(Core::Message) => true,
            Field::Leaf(root, _) => *root != Root::Tags,
            Field::Level | Field::Timestamp | Field::AcceptedAt | Field::Seq | Field::Core(_) => false,
        }
    }

    /// Whether a record may have a number here: times, `seq`, and what lies below its objects.
    pub fn may_be_number(&self) -> bool {
        matches!(self, Field::Timestamp | Field::AcceptedAt | Field::Seq | Field::Leaf(..))
    }

    /// Whether it is another in each record, or nearly so: its values are not told apart or counted.
    pub fn is_each_records(&self) -> bool {
        matches!(self, Field::Timestamp | Field::AcceptedAt | Field::Seq)
    }

    /// Whether it is one of the record's objects, which holds named values and has none itself.
    pub fn is_object(&self) -> bool {
        matches!(self, Field::Leaf(_, path) if path.0.is_empty())
    }

    /// How a column of a record lies to this field; always [`Relation::Apart`] for level, times and `seq`, which
    /// are no columns.
    pub fn relation(&self, column: Column<'_>) -> Relation<'_> {
        match (self, column) {
            (Field::Core(wanted), Column::Core(core)) if *wanted == core => Relation::Same,
            (Field::Leaf(wanted, path), Column::Leaf(root, column_path)) if *wanted == root => {
                path.relation(column_path)
            }
            _ => Relation::Apart,
        }
    }

    /// Whether a column is the field, or may have it inside of lists.
    pub(crate) fn may_be_in(&self, column: Column<'_>) -> bool {
        matches!(self.relation(column), Relation::Same | Relation::Above(_))
    }

    /// Goes through what a value of a column has for the field: the value itself, or those in the objects of a list.
    pub(crate) fn each_in(&self, column: Column<'_>, value: ValueRef<'_>, visit: &mut dyn FnMut(ValueRef<'_>)) {
        match self.relation(column) {
            Relation::Same => visit(value),
            Relation::Above(rest) => {
                any_inside(value, rest, false, &mut |value| {
                    visit(value);
                    false
                });
            }
            Relation::Below | Relation::Apart => {}
        }
    }
}

impl Path {
    /// A path as a query writes it.
    pub fn new(dotted: &str) -> Path {
        Path(dotted.into())
    }

    /// As a query writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How a column with this path (names joined by [`PATH_SEPARATOR`]) lies to this path.
    pub fn relation(&self, column_path: &str) -> Relation<'_> {
        relation(&self.0, column_path)
    }
}

/// Compares names; a dot of the query is the end of a name, or a dot inside one.
fn relation<'p>(dotted: &'p str, column: &str) -> Relation<'p> {
    let same = |(wanted, have): (u8, u8)| wanted == have || (wanted == b'.' && have == PATH_SEPARATOR as u8);
    if !dotted.bytes().zip(column.bytes()).all(same) {
        return Relation::Apart;
    }
    if dotted.is_empty() {
        return Relation::Below;
    }
    match dotted.len().cmp(&column.len()) {
        std::cmp::Ordering::Equal => Relation::Same,
        std::cmp::Ordering::Less => match column.as_bytes().get(dotted.len()) {
            Some(b'.') => Relation::Below,
            Some(next) if *next == PATH_SEPARATOR as u8 => Relation::Below,
            _ => Relation::Apart,
        },
        std::cmp::Ordering::Greater => match dotted.get(column.len()..).and_then(|rest| rest.strip_prefix('.')) {
            Some(rest) if !rest.is_empty() => Relation::Above(rest),
            _ => Relation::Apart,
        },
    }
}

/// Whether `test` holds for something at the rest of a path inside a value: objects of arrays are entered.
pub(super) fn any_inside(
    value: ValueRef<'_>,
    rest: &str,
    below: bool,
    test: &mut dyn FnMut(ValueRef<'_>) -> bool,
) -> bool {
    match value {
        ValueRef::Array(values) => values.values().any(|value| any_inside(value, rest, below, test)),
        ValueRef::Object(members) => any_member(members, rest, below, test),
        ValueRef::Null | ValueRef::Bool(_) | ValueRef::Int(_) | ValueRef::Float(_) | ValueRef::Text(_) => false,
    }
}

fn any_member(members: Encoded<'_>, rest: &str, below: bool, test: &mut dyn FnMut(ValueRef<'_>) -> bool) -> bool {
    members.members().any(|(name, value)| match relation(rest, name) {
        Relation::Apart => false,
        Relation::Same => test(value),
        Relation::Below => below && test(value),
        Relation::Above(rest) => any_inside(value, rest, below, test),
    })
}

/// The name of a field with nothing escaped and nothing left out: `service`, `tags.env`, `fields.status`.
#[derive(Clone, Copy, Debug)]
pub struct FieldName<'a>(pub &'a Field);

impl std::fmt::Display for FieldName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Field::Leaf(root, path) if !path.0.is_empty() => write!(f, "{}.{}", root.name(), path.0),
            field => field.fmt(f),
        }
    }
}

/// The name as a query writes it, special characters escaped; `fields.` is left out where it can be.
impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Field::Level => f.write_str("level"),
            Field::Timestamp => f.write_str("timestamp"),
            Field::AcceptedAt => f.write_str("accepted_at"),
            Field::Seq => f.write_str("seq"),
            Field::Core(core) => f.write_str(core.name()),
            Field::Leaf(root, path) if path.0.is_empty() => f.write_str(root.name()),
            Field::Leaf(root, path) => {
                let plain = path.0.starts_with(super::scan::begins_name);
                let short = *root == Root::Fields && plain && Field::parse(&path.0).as_ref() == Some(self);
                if !short {
                    write!(f, "{}.", root.name())?;
                }
                super::display::escape_name(f, &path.0)
            }
        }
    }
}
