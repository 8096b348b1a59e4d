//! Does this record match? Row by row: live tail runs it for each record, and tests hold stores against it.

use watchfire_model::RecordView;
use watchfire_model::record::{Column, Core, Root, ValueRef};

use super::ast::{Expr, Node, Query, Test};
use super::field::{Field, Relation, any_inside};

/// Whether a record, whose number is `seq`, matches. This is the meaning of the language: every store agrees.
pub fn matches(query: &Query, record: &RecordView<'_>, seq: u64) -> bool {
    node_matches(&query.root, record, seq)
}

fn node_matches(node: &Node, record: &RecordView<'_>, seq: u64) -> bool {
    match &node.expr {
        Expr::All => true,
        // What needs no walk over the record's columns goes first.
        Expr::And(nodes) => [true, false].into_iter().all(|header| {
            nodes.iter().filter(|node| is_header_test(node) == header).all(|node| node_matches(node, record, seq))
        }),
        Expr::Or(nodes) => nodes.iter().any(|node| node_matches(node, record, seq)),
        Expr::Not(node) => !node_matches(node, record, seq),
        Expr::Text(phrase) => any_text(record, &|text| phrase.is_in(text)),
        Expr::TextRegex(pattern) => any_text(record, &|text| pattern.is_in(text)),
        Expr::Field(field, test) => field_matches(field, test, record, seq),
    }
}

fn is_header_test(node: &Node) -> bool {
    match &node.expr {
        Expr::All | Expr::Field(Field::Level | Field::Timestamp | Field::AcceptedAt | Field::Seq, _) => true,
        Expr::Not(node) => is_header_test(node),
        Expr::And(_) | Expr::Or(_) | Expr::Text(_) | Expr::TextRegex(_) | Expr::Field(..) => false,
    }
}

fn field_matches(field: &Field, test: &Test, record: &RecordView<'_>, seq: u64) -> bool {
    let number = match field {
        Field::Level => return matches!(test, Test::Levels(levels) if levels.contains(record.level())),
        Field::Timestamp => record.timestamp().millis(),
        Field::AcceptedAt => record.accepted_at().millis(),
        // A `seq` is below 2^53.
        Field::Seq => i64::try_from(seq).unwrap_or(i64::MAX),
        Field::Core(_) | Field::Leaf(..) => {
            return record.entries().any(|(column, value)| column_matches(field, test, column, value));
        }
    };
    matches!(test, Test::Integers { low, high } if (*low..=*high).contains(&number))
}

/// Whether one column of a record satisfies a predicate: `value` is what the record has in `column`.
///
/// A record matches `field: test` if any of its columns does. Never true for `level`, the times and `seq`.
pub fn column_matches(field: &Field, test: &Test, column: Column<'_>, value: ValueRef<'_>) -> bool {
    match field.relation(column) {
        Relation::Apart => false,
        Relation::Same => test.matches_value(value),
        Relation::Below => *test == Test::Exists && value != ValueRef::Null,
        Relation::Above(rest) => any_inside(value, rest, *test == Test::Exists, &mut |value| test.matches_value(value)),
    }
}

/// Whether `wanted` holds for one of the texts that words search: the message, each text in `fields`.
fn any_text(record: &RecordView<'_>, wanted: &dyn Fn(&str) -> bool) -> bool {
    record.entries().any(|(column, value)| match column {
        Column::Core(Core::Message) | Column::Leaf(Root::Fields, _) => text_in_value(value, wanted),
        Column::Core(_) | Column::Leaf(..) => false,
    })
}

/// Whether `wanted` holds for the text that a value is, or for one inside its lists and objects.
pub fn text_in_value(value: ValueRef<'_>, wanted: &dyn Fn(&str) -> bool) -> bool {
    match value {
        ValueRef::Text(text) => wanted(text),
        ValueRef::Array(values) => values.values().any(|value| text_in_value(value, wanted)),
        ValueRef::Object(members) => members.members().any(|(_, value)| text_in_value(value, wanted)),
        ValueRef::Null | ValueRef::Bool(_) | ValueRef::Int(_) | ValueRef::Float(_) => false,
    }
}
