//! `label_replace` and `label_join`.

use hashbrown::HashMap;
use watchfire_model::re2;

use super::arg;
use crate::ast::{Call, Expr};
use crate::eval::column::{Column, join_same_labels};
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::functions::LabelFunction;

/// Largest compiled size of a regular expression, bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Longest value that a query may make for a label, bytes. Nothing that is stored is a hundredth as long.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Most values of which is remembered what becomes of them.
const FOUND_MAX: usize = 256;

pub(super) fn eval(ctx: &Context, function: LabelFunction, call: &Call) -> Result<Vec<Column>, EvalError> {
    let mut columns = crate::eval::eval_vector(ctx, arg(call, 0)?)?;
    match function {
        LabelFunction::Replace => replace(ctx, call, &mut columns)?,
        LabelFunction::Join => join(ctx, call, &mut columns)?,
    }
    join_same_labels(columns)
}

fn text(call: &Call, at: usize) -> Result<&str, EvalError> {
    crate::eval::eval_text(arg(call, at)?)
}

fn label_name<'c>(call: &'c Call, at: usize, what: &str) -> Result<&'c str, EvalError> {
    crate::eval::eval_label(arg(call, at)?)?.ok_or_else(|| {
        let reason = format!("`{}` needs a name for its {what} label", call.function.name);
        EvalError::Parameter { reason }
    })
}

/// That a value would be too long.
fn check_length(call: &Call, destination: &str, bytes: usize) -> Result<(), EvalError> {
    if bytes <= VALUE_BYTES_MAX {
        return Ok(());
    }
    let function = call.function.name;
    let reason = format!(
        "`{function}` makes a value of up to {bytes} bytes for `{destination}`; at most {VALUE_BYTES_MAX} are made"
    );
    Err(EvalError::Parameter { reason })
}

/// `label_replace(v, destination, replacement, source, regex)`
fn replace(ctx: &Context, call: &Call, columns: &mut [Column]) -> Result<(), EvalError> {
    let destination = label_name(call, 1, "destination")?;
    let (replacement, source, pattern) = (text(call, 2)?, text(call, 3)?, text(call, 4)?);
    let regex = match arg(call, 4)?.without_parens() {
        Expr::String(text) if text.bytes.is_some() => Err("it is no UTF-8".to_owned()),
        _ => re2::compile_anchored(pattern, REGEX_BYTES_MAX),
    };
    let regex = regex.map_err(|why| EvalError::Parameter {
        reason: format!("`{pattern}` in `label_replace` is not a regular expression: {why}"),
    })?;
    // Many series have few values: what becomes of each is found once, if there are not too many.
    let mut found: HashMap<String, Option<String>> = HashMap::new();
    // Each `$` may stand for the whole of the source.
    let groups = replacement.matches('$').count();
    for column in columns {
        ctx.guard.tick()?;
        let source = column.labels.get(source).unwrap_or("");
        if !found.contains_key(source) {
            if found.len() == FOUND_MAX {
                found.clear();
            }
            let captures = regex.captures(source);
            if captures.is_some() {
                let longest = replacement.len().saturating_add(source.len().saturating_mul(groups));
                check_length(call, destination, longest)?;
            }
            let value = captures.map(|captures| {
                let mut value = String::new();
                captures.expand(replacement, &mut value);
                value
            });
            ctx.guard.text(source.len() + value.as_ref().map_or(0, String::len))?;
            found.insert(source.to_owned(), value);
        }
        if let Some(Some(value)) = found.get(source) {
            ctx.guard.text(value.len())?;
            column.labels = column.labels.with(destination, value);
        }
    }
    Ok(())
}

/// `label_join(v, destination, separator, source…)`
fn join(ctx: &Context, call: &Call, columns: &mut [Column]) -> Result<(), EvalError> {
    let destination = label_name(call, 1, "destination")?;
    let separator = text(call, 2)?;
    let mut sources = Vec::new();
    for at in 3..call.args.len() {
        sources.push(label_name(call, at, "source")?);
    }
    for column in columns {
        let values: Vec<&str> = sources.iter().map(|source| column.labels.get(source).unwrap_or("")).collect();
        let bytes = values.iter().map(|value| value.len() + separator.len()).sum();
        check_length(call, destination, bytes)?;
        // Looking the values up costs as much as copying some of them.
        ctx.guard.text(bytes + values.len())?;
        column.labels = column.labels.with(destination, &values.join(separator));
    }
    Ok(())
}
