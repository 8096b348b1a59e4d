//! A query's tree as Prometheus' `parse_query` shows it.

use serde_json::{Value, json};
use watchfire_model::Matcher;
use watchfire_query_lang::ast::{At, Cardinality, Edges, Expr, Matching, Shift, SpanExpr, ValueType, VectorSelector};
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
            (value["range"], value["rangeExpr"]) = spelt(matrix.range_ms, matrix.range_expr.as_deref());
            value
        }
        Expr::Subquery(subquery) => {
            let mut value = shifted(&subquery.shift, subquery.offset_expr.as_deref());
            value["type"] = json!("subquery");
            value["expr"] = node(&subquery.expr);
            (value["range"], value["rangeExpr"]) = spelt(subquery.range_ms, subquery.range_expr.as_deref());
            (value["step"], value["stepExpr"]) = spelt(subquery.step_ms.unwrap_or(0), subquery.step_expr.as_deref());
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
    let mut value = shifted(&selector.shift, selector.offset_expr.as_deref());
    value["type"] = json!(kind);
    value["name"] = json!(selector.name.as_deref().unwrap_or_default());
    let (of_name, others) = selector.matchers.split_at(usize::from(selector.name.is_some()));
    value["matchers"] = others.iter().chain(of_name).map(matcher).collect::<Vec<_>>().into();
    value["anchored"] = json!(selector.edges == Edges::Anchored);
    value["smoothed"] = json!(selector.edges == Edges::Smoothed);
    value
}

fn matcher(matcher: &Matcher) -> Value {
    json!({"name": matcher.name(), "value": matcher.value(), "type": matcher.op().as_str()})
}

/// A span and what it is worked out from; Prometheus works it out later, and shows 0 until then.
fn spelt(millis: i64, expr: Option<&SpanExpr>) -> (Value, Value) {
    match expr {
        Some(expr) => (json!(0), span(expr, false)),
        None => (json!(millis), Value::Null),
    }
}

/// A node of a span that is worked out. Brackets are a mark of what is inside, and of a number a sign that has it.
fn span(expr: &SpanExpr, wrapped: bool) -> Value {
    let node = |op: &str, left: Option<&SpanExpr>, right: Option<&SpanExpr>| {
        let side = |expr: Option<&SpanExpr>| expr.map_or(Value::Null, |expr| span(expr, false));
        json!({"type": "durationExpr", "op": op, "lhs": side(left), "rhs": side(right), "wrapped": wrapped})
    };
    match expr {
        SpanExpr::Number(_) if wrapped => node("+", None, Some(expr)),
        SpanExpr::Number(number) => {
            json!({"type": "numberLiteral", "val": plain(number.value), "duration": number.is_duration})
        }
        SpanExpr::Step => node("step", None, None),
        SpanExpr::Range => node("range", None, None),
        SpanExpr::Choice(choice) => node(choice.word(), Some(&choice.left), Some(&choice.right)),
        SpanExpr::Minus(inner) => node("-", None, Some(inner)),
        SpanExpr::Binary(binary) => node(binary.op.as_str(), Some(&binary.left), Some(&binary.right)),
        SpanExpr::Paren(inner) => span(inner, true),
    }
}

fn shifted(shift: &Shift, offset_expr: Option<&SpanExpr>) -> Value {
    let (timestamp, edge) = match shift.at {
        None => (Value::Null, Value::Null),
        Some(At::Time(millis)) => (json!(millis), Value::Null),
        Some(At::Start) => (Value::Null, json!("start")),
        Some(At::End) => (Value::Null, json!("end")),
    };
    let (offset, offset_expr) = spelt(shift.offset_ms, offset_expr);
    json!({"offset": offset, "offsetExpr": offset_expr, "timestamp": timestamp, "startOrEnd": edge})
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
