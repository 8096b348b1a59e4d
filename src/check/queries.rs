//! `watchfire check queries`: a query a line, in the short form or PromQL.

use std::path::Path;

use watchfire_model::text::count;

use super::{Found, quote};
use crate::load;

/// Reads a file, and says which of its queries are none. Blank lines and those that begin with `#` are passed over.
pub(super) fn check(file: &Path, found: &mut Found) {
    let name = file.display();
    let text = match load::read(file) {
        Ok(text) => text,
        Err(faults) => return found.faults.extend(faults.0),
    };
    let lines = text.lines().enumerate();
    let queries = lines.filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let (mut good, before) = (0, found.faults.len());
    for (at, query) in queries {
        let Err(error) = watchfire_query_lang::parse(query) else {
            good += 1;
            continue;
        };
        let hint = error.hint.map_or_else(String::new, |hint| format!("; {hint}"));
        let (line, quoted) = (at + 1, quote(&text, at + 1, error.column));
        found.faults.push(format!("{name}:{line}:{}: {}{hint}{quoted}", error.column, error.message));
    }
    if found.faults.len() == before {
        found.good.push(format!("good: {name}, {}", count(good, "query")));
    }
}
