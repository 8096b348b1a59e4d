//! A query's tree as Prometheus' `parse_query` shows it.

use serde_json::{Value, json};
use watchfire_model::Matcher;
use watchfire_query_lang::ast::{At, Cardinality, Edges, Expr, Matching, Shift, ValueType, VectorSelector};
use watchfire_query_lang::functions::Function;

/// Writes the tree as JSON.
pub(super) fn write(out: &mut Vec<u8>, root: &Expr) {
    // A value always serialises to memory.
    let _ = serde_json::to_writer(out, &node(root));
}

fn node(expr: &Expr) -> Value {
    match expr {
        Expr::Number(number) => json!({"type": "numberLiteral", "val": plain(number.value)}),
        Expr::String(string) => json!({"type": "stringLiteral", "val": string.value}),
        Expr::Paren(paren) => json!({"type": "parenExpr", "expr": node(&paren.expr)}),
        Expr::Unary(unary) => {
            json!({"type": "unaryExpr", "op": if unary.negative { "-" } else { "+" }, "expr": node(&unary.expr)})
        }
        Expr::Vector(selector) => selected("vectorSelector", selector),
        Expr::Matrix(matrix) => {
            let mut value = selected("matrixSelector", &matrix.selector);
            value["range"] = json!(matrix.range_ms);
            value["rangeExpr"] = Value::Null;
            value
        }
        Expr::Subquery(subquery) => {
            let mut value = shifted(&subquery.shift);
            value["type"] = json!("subquery");
            value["expr"] = node(&subquery.expr);
            value["range"] = json!(subquery.range_ms);
            value["rangeExpr"] = Value::Null;
            value["step"] = json!(subquery.step_ms.unwrap_or(0));
            value["stepExpr"] = Value::Null;
            value
        }
        Expr::Binary(binary) => json!({
            "type": "binaryExpr",
            "op": binary.op.as_str(),
            "lhs": node(&binary.left),
            "rhs": node(&binary.right),
            "matching": binary.matching.as_ref().map(matching),
            "bool": binary.returns_bool,
        }),
        Expr::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate.op.as_str(),
            "expr": node(&aggregate.expr),
            "param": aggregate.parameter.as_ref().map(node),
            "grouping": aggregate.grouping.labels,
            "without": aggregate.grouping.without,
        }),
        Expr::Call(call) => json!({
            "type": "call",
            "func": function(call.function),
            "args": call.args.iter().map(node).collect::<Vec<_>>(),
        }),
        // Nodes of the short form are at the root only, and are translated before.
        Expr::ShortAggregate(_) | Expr::ShortRate(_) | Expr::ShortQuantile(_) => Value::Null,
    }
}

fn matching(how: &Matching) -> Value {
    let card = match how.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": card,
        "labels": how.labels,
        "on": how.on,
        "include": how.include,
        "fillValues": {"lhs": how.fill.left.map(|fill| fill.value), "rhs": how.fill.right.map(|fill| fill.value)},
    })
}

fn selected(kind: &str, selector: &VectorSelector) -> Value {
    let mut value = shifted(&selector.shift);
    value["type"] = json!(kind);
    value["name"] = json!(selector.name.as_deref().unwrap_or_default());
    value["matchers"] = selector.matchers.iter().map(matcher).collect::<Vec<_>>().into();
    value["anchored"] = json!(selector.edges == Edges::Anchored);
    value["smoothed"] = json!(selector.edges == Edges::Smoothed);
    value
}

fn matcher(matcher: &Matcher) -> Value {
    json!({"name": matcher.name(), "value": matcher.value(), "type": matcher.op().as_str()})
}

fn shifted(shift: &Shift) -> Value {
    let (timestamp, edge) = match shift.at {
        None => (Value::Null, Value::Null),
        Some(At::Time(millis)) => (json!(millis), Value::Null),
        Some(At::Start) => (Value::Null, json!("start")),
        Some(At::End) => (Value::Null, json!("end")),
    };
    json!({"offset": shift.offset_ms, "offsetExpr": null, "timestamp": timestamp, "startOrEnd": edge})
}

fn function(function: &Function) -> Value {
    // What is not bounded is -1.
    let variadic = function.optional.checked_add(function.repeats).and_then(|more| i64::try_from(more).ok());
    json!({
        "name": function.name,
        "argTypes": function.args.iter().map(|kind| type_name(*kind)).collect::<Vec<_>>(),
        "variadic": variadic.unwrap_or(-1),
        "returnType": type_name(function.returns),
    })
}

fn type_name(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Scalar => "scalar",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
        ValueType::String => "string",
    }
}

/// All digits, no exponent.
fn plain(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}
