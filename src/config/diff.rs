//! `watchfire config diff`: which values in force differ between two files, whatever their order and spelling, and
//! whether they are written or defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use watchfire_yaml::outline::join;
use watchfire_yaml::tree::{self, Kind, Node};

use super::show::{self, SECRET, flow};
use crate::cli::Over;

/// Keys by whose value items of lists are told apart, the first that is there.
const NAMES: [&str; 5] = ["name", "job_name", "metric", "url", "path"];

/// The differences, a line for each value that is gone (`-`) or new (`+`); empty if there are none.
///
/// Errors: what is wrong with the files, a line for each fault.
pub fn diff(before: &Path, after: &Path) -> Result<String, String> {
    let (before_values, after_values) = match (values(before), values(after)) {
        (Ok(before), Ok(after)) => (before, after),
        (before, after) => {
            let faults: Vec<String> = [before.err(), after.err()].into_iter().flatten().collect();
            return Err(faults.join("\n"));
        }
    };
    let mut lines = String::new();
    let all: BTreeSet<&String> = before_values.keys().chain(after_values.keys()).collect();
    for path in all {
        let (old, new) = (before_values.get(path), after_values.get(path));
        if old == new {
            continue;
        }
        for (sign, value) in [('-', old), ('+', new)] {
            if let Some(value) = value {
                lines.push_str(&format!("{sign} {path}: {value}\n"));
            }
        }
    }
    if lines.is_empty() {
        return Ok(lines);
    }
    Ok(format!("--- {}\n+++ {}\n{lines}", before.display(), after.display()))
}

/// All values in force of a file, by their paths.
fn values(file: &Path) -> Result<BTreeMap<String, String>, String> {
    let over = Over { config: Some(file.to_owned()), ..Over::default() };
    let shown = show::show(&over, None, false)?;
    // What is shown is a configuration itself.
    let (root, _) = tree::parse_verbatim(&shown).map_err(|faults| format!("{}: {faults:?}", file.display()))?;
    let mut values = BTreeMap::new();
    flatten("", &root, &mut values);
    Ok(values)
}

fn flatten(path: &str, node: &Node, values: &mut BTreeMap<String, String>) {
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => {
            for (name, _, below) in entries {
                flatten(&join(path, name), below, values);
            }
        }
        Kind::List(items) if items.iter().any(|item| matches!(item.kind, Kind::Map(_))) => {
            for (at, item) in items.iter().enumerate() {
                let name = name_of(item).unwrap_or_else(|| at.to_string());
                let mut below = format!("{path}[{name}]");
                if values.keys().any(|known| known.starts_with(&format!("{below}."))) {
                    below = format!("{path}[{name} {at}]");
                }
                flatten(&below, item, values);
            }
        }
        Kind::Scalar { text, .. } => _ = values.insert(path.to_owned(), flow(node, text == SECRET)),
        Kind::Null | Kind::List(_) | Kind::Map(_) => _ = values.insert(path.to_owned(), flow(node, false)),
    }
}

/// What an item of a list is called.
fn name_of(item: &Node) -> Option<String> {
    let named = NAMES.iter().find_map(|key| item.entry(key))?;
    Some(flow(named.1, false))
}
