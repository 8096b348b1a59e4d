//! The templates of messages in a range, with how many records each has.

use std::collections::HashMap;

use rayon::prelude::*;
use watchfire_model::record::Core;
use xxhash_rust::xxh3::xxh3_64;

use super::budget::Budget;
use super::run::{Part, in_range};
use crate::search::{SearchError, TimeRange};
use crate::store::{TemplateCount, TemplateCounts};
use crate::values::ColumnName;

/// The column that messages are in.
pub(super) fn is_message(name: &ColumnName) -> bool {
    name.kind == Core::Message as u8 && name.path.is_empty()
}

/// Counts the templates of a range, most frequent first, at most `limit`.
pub(crate) fn templates(
    parts: &[Part],
    range: TimeRange,
    limit: usize,
    budget: &Budget,
) -> Result<TemplateCounts, SearchError> {
    let counted = parts.par_iter().map(|part| {
        budget.check()?;
        in_range(part, range, budget, |view, rows| {
            let mut counts: HashMap<String, u64> = HashMap::new();
            let rest = view.templates(rows, &mut |text, count| match counts.get_mut(text) {
                Some(have) => *have += count,
                None => drop(counts.insert(text.to_owned(), count)),
            })?;
            Ok((counts, rest))
        })
    });
    let all = counted.try_reduce(Default::default, |(mut a, a_rest), (mut b, b_rest)| {
        if a.len() < b.len() {
            std::mem::swap(&mut a, &mut b);
        }
        b.into_iter().for_each(|(text, count)| *a.entry(text).or_default() += count);
        Ok((a, a_rest + b_rest))
    })?;
    let (counts, rest) = all;
    let of = |(text, count): (String, u64)| TemplateCount { id: xxh3_64(text.as_bytes()), text, count };
    let mut templates: Vec<TemplateCount> = counts.into_iter().map(of).collect();
    templates.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
    templates.truncate(limit);
    Ok(TemplateCounts { templates, rest })
}
